"""What a component is: typed settings plus a conversation with the executor.

A component never talks to a model itself. Its `run` is a generator that yields the requests it
needs and is sent what was drawn for them, so one implementation serves a live pipeline, a phase
that batches all queries by model, and a replay from the ledger.
"""

import math
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, TypeVar, get_args

from pydantic import BaseModel, ConfigDict

from archon.engines.base import Completion, Request, Sampling
from archon.messages import Message
from archon.tasks.task import Task


@dataclass(frozen=True, slots=True)
class Candidate:
    """One possible answer.

    Attributes:
        text: What the model wrote.
        answer: The extracted final answer in its voting form; None when the text states none.
        raw_answer: The extracted answer as written; this is what is scored.
        origin: Alias of the model that wrote it.
        score: Probability of being correct by the last judge, None if unjudged.
        confidence: Geometric mean of the probabilities the writing model gave its own tokens,
            None where its server does not tell.
        critique: What a critic said of this text, None if uncriticised.
    """

    text: str
    answer: str | None
    raw_answer: str | None
    origin: str
    score: float | None = None
    confidence: float | None = None
    critique: str | None = None


@dataclass(frozen=True, slots=True)
class State:
    """What one query carries through the layers."""

    query_id: str
    messages: tuple[Message, ...]
    candidates: tuple[Candidate, ...] = ()


@dataclass(slots=True, eq=False)
class Drawn:
    """The samples drawn so far for one request, in order; shared by everyone who asks for it."""

    request: Request
    completions: list[Completion] = field(default_factory=list)
    _candidates: dict[str, list[Candidate | None]] = field(default_factory=dict)
    _failed: list[int] = field(default_factory=lambda: [0])

    def failed(self, samples: int) -> int:
        """Return how many of the first `samples` completions gave no text."""
        sums = self._failed
        if len(sums) <= samples:
            for completion in self.completions[len(sums) - 1 : samples]:
                sums.append(sums[-1] + (not completion.ok))
        return sums[samples]


Steps = Generator[Sequence[Request], Sequence[Drawn], tuple[Candidate, ...]]
T = TypeVar("T")


class Context:
    """What components share while one pipeline runs: models, task, memory, counts.

    Args:
        task: Extracts answers and gives them their voting form.
        models: Alias → model identity.
        memory: Results that depend only on their key (prompts, requests); may outlive the run,
            which is what makes replaying thousands of trials cheap.

    Attributes:
        counts: What happened: ``ranker.unparsed``, ``generation.failed``, …
    """

    def __init__(
        self, task: Task, models: Mapping[str, str], memory: dict[object, object] | None = None
    ) -> None:
        self.task = task
        self.models = models
        self.memory = {} if memory is None else memory
        self.counts: Counter[str] = Counter()

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

    def candidates(self, drawn: Drawn, samples: int, origin: str) -> tuple[Candidate, ...]:
        """Return the candidates in the first `samples` completions; failed ones give none."""
        known = drawn._candidates.get(origin)
        if known is None:
            known = drawn._candidates[origin] = []
        if len(known) < samples:
            for completion in drawn.completions[len(known) : samples]:
                known.append(self._candidate(completion, origin) if completion.ok else None)
        first = known[:samples]
        if failed := drawn.failed(samples):
            self.counts["generation.failed"] += failed
            return tuple(candidate for candidate in first if candidate is not None)
        return tuple(first)  # type: ignore[arg-type]

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


class Component(BaseModel):
    """Settings and behaviour of one component type.

    Subclasses set ``type`` to a literal, declare their settings as fields and implement `run`.

    Attributes:
        first: Whether it starts from the messages alone and so belongs in the first layer.
        shares_layer: Whether several of its kind may stand in one layer.
        needs_several: Whether it is pointless with one candidate.
        reads_critiques: Whether it makes use of critiques.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str

    first: ClassVar[bool] = False
    shares_layer: ClassVar[bool] = False
    needs_several: ClassVar[bool] = False
    reads_critiques: ClassVar[bool] = False

    @cached_property
    def key(self) -> str:
        """The settings as JSON: equal for equal components."""
        return self.model_dump_json()

    @abstractmethod
    def run(self, state: State, context: Context) -> Steps:
        """Yield the requests needed, be sent what was drawn, return the new candidates."""

    @abstractmethod
    def most_candidates(self, arriving: int) -> int:
        """Return how many candidates can leave when at most `arriving` come in."""

    def model_aliases(self) -> tuple[str, ...]:
        """Return the model aliases the component calls."""
        alias = getattr(self, "model", None)
        return () if alias is None else (alias,)


COMPONENTS: dict[str, type[Component]] = {}
C = TypeVar("C", bound=Component)


def register(cls: type[C]) -> type[C]:
    """Register a component class under the literal of its ``type`` field (class decorator)."""
    kind = cls.model_fields["type"].annotation
    (name,) = get_args(kind)
    COMPONENTS[name] = cls
    return cls


def distinct(candidates: Sequence[Candidate]) -> dict[str, list[Candidate]]:
    """Group candidates by text, in order of first appearance: equal texts are judged once."""
    groups: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.text, []).append(candidate)
    return groups


def numbered(candidates: Sequence[Candidate]) -> str:
    """Return candidates as the numbered list prompts show, with critiques where there are any."""
    parts = []
    for index, candidate in enumerate(candidates, start=1):
        parts.append(f"[{index}] {candidate.text.strip()}")
        if candidate.critique:
            parts.append(f"Critique of [{index}]: {candidate.critique.strip()}")
    return "\n\n".join(parts)


def ask_about(messages: tuple[Message, ...], text: str) -> tuple[Message, ...]:
    """Return the conversation with `text` appended to its last user turn.

    The caller's system message and earlier turns stay, and with them any format instructions.
    """
    *before, last = messages
    return (*before, Message(last.role, f"{last.content}\n\n{text}"))
