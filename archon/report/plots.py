"""The picture of a search: accuracy against energy per query, as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archon.errors import UsageError
from archon.report.drawing import (
    INK,
    Axes,
    Figure,
    FontProperties,
    FuncFormatter,
    Line2D,
    LogLocator,
    NullFormatter,
    drawing_style,
    new_axes,
    text_to_path,
    to_svg,
)
from archon.report.labels import Boxes, place_labels
from archon.report.results import Results, load_results
from archon.report.tables import shorten

# Okabe and Ito's palette, told apart with any colour vision.
_FRONT, _BASELINE, _WINNER = "#009e73", "#0072b2", "#d55e00"
_LOG_SPAN = 10.0

_Dots = NDArray[np.float64]
"""Shape [n, 2]: joules per query, accuracy."""


@dataclass(frozen=True)
class Size:
    """A figure's measures in points; labels longer than `label_chars` are cut."""

    width: float
    height: float
    font: float
    label_chars: int
    legend_columns: int


@dataclass(frozen=True)
class _Spot:
    """A named pipeline in the plot: x in joules per query, y accuracy, with intervals."""

    name: str
    winner: bool
    confirmed: bool
    x: float
    y: float
    x_ci: tuple[float, float]
    y_ci: tuple[float, float]


WIDE = Size(690, 430, 9, 34, 3)
NARROW = Size(350, 460, 9, 22, 1)


def save_scatter(folder: Path, path_svg: Path) -> None:
    """Write the scatter plot of a results folder as a file of its own, such as for a README.

    Raises:
        UsageError: the folder is malformed, has nothing to draw, or the path is not writable.
    """
    svg = scatter_svg(load_results(folder), WIDE)
    if svg is None:
        raise UsageError(f"{folder}: no pipeline has both accuracy and joules; nothing to draw")
    try:
        path_svg.write_text(svg, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {path_svg} ({error.strerror}); choose another") from None


def scatter_svg(results: Results, size: Size) -> str | None:
    """Draw accuracy against joules per query; None when no pipeline has both.

    Groups carry the ids `trials`, `pruned`, `front`, `baselines`, `winner`, `floor`.
    """
    spots = _spots(results)
    done, pruned = _dots(results, "COMPLETE"), _dots(results, "PRUNED")
    dots = np.concatenate([done, pruned])
    if not spots and not len(dots):
        return None
    with drawing_style(size.font):
        figure = Figure(figsize=(size.width / 72, size.height / 72), dpi=72)
        axes = new_axes(figure)
        _limits(axes, results, spots, dots)
        keys = [
            *_draw_dots(axes, done, pruned),
            *_draw_front(axes, results),
            *_draw_floors(axes, results),
            *_draw_spots(axes, spots),
        ]
        _frame(figure, axes, results, size, keys)
        _label_spots(axes, spots, _drawn(axes, results, spots, dots), size)
        return to_svg(figure)


def _spots(results: Results) -> list[_Spot]:
    """The winner and the baselines that have a place in the plot."""
    spots = []
    for row in results.summary.rows():
        x, y = row.measures.energy_j, row.measures.accuracy
        if x is not None and y is not None:
            x_ci, y_ci = row.measures.energy_ci or (x, x), row.measures.accuracy_ci or (y, y)
            spots.append(_Spot(row.name, row.winner, row.confirmed, x, y, x_ci, y_ci))
    return spots


def _dots(results: Results, state: str) -> _Dots:
    points = [
        (trial.energy_j, trial.accuracy)
        for trial in results.trials
        if trial.state == state and trial.energy_j is not None and trial.accuracy is not None
    ]
    return np.array(points, dtype=np.float64).reshape(-1, 2)


def _floors(results: Results) -> dict[str, float]:
    """The accuracy floors by their label; one when both splits share it."""
    confirm = results.summary.confirm
    on_select = results.summary.objective.floor
    on_test = confirm.floor if confirm is not None else None
    if on_test is None or on_select is None or abs(on_select - on_test) < 5e-4:
        shared = on_select if on_select is not None else on_test
        return {} if shared is None else {"accuracy floor": shared}
    return {"floor on select": on_select, "floor on test": on_test}


def _limits(axes: Axes, results: Results, spots: Sequence[_Spot], dots: _Dots) -> None:
    x = [*dots[:, 0]]
    y = [*dots[:, 1], *_floors(results).values()]
    for spot in spots:
        x += [spot.x, *spot.x_ci]
        y += [spot.y, *spot.y_ci]
    low, high = min(x), max(x)
    if low > 0 and high / low > _LOG_SPAN:
        pad = (high / low) ** 0.06
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlim(low / pad, high * pad)
    else:
        pad = 0.06 * (high - low) or 0.5 * abs(high) or 1.0
        axes.set_xlim(low - pad, high + pad)
    # Plain numbers: the default writes powers of ten as mathematics.
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))
    pad = 0.07 * (max(y) - min(y)) or 0.1
    axes.set_ylim(max(min(y) - pad, -0.03), min(max(y) + pad, 1.03))


def _draw_dots(axes: Axes, done: _Dots, pruned: _Dots) -> list[Line2D]:
    keys = []
    if len(pruned):
        keys += axes.plot(*pruned.T, "x", color=INK, alpha=0.45, ms=3.5, gid="pruned")
        keys[-1].set_label("stopped early (part of select)")
    if len(done):
        keys += axes.plot(*done.T, "o", color=INK, alpha=0.6, ms=4, mew=0, gid="trials")
        keys[-1].set_label("evaluated (select, priced)")
    return keys


def _front(results: Results, right: float) -> _Dots:
    """The corners of the front's stairs, held up to the plot's right edge."""
    corners: list[tuple[float, float]] = []
    for rung in results.ladder:
        if rung.energy_j is not None and rung.accuracy is not None:
            if corners:
                corners.append((rung.energy_j, corners[-1][1]))
            corners.append((rung.energy_j, rung.accuracy))
    if corners:
        corners.append((right, corners[-1][1]))
    return np.array(corners, dtype=np.float64).reshape(-1, 2)


def _draw_front(axes: Axes, results: Results) -> list[Line2D]:
    front = _front(results, axes.get_xlim()[1])
    if not len(front):
        return []
    label = "front (select, priced)"
    return axes.plot(*front.T, color=_FRONT, lw=1.6, gid="front", label=label)


def _draw_floors(axes: Axes, results: Results) -> list[Line2D]:
    styles = ("--", ":")
    return [
        axes.axhline(y, color=INK, lw=1.1, ls=style, gid="floor", label=f"{label}, {y:.3f}")
        for (label, y), style in zip(_floors(results).items(), styles, strict=False)
    ]


def _draw_spots(axes: Axes, spots: Sequence[_Spot]) -> list[Line2D]:
    """Markers with both intervals; hollow where only the search's estimate is known."""
    keys: dict[str, Line2D] = {}
    for spot in reversed(spots):  # the winner last, on top
        color = _WINNER if spot.winner else _BASELINE
        axes.plot(spot.x_ci, (spot.y, spot.y), color=color, lw=1.3, zorder=4)
        axes.plot((spot.x, spot.x), spot.y_ci, color=color, lw=1.3, zorder=4)
        kind = "winner" if spot.winner else "baseline"
        label = f"{kind} ({'test, 95%' if spot.confirmed else 'select, priced'})"
        (keys[label],) = axes.plot(
            [spot.x],
            [spot.y],
            "*" if spot.winner else "s",
            color=color,
            mfc=color if spot.confirmed else "none",
            ms=13 if spot.winner else 6.5,
            zorder=5,
            gid="winner" if spot.winner else "baselines",
            label=label,
        )
    return list(reversed(keys.values()))


def _frame(
    figure: Figure, axes: Axes, results: Results, size: Size, keys: Sequence[Line2D]
) -> None:
    """Titles, axis labels, the legend below, and the room they take."""
    summary = results.summary
    line = 1.45 * size.font
    left, right, top = 4.8 * size.font, 1.5 * size.font, 3.4 * line
    bottom = (3.4 - (-len(keys) // size.legend_columns)) * line
    inner = (size.width - left - right, size.height - bottom - top)
    axes.set_position(
        (
            left / size.width,
            bottom / size.height,
            inner[0] / size.width,
            inner[1] / size.height,
        )
    )
    axes.set_xlabel("energy per query (J)")
    axes.set_ylabel("accuracy (0 to 1)")
    where = filter(None, (summary.study, summary.task, summary.hardware))
    about = f"{summary.energy.label}; {', '.join(where)}"
    room = int(inner[0] / (0.56 * size.font))
    about = about if len(about) <= room else shorten(summary.energy.label, room)
    indent = left / size.width
    title = "Accuracy against energy per query"
    figure.text(indent, 1 - 1.2 * line / size.height, title, weight="bold")
    figure.text(indent, 1 - 2.3 * line / size.height, about)
    figure.legend(
        handles=keys,
        loc="lower left",
        bbox_to_anchor=(indent, 0.3 * line / size.height),
        ncols=size.legend_columns,
        frameon=False,
        borderaxespad=0,
        borderpad=0,
        labelspacing=0.35,
    )


def _drawn(axes: Axes, results: Results, spots: Sequence[_Spot], dots: _Dots) -> Boxes:
    """The boxes of everything that labels had better not cover, in points."""
    left, right = axes.get_xlim()
    front = _front(results, right).tolist()
    lines = [*pairwise(front)]
    lines += [((left, y), (right, y)) for y in _floors(results).values()]
    for spot in spots:
        lines += [
            ((spot.x_ci[0], spot.y), (spot.x_ci[1], spot.y)),
            ((spot.x, spot.y_ci[0]), (spot.x, spot.y_ci[1])),
        ]
    marks = [*dots.tolist(), *((spot.x, spot.y) for spot in spots)]
    lines += [(mark, mark) for mark in marks]
    ends = axes.transData.transform(np.array(lines).reshape(-1, 2)).reshape(-1, 2, 2)
    return np.hstack([ends.min(axis=1) - 2, ends.max(axis=1) + 2])


def _label_spots(axes: Axes, spots: Sequence[_Spot], drawn: Boxes, size: Size) -> None:
    """Names beside the winner and the baselines."""
    if not spots:
        return
    names = [shorten(spot.name, size.label_chars) for spot in spots]
    weights = ["bold" if spot.winner else "normal" for spot in spots]
    points = axes.transData.transform([(spot.x, spot.y) for spot in spots])
    frame = axes.get_window_extent()
    placements = place_labels(
        [(x, y) for x, y in points.tolist()],
        [_text_size(name, size.font, weight) for name, weight in zip(names, weights, strict=True)],
        drawn,
        (frame.x0, frame.y0, frame.x1, frame.y1),
    )
    for spot, name, weight, place in zip(spots, names, weights, placements, strict=True):
        axes.annotate(
            name,
            (spot.x, spot.y),
            xytext=(place.dx, place.dy),
            textcoords="offset points",
            ha=place.align,
            va="center",
            weight=weight,
            zorder=6,
            arrowprops={"arrowstyle": "-", "color": INK, "lw": 0.6} if place.far else None,
        )


def _text_size(text: str, font: float, weight: str) -> tuple[float, float]:
    properties = FontProperties(size=font, weight=weight)
    width, height, _ = text_to_path.get_text_width_height_descent(text, properties, ismath=False)
    return width, max(height, font) * 1.15
