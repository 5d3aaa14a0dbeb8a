"""The experiment's tables, for the terminal and for the README."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table

from experiments.energy_accuracy.accuracy import LENGTHS_S
from experiments.energy_accuracy.cost import Cost
from experiments.energy_accuracy.summary import Cell

TYPICAL_S = 3.0


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table as text; the first column is left-aligned."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def rich(self) -> Table:
        """Return it for a terminal."""
        table = Table(title=self.title, box=box.SIMPLE_HEAD)
        for index, heading in enumerate(self.headings):
            table.add_column(heading, justify="right" if index else "left")
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        """Return it for the README."""
        lines = [self.headings, ("---", *("--:" for _ in self.headings[1:])), *self.rows]
        return f"**{self.title}**\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def sheets(found: Sequence[Cell], costs: Sequence[Cost]) -> list[Sheet]:
    """Return all tables."""
    return [_by_length(found), _by_trace(found), _bounds(found), _costs(costs)]


def _by_length(found: Sequence[Cell]) -> Sheet:
    rows = []
    for meter in _meters(found):
        own = [cell for cell in found if cell.meter == meter]
        row = [_errors(cell for cell in own if cell.seconds == seconds) for seconds in LENGTHS_S]
        unknown, windows = sum(cell.unknown for cell in own), sum(cell.windows for cell in own)
        rows.append((meter, *row, _percent(unknown / windows) if unknown else "–"))
    lengths = (f"{seconds:g} s" for seconds in LENGTHS_S)
    title = "Relative error in %, median / worst over all traces, by window length"
    return Sheet(title, ("meter", *lengths, "no value"), tuple(rows))


def _by_trace(found: Sequence[Cell]) -> Sheet:
    traces = tuple(dict.fromkeys(cell.trace for cell in found))
    rows = [
        (meter, *(_errors(_typical(found, meter, trace)) for trace in traces))
        for meter in _meters(found)
    ]
    title = f"The same by trace, windows of {TYPICAL_S:g} s"
    return Sheet(title, ("meter", *traces), tuple(rows))


def _bounds(found: Sequence[Cell]) -> Sheet:
    rows = []
    for meter in _meters(cell for cell in found if cell.ours):
        row = []
        for seconds in LENGTHS_S:
            here = [cell for cell in found if cell.meter == meter and cell.seconds == seconds]
            followed = [cell for cell in here if cell.seen]
            bounds = [cell.median_bound for cell in followed if cell.median_bound is not None]
            used = [cell.worst_of_bound for cell in followed if cell.worst_of_bound is not None]
            short = sum(cell.short for cell in here) / sum(cell.windows for cell in here)
            text = f"{_percent(statistics.median(bounds))} × {max(used):.2f}" if bounds else "–"
            row.append(text + (" †" if short > 0.5 else ""))
        rows.append((meter, *row))
    title = (
        "Stated bound in % (median) × largest part of it that an error used; † flagged as short; "
        "traces faster than the samples left out"
    )
    return Sheet(title, ("meter", *(f"{seconds:g} s" for seconds in LENGTHS_S)), tuple(rows))


def _costs(costs: Sequence[Cost]) -> Sheet:
    rows = []
    for cost in costs:
        every_s = cost.setup.every_s
        rate = "default" if every_s is None else f"live view, {1 / every_s:.0f} Hz"
        low, middle, high = min(cost.cores), statistics.median(cost.cores), max(cost.cores)
        cores = f"{middle:.3%} ({low:.3%} to {high:.3%})"
        rows.append((cost.setup.name, rate, cores, f"{statistics.median(cost.waits):.0f}"))
    return Sheet("Cost of metering", ("meter", "looks", "of one core", "wake-ups/s"), tuple(rows))


def _meters(found: Iterable[Cell]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(cell.meter for cell in found))


def _typical(found: Sequence[Cell], meter: str, trace: str) -> list[Cell]:
    return [
        cell
        for cell in found
        if cell.meter == meter and cell.trace == trace and cell.seconds == TYPICAL_S
    ]


def _errors(chosen: Iterable[Cell]) -> str:
    chosen = list(chosen)
    medians = [cell.median_error for cell in chosen if cell.median_error is not None]
    worst = [cell.worst_error for cell in chosen if cell.worst_error is not None]
    return f"{_percent(statistics.median(medians))} / {_percent(max(worst))}" if medians else "–"


def _percent(part: float) -> str:
    percent = 100 * part
    if percent < 0.005:
        return "0"
    return f"{percent:.2g}" if percent < 99.5 else f"{percent:.0f}" if percent < 9999 else "> 10⁴"
