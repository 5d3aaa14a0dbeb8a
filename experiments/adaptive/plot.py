"""The picture: live joules per query of every way, kind by kind, with accuracy beside each bar."""

from archon.report.drawing import INK, Figure, drawing_style, to_svg
from experiments.adaptive.measure import REFERENCE, Found
from experiments.adaptive.tables import best_of, figures
from experiments.adaptive.ways import GREEDY

COLOURS = {
    REFERENCE: "#999999",
    GREEDY: "#e69f00",
    "best of n": "#0072b2",
    "sequential": "#009e73",
    "cascade": "#d55e00",
}  # of Okabe and Ito's palette
WIDTH, ROW, FONT = 620, 24, 9


def bars(found: Found) -> str:
    """Return an SVG document."""
    listed = [(title, row) for title, rows in found.rows.items() for row in rows]
    height = ROW * (len(listed) + 2 * len(found.rows)) + 46
    with drawing_style(FONT):
        figure = Figure(figsize=(WIDTH / 72, height / 72), dpi=72)
        axes = figure.add_axes((0.24, 46 / height, 0.6, 1 - 76 / height))
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.grid(axis="x", color=INK, alpha=0.18, linewidth=0.6)
        places, names, at = [], [], 0.0
        for title, rows in found.rows.items():
            axes.text(0, at, title, fontweight="bold", va="center")
            for row in rows:
                at += 1
                seen = figures(found, row, best_of(rows))
                joules = seen.metrics.energy_j or 0.0
                low, high = seen.energy or (joules, joules)
                axes.barh(at, joules, height=0.62, color=COLOURS[row.role], alpha=0.85)
                axes.plot((low, high), (at, at), color=INK, lw=1.4)
                told = f"  {seen.metrics.accuracy:.2f} right, {row.calls:.1f} calls"
                axes.text(high, at, told, va="center")
                places.append(at)
                names.append(row.role)
            at += 1.8
        axes.set_yticks(places, names)
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(at - 1, -1)
        axes.set_xlabel(f"J per query, live ({found.prices.basis})")
        return to_svg(figure)
