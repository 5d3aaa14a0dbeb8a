"""The published space, against an enumeration of the published axes that knows none of its code."""

import re
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.samplers import RandomSampler
from scripted_world import Nature, World

from archon.components.generator import Sampled
from archon.engines.base import Completion, Sampling
from archon.errors import UsageError
from archon.messages import Message
from archon.search.space import Space
from archon.spec import PipelineSpec, load_spec, parse_spec
from search_spaces import archon_itas

TEN = [f"m{i}" for i in range(10)]
PUBLISHED: dict[str, Any] = {
    "generators": range(1, 11),
    "samples": range(1, 6),
    "fusion_layers": range(1, 5),
    "fusers": range(2, 11, 2),
    "checks": ["none", "verifier", "unit tests"],
}
SMALL: dict[str, Any] = {
    "generators": [1, 2, 3],
    "samples": [1, 2],
    "fusion_layers": [1, 2, 3],
    "fusers": [2, 3],
    "checks": ["none", "verifier", "unit tests"],
}
Part = tuple[str, str, int | None, int | None]
Shape = tuple[tuple[Part, ...], ...]
"""Layers of (type, model, samples, top_k)."""


def shape(spec: PipelineSpec) -> Shape:
    names = ("type", "model", "samples", "top_k")
    return tuple(
        tuple(tuple(getattr(part, name, None) for name in names) for part in layer)  # type: ignore[misc]
        for layer in spec.layers
    )


def as_published(
    zoo: Sequence[str],
    generators: Sequence[int],
    samples: Sequence[int],
    fusion_layers: Sequence[int],
    fusers: Sequence[int],
    checks: Sequence[str],
    reviews: Sequence[str] = ("critic+ranker",),
    top_k: Sequence[int] = (5,),
) -> Iterator[Shape]:
    """Yield every combination that the zoo is enough for, as layers."""
    ranked = list(reversed(zoo))
    top = ranked[0]
    stages = [
        (*widths, 1) for depth in fusion_layers for widths in product(fusers, repeat=depth - 1)
    ]
    for k, n, widths, check, review, most in product(
        generators, samples, stages, checks, reviews, top_k
    ):
        if k > len(zoo) or max(widths) > len(zoo):
            continue
        layers: list[tuple[Part, ...]] = [tuple(("generator", m, n, None) for m in ranked[:k])]
        candidates = k * n
        for stage, width in enumerate(widths, start=1):
            if "critic" in review:
                layers.append((("critic", top, None, None),))
            if "ranker" in review and candidates > 1:
                candidates = min(candidates, most)
                layers.append((("ranker", top, None, candidates),))
            if stage == len(widths) and candidates > 1 and check == "verifier":
                layers.append((("verifier", top, None, None),))
            if stage == len(widths) and candidates > 1 and check == "unit tests":
                layers.append((("unit_test_generator", top, 1, None),))
                layers.append((("unit_test_evaluator", top, None, None),))
            layers.append(tuple(("fuser", m, 1, None) for m in ranked[:width]))
            candidates = width
        yield tuple(layers)


def alone(zoo: Sequence[str]) -> set[Shape]:
    return {((("generator", model, 1, None),),) for model in zoo}


def size(
    zoo: int, generators: int, samples: int, depths: Sequence[int], fusers: int, checks: int
) -> int:
    """Return the number of points, from how many values each axis has, 1 among those of three.

    Of one sample of one model fused once, the checks are all the same; models alone are added.
    """
    ways = sum(len(list(product(range(fusers), repeat=depth - 1))) for depth in depths)
    return generators * samples * ways * checks - (checks - 1) + zoo


def points(space: Space) -> list[PipelineSpec]:
    return [space.at(params) for params in space.enumerate()]


def same_either_way(specs: Sequence[PipelineSpec]) -> bool:
    """Return whether equal pipelines have equal names and others have others."""
    pairs = {(spec.canonical, spec.name) for spec in specs}
    return len(pairs) == len({key for key, _ in pairs}) == len({name for _, name in pairs})


def test_its_axes_are_the_published_ones() -> None:
    defaults = archon_itas.suggest.__kwdefaults__ or {}
    assert {axis: list(defaults[axis]) for axis in PUBLISHED} == {
        axis: list(values) for axis, values in PUBLISHED.items()
    }
    assert (defaults["reviews"], defaults["top_k"]) == (("critic+ranker",), (5,))
    assert archon_itas.baselines.__kwdefaults__ == defaults


@pytest.mark.parametrize("models", [1, 2, 3])
def test_it_holds_every_published_combination_and_each_model_alone(models: int) -> None:
    zoo = ["a", "b", "c"][:models]
    specs = points(Space("archon_itas", zoo, SMALL))
    expected = set(as_published(zoo, **SMALL)) | alone(zoo)
    assert {shape(spec) for spec in specs} == expected
    assert len(specs) == len(expected) == len({spec.canonical for spec in specs})
    assert same_either_way(specs)
    depths = [1] if models == 1 else [1, 2, 3]
    assert len(specs) == size(models, models, 2, depths, models - 1, 3)


def test_ten_models_have_as_many_points_as_the_documentation_says() -> None:
    combinations = list(as_published(TEN, **PUBLISHED))
    assert len(combinations) == 10 * 5 * (1 + 5 + 25 + 125) * 3 == 23_400
    expected = set(combinations) | alone(TEN)
    assert len(expected) == size(10, 10, 5, [1, 2, 3, 4], 5, 3) == 23_408
    said = archon_itas.__doc__ or ""
    assert "23,400 combinations" in said
    assert "23,408 points" in said
    dice = optuna.create_study(sampler=RandomSampler(seed=1))
    space = Space("archon_itas", TEN, {})
    assert {shape(space.suggest(dice.ask())) for _ in range(200)} <= expected


def test_ten_models_in_up_to_two_layers_are_counted_out() -> None:
    """All that the published values allow of generators, samples and fusers."""
    some: dict[str, Any] = {"fusion_layers": [1, 2], "checks": ["verifier"]}
    expected = set(as_published(TEN, **PUBLISHED | some)) | alone(TEN)
    specs = points(Space("archon_itas", TEN, some))
    assert len(specs) == size(10, 10, 5, [1, 2], 5, 1)
    assert {shape(spec) for spec in specs} == expected
    assert same_either_way(specs)


def test_two_models_have_as_many_points_as_the_documentation_says() -> None:
    assert len(points(Space("archon_itas", ["a", "b"], {}))) == 120
    assert "models leave 120" in " ".join((archon_itas.__doc__ or "").split())


def test_every_point_keeps_the_published_rules_of_construction() -> None:
    for spec in points(Space("archon_itas", ["a", "b", "c"], SMALL)):
        types = [layer[0].type for layer in spec.layers]
        for layer, kind, following in zip(spec.layers, types, [*types[1:], ""], strict=True):
            assert {part.type for part in layer} == {kind}
            assert len(layer) == 1 or kind in {"generator", "fuser"}
            assert kind != "critic" or following in {"ranker", "fuser"}
            assert kind != "unit_test_generator" or following == "unit_test_evaluator"
        assert [at for at, kind in enumerate(types) if kind == "generator"] == [0]
        assert types == ["generator"] or (types[-1], len(spec.layers[-1])) == ("fuser", 1)
        again = parse_spec(spec.to_yaml(), "here")
        assert again.canonical == spec.canonical
        assert set(spec.models) == set(spec.used_models())


def test_points_that_mean_the_same_pipeline_are_the_same() -> None:
    """Keeping the best 5 of 2 is keeping the best 2; nothing is ranked where one arrives."""
    more: dict[str, Any] = {"reviews": ["critic+ranker", "ranker", "none"], "top_k": [1, 2, 5]}
    specs = points(Space("archon_itas", ["a", "b", "c"], SMALL | more))
    expected = set(as_published(["a", "b", "c"], **SMALL, **more)) | alone(["a", "b", "c"])
    assert {shape(spec) for spec in specs} == expected
    assert len({spec.canonical for spec in specs}) == len(expected) < len(specs)
    assert same_either_way(specs)


def test_prompts_and_temperatures_are_axes_too() -> None:
    axes: dict[str, Any] = {
        "styles": {"plain": [100, 200], "steps": [300]},
        "temperatures": [0.3, 0.7],
    }
    zoo = ["a", "b"]
    plain = len(set(as_published(zoo, **SMALL)))
    specs = points(Space("archon_itas", zoo, SMALL | axes))
    assert len(specs) == 3 * (2 * plain + len(zoo)) == len({spec.canonical for spec in specs})
    assert same_either_way(specs)
    for spec in specs:
        parts = [part for layer in spec.layers for part in layer]
        asked = {(p.style, p.max_tokens, p.temperature) for p in parts if isinstance(p, Sampled)}
        assert len(asked) == 1


def test_critiques_checks_and_tests_may_be_as_long_as_it_says() -> None:
    space = Space("archon_itas", ["a", "b"], {"review_tokens": 96})
    judges = {"critic", "verifier", "unit_test_generator"}
    parts = [part for spec in points(space) for layer in spec.layers for part in layer]
    limits = {(part.type, part.max_tokens) for part in parts if part.type in judges}  # type: ignore[attr-defined]
    assert limits == {(kind, 96) for kind in judges}


@pytest.mark.parametrize("zoo", [["a"], ["a", "b"]])
@pytest.mark.parametrize(
    "axes",
    [
        {},
        {"samples": [1]},
        {"reviews": ["none"], "checks": ["verifier"]},
        {"generators": [1], "samples": [1, 2], "top_k": [1]},
        {"fusion_layers": [1, 3], "styles": {"plain": [8, 16]}},
    ],
)
def test_baselines_are_each_model_alone_and_models_fused(
    zoo: list[str], axes: dict[str, Any]
) -> None:
    space = Space("archon_itas", zoo, axes)
    inside = [dict(point) for point in space.enumerate()]
    baselines = space.baselines()
    asks = len(axes.get("styles", {"plain": [1]})["plain"])
    assert len(baselines) == asks * (len(zoo) + 1)
    for baseline in baselines:
        assert dict(baseline.params) in inside
        assert baseline.single == (len(space.at(baseline.params).layers) == 1)
    assert {b.family for b in baselines} == {f"{model} alone" for model in zoo} | {"models fused"}


def test_the_fused_baseline_has_four_candidates_where_that_is_possible() -> None:
    def arriving(zoo: list[str], **axes: Any) -> int:
        space = Space("archon_itas", zoo, axes)
        spec = space.at(space.baselines()[-1].params)
        return sum(part.samples for part in spec.layers[0])  # type: ignore[attr-defined]

    assert arriving(["a"]) == arriving(["a", "b"]) == 4
    assert arriving(["a"], samples=[1, 3]) == 3
    assert arriving(TEN) == 10


def test_the_fused_baseline_has_the_fewest_layers_and_fusers() -> None:
    space = Space("archon_itas", ["a", "b", "c"], {"fusion_layers": [4, 3], "fusers": [3, 2]})
    params = space.baselines()[-1].params
    layers = space.at(params).layers
    assert [len(layer) for layer in layers if layer[0].type == "fuser"] == [2, 2, 1]
    assert params in list(space.enumerate())


@pytest.mark.parametrize(
    ("axes", "reason"),
    [
        ({"generators": [0, 1]}, "generators counts models, from 1 on"),
        ({"generators": [3, 4]}, "generators: all of them ask for more models than the 2"),
        ({"fusers": [0]}, "fusers counts models, from 1 on"),
        ({"fusion_layers": [2], "fusers": [3]}, "fusers: all of them ask for more models"),
        ({"fusion_layers": [0, 1]}, "fusion_layers starts at 1"),
        ({"samples": [0]}, "samples"),
        ({"samples": []}, "space archon_itas: its axes give no valid pipeline"),
        ({"reviews": ["critic"]}, "no review critic; there are critic"),
        ({"checks": ["guess"]}, "no check guess; there are none, verifier, unit tests"),
        ({"temperatures": [0.0]}, "samples at temperature 0 are copies"),
        ({"top_k": [0]}, "top_k"),
        ({"styles": {"shouting": [8]}}, "unknown style 'shouting'"),
        ({"review_tokens": 1}, "max_tokens"),
    ],
)
def test_axes_that_give_no_valid_pipeline_are_refused_in_one_line(
    axes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(reason)) as caught:
        Space("archon_itas", ["a", "b"], axes)
    assert "\n" not in str(caught.value)


def test_an_unknown_space_is_answered_with_the_names_of_all() -> None:
    packaged = {path.stem for path in Path(archon_itas.__file__).parent.glob("*.py")}
    spaces = packaged - {"__init__", "baseline"}
    with pytest.raises(UsageError) as caught:
        Space("archon_itsa", ["a"], {})
    assert f"there are {', '.join(sorted(spaces))}, or give" in str(caught.value)


class Reader(Nature):
    """Right half the time by itself, and whenever a reply it is shown is right."""

    def __call__(self, messages: tuple[Message, ...], sampling: Sampling, seed: int) -> Completion:
        question, _, shown = messages[-1].content.partition("Here are")
        a, b = map(int, re.findall(r"\d+", question)[:2])
        if re.search(rf"so {a + b}\b", shown):
            return Nature(1.0, self.words)(messages, sampling, seed)
        return super().__call__(messages, sampling, seed)


def test_a_study_of_it_ends_with_a_confirmed_pipeline(tmp_path: Path) -> None:
    """Alone the model is right half the time; fused from its samples nearly always."""
    world = World(tmp_path, {"reader": Reader(0.5, words=10)})
    outcome = world.run(
        space="archon_itas",
        axes={"styles": {"plain": [200]}, "review_tokens": 32},
        search__sampler="random",
        search__budget={"trials": 12},
        confirm__repeats=1,
    )
    summary = outcome.summary
    assert summary["search"]["distinct"] == 12
    assert summary["confirm"]["accuracy"] > 0.85
    assert summary["confirm"]["priced_error"] == pytest.approx(0, abs=1e-9)
    best = load_spec(outcome.folder / "best.yaml")
    assert best.name == summary["exported"]
    assert [layer[0].type for layer in best.layers] == ["generator", "critic", "ranker", "fuser"]
