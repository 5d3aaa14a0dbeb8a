"""The route: which pipeline answers is decided by the question, before anything is generated."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Literal, Self, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy.special import expit, logit

from archon.components.base import Steps, register
from archon.components.context import Context
from archon.components.nesting import Layers, Nested
from archon.components.state import Candidate, State
from archon.errors import UsageError
from archon.messages import Message
from weaver.methods.supervised import logistic_regression

Feature = Literal[
    "words", "characters", "numbers", "digits", "longest_number", "operators", "lines"
]
FEATURES: tuple[Feature, ...] = get_args(Feature)
PENALTY_C = 1.0
"""Inverse strength of the router's L2 penalty."""
DIGITS = 9
"""Significant digits of fitted numbers in a spec."""


class Router(BaseModel):
    """A fitted router: P(the first branch is correct) by a logistic regression on features.

    Attributes:
        weights: Of `FEATURES`, after their logarithm (of 1 + value) is centred and scaled.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    centre: tuple[float, ...] = Field(min_length=len(FEATURES), max_length=len(FEATURES))
    spread: tuple[float, ...] = Field(min_length=len(FEATURES), max_length=len(FEATURES))
    weights: tuple[float, ...] = Field(min_length=len(FEATURES), max_length=len(FEATURES))
    intercept: float

    @model_validator(mode="after")
    def _scaled(self) -> Self:
        if min(self.spread) <= 0:
            raise ValueError("spread: must be above 0")
        return self

    @classmethod
    def fit(cls, rows: Sequence[Sequence[float]], correct: Sequence[bool]) -> Self:
        """Fit to features [queries, features] as `features` gives them."""
        x = np.log1p(np.array(rows, dtype=float))
        centre, spread = x.mean(axis=0), x.std(axis=0)
        spread[spread < 1e-9] = 1.0
        right = np.array(correct)
        balance = (right.sum() + 1) / (right.size + 2)
        solution = np.append(np.zeros(len(FEATURES)), logit(balance))
        if 0 < right.sum() < right.size:
            weight = np.ones(right.size)
            solution = logistic_regression((x - centre) / spread, right, weight, PENALTY_C)
        numbers = {"centre": centre, "spread": spread, "weights": solution[:-1]}
        short = {name: tuple(map(_short, values.tolist())) for name, values in numbers.items()}
        return cls(**short, intercept=_short(float(solution[-1])))

    def chance(self, row: Sequence[float]) -> float:
        """Return P(the first branch is correct)."""
        scaled = (np.log1p(np.array(row)) - self.centre) / np.array(self.spread)
        return float(expit(scaled @ np.array(self.weights) + self.intercept))


@register
class Route(Nested):
    """Gives a question to one of its branches.

    Reads messages, writes the candidates of the branch. Calls: those of the branch. Where branch
    n answers, ``route.branch n`` is counted.

    With `by` the name of a feature of the question (see `features`), the second branch answers
    where it exceeds the threshold. With ``learned``, it answers where a router, fitted on queries
    whose answers are known, gives the first branch less than the threshold of being correct.

    Attributes:
        branches: Two pipelines, the cheaper one first.
        fitted: The router; None where it is still to be fitted. Until then the first branch
            answers everything.
    """

    type: Literal["route"] = "route"
    branches: tuple[Layers, Layers]
    by: Literal["learned", Feature]
    threshold: float
    fitted: Router | None = None

    holds: ClassVar[str] = "branches"

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.check_inner()
        if self.by == "learned" and not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold {self.threshold:g}: a probability, between 0 and 1")
        if self.by != "learned" and self.fitted is not None:
            raise ValueError(f"a route by {self.by} has nothing fitted; leave it out")
        return self

    def run(self, state: State, context: Context) -> Steps:
        """See `Component.run`."""
        for number in range(len(self.branches)):
            if any(part.needs_fit for layer in self.branches[number] for part in layer):
                end, _ = yield from self.run_inner(number, state, context, f"branch {number + 1}")
                return end.candidates
        row = features(state.messages)
        chosen = self._choose(row)
        context.counts[f"route.branch {chosen + 1}"] += 1
        end, _ = yield from self.run_inner(chosen, state, context, f"branch {chosen + 1}")
        if not self.needs_fit:
            return end.candidates
        return tuple(replace(one, verdicts=row) for one in end.candidates)

    def _choose(self, row: Sequence[float]) -> int:
        if self.by != "learned":
            return int(row[FEATURES.index(self.by)] > self.threshold)
        return 0 if self.fitted is None else int(self.fitted.chance(row) < self.threshold)

    def most_candidates(self, arriving: int) -> int:  # noqa: ARG002 - starts from the messages
        """Return what the more generous branch leaves."""
        return max(self.leaving())

    @property
    def needs_fit(self) -> bool:
        """See `Component.needs_fit`."""
        return super().needs_fit or (self.by == "learned" and self.fitted is None)

    def fit(
        self, rows: Sequence[Sequence[Candidate]], correct: Sequence[Sequence[bool]], seed: int
    ) -> Self:
        """Fit the branches' parts first, the router last; see `Component.fit`.

        A query to which the first branch gave no candidate says that it failed there, but not
        what it looked like: it is left out.
        """
        if super().needs_fit:
            return super().fit(rows, correct, seed)
        known = [
            (row[0].verdicts, right[0]) for row, right in zip(rows, correct, strict=True) if row
        ]
        if not known:
            raise UsageError("route: no query it is to be fitted on got a candidate")
        router = Router.fit([row for row, _ in known], [right for _, right in known])
        return self.with_settings({"fitted": router})


def features(messages: Sequence[Message]) -> tuple[float, ...]:
    """Return `FEATURES` of the last turn, cheap to count and 0 or more each."""
    text = messages[-1].content
    numbers = re.findall(r"\d+", text)
    return tuple(
        map(
            float,
            (
                len(text.split()),
                len(text),
                len(numbers),
                sum(map(len, numbers)),
                max(map(len, numbers), default=0),
                len(re.findall(r"[-+*/×÷^=<>%]", text)),
                text.count("\n") + 1,
            ),
        )
    )


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
