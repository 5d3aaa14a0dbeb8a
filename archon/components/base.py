"""What a component is: typed settings plus a conversation with the executor.

A component never talks to a model itself. Its `run` is a generator that yields the requests it
needs and is sent what was drawn for them, so one implementation serves a live pipeline, a phase
that batches all queries by model, and a replay from the ledger.
"""

import math
import operator
from abc import abstractmethod
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from typing import Any, ClassVar, Literal, NamedTuple, Self, TypeVar, cast, get_args

from pydantic import BaseModel, ConfigDict

from archon.components.room import shortened, tokens_in, tokens_over
from archon.engines.base import Completion, Request, Sampling
from archon.messages import Message
from archon.tasks import sandbox
from archon.tasks.task import Task

TestKind = Literal["assertions", "python"]
Passes = Callable[[Sequence[str], str, str], sandbox.Verdict]
"""Puts forms of a program to a test that calls a function of it; see `sandbox.passes`."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One possible answer.

    Attributes:
        text: What the model wrote.
        answer: The extracted final answer in its voting form; None when the text states none.
        raw_answer: The extracted answer as written; this is what is scored.
        origin: Alias of the model that wrote it.
        score: Probability of being correct by the last judge, None if unjudged.
        calibrated: Whether `score` was fitted to known answers.
        confidence: Geometric mean of the probabilities the writing model gave its own tokens,
            None where its server does not tell.
        critique: What a critic said of this text, None if uncriticised.
        verdicts: Scores by the verifiers of a weaver that is still to be fitted, NaN where one
            gave none; empty otherwise.
    """

    text: str
    answer: str | None
    raw_answer: str | None
    origin: str
    score: float | None = None
    calibrated: bool = False
    confidence: float | None = None
    critique: str | None = None
    verdicts: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class UnitTest:
    """Something that a correct reply satisfies.

    Attributes:
        kind: ``assertions`` for a sentence that a model judges, ``python`` for a script that runs.
        text: The sentence or the script.
        entry_point: Name of the function the script calls; "" for a sentence.
    """

    kind: TestKind
    text: str
    entry_point: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """What one query carries through the layers.

    Attributes:
        unit_tests: Tests of the question's replies. They follow from the question alone, so they
            stay when candidates change; critiques belong to a candidate, and go with it.
    """

    query_id: str
    messages: tuple[Message, ...]
    candidates: tuple[Candidate, ...] = ()
    unit_tests: tuple[UnitTest, ...] = ()


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


Written = tuple[Candidate, ...] | tuple[UnitTest, ...]


class Ask(NamedTuple):
    """A request and the component that makes it, such as ``1.0 ranker``."""

    place: str
    request: Request


Steps = Generator[Sequence[Request] | Sequence[Ask], Sequence[Drawn], Written]
"""A conversation; components that hold others say which of them asks."""
T = TypeVar("T")


class Calls(NamedTuple):
    """How many calls one query takes, as long as none fails.

    Attributes:
        tokens: The most that one of them writes.
    """

    least: int
    most: int
    tokens: int


class Context:
    """What components share while one pipeline runs: models, task, memory, counts.

    Args:
        task: Extracts answers and gives them their voting form.
        models: Alias → model identity.
        memory: Results that depend only on their key (prompts, requests); may outlive the run,
            which is what makes replaying thousands of trials cheap.
        limits: Alias → tokens its model takes, prompt and reply together, where that is known.
        passes: Puts a program to a test, in the sandbox unless told otherwise.

    Attributes:
        counts: What happened: ``ranker.unparsed``, ``generation.failed``, …
        cpu_s: Query id → CPU seconds of the programs run for it, which no price of a call has.
    """

    def __init__(
        self,
        task: Task,
        models: Mapping[str, str],
        memory: dict[object, object] | None = None,
        *,
        limits: Mapping[str, int] | None = None,
        passes: Passes = sandbox.passes,
    ) -> None:
        self.task = task
        self.models = models
        self.memory = {} if memory is None else memory
        self.limits = limits or {}
        self.passes = passes
        self.counts: Counter[str] = Counter()
        self.cpu_s: defaultdict[str, float] = defaultdict(float)

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
        """Return the candidates in the first `samples` completions; failed ones give none."""
        if failed := drawn.failed(samples):
            self.counts["generation.failed"] += failed
        return self.peek(drawn, samples, origin)

    def peek(self, drawn: Drawn, samples: int, origin: str) -> tuple[Candidate, ...]:
        """Return the same without counting failures, for a component that may draw more."""
        known = drawn._candidates.get(origin)
        if known is None:
            known = drawn._candidates[origin] = []
        if len(known) < samples:
            for completion in drawn.completions[len(known) : samples]:
                known.append(self._candidate(completion, origin) if completion.ok else None)
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


class Component(BaseModel):
    """Settings and behaviour of one component type.

    Subclasses set ``type`` to a literal, declare their settings as fields and implement `run`.

    Attributes:
        first: Whether it writes candidates from the messages alone, and so goes before all that
            read some.
        shares_layer: Whether several of its kind may stand in one layer: those that write
            something new. Several that choose among the same candidates would only double them.
        needs_several: Whether it is pointless with one candidate.
        gives_scores: Whether it says of candidates how likely they are correct.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    type: str

    first: ClassVar[bool] = False
    shares_layer: ClassVar[bool] = False
    needs_several: ClassVar[bool] = False
    gives_scores: ClassVar[bool] = False

    @cached_property
    def key(self) -> str:
        """The settings as JSON: equal for equal components."""
        return self.model_dump_json()

    @property
    def reads_critiques(self) -> bool:
        """Whether it makes use of critiques."""
        return False

    @property
    def writes_tests(self) -> TestKind | None:
        """The kind of unit tests it writes; it then leaves candidates as they are."""
        return None

    @property
    def reads_tests(self) -> TestKind | None:
        """The kind of unit tests it makes use of."""
        return None

    @abstractmethod
    def run(self, state: State, context: Context) -> Steps:
        """Yield the requests needed, be sent what was drawn, return what is new.

        These are the candidates that take the place of the old, or unit tests.
        """

    @abstractmethod
    def most_candidates(self, arriving: int) -> int:
        """Return how many candidates can leave when at most `arriving` come in."""

    @property
    def parts(self) -> Sequence["Component"]:
        """The components it holds, itself where it holds none."""
        return (self,)

    def calls(self, arriving: int, tests: int) -> Calls | None:  # noqa: ARG002
        """Return the calls it makes where it asks one model; None where that is not known.

        Args:
            arriving: The most candidates that come in, at least 1 unless it writes the first.
            tests: The most unit tests there are for it.
        """
        if not self.model_aliases():
            return Calls(0, 0, 0)
        samples, tokens = getattr(self, "samples", None), getattr(self, "max_tokens", None)
        return None if samples is None or tokens is None else Calls(samples, samples, tokens)

    @property
    def needs_fit(self) -> bool:
        """Whether numbers have to be fitted before it can be of use."""
        return False

    def fit(
        self,
        rows: Sequence[Sequence[Candidate]],  # noqa: ARG002 - for those that need it
        correct: Sequence[Sequence[bool]],  # noqa: ARG002
        seed: int,  # noqa: ARG002
    ) -> Self:
        """Return the same with its numbers fitted.

        Args:
            rows: Per query what it returned unfitted.
            correct: Likewise, whether each candidate is.
            seed: Of methods that draw.

        Raises:
            UsageError: The candidates do not allow it.
        """
        raise TypeError(f"a {self.type} has nothing to fit")

    def meaning(self) -> dict[str, Any]:
        """Return the settings that make up what it does, without model aliases, as plain JSON."""
        return self.model_dump(mode="json", exclude={"model"})

    def draws(self, settings: dict[str, Any]) -> object:
        """Return what of its `meaning` decides which samples are drawn; their number does not."""
        return {name: value for name, value in settings.items() if name != "samples"}

    def model_aliases(self) -> tuple[str, ...]:
        """Return the model aliases the component calls."""
        alias = getattr(self, "model", None)
        return () if alias is None else (alias,)


def next_state(state: State, layer: Sequence[Component], written: Sequence[Written]) -> State:
    """Return the state after a layer.

    Args:
        layer: Components of one type.
        written: What each of them returned.
    """
    if layer[0].writes_tests:
        tests = cast("list[tuple[UnitTest, ...]]", written)
        known = dict.fromkeys(chain(state.unit_tests, *tests))
        return State(state.query_id, state.messages, state.candidates, tuple(known))
    candidates = tuple(chain.from_iterable(cast("list[tuple[Candidate, ...]]", written)))
    return State(state.query_id, state.messages, candidates, state.unit_tests)


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


def known_score(candidate: Candidate) -> float:
    """Return a candidate's score, below all others where there is none."""
    return -math.inf if candidate.score is None else candidate.score


def numbered(candidates: Sequence[Candidate]) -> str:
    """Return candidates as the numbered list prompts show, with critiques where there are any."""
    parts = []
    for index, candidate in enumerate(candidates, start=1):
        parts.append(f"[{index}] {candidate.text.strip()}")
        if candidate.critique:
            parts.append(f"Critique of [{index}]: {candidate.critique.strip()}")
    return "\n\n".join(parts)


def with_critique(candidate: Candidate) -> str:
    """Return a candidate as prompts show it alone."""
    text = candidate.text.strip()
    return f"{text}\n\nA critic says: {candidate.critique.strip()}" if candidate.critique else text


def ask_about(messages: tuple[Message, ...], text: str) -> tuple[Message, ...]:
    """Return the conversation with `text` appended to its last user turn.

    The caller's system message and earlier turns stay, and with them any format instructions.
    """
    *before, last = messages
    return (*before, Message(last.role, f"{last.content}\n\n{text}"))
