"""What the search maximises, and when a trial cannot win any more."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from archon.metrics import Array, Load, Metrics, Sample
from archon.search.config import ObjectiveSection, meets
from archon.search.evaluate import Evaluation
from archon.search.racing import is_dominated, is_worse, misses_floor

Direction = Literal["minimize", "maximize"]


def directions(metric: str) -> list[Direction]:
    """Return Optuna's directions of the values of a trial."""
    return ["maximize", "minimize"] if metric == "pareto" else ["maximize"]


class Objective:
    """Compares evaluations on one metric under an accuracy floor.

    Attributes:
        floor: The floor in numbers; None until a relative one is known, or when there is none.
    """

    def __init__(self, section: ObjectiveSection, load: Load) -> None:
        self.metric = section.metric
        self.rule = section.accuracy_floor
        self.floor = self.rule.at(None) if self.rule else None
        self._load = load

    def resolve_floor(self, best_single: float | None) -> None:
        """Fix a relative floor once the single models are known."""
        self.floor = self.rule.at(best_single) if self.rule else None

    def values(self, metrics: Metrics) -> list[float]:
        """Return the values told to Optuna."""
        if self.metric == "pareto":
            assert metrics.energy_j is not None
            return [metrics.accuracy, metrics.energy_j]
        return [self.score(metrics)]

    def score(self, metrics: Metrics) -> float:
        """Return the number pipelines are ordered by; for ``pareto`` that is ``ipj``."""
        value = metrics.ipw if self.metric == "ipw" else metrics.ipj
        assert value is not None, "priced evaluations always have energy"
        return value

    @property
    def confirmed_metric(self) -> str:
        """The metric in which confirmed pipelines are compared."""
        return "ipj" if self.metric == "pareto" else self.metric

    def shortfall(self, accuracy: float) -> float:
        """Return by how much accuracy misses the floor; 0 or less when it is met.

        While a relative floor is not known yet, nothing meets it.
        """
        if self.rule is None:
            return -1.0
        if self.floor is None:
            return 1.0
        gap = self.floor - accuracy
        return min(gap, 0.0) if meets(accuracy, self.floor) else gap

    def best(self, evaluations: Sequence[Evaluation]) -> Evaluation | None:
        """Return the best evaluation that meets the floor, None when none does."""
        feasible = [e for e in evaluations if self.shortfall(e.metrics.accuracy) <= 0]
        return max(feasible, key=lambda e: self.score(e.metrics), default=None)

    def cannot_win(
        self,
        evaluation: Evaluation,
        incumbent: Evaluation | None,
        others: Mapping[str, Evaluation],
        looks: int,
    ) -> bool:
        """Whether racing should stop a trial that has seen only the first queries.

        Args:
            incumbent: The best complete evaluation that meets the floor.
            others: All complete evaluations, by canonical spec.
            looks: Number of looks the tests' error is shared over.
        """
        n = evaluation.queries
        score = evaluation.sample.score[0]
        if self.metric == "pareto":
            joules = evaluation.sample.joules[0]
            known = [(o.sample.score[0, :n], o.sample.joules[0, :n]) for o in others.values()]
            return is_dominated(score, joules, known, looks)
        equal_weights = np.ptp(evaluation.sample.weight * evaluation.sample.value) == 0
        if self.floor is not None and equal_weights and misses_floor(score, self.floor, looks):
            return True
        if incumbent is None:
            return False
        mine = self._paired(evaluation.sample, n)
        best = self._paired(incumbent.sample, n)
        return is_worse(*mine, *best, looks)

    def _paired(self, sample: Sample, n: int) -> tuple[Array, Array]:
        """Return per-query score and resource whose ratio of sums is the objective."""
        weight = sample.weight[:n]
        score = weight * sample.value[:n] * sample.score[0, :n]
        joules, busy = sample.joules[0, :n], sample.busy_s[0, :n]
        if self.metric == "ipj":
            return score, weight * joules
        idle, rate = self._load.idle_watts, self._load.rate
        machines = max(1.0, float(np.ceil(rate * np.average(busy, weights=weight) - 1e-9)))
        return score, weight * (machines * idle + rate * (joules - idle * busy))
