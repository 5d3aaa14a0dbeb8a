"""A finished study, ranked for another device from the tokens of its calls."""

import csv
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from device_profiles import CHEAP, LAPTOP, STUDYS, device_profile
from rich.console import Console
from scripted_world import IDLE_WATTS, Nature, Outcome, World, call_j

from archon.errors import UsageError
from archon.profile import Profile
from archon.search.rerank import Ranking, rerank

BEST = "4x small plain T0.7, confident vote"
OWN = {"small": STUDYS, "big": STUDYS}


def ranked(finished: tuple[World, Outcome], profile: Profile) -> Ranking:
    world, outcome = finished
    asked = len(world.calls)
    ranking = rerank(outcome.folder, profile, pool=world.pool)
    assert len(world.calls) == asked, "a model was called"
    return ranking


def names(ranking: Ranking) -> list[str]:
    return [row.evaluation.spec.name for row in ranking.rows]


def complete(outcome: Outcome) -> dict[str, dict[str, str]]:
    with (outcome.folder / "trials.csv").open(newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file) if row["state"] == "COMPLETE"}


def test_at_the_studys_own_prices_the_ranking_is_the_studys(
    finished: tuple[World, Outcome],
) -> None:
    outcome = finished[1]
    ranking = ranked(finished, device_profile(OWN))
    trials = complete(outcome)
    assert set(names(ranking)) == set(trials)
    assert names(ranking)[0] == outcome.summary["best"]["name"] == BEST
    assert ranking.stopped == outcome.summary["search"]["pruned"] > 0
    assert ranking.floor == 0.85
    for row in ranking.rows:
        trial = trials[row.evaluation.spec.name]
        assert str(row.feasible) == trial["feasible"]
        for metrics in (row.here, row.evaluation.metrics):
            assert metrics.accuracy == float(trial["accuracy"])
            assert metrics.energy_j == pytest.approx(float(trial["energy_j"]))
            assert metrics.ipw == pytest.approx(float(trial["ipw"]))
    order = [
        (True, round(row.evaluation.metrics.ipw or 0, 6))
        if row.feasible
        else (False, row.evaluation.metrics.accuracy)
        for row in ranking.rows
    ]
    assert order == sorted(order, reverse=True)
    assert sorted(row.here_rank for row in ranking.rows) == list(range(1, len(trials) + 1))
    assert ranking.rows[0].here_rank == 1


def test_where_the_large_model_is_cheap_it_wins(finished: tuple[World, Outcome]) -> None:
    """One call of it: 5 prefill tokens, 150 decode tokens and a call at the device's prices."""
    profile = device_profile({"small": STUDYS, "big": CHEAP}, hardware=LAPTOP, idle_watts=0.2)
    ranking = ranked(finished, profile)
    best = ranking.rows[0]
    assert best.evaluation.spec.name == "big plain"
    joules = 5 * CHEAP[0] + 150 * CHEAP[1] + CHEAP[2]
    assert best.evaluation.metrics.energy_j == pytest.approx(joules)
    assert best.evaluation.metrics.ipw == pytest.approx(1.0 / (0.2 + joules), rel=1e-3)
    assert best.here.energy_j == pytest.approx(call_j(150))
    assert best.here.ipw == pytest.approx(1.0 / (IDLE_WATTS + call_j(150)), rel=1e-3)
    assert best.here_rank > 1
    committee = next(row for row in ranking.rows if row.evaluation.spec.name == BEST)
    assert committee.here_rank == 1
    assert committee.evaluation.metrics.energy_j == pytest.approx(4 * call_j(10))
    assert ranking.device == "10 cores of M9, 16 GiB"


def test_what_misses_the_floor_comes_after_all_that_meets_it(
    finished: tuple[World, Outcome],
) -> None:
    ranking = ranked(finished, device_profile({"small": CHEAP, "big": STUDYS}))
    meets = [row.feasible for row in ranking.rows]
    assert meets == sorted(meets, reverse=True)
    assert set(meets) == {True, False}
    worst = ranking.rows[meets.index(True)]
    assert worst.evaluation.metrics.accuracy >= 0.85
    missing = max(row.evaluation.metrics.ipj or 0 for row in ranking.rows if not row.feasible)
    meeting = min(row.evaluation.metrics.ipj or 0 for row in ranking.rows if row.feasible)
    assert missing > meeting  # or the floor would not show


def test_a_relative_floor_is_the_studys(tmp_path: Path) -> None:
    world = World(tmp_path, {"small": Nature(0.5, words=10)})
    outcome = world.run(objective={"metric": "ipj", "accuracy_floor": "best_single + 0.3"})
    ranking = rerank(outcome.folder, device_profile({"small": CHEAP}), pool=world.pool)
    assert ranking.floor == float(complete(outcome)["small plain"]["accuracy"]) + 0.3
    assert names(ranking)[0] == outcome.summary["best"]["name"] == BEST
    assert ranking.metric == "ipj"
    assert "ipj, 1/J" in shown(ranking)


def test_other_weights_of_the_same_name_are_noted(finished: tuple[World, Outcome]) -> None:
    profile = device_profile(OWN)
    engine = {"identity": "small@2"}
    changed = {**profile.models, "small": replace(profile.models["small"], engine=engine)}
    ranking = ranked(finished, replace(profile, models=changed))
    (note,) = ranking.notes
    assert note.startswith("small: the profile is of other weights")
    assert ranked(finished, profile).notes == ()


def test_a_profile_that_lacks_a_model_is_refused(finished: tuple[World, Outcome]) -> None:
    with pytest.raises(UsageError, match="the profile has no big, only small; profile the study"):
        ranked(finished, device_profile({"small": STUDYS}))


def test_a_profile_of_another_load_is_refused(finished: tuple[World, Outcome]) -> None:
    with pytest.raises(UsageError, match="at 4 in flight, not at 8; profile it with --concur"):
        ranked(finished, device_profile(OWN, concurrency=4))


def test_a_profile_that_broke_off_before_the_load_is_refused(
    finished: tuple[World, Outcome],
) -> None:
    whole = device_profile(OWN)
    other = device_profile(OWN, concurrency=4)
    part = replace(whole, models={"small": whole.models["small"], "big": other.models["big"]})
    with pytest.raises(UsageError, match="has big at 4 in flight, not at 8; profile it with"):
        ranked(finished, part)


def test_json_has_what_a_program_needs(finished: tuple[World, Outcome]) -> None:
    ranking = ranked(finished, device_profile(OWN, hardware=LAPTOP))
    data = json.loads(json.dumps(ranking.to_json(), allow_nan=False))
    pipelines = data.pop("pipelines")
    assert data == {
        "study": "world",
        "device": "10 cores of M9, 16 GiB",
        "basis": "cpu",
        "method": "predicted",
        "metric": "ipw",
        "floor": 0.85,
        "stopped": ranking.stopped,
        "notes": [],
    }
    assert [one["name"] for one in pipelines] == names(ranking)
    assert pipelines[0].keys() == {
        "name",
        "feasible",
        "accuracy",
        "energy_j",
        "ipw",
        "ipj",
        "energy_j_here",
        "rank_here",
    }


def shown(ranking: Ranking) -> str:
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(ranking.table())
    return console.export_text()


def test_the_table_says_for_which_device_and_that_it_is_predicted(
    finished: tuple[World, Outcome],
) -> None:
    text = shown(ranked(finished, device_profile(OWN, hardware=LAPTOP)))
    assert "ipw, 1/W" in text
    assert "predicted for 10 cores of M9, 16 GiB; energy: cpu; floor 0.850" in text
    rows = [line for line in text.splitlines() if BEST in line]
    assert rows[0].split()[0] == "1"
    assert max(map(len, text.splitlines())) <= 100


def test_a_folder_that_is_no_finished_study_is_refused(
    finished: tuple[World, Outcome], tmp_path: Path
) -> None:
    world, outcome = finished

    def refusal(folder: Path) -> str:
        with pytest.raises(UsageError) as caught:
            rerank(folder, device_profile(OWN), pool=world.pool)
        message = str(caught.value)
        assert "\n" not in message
        return message

    assert "give the folder of a finished study" in refusal(tmp_path)
    for text in ("state\nCOMPLETE\n", "state,params\nCOMPLETE,{oops\n"):
        (tmp_path / "trials.csv").write_text(text)
        assert "trials.csv: damaged" in refusal(tmp_path)
    (tmp_path / "trials.csv").write_text("state,params\nPRUNED,{}\n")
    assert "no complete pipeline" in refusal(tmp_path)
    shutil.copy(outcome.folder / "trials.csv", tmp_path)
    assert "manifest.json" in refusal(tmp_path)
