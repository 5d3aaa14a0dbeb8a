"""The weaver: many weak verifiers' verdicts become one P(correct) per candidate."""

import math
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, field_serializer, model_validator

from archon.components.base import Component, Steps, register
from archon.components.context import Context
from archon.components.lockstep import lockstep
from archon.components.state import Candidate, Drawn, State
from archon.engines.base import Request
from archon.errors import UsageError
from weaver import Scores, methods
from weaver import Weaver as Fitted
from weaver.scores import Floats, Strings
from weaver.verifiers import AnyVerifier, Sample, Verdicts
from weaver.verifiers import Verifier as WeakVerifier

_CARRIED = {"text", "answer", "mean_logprob"}
"""What candidates tell of a sample."""
DIGITS = 9
"""Significant digits of fitted numbers in a spec."""

Scored = Generator[Sequence[Request], Sequence[Drawn], Floats]


@register
class Weaver(Component):
    """Keeps the `top_k` different answers most likely correct, P(correct) as their score.

    Reads candidates, writes candidates. Calls: those of its verifiers, each distinct text or
    answer judged once.

    Verifiers name models by the spec's aliases. How far to believe each is fitted, on queries
    whose answers are known, before the pipeline runs; the numbers stand in the spec. Verifiers
    that call models are asked only where the others leave the selected candidate's P(correct)
    below `threshold` (counted as ``weaver.settled`` where they are not asked); without a
    threshold, always. A verdict that cannot be read, or whose call failed, is missing, and counted
    as ``weaver.unparsed``.

    Attributes:
        method: Name of the method that combines them; see `weaver.methods`.
        fitted: Record of the fitted weaver; None where it is still to be fitted. Until then it
            asks all verifiers, keeps all candidates, and writes their verdicts.
    """

    type: Literal["weaver"] = "weaver"
    verifiers: tuple[AnyVerifier, ...] = Field(min_length=1)
    method: str = "continuous"
    threshold: float | None = Field(None, ge=0, le=1)
    top_k: int = Field(1, ge=1)
    fitted: Mapping[str, Any] | None = None

    gives_scores: ClassVar[bool] = True

    @model_validator(mode="after")
    def _check(self) -> "Weaver":
        names = [verifier.name for verifier in self.verifiers]
        for index, verifier in enumerate(self.verifiers):
            if names[index] in names[:index]:
                raise ValueError(f"verifier {names[index]} stands there twice; name it once")
            if missing := set(verifier.needs) - _CARRIED:
                raise ValueError(
                    f"verifier {names[index]} needs {missing.pop()}, which candidates do not carry"
                )
        try:
            methods.class_of(self.method)
            weaver = self._weaver
        except UsageError as error:
            raise ValueError(str(error)) from error
        if weaver is not None and weaver.verifiers_ != tuple(names):
            raise ValueError(
                f"fitted to the verifiers {', '.join(weaver.verifiers_)}, not to those named here"
            )
        if weaver is not None and weaver.method != self.method:
            raise ValueError(f"fitted by the method {weaver.method}, not by {self.method}")
        return self

    @field_serializer("verifiers")
    def _names(self, verifiers: tuple[WeakVerifier, ...]) -> list[str]:
        return [verifier.name for verifier in verifiers]

    @cached_property
    def _weaver(self) -> Fitted | None:
        return None if self.fitted is None else Fitted.from_record(dict(self.fitted))

    def meaning(self) -> dict[str, Any]:
        """See `Component.meaning`; the fitted numbers follow from the rest."""
        settings = self.model_dump(mode="json", exclude={"fitted"})
        plain = [v.model_dump(mode="json", exclude={"model"}) for v in self.verifiers]
        return settings | {"verifiers": plain}

    def model_aliases(self) -> tuple[str, ...]:
        """See `Component.model_aliases`."""
        return tuple(name for verifier in self.verifiers for name in verifier.model_names())

    def most_candidates(self, arriving: int) -> int:
        """Return `top_k`, if so many arrive."""
        return min(self.top_k, arriving)

    def run(self, state: State, context: Context) -> Steps:
        """See `Component.run`."""
        candidates = state.candidates
        if not candidates:
            return ()
        weaver = self._weaver
        scores = np.full((1, len(candidates), len(self.verifiers)), math.nan)
        if weaver is None:
            yield from self._ask(range(len(self.verifiers)), scores, state, context)
            return tuple(
                replace(candidate, verdicts=tuple(row))
                for candidate, row in zip(candidates, scores[0].tolist(), strict=True)
            )
        used = [i for i, entry in enumerate(weaver.report_) if entry.dropped is None]
        paid = [i for i in used if self.verifiers[i].model_names()]
        answers = _answers([candidates], len(candidates))
        yield from self._ask([i for i in used if i not in paid], scores, state, context)
        decision = weaver.decide(scores, answers)
        settled = bool(
            paid and self.threshold is not None and decision.probability[0] >= self.threshold
        )
        if settled:
            context.counts["weaver.settled"] += 1
        elif paid:
            yield from self._ask(paid, scores, state, context)
            decision = weaver.decide(scores, answers)
        chance = weaver.calibrator_.apply(weaver.predict_proba(scores, answers))[0]
        best = int(decision.selected[0])
        order = sorted(range(len(candidates)), key=lambda i: (i != best, -chance[i]))
        # Of free verifiers alone it is what decides, not what it was calibrated to be.
        calibrated = weaver.calibrator_.kind != "none" and not settled
        different: dict[str, Candidate] = {}
        for i in order:
            one = replace(candidates[i], score=float(chance[i]), calibrated=calibrated)
            different.setdefault(one.answer or f"\n{one.text}", one)
        return tuple(different.values())[: self.top_k]

    def _ask(
        self, which: Iterable[int], scores: Floats, state: State, context: Context
    ) -> Generator[Sequence[Request], Sequence[Drawn], None]:
        """Fill in the columns [samples] of these verifiers."""
        columns = list(which)
        samples = [_sample(candidate) for candidate in state.candidates]
        verdicts = yield from lockstep(
            [_opened(self.verifiers[i], state, samples, context) for i in columns]
        )
        for column, verdict in zip(columns, verdicts, strict=True):
            scores[0, :, column] = verdict.scores
            if lost := verdict.unparsed + verdict.failed:
                context.counts["weaver.unparsed"] += lost

    @property
    def needs_fit(self) -> bool:
        """See `Component.needs_fit`."""
        return self.fitted is None

    def fit(
        self, rows: Sequence[Sequence[Candidate]], correct: Sequence[Sequence[bool]], seed: int
    ) -> Self:
        """See `Component.fit`."""
        known = [(row, truths) for row, truths in zip(rows, correct, strict=True) if row]
        if not known:
            raise UsageError("weaver: no query it is to be fitted on got a candidate")
        rows = [row for row, _ in known]
        width = max(map(len, rows))
        scores = np.full((len(rows), width, len(self.verifiers)), math.nan)
        labels = np.full((len(rows), width), -1, dtype=np.int8)
        for index, (row, truths) in enumerate(known):
            scores[index, : len(row)] = [candidate.verdicts for candidate in row]
            labels[index, : len(row)] = truths
        names = tuple(verifier.name for verifier in self.verifiers)
        given = Scores(scores, names, answers=_answers(rows, width), labels=labels)
        record = Fitted(self.method, seed=seed).fit(given).to_record()
        settings = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self)(**settings | {"fitted": _rounded(record)})


def _opened(
    verifier: WeakVerifier, state: State, samples: Sequence[Sample], context: Context
) -> Generator[Sequence[Request], Sequence[Drawn], Verdicts]:
    """Return a verifier's conversation, its replies in the form components are sent."""
    steps = verifier.score(state.messages, samples, context.models)
    replies = None
    while True:
        try:
            wanted = steps.send(replies)  # type: ignore[arg-type]
        except StopIteration as stop:
            verdicts: Verdicts = stop.value
            return verdicts
        drawn = yield wanted
        replies = [
            one.completions[: request.samples] for one, request in zip(drawn, wanted, strict=True)
        ]


def _sample(candidate: Candidate) -> Sample:
    likely = candidate.confidence
    logprob = math.log(likely) if likely else None
    return Sample(candidate.text, candidate.answer, logprob)


def _answers(rows: Sequence[Sequence[Candidate]], width: int) -> Strings:
    """Return [queries, samples] answers, "" where there is none."""
    return np.array([[one.answer or "" for one in row] + [""] * (width - len(row)) for row in rows])


def _rounded(value: Any) -> Any:
    """Return the same with numbers as they will stand in a file."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, Mapping):
        return {key: _rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return value
