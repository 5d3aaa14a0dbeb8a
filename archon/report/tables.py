"""Numbers as text, and the table a search ends with on the terminal."""

import math
from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from archon.report.results import parse_summary

UNMEASURED = "–"
_TABLE_WIDTH = 100
_PREFIXES = {-9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G"}


def format_si(value: float | None, unit: str) -> str:
    """Three significant digits with an SI prefix: `1.23 kJ`; "–" for None."""
    if value is None:
        return UNMEASURED
    if value == 0:
        return f"0 {unit}"
    exponent = math.floor(math.log10(abs(value)) / 3) * 3
    # 999.9 rounds up to the next prefix.
    if abs(float(f"{value / 10.0**exponent:.3g}")) >= 1000:
        exponent += 3
    exponent = min(max(exponent, min(_PREFIXES)), max(_PREFIXES))
    scaled = value / 10.0**exponent
    digits = f"{scaled:.3g}" if abs(scaled) < 1000 else f"{scaled:.0f}"
    return f"{digits} {_PREFIXES[exponent]}{unit}"


def format_number(value: float | None, decimals: int | None = None) -> str:
    """Three significant digits, or so many decimals; "–" for None."""
    return format_ci(value, None, decimals)


def format_ci(
    value: float | None, ci: tuple[float, float] | None, decimals: int | None = None
) -> str:
    """A value with its interval, all to the same decimal: `3.21 [3.10, 3.35]`.

    Args:
        value: None is shown as "–".
        ci: low and high end; left out when None.
        decimals: three significant digits of the value when None.
    """
    if value is None:
        return UNMEASURED
    power = 0
    if decimals is None:
        size = abs(value) or max(map(abs, ci or (0.0,))) or 1.0
        magnitude = math.floor(math.log10(size))
        if not -3 <= magnitude < 5:
            power = magnitude // 3 * 3
        decimals = max(0, 2 - (magnitude - power))
    exponent = f"e{power}" if power else ""
    numbers = [f"{x / 10.0**power:.{decimals}f}" for x in (value, *(ci or ()))]
    if ci is None:
        return numbers[0] + exponent
    return f"{numbers[0]} [{numbers[1]}, {numbers[2]}]{exponent}"


def format_interval(ci: tuple[float, float] | None) -> str:
    """An interval alone, to two significant digits: `[0.0011, 0.0520]`; "–" for None."""
    if ci is None:
        return UNMEASURED
    # The end nearer to zero decides whether the interval excludes it.
    size = min(abs(end) for end in ci) or max(abs(end) for end in ci) or 1.0
    decimals = max(0, 1 - math.floor(math.log10(size)))
    return f"[{ci[0]:.{decimals}f}, {ci[1]:.{decimals}f}]"


def shorten(name: str, width: int) -> str:
    """Cut a name in its middle so that both ends, which tell names apart, stay."""
    if len(name) <= width:
        return name
    tail = (width - 1) // 2
    return f"{name[: width - 1 - tail]}…{name[len(name) - tail :]}"


def final_table(summary: Mapping[str, Any]) -> Table:
    """The winner and the baselines, at most 100 characters wide.

    Args:
        summary: the content of `summary.json`.

    Raises:
        UsageError: the summary is malformed.
    """
    checked = parse_summary(summary)
    rows = checked.rows()
    cells = []
    for row in rows:
        texts = (
            format_ci(row.measures.accuracy, row.measures.accuracy_ci, 3),
            format_ci(row.measures.energy_j, row.measures.energy_ci),
            format_ci(row.measures.ipw, row.measures.ipw_ci),
        )
        # Without a space an interval stays whole when a narrow terminal wraps its cell.
        cells.append([text.replace(", ", ",") for text in texts])
    numbers = ("accuracy [95%]", "J/query [95%]", "ipw, 1/W [95%]")
    used = sum(max(map(len, column)) for column in zip(numbers, *cells, strict=True))
    # Besides the cells: the mark before the name, one of padding a column, the box's edges.
    room = max(12, _TABLE_WIDTH - used - 3 - 4 - 5)
    notes = {"* winner": any(row.winner for row in rows)}
    notes["° priced on the select split, not confirmed"] = not all(row.confirmed for row in rows)
    if checked.exported is not None:
        notes[f"exported: {shorten(checked.exported, room)}"] = True
    table = Table(
        title=Text(f"{checked.energy.label}; {checked.target.label}"),
        caption=Text("; ".join(note for note, applies in notes.items() if applies)),
        box=SIMPLE_HEAD,
        padding=(0, 0, 0, 1),
    )
    # Characters of double width may still overrun: then the column cuts them.
    table.add_column("   pipeline", max_width=room + 3, overflow="ellipsis", no_wrap=True)
    for heading in numbers:
        table.add_column(Text(heading), justify="right")
    for row, values in zip(rows, cells, strict=True):
        mark = ("*" if row.winner else " ") + (" " if row.confirmed else "°")
        name = f"{mark} {shorten(row.name, room)}"
        table.add_row(Text(name), *map(Text, values), style="bold" if row.winner else "")
    return table
