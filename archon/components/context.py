"""What components share while one pipeline runs."""

import math
import operator
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from archon.components.room import shortened, tokens_in, tokens_over
from archon.components.state import Candidate, Drawn, State
from archon.engines.base import Completion, Request, Sampling
from archon.engines.programs import sandbox_identity
from archon.messages import Message
from archon.tasks.task import Task

T = TypeVar("T")


class Context:
    """What components share while one pipeline runs: models, task, memory, counts.

    Args:
        task: Extracts answers and gives them their voting form.
        models: Alias → model identity.
        memory: Results that depend only on their key (prompts, requests); may outlive the run,
            which is what makes replaying thousands of trials cheap.
        limits: Alias → tokens its model takes, prompt and reply together, where that is known.
        sandbox: Identity of the engine that runs programs.

    Attributes:
        counts: What happened: ``ranker.unparsed``, ``generation.failed``, …
    """

    def __init__(
        self,
        task: Task,
        models: Mapping[str, str],
        memory: dict[object, object] | None = None,
        *,
        limits: Mapping[str, int] | None = None,
        sandbox: str = sandbox_identity(),
    ) -> None:
        self.task = task
        self.models = models
        self.memory = {} if memory is None else memory
        self.limits = limits or {}
        self.sandbox = sandbox
        self.counts: Counter[str] = Counter()
        self._noted: dict[Drawn, int] = {}

    def remember(self, key: object, make: Callable[[], T]) -> T:
        """Return ``make()``, computed once per key."""
        try:
            return self.memory[key]  # type: ignore[return-value]
        except KeyError:
            value = self.memory[key] = make()
            return value

    def request(
        self, alias: str, messages: tuple[Message, ...], sampling: Sampling, samples: int = 1
    ) -> Request:
        """Return the request for a model alias of the spec."""
        model = self.models[alias]
        return self.remember(
            ("request", model, messages, sampling, samples),
            lambda: Request(model, messages, sampling, samples),
        )

    def about(
        self,
        who: str,
        alias: str,
        state: State,
        candidates: Sequence[Candidate],
        write: Callable[[Sequence[Candidate]], str],
        sampling: Sampling,
        samples: int = 1,
    ) -> Request:
        """Return the request that asks a model about candidates.

        Where it would not fit the model's context, texts and critiques are shortened (see
        `shortened`) and counted as ``<type>.shortened``.

        Args:
            who: The type of the component that asks.
            write: Returns what is asked after the question, from the candidates as shown.
        """
        messages = ask_about(state.messages, write(candidates))
        limit = self.limits.get(alias)
        over = 0 if limit is None else tokens_over(messages, sampling.max_tokens, limit)
        if over:
            messages = ask_about(state.messages, write(self._shorter(who, candidates, over)))
        return self.request(alias, messages, sampling, samples)

    def _shorter(self, who: str, candidates: Sequence[Candidate], by: int) -> list[Candidate]:
        """Return the candidates as shown, `by` tokens less."""
        texts = [one.text for one in candidates]
        texts += [one.critique for one in candidates if one.critique]
        kept = self.shorten(who, texts, sum(map(tokens_in, texts)) - by)
        critiques = iter(kept[len(candidates) :])
        return [
            replace(one, text=text, critique=next(critiques) if one.critique else None)
            for one, text in zip(candidates, kept, strict=False)
        ]

    def shorten(self, who: str, texts: Sequence[str], most: int) -> list[str]:
        """Return texts that take at most so many tokens together, and count those cut."""
        kept = shortened(texts, most)
        self.counts[f"{who}.shortened"] += sum(map(operator.ne, texts, kept))
        return kept

    def candidates(self, drawn: Drawn, samples: int, origin: str) -> tuple[Candidate, ...]:
        """Return the candidates in the first `samples` completions.

        Failed and blank ones give none. These, and those cut off, are counted
        (``generation.failed``, ``.empty``, ``.truncated``), each call once.
        """
        for fault in drawn.faults(self._noted.get(drawn, 0), samples):
            self.counts[f"generation.{fault}"] += 1
        self._noted[drawn] = max(samples, self._noted.get(drawn, 0))
        return self.peek(drawn, samples, origin)

    def peek(self, drawn: Drawn, samples: int, origin: str) -> tuple[Candidate, ...]:
        """Return the same without counting anything, for a component that may draw more."""
        known = drawn._candidates.get(origin)
        if known is None:
            known = drawn._candidates[origin] = []
        if len(known) < samples:
            for completion in drawn.completions[len(known) : samples]:
                whole = completion.ok and completion.text.strip()
                known.append(self._candidate(completion, origin) if whole else None)
        return tuple(candidate for candidate in known[:samples] if candidate is not None)

    def _candidate(self, completion: Completion, origin: str) -> Candidate:
        raw = self.task.extract(completion.text)
        logprob = completion.mean_logprob
        return Candidate(
            text=completion.text,
            answer=None if raw is None else self.task.canonical(raw),
            raw_answer=raw,
            origin=origin,
            confidence=None if logprob is None else math.exp(logprob),
        )


def ask_about(messages: tuple[Message, ...], text: str) -> tuple[Message, ...]:
    """Return the conversation with `text` appended to its last user turn.

    The caller's system message and earlier turns stay, and with them any format instructions.
    """
    *before, last = messages
    return (*before, Message(last.role, f"{last.content}\n\n{text}"))
