"""Which pipeline is exported after confirmation, and what may be said of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from archon.metrics import Load, Metrics, Resampling, Sample, difference, intervals, measure
from archon.search.config import Floor, meets


@dataclass(frozen=True, slots=True)
class Contender:
    """A confirmed pipeline.

    Attributes:
        name: Shown in tables.
        family: Baseline family, None for a pipeline only the search found.
        single: Whether it is one model answering once.
        sample: Live scores, joules and busy seconds on *test*, [repeats, queries].
    """

    name: str
    family: str | None
    single: bool
    sample: Sample


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a study.

    Attributes:
        kind: ``winner_beats_baselines``, ``winner_meets_alone`` (no baseline meets the floor),
            ``baseline_wins`` or ``none_meets_floor``.
        exported: Name of the exported pipeline.
        floor: The floor on *test*; a relative one is recomputed from the confirmed singles.
        differences: Baseline → 95% interval of winner minus baseline in the metric.
        text: One plain sentence.
    """

    kind: str
    exported: str
    floor: float | None
    meets_floor: bool
    differences: Mapping[str, tuple[float, float] | None]
    text: str


def judge(
    winner: Contender,
    baselines: Sequence[Contender],
    *,
    metric: str,
    rule: Floor | None,
    load: Load,
    draws: Resampling,
) -> Verdict:
    """Compare the frozen winner with the baselines, all confirmed on the same queries.

    The winner counts as better than a baseline only if the interval of their difference
    excludes 0. If a baseline that meets the floor is not beaten, the best such is exported.

    Args:
        winner: Frozen on *select*; may itself be a baseline.
        baselines: The other confirmed pipelines.
        metric: ``ipw`` or ``ipj``.
        draws: One resampling shared by all, for paired differences.
    """
    everyone = [winner, *baselines]
    measured = {c.name: measure(c.sample, load) for c in everyone}
    singles = [measured[c.name].accuracy for c in everyone if c.single]
    floor = rule.at(max(singles, default=None)) if rule else None

    def passes(contender: Contender) -> bool:
        return meets(measured[contender.name].accuracy, floor)

    def value(contender: Contender) -> float:
        one: Metrics = measured[contender.name]
        number = one.ipw if metric == "ipw" else one.ipj
        return float("-inf") if number is None else number

    differences = {
        b.name: difference(metric, winner.sample, b.sample, load, draws) for b in baselines
    }
    rivals = [b for b in baselines if passes(b)]
    unbeaten = [b for b in rivals if not _above_zero(differences[b.name])]
    bar = "" if floor is None else f" of {floor:.3f}"
    accuracy = measured[winner.name].accuracy
    if not passes(winner) and not rivals:
        nearest = max(everyone, key=lambda c: (measured[c.name].accuracy, value(c)))
        text = (
            f"No confirmed pipeline meets the accuracy floor{bar} on the test queries; exported, "
            f"and marked so, is the nearest: {nearest.name} "
            f"({measured[nearest.name].accuracy:.3f})."
        )
        return Verdict("none_meets_floor", nearest.name, floor, False, differences, text)
    if not passes(winner):
        best = max(rivals, key=value)
        text = (
            f"The search's winner {winner.name} misses the accuracy floor{bar} on the test "
            f"queries ({accuracy:.3f}); exported is the baseline {best.name}, which meets it."
        )
        return Verdict("baseline_wins", best.name, floor, True, differences, text)
    if winner.family is not None and all(value(winner) >= value(rival) for rival in rivals):
        text = (
            f"A baseline wins: {winner.name} ({winner.family}) has the best {metric} of all that "
            f"meet the accuracy floor{bar}, and is exported."
        )
        return Verdict("baseline_wins", winner.name, floor, True, differences, text)
    if unbeaten:
        best = max(unbeaten, key=value)
        text = (
            f"The search's winner {winner.name} is not shown to beat the baseline {best.name} in "
            f"{metric} on the test queries; the baseline is exported."
        )
        return Verdict("baseline_wins", best.name, floor, True, differences, text)
    if rivals:
        text = (
            f"{winner.name} beats every baseline that meets the accuracy floor{bar} in {metric} "
            f"on the test queries (95% intervals of the differences exclude 0)."
        )
        return Verdict("winner_beats_baselines", winner.name, floor, True, differences, text)
    text = (
        f"{winner.name} meets the accuracy floor{bar} on the test queries ({accuracy:.3f}) and "
        "no baseline does."
        if baselines
        else f"{winner.name} is exported; there is no baseline to compare it with."
    )
    spread = intervals(winner.sample, load, draws)["accuracy"]
    if floor is not None and spread is not None and spread[0] < floor:
        text += f" Its interval [{spread[0]:.3f}, {spread[1]:.3f}] reaches below the floor."
    return Verdict("winner_meets_alone", winner.name, floor, True, differences, text)


def _above_zero(interval: tuple[float, float] | None) -> bool:
    return interval is not None and interval[0] > 0
