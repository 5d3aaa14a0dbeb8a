"""A profile's figures for the terminal and as CSV."""

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from archon.errors import UsageError
from archon.hardware import describe
from archon.profile import Figures, Profile, figures
from archon.profile.figures import PERCENTILES, STEADY_SPREAD
from archon.report.results import Energy, printable
from archon.report.tables import UNMEASURED, format_ci, format_number, shorten

_TABLE_WIDTH = 100
_LOAD = "in flight "

Rows = list[tuple[str, int, Figures]]
"""Model, queries in flight, figures: models as in the profile, loads ascending."""


def profile_rows(profile: Profile) -> Rows:
    """Compute the figures of every model at every load."""
    return [
        (name, load, figures(profile, name, load))
        for name, model in profile.models.items()
        for load in sorted(model.loads)
    ]


def profile_energy(profile: Profile) -> Energy:
    """How the joules of a profile were got."""
    return Energy(
        basis=profile.basis.label,
        method=profile.basis.method,
        domains=profile.basis.domains,
        idle_watts=profile.idle_watts,
    )


def profile_tables(profile: Profile) -> list[Table]:
    """What answers cost, and how fast and at what power: two tables of at most 100 characters."""
    rows = profile_rows(profile)
    title = f"{printable(describe(profile.hardware))}; {profile_energy(profile).label}"
    cost = {
        "accuracy [95%]": [_ci(f, "accuracy", 3) for _, _, f in rows],
        "J/query [95%]": [_ci(f, "energy_j") for _, _, f in rows],
        "ipw, 1/W [95%]": [_ci(f, "ipw") for _, _, f in rows],
    }
    speed = {
        "mJ in": [format_number(1000 * f.price.prefill_j.value) for _, _, f in rows],
        "mJ out": [format_number(1000 * f.price.decode_j.value) for _, _, f in rows],
        "tokens/s": [format_number(f.output_tokens_per_s) for _, _, f in rows],
        "first token, s": [_percentiles(f.ttft_s) for _, _, f in rows],
        "answer, s": [_percentiles(f.latency_s) for _, _, f in rows],
        "W": [_watts(f.watts) for _, _, f in rows],
    }
    asked = f"{printable(profile.task)}; ipw at a rate of {profile.rate:g}/s"
    legend = "mJ: per prompt and output token; tokens/s: output; s: p50/p95; W: mean/idle"
    return [_table(title, asked, rows, cost), _table(title, legend, rows, speed)]


def write_profile_csv(profile: Profile, path: Path) -> None:
    """Write one line per model and load with every figure; an empty cell is unmeasured.

    Columns are named as in ``profile.json``, parts after a dot (``latency_s.p95``), ends of
    intervals as ``_ci_low`` and ``_ci_high``.

    Raises:
        UsageError: the path is not writable.
    """
    lines = [
        {
            "model": name,
            "concurrency": load,
            "basis": profile.basis.label,
            "method": profile.basis.method,
            **dict(_flat(one.to_json())),
        }
        for name, load, one in profile_rows(profile)
    ]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(lines[0]))
    writer.writeheader()
    writer.writerows(lines)
    try:
        path.write_text(out.getvalue(), encoding="utf-8", newline="")
    except OSError as error:
        raise UsageError(f"cannot write {path} ({error.strerror}); make it writable") from None


def _flat(numbers: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in numbers.items():
        if name.endswith("_ci"):
            low, high = value or (None, None)
            yield from ((f"{name}_low", low), (f"{name}_high", high))
        elif name in ("ttft_s", "latency_s"):
            for p in PERCENTILES:
                yield f"{name}.p{p}", None if value is None else value[f"p{p}"]
        elif isinstance(value, dict):
            yield from ((f"{name}.{part}", inner) for part, inner in value.items())
        else:
            yield name, "; ".join(value) if isinstance(value, list) else value


def _table(title: str, caption: str, rows: Rows, columns: Mapping[str, list[str]]) -> Table:
    widths = [max(map(len, [name, *cells])) for name, cells in columns.items()]
    # Besides the cells: one of padding a column, the box's edges.
    room = max(12, _TABLE_WIDTH - sum(widths) - len(_LOAD) - 2 * len(columns) - 5)
    if any(one.steady is False for _, _, one in rows):
        caption += f"; * runs differ by more than {STEADY_SPREAD:.0%}"
    table = Table(title=Text(title), caption=Text(caption), box=SIMPLE_HEAD, padding=(0, 0, 0, 1))
    table.add_column("model", max_width=room, overflow="ellipsis", no_wrap=True)
    table.add_column(_LOAD, justify="right", no_wrap=True)
    for heading in columns:
        table.add_column(Text(heading), justify="right", overflow="fold")
    previous = None
    for (name, load, one), cells in zip(rows, zip(*columns.values(), strict=True), strict=True):
        shown = "" if name == previous else shorten(printable(name), room)
        if previous not in (None, name):
            table.add_section()
        previous = name
        mark = "*" if one.steady is False else " "
        table.add_row(Text(shown), f"{load}{mark}", *map(Text, cells))
    return table


def _ci(one: Figures, metric: str, decimals: int | None = None) -> str:
    text = format_ci(getattr(one.metrics, metric), one.intervals[metric], decimals)
    # Without a space an interval stays whole when a narrow terminal wraps its cell.
    return text.replace(", ", ",")


def _percentiles(seconds: Mapping[int, float] | None) -> str:
    if seconds is None:
        return UNMEASURED
    return f"{format_number(seconds[50])}/{format_number(seconds[95])}"


def _watts(watts: Mapping[str, float | None]) -> str:
    return f"{format_number(watts['mean'])}/{format_number(watts['idle'])}"
