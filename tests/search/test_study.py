"""Whole studies on scripted models: the best pipeline is known, and must be found and exported."""

import csv
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from scripted_world import Completion, Nature, Outcome, World, call_j

from archon.spec import load_spec

BEST = "4x small plain T0.7, confident vote"
Make = Callable[..., World]


def exported(outcome: Outcome) -> str:
    return load_spec(outcome.folder / "best.yaml").name


def test_the_best_pipeline_is_found_confirmed_and_exported(
    finished: tuple[World, Outcome],
) -> None:
    outcome = finished[1]
    summary = outcome.summary
    assert exported(outcome) == summary["exported"] == summary["best"]["name"] == BEST
    assert summary["verdict"]["kind"] == "winner_beats_baselines"
    assert summary["confirm"]["energy_j"] == pytest.approx(4 * call_j(10))
    assert summary["confirm"]["accuracy"] == pytest.approx(1 - 0.5**4, abs=0.05)
    assert summary["confirm"]["priced_error"] == pytest.approx(0, abs=1e-9)
    rivals = {one["name"]: one for one in summary["baselines"]}
    assert rivals["big plain"]["beaten"] is True
    assert rivals["big plain"]["meets_floor"] is True
    assert rivals["small plain"]["meets_floor"] is False


def test_an_exhaustive_search_tries_every_point_of_the_space(
    finished: tuple[World, Outcome],
) -> None:
    # Samples of two models, 0, 1, 2 or 4 each: 2 ways with one call, 13 with several and a vote.
    assert finished[1].summary["search"]["distinct"] == 2 + 13 * 2
    assert finished[1].summary["search"]["ended"] == "every point of the space is tried"


def test_tpe_finds_it_in_a_third_of_the_space(committee: World) -> None:
    outcome = committee.run(
        axes__samples=[1, 2, 4, 8],
        axes__temperatures=[0.3, 0.7],
        search__sampler="tpe",
        search__budget={"trials": 40},
    )
    # Per model: absent, once, or three counts at two temperatures; 2 + 61 x 2 points.
    assert outcome.summary["search"]["distinct"] == 40
    assert exported(outcome) in {BEST, BEST.replace("0.7", "0.3")}


def test_a_sampler_that_has_seen_everything_ends(make_world: Make) -> None:
    world = make_world(small=Nature(0.5, 10))
    outcome = world.run(search__sampler="random", confirm__repeats=1)
    assert outcome.summary["search"]["distinct"] == 1 + 2 * 2
    assert "none was new" in outcome.summary["search"]["ended"]


def test_a_baseline_that_is_best_is_exported(make_world: Make) -> None:
    """The perfect model is now the cheap one: asking it once cannot be beaten."""
    world = make_world(small=Nature(0.5, 150), big=Nature(1.0, 10))
    outcome = world.run(axes__samples=[1, 2])
    assert exported(outcome) == outcome.summary["exported"] == "big plain"
    assert outcome.summary["verdict"]["kind"] == "baseline_wins"
    assert outcome.summary["confirm"]["accuracy"] == 1.0


def test_when_nothing_meets_the_floor_the_nearest_is_exported_and_marked(
    make_world: Make,
) -> None:
    world = make_world(small=Nature(0.5, 10))
    outcome = world.run(objective__accuracy_floor=0.999)
    assert exported(outcome) == BEST
    assert outcome.summary["verdict"]["kind"] == "none_meets_floor"
    assert outcome.summary["confirm"]["meets_floor"] is False
    assert "marked" in outcome.summary["verdict"]["text"]
    best = load_spec(outcome.folder / "best.yaml")
    assert (best.provenance or {})["verdict"] == "none_meets_floor"


def test_the_least_energy_for_more_accuracy_than_any_single_model_gives(
    make_world: Make,
) -> None:
    world = make_world(small=Nature(0.5, 10))
    outcome = world.run(objective__accuracy_floor="best_single + 0.3")
    assert exported(outcome) == BEST
    assert outcome.summary["verdict"]["kind"] == "winner_meets_alone"
    alone = next(b for b in outcome.summary["baselines"] if b["name"] == "small plain")
    assert outcome.summary["confirm"]["floor"] == pytest.approx(alone["accuracy"] + 0.3)
    assert outcome.summary["objective"]["floor_rule"] == "best_single + 0.3"


def test_without_a_floor_one_call_is_best(make_world: Make) -> None:
    """k equal samples pay only if they are k times as accurate."""
    outcome = make_world(small=Nature(0.5, 10)).run(objective={"metric": "ipj"})
    assert exported(outcome) == "small plain"
    assert outcome.summary["verdict"]["kind"] == "baseline_wins"


def test_pareto_lays_out_the_ladder_of_accuracy_and_joules(make_world: Make) -> None:
    outcome = make_world(small=Nature(0.5, 10)).run(
        objective={"metric": "pareto"}, search__racing=False
    )
    with (outcome.folder / "pareto.csv").open() as file:
        rows = [(float(r["accuracy"]), float(r["energy_j"])) for r in csv.DictReader(file)]
    # One sample, two and four by confidence; votes by count cost as much and are less accurate.
    assert [energy for _, energy in rows] == pytest.approx([k * call_j(10) for k in (1, 2, 4)])
    accuracy = [accuracy for accuracy, _ in rows]
    assert accuracy == sorted(accuracy)


def test_racing_changes_how_much_is_measured_not_what_wins(make_world: Make) -> None:
    world = make_world(small=Nature(0.5, 10))
    patient = world.run(search__racing=False, study__name="patient").summary
    hasty = world.run(study__name="hasty").summary
    assert (patient["search"]["pruned"], hasty["search"]["pruned"]) == (0, 2)
    assert patient["exported"] == hasty["exported"] == BEST

    def used(summary: Mapping[str, Any]) -> int:
        return summary["search"]["calls_generated"] + summary["search"]["calls_reused"]

    assert used(hasty) < used(patient)


def test_a_call_that_fails_gives_no_candidate_and_is_asked_again_next_time(
    make_world: Make,
) -> None:
    """Every eighth call of one model fails; the study goes on and says how many did."""
    steady = Nature(1.0, 10)

    class Shaky(Nature):
        sick = True

        def __call__(self, messages, sampling, seed):  # type: ignore[no-untyped-def]
            if Shaky.sick and seed % 8 == 0:
                return Completion("", "error", 5, 0, error="timed out")
            return super().__call__(messages, sampling, seed)

    world = make_world(shaky=Shaky(1.0, 10), steady=steady)
    settings = {
        "axes__samples": [1],
        "axes__finishes": ["vote"],
        "objective": {"metric": "ipj", "accuracy_floor": 0.97},
        "confirm__repeats": 1,
        "search__racing": False,
    }
    outcome = world.run(**settings)
    with (outcome.folder / "trials.csv").open() as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    failed = int(rows["shaky plain"]["failed"])
    assert failed > 0
    assert float(rows["shaky plain"]["accuracy"]) == pytest.approx(1 - failed / 40)
    assert rows["steady plain"]["failed"] == "0"
    Shaky.sick = False
    again = world.run(study__name="again", **settings)
    assert again.summary["search"]["calls_generated"] > 0
    with (again.folder / "trials.csv").open() as file:
        assert all(row["failed"] == "0" for row in csv.DictReader(file))
