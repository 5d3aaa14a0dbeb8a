"""The standings as tables, lines and a picture."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from archon.report.drawing import INK, Figure, drawing_style, to_svg
from archon.report.labels import place_labels
from experiments.sheet import Sheet
from experiments.weak_verifiers.standings import (
    DRAWS,
    DataSet,
    Standing,
    believed,
    by_verifiers,
    everything,
    interval,
    verifier_aucs,
)
from weaver import Weaver

WIDTH, HEIGHT, FONT = 640, 430, 9
SERIES = (
    ("no labels", "#0072b2", "o"),
    ("5% labelled", "#d55e00", "s"),
    ("all others labelled", "#009e73", "^"),
)
"""Name, colour (of Okabe and Ito's palette) and mark of what `by_verifiers` tries first."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What the experiment says."""

    sheets: list[Sheet]
    lines: list[str]
    picture: str
    results: dict[str, Any]


def show(data: DataSet, collected: Mapping[str, Any], told: Callable[[str], None]) -> Shown:
    """Work everything out.

    Args:
        collected: The content of ``collected.json``.
    """
    standings = everything(data, told)
    sets = by_verifiers(data, told)
    energy = collected["energy"]
    areas = verifier_aucs(data)
    plurality = next(one for one in standings if one.name == "plurality")
    sheets = [
        _writers(collected, data),
        _verifiers(data, collected, areas),
        _methods(data, standings, plurality, energy),
        _believed(data, areas),
        _sets(sets, energy),
        _ladder(data, energy),
    ]
    return Shown(
        sheets,
        _doubts(data),
        _picture(sets, plurality, energy),
        {
            "energy": energy,
            "standings": [_plain(one) for one in standings],
            "sets": {name: [_plain(one) for one in row] for name, row in sets.items()},
            "auc": {name: _numbers(row) for name, row in areas.items()},
        },
    )


def _plain(one: Standing) -> dict[str, Any]:
    return {
        "name": one.name,
        "labels": one.labels,
        "accuracy": float(one.right.mean()),
        "accuracy_ci": interval(one.right),
        "brier": one.brier,
        "energy_j": one.energy_j,
    }


def _numbers(row: Any) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in row]


def _writers(collected: Mapping[str, Any], data: DataSet) -> Sheet:
    names = [writer for row in collected["written_by"] for writer in row]
    right = data.correct[data.correct >= 0] == 1
    rows = []
    for writer in collected["writers"]:
        own = np.array([name == writer["name"] for name in names])
        cost = writer["j_per_call"]
        share = "–" if not own.any() else f"{right[own].mean():.3f}"
        rows.append(
            (writer["name"], str(int(own.sum())), share, "–" if cost is None else f"{cost:.2f}")
        )
    title = f"candidates (energy: {collected['energy']})"
    return Sheet(title, ("writer", "kept", "correct", "J each"), rows)


def _verifiers(data: DataSet, collected: Mapping[str, Any], areas: Mapping[str, Any]) -> Sheet:
    kinds = list(dict.fromkeys(data.kinds))
    rows = []
    for account, cost in zip(collected["verifiers"], data.energy_j, strict=True):
        each = account["cost_j"]
        area = ["–" if np.isnan(value) else f"{value:.3f}" for value in areas[account["name"]]]
        rows.append(
            (
                account["name"],
                str(account["judged"]),
                str(account["unparsed"]),
                "–" if each is None else f"{each:.2f}",
                f"{cost:.2f}",
                *area,
            )
        )
    return Sheet(
        f"verifiers: area under the ROC curve (energy: {collected['energy']})",
        ("verifier", "judged", "unparsed", "J each", "J/query", "AUC", *kinds),
        rows,
    )


def _methods(
    data: DataSet, standings: Sequence[Standing], plurality: Standing, energy: str
) -> Sheet:
    kinds = list(dict.fromkeys(data.kinds))
    rows = []
    for one in standings:
        low, high = interval(one.right)
        gained = interval(one.right - plurality.right)
        rows.append(
            (
                one.name,
                f"{one.labels:.0%}",
                f"{one.right.mean():.3f} [{low:.3f}, {high:.3f}]",
                "–" if one is plurality else f"[{gained[0]:+.3f}, {gained[1]:+.3f}]",
                *[f"{one.right[np.array(data.kinds) == kind].mean():.3f}" for kind in kinds],
                "–" if one.brier is None else f"{one.brier:.3f}",
                f"{one.energy_j:.1f}",
            )
        )
    return Sheet(
        f"who chooses best (energy of verifiers: {energy})",
        ("choice by", "labels", "accuracy", "beyond plurality", *kinds, "Brier", "J/query"),
        rows,
    )


def _believed(data: DataSet, areas: Mapping[str, Any]) -> Sheet:
    methods = ("em", "continuous", "naive_bayes")
    few = {method: believed(data, method, 0.05) for method in methods}
    every = {method: believed(data, method, 1.0) for method in methods}
    rows = []
    for index, name in enumerate(data.scores.verifiers):
        cells = []
        for method in methods:
            column = few[method][:, index]
            low, high = np.quantile(column, [0.1, 0.9])
            cells.append(f"{column.mean():+.2f} [{low:+.2f}, {high:+.2f}]")
        cells += [f"{every[method][0, index]:+.2f}" for method in methods]
        rows.append((name, f"{areas[name][0]:.3f}", *cells))
    return Sheet(
        f"what is believed of each verifier (TPR + TNR - 1): with 5% labels, mean and 10% to 90% "
        f"of {DRAWS} draws; with all",
        ("verifier", "AUC", *(f"{m} 5%" for m in methods), *(f"{m} 100%" for m in methods)),
        rows,
    )


def _ladder(data: DataSet, energy: str) -> Sheet:
    labelled = replace(data.scores.training(), labels=data.correct)
    rows = [
        (f"{rung.energy_j:.2f}", f"{rung.accuracy:.3f}", ", ".join(rung.verifiers))
        for rung in Weaver().ladder(labelled).rungs
    ]
    return Sheet(
        f"which verifiers to run within a budget, by continuous with all labels (energy: {energy})",
        ("J/query", "expected accuracy", "verifiers"),
        rows,
    )


def _sets(sets: Mapping[str, Sequence[Standing]], energy: str) -> Sheet:
    columns = ("continuous", "continuous, 5%", "continuous, 100%", "logistic, 100%")
    rows = []
    for title, row in sets.items():
        cells = []
        for one in row:
            low, high = interval(one.right)
            cells.append(f"{one.right.mean():.3f} [{low:.3f}, {high:.3f}]")
        rows.append((title, f"{max(one.energy_j for one in row):.1f}", *cells))
    return Sheet(
        f"accuracy by verifiers (energy: {energy})", ("verifiers", "J/query", *columns), rows
    )


def _doubts(data: DataSet) -> list[str]:
    weaver = Weaver().fit(replace(data.scores.training(), labels=None))
    return [f"without labels, {weaver.method} says: {doubt}" for doubt in weaver.doubts_]


def _picture(sets: Mapping[str, Sequence[Standing]], plurality: Standing, energy: str) -> str:
    """Draw accuracy against the joules of verifiers."""
    with drawing_style(FONT):
        figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72), dpi=72)
        axes = figure.add_axes((0.09, 0.11, 0.88, 0.77))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color=INK, alpha=0.18, linewidth=0.6)
        joules = np.array([max(one.energy_j for one in row) for row in sets.values()])
        axes.set_xlim(-0.04 * joules.max(), 1.08 * joules.max())
        low, high = interval(plurality.right)
        axes.axhspan(low, high, color=INK, alpha=0.12, lw=0)
        axes.axhline(plurality.right.mean(), color=INK, lw=1, label="plurality, 95% interval")
        tops = np.zeros(len(joules))
        for series, (name, colour, mark) in enumerate(SERIES):
            share = np.array([row[series].right.mean() for row in sets.values()])
            tops = np.maximum(tops, share)
            axes.plot(joules, share, mark, color=colour, ms=6, label=f"continuous, {name}")
        points = axes.transData.transform(np.column_stack([joules, tops]))
        frame = axes.get_window_extent()
        names = [_short(name) for name in sets]
        placements = place_labels(
            [(x, y) for x, y in points.tolist()],
            [(0.55 * FONT * len(name), 1.15 * FONT) for name in names],
            np.hstack([points, points]) + np.array([-3, -3, 3, 3]),
            (frame.x0, frame.y0, frame.x1, frame.y1),
        )
        for name, x, y, place in zip(names, joules, tops, placements, strict=True):
            axes.annotate(
                name,
                (x, y),
                xytext=(place.dx, place.dy),
                textcoords="offset points",
                ha=place.align,
                va="center",
                arrowprops={"arrowstyle": "-", "color": INK, "lw": 0.6} if place.far else None,
            )
        axes.set_xlabel("verifiers, J per query")
        axes.set_ylabel("accuracy of the selected candidate")
        axes.legend(loc="lower right", frameon=False)
        figure.text(0.09, 0.955, "What verifiers buy", weight="bold")
        figure.text(0.09, 0.915, f"energy: {energy}; each point: the free verifiers and one more")
        return to_svg(figure)


def _short(name: str) -> str:
    """Return a set's name as the picture has room for."""
    return name.removeprefix("free, ").replace("model=", "").replace("qwen2.5-coder-", "")
