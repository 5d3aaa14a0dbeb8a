"""The space of programs: what it holds, and what it compares with."""

import pytest

from archon.errors import UsageError
from archon.search.config import load_config
from archon.search.space import Space
from archon.spec import parse_spec

AXES = {"styles": {"plain": [200]}, "samples": [2], "temperatures": [0.5], "tests": [2, 3]}


def test_it_holds_the_product_of_its_axes() -> None:
    """Counted without the space, for two models that write 0, 1 or 2 programs."""
    several = 6  # pairs of counts with two programs or more
    finishes = 1 + 2 * 2 * 2  # a vote; run or judge, by either model, 2 or 3 tests
    space = Space("programs", ["a", "b"], AXES)
    specs = [space.at(point) for point in space.enumerate()]
    distinct = 2 + several * finishes
    assert len(specs) == distinct + 1  # nobody writes: stands for "b once"
    assert len({spec.canonical for spec in specs}) == distinct
    assert len({spec.name for spec in specs}) == distinct
    assert all(parse_spec(s.to_yaml(), "here").canonical == s.canonical for s in specs)


def test_it_runs_programs_unless_its_axes_leave_them_out() -> None:
    judged = Space("programs", ["a"], AXES | {"finishes": ["vote", "judge_tests"]})
    assert (Space("programs", ["a"], AXES).runs_programs, judged.runs_programs) == (True, False)


def test_the_packaged_study_opens_it() -> None:
    config = load_config(["conf=programs"])
    space = Space(config.space, config.models, config.axes)
    assert space.runs_programs
    assert any(baseline.single for baseline in space.baselines())


def test_baselines_are_single_models_and_pluralities() -> None:
    space = Space("programs", ["a", "b"], AXES)
    assert {baseline.family: baseline.single for baseline in space.baselines()} == {
        "a alone": True,
        "a plurality of 2": False,
        "b alone": True,
        "b plurality of 2": False,
    }
    run = Space("programs", ["a"], AXES | {"finishes": ["run_tests"]})
    assert [baseline.family for baseline in run.baselines()] == ["a alone"]


def test_an_unknown_finish_is_refused() -> None:
    with pytest.raises(UsageError, match="no finish pray; there are vote, run_tests"):
        Space("programs", ["a"], {"finishes": ["pray"]})
