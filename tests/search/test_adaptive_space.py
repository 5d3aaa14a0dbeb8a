"""The adaptive space: what it holds, and that a study of it ends with a pipeline that adapts."""

from itertools import product
from pathlib import Path

import pytest
from scripted_world import Nature, World

from archon.errors import UsageError
from archon.search.space import Space
from archon.spec import parse_spec
from search_spaces.adaptive import WAYS

STYLES = {"plain": [200]}


def test_it_holds_the_product_of_its_axes() -> None:
    """Counted without the space, per way, for two models in one style."""
    samples, thresholds = [1, 2, 4], [0.6, 0.9]
    models = 2
    ways = {
        "fixed": models * len(samples),
        "sequential": models * 1 * 2,  # only 4 samples can be drawn in steps of 2; two stops
        "route": (models * len(samples)) ** 2 * (2 + 3),
        "cascade": sum(
            len(list(product(range(models), firsts, range(models), samples, thresholds)))
            for firsts in (samples, [2, 4], samples)  # confidence, agreement, score
        ),
    }
    axes = {"styles": STYLES, "samples": [2, 4], "thresholds": thresholds}
    axes["routes"] = {"learned": thresholds, "words": [5, 10, 20]}
    for way, count in ways.items():
        space = Space("adaptive", ["a", "b"], axes | {"ways": [way]})
        specs = [space.at(point) for point in space.enumerate()]
        assert len(specs) == count == len({spec.canonical for spec in specs})
        assert len({spec.name for spec in specs}) == count
        assert all(parse_spec(s.to_yaml(), "here").canonical == s.canonical for s in specs)


def test_baselines_are_single_models_and_pluralities() -> None:
    space = Space("adaptive", ["a", "b"], {"styles": STYLES, "samples": [4]})
    families = {baseline.family: baseline.single for baseline in space.baselines()}
    assert families == {
        "a alone": True,
        "a plurality of 4": False,
        "b alone": True,
        "b plurality of 4": False,
    }
    assert Space("adaptive", ["a"], {"ways": ["sequential"]}).baselines() == []


def test_sequential_sampling_needs_samples_to_save() -> None:
    with pytest.raises(UsageError, match="sequential draws 2 at a time: give more samples"):
        Space("adaptive", ["a"], {"samples": [2], "ways": ["sequential"]})


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(UsageError, match="no way escape; there are fixed, sequential"):
        Space("adaptive", ["a"], {"ways": ["escape"]})


@pytest.mark.parametrize(
    ("routes", "told"),
    [
        ({}, "routes: a mapping"),
        (["learned"], "routes: a mapping"),
        ({"colour": [3]}, "'words', 'characters'"),
        ({"learned": [1.5]}, "threshold 1.5: a probability"),
        ({"words": []}, "routes"),
    ],
)
def test_routes_that_cannot_be_are_refused_in_one_line(routes: object, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        Space("adaptive", ["a"], {"samples": [2], "ways": ["route"], "routes": routes})
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("way", WAYS)
def test_a_study_of_each_way_ends_confirmed(tmp_path: Path, way: str) -> None:
    world = World(tmp_path, {"small": Nature(0.5, 3), "big": Nature(0.9, 40)})
    outcome = world.run(
        space="adaptive",
        axes={
            "styles": STYLES,
            "samples": [4],
            "thresholds": [0.5],
            "routes": {"learned": [0.5], "digits": [4]},
            "ways": ["fixed", way],
        },
        task__sizes={"fit": 16, "select": 16, "test": 16},
        objective={"metric": "ipj"},
        confirm__repeats=1,
        search__racing=False,
    )
    assert outcome.summary["search"]["ended"] == "every point of the space is tried"
    assert outcome.summary["confirm"]["priced_error"] == pytest.approx(0, abs=1e-9)


def test_a_cascade_wins_where_the_small_model_knows_when_it_is_right(tmp_path: Path) -> None:
    """The small model is right half the time and says so by its confidence."""
    world = World(tmp_path, {"small": Nature(0.5, 3), "big": Nature(0.95, 40)})
    outcome = world.run(
        space="adaptive",
        axes={
            "styles": STYLES,
            "samples": [2],
            "thresholds": [0.5],
            "ways": ["fixed", "cascade"],
            "accepts": ["confidence"],
        },
        task__sizes={"fit": 16, "select": 40, "test": 64},
        objective={"metric": "ipj", "accuracy_floor": 0.85},
    )
    assert "below confidence 0.5 big" in outcome.summary["exported"]
    stages = outcome.summary["confirm"]["counts"]
    assert stages["cascade.stage 1"] + stages["cascade.stage 2"] == 2 * 64
    assert outcome.summary["verdict"]["kind"] == "winner_beats_baselines"
    components = {one["component"] for one in outcome.summary["components"]}
    assert {"cascade, stage 1 generator", "cascade, stage 2 generator"} <= components
