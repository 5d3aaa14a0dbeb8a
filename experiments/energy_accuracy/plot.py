"""The picture: error against window length, per meter."""

from collections.abc import Sequence
from pathlib import Path

from archon.report.drawing import (
    INK,
    Figure,
    FuncFormatter,
    NullFormatter,
    drawing_style,
    new_axes,
    to_svg,
)
from experiments.energy_accuracy.accuracy import LENGTHS_S
from experiments.energy_accuracy.summary import Cell

# Okabe and Ito's palette, told apart with any colour vision; with the markers, any nine lines.
_COLORS = ("#0072b2", "#56b4e9", "#009e73", "#cc79a7", "#6e7781", "#d55e00", "#e69f00")
_MARKERS = "osD^v"
_LEAST, _MOST = 1e-4, 1e2


def save_plot(found: Sequence[Cell], shown: Sequence[str], path: Path) -> None:
    """Draw each meter's worst error over all traces against the window's length, as SVG."""
    with drawing_style(9):
        figure = Figure(figsize=(9.6, 5.0), dpi=72)
        axes = new_axes(figure)
        axes.set_position((0.09, 0.1, 0.56, 0.86))
        for index, meter in enumerate(shown):
            own = [cell for cell in found if cell.meter == meter]
            axes.loglog(
                LENGTHS_S,
                [_worst(own, seconds) for seconds in LENGTHS_S],
                color=_COLORS[index % len(_COLORS)],
                linestyle="-" if own[0].ours else ":",
                marker=_MARKERS[index % len(_MARKERS)],
                markersize=4,
                label=meter,
            )
        axes.axhline(0.01, color=INK, linewidth=0.8, linestyle="--")
        axes.set(xlabel="length of the window, s", ylabel="worst relative error over all traces")
        axes.set(xticks=LENGTHS_S, ylim=(_LEAST, 1.5 * _MOST))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
        path.write_text(to_svg(figure), encoding="utf-8")


def _worst(own: Sequence[Cell], seconds: float) -> float:
    errors = [cell.worst_error for cell in own if cell.seconds == seconds]
    worst = max(error for error in errors if error is not None)
    return min(max(worst, _LEAST), _MOST)
