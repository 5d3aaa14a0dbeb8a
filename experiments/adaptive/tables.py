"""The figures as tables, for the terminal and as Markdown, and what they say in words."""

from collections.abc import Sequence
from dataclasses import dataclass

from archon.hardware import describe
from archon.metrics import Metrics, difference, intervals, measure, ratio, resampling
from archon.report.tables import format_ci, format_interval
from experiments.adaptive.measure import BEST, REFERENCE, Found, Row
from experiments.sheet import Sheet

Interval = tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Figures:
    """One pipeline's live figures, with 95% intervals.

    Attributes:
        gain: Accuracy less that of best of n, paired.
        saving: Joules per query over those of best of n, paired.
    """

    metrics: Metrics
    accuracy: Interval
    energy: Interval
    gain: Interval
    saving: Interval


def figures(found: Found, row: Row, best: Row) -> Figures:
    """Return a row's figures, compared with the best of n of its kind."""
    draws = resampling(*row.sample.score.shape, seed=found.plan.seed)
    spread = intervals(row.sample, found.load, draws)
    return Figures(
        metrics=measure(row.sample, found.load),
        accuracy=spread["accuracy"],
        energy=spread["energy_j"],
        gain=difference("accuracy", row.sample, best.sample, found.load, draws),
        saving=ratio("energy_j", row.sample, best.sample, found.load, draws),
    )


def sheets(found: Found) -> list[Sheet]:
    """Return a table per kind of question; each title says how energy was got."""
    made = []
    for title, rows in found.rows.items():
        best = best_of(rows)
        lines = []
        for row in rows:
            seen = figures(found, row, best)
            lines.append(
                [
                    row.role,
                    row.name + ("" if row.reached else " (*)"),
                    f"{row.select_accuracy:.3f}",
                    f"{row.calls:.2f}",
                    format_ci(seen.metrics.accuracy, seen.accuracy),
                    format_ci(seen.metrics.energy_j, seen.energy),
                    _priced(row, seen),
                    "" if row is best else format_interval(seen.gain),
                    "" if row is best else format_interval(seen.saving),
                ]
            )
        made.append(
            Sheet(
                f"{title} (energy: {found.prices.basis})",
                [
                    "way",
                    "setting",
                    "accuracy, select",
                    "calls/query",
                    "accuracy",
                    "J/query",
                    "price/live",
                    "accuracy - best of n",
                    "J / best of n",
                ],
                lines,
                left=2,
            )
        )
    return made


def notes(found: Found) -> list[str]:
    """Return what else a reader should know, and each comparison in words, a line each."""
    plan = found.plan
    sizes = plan.sizes
    lines = [
        f"Hardware: {describe(found.prices.fingerprint)}; energy: {found.prices.basis}, idle "
        f"{found.prices.idle_watts:.1f} W; {plan.model}, {plan.concurrency} queries in flight; "
        f"settings chosen on {sizes['select']} queries by price, shown on {sizes['test']} others, "
        f"live, {plan.repeats} repeats; {found.calls} calls to choose; "
        f"{found.seconds / 60:.1f} minutes in all.",
        "Brackets are 95% intervals, those of the last two columns paired. (*) does not reach the "
        "accuracy on the select queries; the most accurate setting stands in.",
    ]
    for title, rows in found.rows.items():
        best = best_of(rows)
        lines += [
            f"{title}: {row.role} {said(figures(found, row, best))} best of n"
            for row in rows
            if row.role not in {BEST, REFERENCE}
        ]
    return lines


def best_of(rows: Sequence[Row]) -> Row:
    """Return the best of n that the others are compared with."""
    return next(row for row in rows if row.role == BEST)


def said(seen: Figures) -> str:
    """Return in words how a way compares: only what the intervals allow to say."""
    if seen.saving is None or seen.gain is None:
        return "cannot be compared with"
    low, high = seen.saving
    if high < 1:
        joules = f"takes {1 - high:.0%} to {1 - low:.0%} less energy than"
    elif low > 1:
        joules = f"takes {low - 1:.0%} to {high - 1:.0%} more energy than"
    else:
        joules = "is not shown to differ in energy from"
    low, high = seen.gain
    if low > 0:
        accuracy = "is more accurate and"
    elif high < 0:
        accuracy = "is less accurate and"
    else:
        accuracy = f"({100 * low:+.1f} to {100 * high:+.1f} points of accuracy)"
    return f"{accuracy} {joules}"


def _priced(row: Row, seen: Figures) -> str:
    live = seen.metrics.energy_j
    return "–" if live is None else f"{row.priced_j / live - 1:+.0%}"
