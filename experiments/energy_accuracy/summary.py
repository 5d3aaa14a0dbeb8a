"""What many windows come to, per meter, trace and window length."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from experiments.energy_accuracy.accuracy import Measured

_ROUNDING = 1e-9
"""Part of a bound that floating-point sums may be beyond it."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Windows of one length on one trace by one meter; errors and bounds are relative.

    Attributes:
        windows: How many were measured.
        unknown: How many the meter gave no joules for.
        short: How many were flagged as too short.
        median_error: None when there are no joules.
        worst_error: As above.
        bias: Median of the signed errors.
        median_bound: What the meter said the error may be; None where it says nothing.
        worst_of_bound: The largest error as a part of its own window's bound.
        beyond_bound: How many errors were larger than their bound.
        seen: Whether the trace is slow enough for the meter's samples, so that a bound can hold.
    """

    meter: str
    ours: bool
    trace: str
    seconds: float
    windows: int
    unknown: int
    short: int
    median_error: float | None
    worst_error: float | None
    bias: float | None
    median_bound: float | None
    worst_of_bound: float | None
    beyond_bound: int
    seen: bool


def cells(measured: Iterable[Measured]) -> list[Cell]:
    """Summarise windows that come sorted by meter, trace and length."""
    return [
        _cell(list(windows))
        for _, windows in groupby(measured, key=lambda one: (one.meter, one.trace, one.seconds))
    ]


def broken_bounds(found: Sequence[Cell]) -> list[str]:
    """Return which of our meters was further off than it said, on traces its samples can follow."""
    followed = [cell for cell in found if cell.ours and cell.seen]
    broken = []
    for meter in dict.fromkeys(cell.meter for cell in followed):
        own = [cell for cell in followed if cell.meter == meter]
        beyond = sum(cell.beyond_bound for cell in own)
        if beyond:
            most = max(own, key=lambda cell: cell.worst_of_bound or 0.0)
            broken.append(
                f"{meter}: {beyond} of {sum(cell.windows for cell in own)} errors are beyond the "
                f"stated bound, up to {most.worst_of_bound:.2f} times it ({most.trace}, "
                f"{most.seconds:g} s)"
            )
    return broken


def _cell(windows: Sequence[Measured]) -> Cell:
    first = windows[0]
    signed = [one.error for one in windows if one.error is not None]
    sizes = [abs(error) for error in signed]
    bounds = [one.bound_j / one.true_j for one in windows if one.bound_j is not None]
    used = [one.bound_used for one in windows if one.bound_used is not None]
    return Cell(
        meter=first.meter,
        ours=first.ours,
        trace=first.trace,
        seconds=first.seconds,
        windows=len(windows),
        unknown=len(windows) - len(signed),
        short=sum(one.short for one in windows),
        median_error=statistics.median(sizes) if sizes else None,
        worst_error=max(sizes, default=None),
        bias=statistics.median(signed) if signed else None,
        median_bound=statistics.median(bounds) if bounds else None,
        worst_of_bound=max(used, default=None),
        beyond_bound=sum(part > 1 + _ROUNDING for part in used),
        seen=first.seen,
    )
