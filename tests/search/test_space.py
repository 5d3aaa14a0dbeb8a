"""Spaces: what they hold, that every point is a valid pipeline, and how they are enumerated."""

import sys
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FixedTrial

from archon.errors import UsageError
from archon.search.space import Space
from archon.spec import PipelineSpec, parse_spec
from search_spaces import ensemble, single

STYLES = {"number_only": [8], "steps": [48, 96]}
ASKS = 3  # (style, limit) pairs in STYLES
VOTES = ["vote", "confident_vote"]
JUDGES = ["rank", "tournament", "verify", "score_vote", "score_rank"]
FUSES = ["fuse", "critique", "critique_each", "rank_fuse"]


def weaves(zoo: Sequence[str]) -> int:
    """Two methods on free verifiers; on a judge as well, with two thresholds."""
    return 2 + 2 * 2 * len(zoo)


def small_ensemble(zoo: Sequence[str], **axes: Any) -> Space:
    given = {"styles": STYLES, "samples": [1, 2, 4], "temperatures": [0.3, 0.9]}
    return Space("ensemble", zoo, given | axes)


def test_every_finish_is_counted_below() -> None:
    assert {*VOTES, *JUDGES, *FUSES, "weave"} == set(ensemble.FINISHES)


def points(space: Space) -> list[PipelineSpec]:
    return [space.at(params) for params in space.enumerate()]


def test_single_holds_every_model_in_every_style_and_limit() -> None:
    specs = points(Space("single", ["a", "b"], {"styles": STYLES}))
    assert len(specs) == 2 * ASKS == len({spec.canonical for spec in specs})


def test_ensemble_holds_the_product_of_its_axes() -> None:
    """Counted without the space: ways to ask each model, times ways to finish, times waste."""
    zoo = ["a", "b"]
    # Of one model: absent; once (greedy: no temperature); 2 or 4 times at 2 temperatures.
    ways = {0: 1, 1: ASKS, 2: 2 * ASKS, 4: 2 * ASKS}
    finishes = len(VOTES) + len(JUDGES) * len(zoo) + len(FUSES) * len(zoo) * len(STYLES)
    finishes += weaves(zoo)
    expected = 0
    for a, ways_a in ways.items():
        for b, ways_b in ways.items():
            if a + b == 0:
                expected += ASKS  # stands for "b once", a point that is there already
            else:
                expected += ways_a * ways_b * (finishes if a + b > 1 else 1)
    specs = points(small_ensemble(zoo))
    assert len(specs) == expected
    assert len({spec.canonical for spec in specs}) == expected - ASKS


def test_one_model_needs_no_choice_of_judge() -> None:
    finishes = len(VOTES) + len(JUDGES) + len(FUSES) * len(STYLES) + weaves(["a"])
    specs = points(small_ensemble(["a"]))
    assert len(specs) == ASKS + ASKS + 2 * 2 * ASKS * finishes


def test_with_no_samples_at_all_the_last_model_answers_once() -> None:
    spec = small_ensemble(["a", "b"]).at(
        {"a.samples": 0, "b.samples": 0, "b.style": "steps", "b.steps.max_tokens": 48}
    )
    (layer,) = spec.layers
    (generator,) = layer
    assert (generator.model, generator.samples, generator.temperature) == ("b", 1, 0.0)


def test_every_point_is_a_valid_pipeline_of_its_own_name() -> None:
    axes = {"styles": {"plain": [8, 16], "steps": [8]}, "samples": [2], "temperatures": [0.5]}
    specs = points(small_ensemble(["a", "b"], **axes))
    names: dict[str, str] = {}
    for spec in specs:
        again = parse_spec(spec.to_yaml(), "here")
        assert again.canonical == spec.canonical
        assert names.setdefault(spec.name, spec.canonical) == spec.canonical
        assert set(spec.models) == set(spec.used_models())


@pytest.mark.parametrize("space", ["single", "ensemble"])
def test_points_of_single_and_ensemble_have_names_of_their_own(space: str) -> None:
    specs = {spec.canonical: spec.name for spec in points(Space(space, ["a"], {"styles": STYLES}))}
    assert len(set(specs.values())) == len(specs)


@pytest.mark.parametrize("zoo", [["a"], ["a", "b"]])
@pytest.mark.parametrize("name", ["single", "ensemble"])
def test_baselines_are_points_of_the_space(name: str, zoo: list[str]) -> None:
    space = Space(name, zoo, {"styles": STYLES})
    inside = (
        {tuple(sorted(params.items())) for params in space.enumerate()} if zoo == ["a"] else None
    )
    baselines = space.baselines()
    assert baselines
    for baseline in baselines:
        spec = space.at(baseline.params)
        calls = sum(part.samples for part in spec.layers[0])  # type: ignore[attr-defined]
        assert baseline.single == (calls == 1)
        if inside is not None:
            assert tuple(sorted(baseline.params.items())) in inside


def test_ensemble_baselines_are_each_model_alone_its_plurality_and_the_recipe() -> None:
    families = [b.family for b in small_ensemble(["a", "b"]).baselines()]
    assert {family: families.count(family) for family in families} == {
        "a alone": ASKS,
        "a plurality of 4": ASKS,
        "b alone": ASKS,
        "b plurality of 4": ASKS,
        "b weave of 4": ASKS,
        "generate, rank, fuse": ASKS,
    }


def test_baselines_keep_to_the_axes() -> None:
    families = {b.family for b in small_ensemble(["a"], samples=[1, 2]).baselines()}
    assert families == {"a alone", "a plurality of 2", "a weave of 2", "generate, rank, fuse"}
    families = {b.family for b in small_ensemble(["a"], samples=[1]).baselines()}
    assert families == {"a alone"}
    families = {b.family for b in small_ensemble(["a"], finishes=["confident_vote"]).baselines()}
    assert families == {"a alone"}


@pytest.mark.parametrize("finish", ensemble.FINISHES)
def test_any_finish_alone_and_any_samples_make_a_space(finish: str) -> None:
    """One sample is always a choice: each model alone is what to compare with."""
    space = small_ensemble(["a", "b"], samples=[2], finishes=[finish])
    assert all(space.at(baseline.params) for baseline in space.baselines())
    assert {1, 2} <= {sum(part.samples for part in spec.layers[0]) for spec in points(space)}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "axes",
    [
        {"styles": {"shouting": [8]}},
        {"styles": {"plain": [0]}},
        {"styles": {"plain": []}},
        {"styles": ["plain"]},
        {"styles": {}},
        {"samples": []},
        {"samples": ["many"]},
        {"samples": 3},
        {"temperatures": []},
        {"temperatures": [0.3, 7.0]},
        {"finishes": []},
        {"finishes": ["guess"]},
    ],
)
def test_axes_that_give_no_valid_pipeline_are_refused_in_one_line(axes: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        small_ensemble(["a"], **axes)
    assert "\n" not in str(caught.value)
    assert "ensemble" in str(caught.value)


def test_a_trial_and_its_parameters_give_the_same_pipeline() -> None:
    space = small_ensemble(["a", "b"])
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))
    for _ in range(200):
        trial = study.ask()
        spec = space.suggest(trial)
        assert space.at(trial.params).canonical == spec.canonical
        assert space.suggest(FixedTrial(trial.params)).name == spec.name


def test_enumeration_starts_anew_each_time_and_repeats_nothing() -> None:
    space = small_ensemble(["a", "b"], samples=[1, 2])
    first, second = list(space.enumerate()), list(space.enumerate())
    assert first == second
    assert len({tuple(sorted(params.items())) for params in first}) == len(first)


def test_packaged_spaces_have_the_axes_their_configuration_sets() -> None:
    assert set(ensemble.suggest.__kwdefaults__ or ()) == {
        "styles",
        "samples",
        "temperatures",
        "finishes",
        "verifiers",
        "methods",
        "thresholds",
    }
    assert set(single.suggest.__kwdefaults__ or ()) == {"styles"}
    for module in (single, ensemble):
        assert module.baselines.__kwdefaults__ == module.suggest.__kwdefaults__


MINE = """
from archon.components.generator import Generator
from archon.spec import PipelineSpec, ZooModel

def suggest(trial, zoo, *, steps=3):
    n = trial.suggest_int("n", 1, 5, step=2)
    t = trial.suggest_float("t", 0.2, 0.8, step=0.3)
    if trial.params["n"] == 5:
        trial.suggest_categorical("extra", ["x", "y"])
    part = Generator(model="m", samples=n, temperature=t, max_tokens=steps)
    return PipelineSpec(models={"m": ZooModel(zoo=zoo[0])}, layers=((part,),))
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that makes a module of a package of one's own importable."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, text: str) -> str:
        package = tmp_path / "my_spaces"
        package.mkdir(exist_ok=True)
        (package / "__init__.py").touch()
        (package / f"{name}.py").write_text(text)
        for loaded in ("my_spaces", f"my_spaces.{name}"):
            monkeypatch.delitem(sys.modules, loaded, raising=False)
        return f"my_spaces.{name}"

    return write


def test_a_space_of_ones_own_is_named_by_its_dotted_path(module: Any) -> None:
    space = Space(module("mine", MINE), ["a"], {"steps": 7})
    specs = points(space)
    # n in 1, 3, 5; t in 0.2, 0.5, 0.8; with n = 5 a further choice of two.
    assert len(specs) == (2 + 2) * 3
    assert prod(bool(spec.layers[0][0].max_tokens == 7) for spec in specs)  # type: ignore[attr-defined]
    assert space.baselines() == []


@pytest.mark.parametrize(
    "line",
    ['trial.suggest_float("x", 0.0, 1.0)', 'trial.suggest_int("x", 1, 64, log=True)'],
)
def test_a_continuous_space_cannot_be_enumerated(module: Any, line: str) -> None:
    text = MINE.replace("    n = trial", f"    {line}\n    n = trial")
    with pytest.raises(UsageError, match="x: an exhaustive search needs choices"):
        list(Space(module("endless", text), ["a"], {}).enumerate())


def test_unknown_spaces_and_axes_are_refused(module: Any) -> None:
    known = "adaptive, archon_itas, ensemble, programs, single"
    with pytest.raises(UsageError, match=f"space ensembel: unknown; there are {known}"):
        Space("ensembel", ["a"], {})
    with pytest.raises(UsageError, match=r"space no\.such\.module: unknown"):
        Space("no.such.module", ["a"], {})
    with pytest.raises(UsageError, match=r"axes\.sampels: the space ensemble has no such axis"):
        Space("ensemble", ["a"], {"sampels": [1]})
    with pytest.raises(UsageError, match="has no function suggest"):
        Space(module("empty", ""), ["a"], {})
    with pytest.raises(UsageError, match="no_such_dependency"):
        Space(module("broken", "import no_such_dependency"), ["a"], {})
