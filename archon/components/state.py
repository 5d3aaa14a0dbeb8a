"""What one query carries through the layers, and what was drawn for it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from archon.engines.base import Completion, Request
from archon.messages import Message

TestKind = Literal["assertions", "python"]


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


Fault = Literal["failed", "empty", "truncated"]


def fault_of(completion: Completion) -> Fault | None:
    """Return what is wrong with a completion: no text, a blank one, or one that was cut off."""
    if not completion.ok:
        return "failed"
    if not completion.text.strip():
        return "empty"
    return "truncated" if completion.finish_reason == "length" else None


@dataclass(slots=True, eq=False)
class Drawn:
    """The samples drawn so far for one request, in order; shared by everyone who asks for it."""

    request: Request
    completions: list[Completion] = field(default_factory=list)
    _candidates: dict[str, list[Candidate | None]] = field(default_factory=dict)
    _faults: list[tuple[int, Fault]] = field(default_factory=list)
    _looked: int = 0

    def faults(self, first: int, end: int) -> list[Fault]:
        """Return what is wrong with samples `first` to `end` (excluded), where something is."""
        for index in range(self._looked, min(end, len(self.completions))):
            fault = fault_of(self.completions[index])
            if fault is not None:
                self._faults.append((index, fault))
            self._looked = index + 1
        return [fault for index, fault in self._faults if first <= index < end]

    def failed(self, samples: int) -> int:
        """Return how many of the first `samples` calls failed."""
        return self.faults(0, samples).count("failed")


Written = tuple[Candidate, ...] | tuple[UnitTest, ...]


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
