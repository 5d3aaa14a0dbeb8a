"""Pipelines with a weaver: fitted on the fit split, searched, confirmed, exported with numbers."""

from pathlib import Path

import pytest
from scripted_world import Nature, Outcome, World

from archon.components.weaver import Weaver
from archon.errors import UsageError
from archon.report.html import render_report
from archon.search.certainty import certainty
from archon.search.confirm import Block
from archon.search.replay import replay
from archon.search.results import priced_figures
from archon.spec import PipelineSpec, load_spec

WEAVE = {
    "axes__finishes": ["vote", "weave"],
    "axes__verifiers": {"free": ["consistency", "logprob"]},
    "axes__methods": ["logistic"],
    "task__sizes": {"fit": 24, "select": 40, "test": 64},
}
BEST = "4x small plain T0.7, weave free by logistic"


@pytest.fixture(scope="module")
def woven(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Outcome]:
    world = World(tmp_path_factory.mktemp("woven"), {"small": Nature(0.5, 10)})
    return world, world.run(**WEAVE)


def exported(outcome: Outcome) -> PipelineSpec:
    return load_spec(outcome.folder / "best.yaml")


def test_the_weaver_wins_where_only_confidence_tells_right_from_wrong(
    woven: tuple[World, Outcome],
) -> None:
    summary = woven[1].summary
    assert exported(woven[1]).name == summary["exported"] == BEST
    assert summary["confirm"]["accuracy"] == pytest.approx(1 - 0.5**4, abs=0.06)
    assert {one["family"] for one in summary["baselines"]} == {
        "small alone",
        "small plurality of 4",
    }
    assert all(one["accuracy"] < 0.6 for one in summary["baselines"])


def test_the_export_holds_the_fitted_numbers(woven: tuple[World, Outcome]) -> None:
    (weaver,) = exported(woven[1]).layers[-1]
    assert isinstance(weaver, Weaver)
    assert weaver.fitted is not None
    worth = {entry["name"]: entry["weight"] for entry in weaver.fitted["report"]}
    assert worth["logprob"] > abs(worth["consistency"])


def test_the_export_replays_exactly_without_fitting_again(woven: tuple[World, Outcome]) -> None:
    world, outcome = woven
    made = len(world.calls)
    evaluation = replay(outcome.folder / "best.yaml", "select", pool=world.pool)
    best = outcome.summary["best"]
    assert priced_figures(evaluation) == {name: best[name] for name in priced_figures(evaluation)}
    assert len(world.calls) == made


def test_fitting_again_makes_no_call(woven: tuple[World, Outcome]) -> None:
    world, outcome = woven
    made = len(world.calls)
    again = world.run(**WEAVE, study__name="again")
    assert exported(again).layers == exported(outcome).layers
    assert all(call.live for call in world.calls[made:])


def test_calls_on_the_fit_split_are_spent_by_the_search_and_by_no_pipeline(
    woven: tuple[World, Outcome],
) -> None:
    world, outcome = woven
    # One greedy call, and 2 and 4 samples that share their calls: 5 per select query. The fit
    # queries are drawn 4 samples each, for the weaver alone.
    assert len(world.made(live=False)) == 40 * 5 + 24 * 4
    assert outcome.summary["search"]["calls_generated"] == 40 * 5 + 24 * 4
    assert outcome.summary["best"]["energy_j"] == pytest.approx(
        outcome.summary["confirm"]["energy_j"]
    )


def test_the_report_says_whether_p_correct_holds(woven: tuple[World, Outcome]) -> None:
    outcome = woven[1]
    (winner, *_) = outcome.summary["certainty"]
    assert winner["name"] == BEST
    assert winner["answers"] == 2 * 64
    assert winner["accuracy"] == pytest.approx(outcome.summary["confirm"]["accuracy"])
    assert abs(winner["mean"] - winner["accuracy"]) < 0.15
    page = render_report(outcome.folder)
    assert "Does P(correct) hold?" in page


def test_a_space_of_weavers_needs_queries_to_fit_them_on(tmp_path: Path) -> None:
    world = World(tmp_path, {"small": Nature(0.5, 10)})
    with pytest.raises(UsageError, match=r"task\.sizes\.fit: the space ensemble holds pipelines"):
        world.run(**WEAVE | {"task__sizes": {"fit": 0, "select": 40, "test": 64}})
    assert world.calls == []


def block(p_correct: list[float | None], score: list[float]) -> Block:
    size = len(score)
    return Block("x", 0, 1, 1.0, 1.0, 1.0, score, [0.0] * size, [0.0] * size, {}, {}, 0, p_correct)


def test_certainty_is_of_the_answers_that_have_a_probability() -> None:
    found = certainty([block([0.9, None, 0.7], [1.0, 1.0, 0.0]), block([], [1.0])])
    assert found is not None
    assert (found["answers"], found["accuracy"]) == (2, 0.5)
    assert found["mean"] == pytest.approx(0.8)
    assert found["error"] == pytest.approx((0.1 + 0.7) / 2)
    assert certainty([block([None], [1.0])]) is None
