"""Which setting stands for a way: chosen on *select*, before anything of *test* is seen."""

from collections.abc import Sequence
from dataclasses import dataclass

from archon.search.evaluate import Evaluation


@dataclass(frozen=True, slots=True)
class Choice:
    """A way's setting.

    Attributes:
        reached: Whether it reaches the accuracy on *select*.
    """

    evaluation: Evaluation
    reached: bool


def cheapest(evaluations: Sequence[Evaluation], accuracy: float) -> Choice:
    """Return the setting of least joules that reaches an accuracy, else the most accurate one."""

    def joules(one: Evaluation) -> float:
        assert one.metrics.energy_j is not None
        return one.metrics.energy_j

    enough = [one for one in evaluations if one.metrics.accuracy >= accuracy - 1e-9]
    if enough:
        return Choice(min(enough, key=joules), reached=True)
    nearest = max(evaluations, key=lambda one: (one.metrics.accuracy, -joules(one)))
    return Choice(nearest, reached=False)
