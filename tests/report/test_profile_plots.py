"""The drawings of a profile."""

from collections.abc import Sequence
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from profile_content import BIG, SMALL, profile

from archon.profile import Profile
from archon.report.profile_plots import Plot, model_marks, profile_plots
from archon.report.profile_table import Rows, profile_rows

SVG = "{http://www.w3.org/2000/svg}"
LABEL = "energy: cpu+dram estimated"


def draw(whole: Profile) -> dict[str, Plot]:
    return {plot.title: plot for plot in profile_plots(profile_rows(whole), LABEL)}


def root(plot: Plot) -> ElementTree.Element:
    assert plot.svg is not None
    return ElementTree.fromstring(plot.svg)


def points(plot: Plot, gid: str) -> int:
    """Markers in the group of that id."""
    groups = [g for g in root(plot).iter(f"{SVG}g") if g.get("id") == gid]
    return sum(len(list(group.iter(f"{SVG}use"))) for group in groups)


def texts(plot: Plot) -> list[str]:
    return ["".join(text.itertext()) for text in root(plot).iter(f"{SVG}text")]


def without_energy(rows: Rows, names: Sequence[str]) -> Rows:
    return [
        (n, c, replace(f, metrics=replace(f.metrics, energy_j=None)) if n in names else f)
        for n, c, f in rows
    ]


def test_each_picture_has_every_model_at_every_load() -> None:
    plots = draw(profile())
    lines = {
        "Energy per query": 1,
        "Time to an answer": 3,
        "Time to the first token": 3,
        "Speed": 1,
        "Power": 3,
    }
    assert set(plots) == {"Accuracy against energy", *lines}
    for model in (0, 1):
        assert points(plots["Accuracy against energy"], f"model-{model}") == 3
        for title, count in lines.items():
            drawn = [points(plots[title], f"model-{model}-{line}") for line in range(count)]
            assert drawn == [3] * count


def test_the_energy_label_stands_where_joules_are_drawn() -> None:
    plots = draw(profile())
    labelled = {title for title, plot in plots.items() if LABEL in texts(plot)}
    assert labelled == {"Accuracy against energy", "Energy per query", "Power"}


def test_loads_are_the_ticks_and_axes_have_units() -> None:
    shown = texts(draw(profile(concurrencies=(1, 3, 16)))["Energy per query"])
    assert {"1", "3", "16", "queries in flight", "J/query"} <= set(shown)


def test_points_of_accuracy_against_energy_tell_their_load() -> None:
    shown = texts(draw(profile({"m": BIG}, (1, 7, 33)))["Accuracy against energy"])
    assert all(shown.count(load) == 1 for load in ("7", "33"))


def test_at_one_load_only_accuracy_against_energy_is_drawn() -> None:
    assert list(draw(profile(concurrencies=(4,)))) == ["Accuracy against energy"]


def test_what_was_not_measured_is_not_drawn() -> None:
    rows = profile_rows(profile())
    some = {p.title: p for p in profile_plots(without_energy(rows, ["smollm2-135m"]), LABEL)}
    assert points(some["Energy per query"], "model-0-0") == 0
    assert points(some["Energy per query"], "model-1-0") == 3
    none = profile_plots(without_energy(rows, ["smollm2-135m", "qwen2.5-coder-0.5b"]), LABEL)
    assert {p.title for p in none if p.svg is None} == {
        "Accuracy against energy",
        "Energy per query",
    }


def test_models_measured_at_different_loads_share_a_picture() -> None:
    whole = profile({"a": BIG, "b": SMALL}, (1, 4, 16))
    some = {16: whole.models["a"].loads[16]}
    whole = replace(whole, models={**whole.models, "a": replace(whole.models["a"], loads=some)})
    speed = draw(whole)["Speed"]
    assert (points(speed, "model-0-0"), points(speed, "model-1-0")) == (1, 3)


@pytest.mark.parametrize("accuracy", [0.0, 1.0])
def test_the_ends_of_the_accuracy_scale_are_drawn(accuracy: float) -> None:
    plots = draw(profile({"m": replace(BIG, accuracy=accuracy)}, (1, 4)))
    assert points(plots["Accuracy against energy"], "model-0") == 2


def test_thirty_models_are_told_apart() -> None:
    marks = model_marks([f"m{i}" for i in range(30)])
    assert len({(mark.colour, mark.marker) for mark in marks.values()}) == 30


def test_the_same_profile_gives_the_same_drawings() -> None:
    assert draw(profile()) == draw(profile())
