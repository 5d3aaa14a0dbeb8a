"""The pictures of a profile: energy, accuracy, latency, speed and power over the load, as SVG."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from archon.profile import Figures
from archon.report.drawing import (
    Axes,
    Figure,
    FuncFormatter,
    drawing_style,
    new_axes,
    to_svg,
)
from archon.report.labels import place_labels
from archon.report.profile_table import Rows

# Okabe and Ito's palette, told apart with any colour vision.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_MARKERS = {"o": "●", "s": "■", "^": "▲", "D": "◆", "v": "▼"}
_WIDTH, _HEIGHT, _FONT = 345.0, 235.0, 9.0
_LINES = ("-", "--", ":")


@dataclass(frozen=True)
class Mark:
    """How a model is told apart: a colour, and a marker as matplotlib's code and as text."""

    colour: str
    marker: str
    glyph: str


@dataclass(frozen=True)
class Plot:
    """A drawing; `svg` is None where nothing of it was measured."""

    title: str
    caption: str
    svg: str | None


Points = Mapping[str, Sequence[tuple[int, float, tuple[float, float] | None]]]
"""Model → queries in flight, value, 95% interval."""


def model_marks(names: Sequence[str]) -> dict[str, Mark]:
    """Give every model a mark of its own; the first thirty differ."""
    codes = list(_MARKERS)
    return {
        name: Mark(
            _COLOURS[i % len(_COLOURS)], codes[i % len(codes)], _MARKERS[codes[i % len(codes)]]
        )
        for i, name in enumerate(names)
    }


def profile_plots(rows: Rows, energy: str) -> list[Plot]:
    """Draw a profile; over the load only if there is more than one.

    Args:
        rows: The figures.
        energy: How the joules were got, for the titles.
    """
    marks = model_marks(list(dict.fromkeys(name for name, _, _ in rows)))
    plots = [
        Plot(
            "Accuracy against energy",
            "Up and to the left is better. Numbers: queries in flight; crosses: 95% intervals.",
            _against_energy(rows, marks, energy),
        )
    ]
    if len({load for _, load, _ in rows}) < 2:
        return plots

    def over_load(
        title: str,
        caption: str,
        unit: str,
        lines: Sequence[Callable[[Figures], float | None]],
        interval: str | None = None,
        joules: bool = False,
    ) -> None:
        series = [_series(rows, line, interval) for line in lines]
        basis = energy if joules else ""
        plots.append(Plot(title, caption, _over_load(series, marks, title, unit, basis)))

    over_load(
        "Energy per query",
        "Queries worked on together share the machine, so each usually costs less.",
        "J/query",
        [lambda one: one.metrics.energy_j],
        "energy_j",
        joules=True,
    )
    over_load(
        "Time to an answer",
        "Solid: the median call; dashed: 95% are faster; dotted: 99% are faster.",
        "s",
        [_percentile("latency_s", p) for p in (50, 95, 99)],
    )
    over_load(
        "Time to the first token",
        "What a reader waits for before text appears. Lines as for the answer.",
        "s",
        [_percentile("ttft_s", p) for p in (50, 95, 99)],
    )
    over_load(
        "Speed",
        "Tokens generated per second of all queries together.",
        "tokens/s",
        [lambda one: one.output_tokens_per_s],
    )
    over_load(
        "Power",
        "Solid: mean over the runs; dashed: peak; dotted: idle, with the model loaded.",
        "W",
        [_watts(name) for name in ("mean", "peak", "idle")],
        joules=True,
    )
    return plots


def _percentile(name: str, p: int) -> Callable[[Figures], float | None]:
    def line(one: Figures) -> float | None:
        seconds: Mapping[int, float] | None = getattr(one, name)
        return None if seconds is None else seconds[p]

    return line


def _watts(name: str) -> Callable[[Figures], float | None]:
    return lambda one: one.watts[name]


def _series(
    rows: Rows, line: Callable[[Figures], float | None], interval: str | None
) -> dict[str, list[tuple[int, float, tuple[float, float] | None]]]:
    found: dict[str, list[tuple[int, float, tuple[float, float] | None]]] = {}
    for name, load, one in rows:
        value = line(one)
        if value is not None:
            ci = None if interval is None else one.intervals[interval]
            found.setdefault(name, []).append((load, value, ci))
    return found


def _over_load(
    series: Sequence[Points], marks: Mapping[str, Mark], title: str, unit: str, energy: str
) -> str | None:
    """Draw values over the queries in flight; groups have the ids `model-<index>-<line>`."""
    if not any(series):
        return None
    with drawing_style(_FONT):
        figure = Figure(figsize=(_WIDTH / 72, _HEIGHT / 72), dpi=72)
        axes = new_axes(figure)
        tops = []
        for number, (points, style) in enumerate(zip(series, _LINES, strict=False)):
            main = number == 0
            for index, (name, mark) in enumerate(marks.items()):
                line = points.get(name, ())
                x, y = [p[0] for p in line], [p[1] for p in line]
                axes.plot(
                    x,
                    y,
                    style,
                    color=mark.colour,
                    marker=mark.marker if main else ".",
                    ms=5.5 if main else 3.5,
                    lw=1.6 if main else 1.1,
                    gid=f"model-{index}-{number}",
                )
                for load, _, ci in line:
                    if ci is not None:
                        axes.plot((load, load), ci, color=mark.colour, lw=1.2)
                tops += [max(value, *(ci or ())) if ci else value for _, value, ci in line]
        loads = sorted({p[0] for points in series for line in points.values() for p in line})
        axes.set_xscale("log", base=2)
        axes.set_xlim(loads[0] / 1.25, loads[-1] * 1.25)
        axes.set_xticks(loads, [str(load) for load in loads], minor=False)
        axes.set_xticks([], minor=True)
        axes.set_ylim(0, 1.08 * max(tops))
        _frame(figure, axes, title, "queries in flight", unit, energy)
        return to_svg(figure)


def _against_energy(rows: Rows, marks: Mapping[str, Mark], energy: str) -> str | None:
    """Draw accuracy over joules per query; groups have the ids `model-<index>`."""
    spots = [
        (name, load, one.metrics.energy_j, one.metrics.accuracy, one.intervals)
        for name, load, one in rows
        if one.metrics.energy_j is not None
    ]
    if not spots:
        return None
    with drawing_style(_FONT):
        figure = Figure(figsize=(_WIDTH / 72, _HEIGHT / 72), dpi=72)
        axes = new_axes(figure)
        lines = []
        for index, (name, mark) in enumerate(marks.items()):
            own = [spot for spot in spots if spot[0] == name]
            x, y = [spot[2] for spot in own], [spot[3] for spot in own]
            axes.plot(x, y, "-", color=mark.colour, lw=0.9, alpha=0.6)
            lines += list(pairwise(zip(x, y, strict=True)))
            for _, _, joules, accuracy, intervals in own:
                for ci, across in ((intervals["energy_j"], True), (intervals["accuracy"], False)):
                    if ci is not None:
                        ends = [(e, accuracy) if across else (joules, e) for e in ci]
                        axes.plot(*zip(*ends, strict=True), color=mark.colour, lw=1.0, alpha=0.7)
                        lines.append((ends[0], ends[1]))
            axes.plot(x, y, mark.marker, color=mark.colour, ms=6, zorder=4, gid=f"model-{index}")
        right = max(max(spot[2], *(spot[4]["energy_j"] or ())) for spot in spots)
        axes.set_xlim(0, 1.06 * right)
        axes.set_ylim(-0.03, 1.03)
        _frame(figure, axes, "Accuracy against energy", "J/query", "accuracy (0 to 1)", energy)
        _label_loads(axes, [(s[2], s[3], str(s[1])) for s in spots], lines)
        return to_svg(figure)


def _frame(figure: Figure, axes: Axes, title: str, x: str, y: str, energy: str) -> None:
    """Place the axes, name them, and put the title above."""
    left, right, bottom, top = 4.6 * _FONT, 1.2 * _FONT, 3.6 * _FONT, 3.6 * _FONT
    axes.set_position(
        (
            left / _WIDTH,
            bottom / _HEIGHT,
            (_WIDTH - left - right) / _WIDTH,
            (_HEIGHT - bottom - top) / _HEIGHT,
        )
    )
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    plain = FuncFormatter(lambda value, _: f"{value:.6g}")
    axes.yaxis.set_major_formatter(plain)
    figure.text(left / _WIDTH, 1 - 1.3 * _FONT / _HEIGHT, title, weight="bold")
    figure.text(left / _WIDTH, 1 - 2.6 * _FONT / _HEIGHT, energy, size=0.85 * _FONT)


def _label_loads(
    axes: Axes,
    spots: Sequence[tuple[float, float, str]],
    lines: Sequence[tuple[tuple[float, float], tuple[float, float]]],
) -> None:
    """Write the queries in flight beside each point, clear of what is drawn."""
    ends = axes.transData.transform(np.array(lines).reshape(-1, 2)).reshape(-1, 2, 2)
    drawn = np.hstack([ends.min(axis=1) - 2, ends.max(axis=1) + 2])
    points = axes.transData.transform([(x, y) for x, y, _ in spots])
    frame = axes.get_window_extent()
    places = place_labels(
        [(x, y) for x, y in points.tolist()],
        [(0.62 * _FONT * len(text), _FONT) for _, _, text in spots],
        drawn,
        (frame.x0, frame.y0, frame.x1, frame.y1),
    )
    for (x, y, text), place in zip(spots, places, strict=True):
        axes.annotate(
            text,
            (x, y),
            xytext=(place.dx, place.dy),
            textcoords="offset points",
            ha=place.align,
            va="center",
            size=0.9 * _FONT,
            zorder=6,
        )
