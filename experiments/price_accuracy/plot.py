"""The picture: priced against live joules per query, both axes logarithmic."""

import numpy as np

from archon.report.drawing import (
    INK,
    Figure,
    FuncFormatter,
    LogLocator,
    NullFormatter,
    drawing_style,
    to_svg,
)
from archon.report.labels import place_labels
from experiments.price_accuracy.measure import Found
from experiments.price_accuracy.summary import PER_TOKEN, PRICES, Summary
from experiments.price_accuracy.tables import energy_label

PRICED, NAIVE = "#0072b2", "#d55e00"  # of Okabe and Ito's palette
BAND = 0.1
WIDTH, HEIGHT, FONT = 560, 470, 9


def scatter(found: Found, summary: Summary) -> str | None:
    """Return an SVG document; None when no pipeline was measured.

    Numbers are the rows of the table of live pipelines.
    """
    if not summary.pipelines:
        return None
    queries = found.plan.queries
    live, priced, naive = (
        np.array(column) / queries
        for column in (
            [one.live for one in summary.pipelines],
            [one.joules[PRICES] for one in summary.pipelines],
            [one.joules[PER_TOKEN] for one in summary.pipelines],
        )
    )
    blocks = [
        [block.joules / queries for block in one.pipeline.blocks] for one in summary.pipelines
    ]
    everything = [*live, *priced, *naive, *(joules for row in blocks for joules in row)]
    ends = np.array([min(everything) / 1.2, max(everything) * 1.2])
    with drawing_style(FONT):
        figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72), dpi=72)
        axes = figure.add_axes((0.11, 0.12, 0.86, 0.77))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color=INK, alpha=0.18, linewidth=0.6)
        axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))
            axis.set_minor_formatter(NullFormatter())
        axes.plot(ends, ends, color=INK, lw=1)
        low, high = ends * (1 - BAND), ends * (1 + BAND)
        axes.fill_between(ends, low, high, color=INK, alpha=0.15, lw=0, label=f"within {BAND:.0%}")
        axes.plot(live, naive, "o", color=NAIVE, mfc="none", ms=5, label="mean joules per token")
        for x, y in zip(blocks, priced, strict=True):
            axes.plot((min(x), max(x)), (y, y), color=PRICED, lw=1.3)
        axes.plot(
            live, priced, "o", color=PRICED, ms=6, label="price list; line: lowest to highest block"
        )
        points = axes.transData.transform(np.column_stack([live, priced]))
        others = axes.transData.transform(np.column_stack([live, naive]))
        lines = [
            axes.transData.transform([(min(x), y), (max(x), y)]).ravel()
            for x, y in zip(blocks, priced, strict=True)
        ]
        drawn = np.vstack([np.hstack([others, others]), *lines]) + np.array([-3, -3, 3, 3])
        frame = axes.get_window_extent()
        names = [str(number) for number in range(1, len(live) + 1)]
        placements = place_labels(
            [(x, y) for x, y in points.tolist()],
            [(0.6 * FONT * len(name), 1.15 * FONT) for name in names],
            drawn,
            (frame.x0, frame.y0, frame.x1, frame.y1),
        )
        for name, x, y, place in zip(names, live, priced, placements, strict=True):
            axes.annotate(
                name,
                (x, y),
                xytext=(place.dx, place.dy),
                textcoords="offset points",
                ha=place.align,
                va="center",
                arrowprops={"arrowstyle": "-", "color": INK, "lw": 0.6} if place.far else None,
            )
        axes.set_xlabel("live, J per query")
        axes.set_ylabel("predicted, J per query")
        axes.legend(loc="upper left", frameon=False)
        figure.text(0.11, 0.955, "Predicted against live joules", weight="bold")
        load = f"{queries} queries, {found.plan.concurrency} in flight"
        figure.text(0.11, 0.915, f"energy: {energy_label(found)}; {load}")
        return to_svg(figure)
