"""What a finished study leaves behind, for people and for programs."""

import csv
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from scripted_world import CONCURRENCY, IDLE_WATTS, Outcome, World, call_j

from archon.search.config import StudyConfig
from archon.spec import load_spec

FIGURES = {"name", "accuracy", "accuracy_ci", "energy_j", "energy_ci", "ipw", "ipw_ci", "ipj"}
FIGURES |= {"ipw_busy"}


def strict(text: str) -> Any:
    """Parse JSON that holds no NaN or Infinity, which other programs refuse."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} in JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture
def folder(finished: tuple[World, Outcome]) -> Path:
    return finished[1].folder


@pytest.fixture
def summary(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = strict((folder / "summary.json").read_text())
    return content


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_all_files_are_there_and_latest_points_to_them(
    finished: tuple[World, Outcome], folder: Path
) -> None:
    assert {path.name for path in folder.iterdir()} == {
        "best.yaml",
        "manifest.json",
        "pareto.csv",
        "report.html",
        "summary.json",
        "trials.csv",
    }
    root = finished[0].folder / "out"
    assert folder.parent == root / "world"
    assert re.fullmatch(r"\d{8}-\d{6}", folder.name)
    assert (root / "latest").is_symlink()
    assert not (root / "latest").readlink().is_absolute()
    assert (root / "latest").resolve() == folder.resolve()


def test_the_summary_holds_what_is_promised(summary: dict[str, Any]) -> None:
    top = {"study", "task", "hardware", "energy", "target", "best", "confirm", "baselines"}
    assert top | {"search", "verdict", "exported"} <= set(summary)
    assert {"basis", "method", "domains", "idle_watts"} <= set(summary["energy"])
    assert summary["target"] == {"concurrency": CONCURRENCY, "rate": 1.0}
    assert set(summary["best"]) >= FIGURES
    assert set(summary["confirm"]) >= FIGURES | {"queries", "repeats"}
    assert (summary["confirm"]["queries"], summary["confirm"]["repeats"]) == (64, 2)
    assert {one["confirmed"] for one in summary["baselines"]} == {True, False}
    for one in summary["baselines"]:
        assert set(one) >= FIGURES | {"confirmed"}
    assert set(summary["search"]) >= {
        "trials",
        "distinct",
        "calls_generated",
        "calls_reused",
        "joules_charged",
        "joules",
        "seconds",
        "payback_queries",
    }


def test_the_summary_says_how_energy_was_got(summary: dict[str, Any]) -> None:
    assert summary["energy"]["basis"] == "cpu"
    assert summary["energy"]["method"] == "counter"
    assert summary["energy"]["domains"] == ["cpu:0"]
    assert summary["energy"]["idle_watts"] == IDLE_WATTS


def test_figures_lie_in_their_intervals(summary: dict[str, Any]) -> None:
    for figures in (summary["best"], summary["confirm"], *summary["baselines"]):
        for value, interval in (("accuracy",) * 2, ("energy_j", "energy"), ("ipw",) * 2):
            low, high = figures[f"{interval}_ci"]
            assert low - 1e-12 <= figures[value] <= high + 1e-12


def test_accounts_agree_with_the_calls_the_engines_answered(
    finished: tuple[World, Outcome], summary: dict[str, Any]
) -> None:
    world, _ = finished
    search = summary["search"]
    assert search["calls_generated"] == len(world.made(live=False)) == world.stored(epoch=0)
    assert search["calls_generated"] + search["calls_reused"] == sum(
        int(row["calls"]) for row in rows(world.folder / "out" / "latest" / "trials.csv")
    )
    small = sum(call.model == "small@1" for call in world.made(live=False))
    big = len(world.made(live=False)) - small
    assert search["joules"] == pytest.approx(small * call_j(10) + big * call_j(150))
    live = [call.model for call in world.made(live=True)]
    spent = live.count("small@1") * call_j(10) + live.count("big@1") * call_j(150)
    assert search["confirm_joules"] == pytest.approx(spent)
    assert search["confirm_joules"] == pytest.approx(
        sum(
            one["energy_j"] * 64 * 2
            for one in (summary["confirm"], *summary["baselines"])
            if one.get("confirmed", True)
        )
    )


def test_the_ledger_saves(summary: dict[str, Any]) -> None:
    search = summary["search"]
    assert search["joules_charged"] > 4 * search["joules"]
    assert search["calls_reused"] > 4 * search["calls_generated"]


def test_payback_is_what_the_search_spent_over_what_each_query_saves(
    summary: dict[str, Any],
) -> None:
    big = next(one for one in summary["baselines"] if one["name"] == "big plain")
    saved = big["energy_j"] - summary["confirm"]["energy_j"]
    assert saved > 0
    assert summary["search"]["payback_queries"] == pytest.approx(
        summary["search"]["joules"] / saved
    )


def test_one_row_per_trial(folder: Path, summary: dict[str, Any]) -> None:
    table = rows(folder / "trials.csv")
    assert len(table) == summary["search"]["distinct"]
    assert {row["state"] for row in table} == {"COMPLETE", "PRUNED"}
    assert sum(row["state"] == "PRUNED" for row in table) == summary["search"]["pruned"]
    for row in table:
        assert isinstance(json.loads(row["params"]), dict)
        assert 0 <= float(row["accuracy"]) <= 1
        assert float(row["energy_j"]) > 0
        assert row["feasible"] in {"True", "False"}
        assert int(row["queries"]) in {16, 32, 40}
    best = next(row for row in table if row["name"] == summary["best"]["name"])
    assert (best["state"], best["feasible"]) == ("COMPLETE", "True")
    assert {row["baseline"] for row in table} == {
        "",
        "small alone",
        "big alone",
        "small plurality of 4",
        "big plurality of 4",
    }


def test_the_ladder_rises(folder: Path) -> None:
    ladder = [(float(r["energy_j"]), float(r["accuracy"])) for r in rows(folder / "pareto.csv")]
    assert ladder == sorted(ladder)
    accuracy = [one[1] for one in ladder]
    assert accuracy == sorted(set(accuracy))


def test_the_export_carries_what_was_seen_and_where_it_comes_from(
    folder: Path, summary: dict[str, Any]
) -> None:
    best = load_spec(folder / "best.yaml")
    assert best.name == summary["exported"]
    measured, provenance = best.measured or {}, best.provenance or {}
    for name in ("accuracy", "energy_j", "ipw"):
        assert measured[name] == summary["confirm"][name]
    assert (measured["basis"], measured["split"]) == ("cpu", "test")
    assert (measured["queries"], measured["repeats"]) == (64, 2)
    assert measured["on_select"]["accuracy"] == summary["best"]["accuracy"]
    assert measured["on_select"]["method"] == "priced"
    parts = measured["components"]
    assert {part["method"] for part in parts} == {"shared"}
    assert sum(part["energy_j"] for part in parts) == pytest.approx(measured["energy_j"])
    assert sum(part["calls"] for part in parts) * 64 * 2 == sum(
        part["calls"] for part in summary["components"]
    )
    assert provenance["study"] == "world"
    assert provenance["verdict"] == "winner_beats_baselines"
    assert provenance["energy_basis"] == "cpu"
    assert {"python", "optuna", "numpy"} <= set(provenance["versions"])
    assert re.fullmatch(r"[0-9a-f]{64}", provenance["config_sha256"])


def test_the_manifest_repeats_the_study(finished: tuple[World, Outcome], folder: Path) -> None:
    manifest = strict((folder / "manifest.json").read_text())
    config = StudyConfig.model_validate(manifest["config"])
    assert config == finished[0].config()
    assert manifest["config_sha256"] == config.fingerprint()
    assert manifest["task_sha256"] == config.task.fingerprint()
    assert manifest["price_list"]["models"].keys() == {"small@1", "big@1"}
    assert manifest["models"] == {"small": "small@1", "big": "big@1"}
    assert manifest["seed"] == 1


def test_the_report_is_one_self_contained_file(folder: Path, summary: dict[str, Any]) -> None:
    html = (folder / "report.html").read_text()
    assert summary["exported"] in html
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", html)
    assert "<script src" not in html


def test_confirm_blocks_are_interleaved_and_fresh(finished: tuple[World, Outcome]) -> None:
    world, outcome = finished
    path = world.folder / "out" / "world" / "confirm.jsonl"
    blocks = [strict(line) for line in path.read_text().splitlines()]
    confirmed = 1 + sum(one["confirmed"] for one in outcome.summary["baselines"])
    assert len(blocks) == confirmed * 2
    for repeat in range(2):
        together = blocks[repeat * confirmed : (repeat + 1) * confirmed]
        assert {block["repeat"] for block in together} == {repeat}
        assert len({block["pipeline"] for block in together}) == confirmed
    assert len({block["epoch"] for block in blocks}) == len(blocks)
    for block in blocks:
        assert math.fsum(block["query_joules"]) == pytest.approx(block["joules"])
        assert math.fsum(block["query_s"]) == pytest.approx(block["seconds"])
        spent = math.fsum(joules for _, joules in block["components"].values())
        assert spent == pytest.approx(block["joules"])
