"""The main job on real models: both quickstart models behind real vLLM servers.

One study is killed in the middle of its trials, continued, exported, replayed and run.
"""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from archon.search.replay import stored_study
from archon.search.space import Space
from archon.spec import load_spec

pytestmark = pytest.mark.vllm

CONF = """
study: {name: small, dir: DIR, seed: 0}
task:
  source: reasoning_gym
  name: chain_sum
  params: {min_terms: 2, max_terms: 2, min_digits: 1, max_digits: 2}
  seed: 3
  sizes: {fit: 8, select: 8, test: 8}
models: [smollm2-135m, qwen2.5-coder-0.5b]
space: ensemble
axes: {styles: {number_only: [8], equations: [24]}, samples: [1, 2, 4], temperatures: [0.6]}
objective: {metric: ipw, accuracy_floor: best_single + 0.05}
search: {sampler: tpe, racing: false, budget: {trials: 14, seconds: null}}
target: {hardware: auto, concurrency: 8, rate: 1.0}
calibration: {repeats: 2, idle_seconds: 1.0}
confirm: {repeats: 2}
"""
PATIENCE_S = 420


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the study: killed once, then to its end; returns the results folder."""
    folder = tmp_path_factory.mktemp("study")
    conf = folder / "small.yaml"
    conf.write_text(CONF.replace("DIR", str(folder / "outputs")))
    command = [sys.executable, "-m", "archon.search", f"conf={conf}"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as first:
        ledger = folder / "outputs" / "ledger.sqlite"
        calls = wait_for_search_calls(ledger, first)
        os.kill(first.pid, signal.SIGKILL)
        first.communicate()
    kept = search_calls(ledger)
    assert len(kept) >= calls
    assert wait_for_no_server(folder) == []
    second = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert second.returncode == 0, second.stderr
    assert "energy: cpu+dram estimated" in " ".join(second.stdout.split())
    after = search_calls(ledger)
    assert kept.items() <= after.items()  # what was committed is untouched and still used
    assert wait_for_no_server(folder) == []
    return folder / "outputs" / "latest"


def search_calls(ledger: Path) -> dict[tuple[bytes, int], int]:
    """(request key, sample) → window of the search's calls."""
    with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True, timeout=10) as connection:
        rows = connection.execute("select key, sample, window from calls where epoch = 0")
        return {(key, sample): window for key, sample, window in rows}


def wait_for_search_calls(ledger: Path, process: subprocess.Popen[str], wanted: int = 20) -> int:
    """Return the number of search calls once there are enough to interrupt."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and process.poll() is None:
        if ledger.exists():
            try:
                count = len(search_calls(ledger))
            except sqlite3.OperationalError:  # the tables are still being made
                count = 0
            if count >= wanted:
                return count
        time.sleep(0.05)
    raise AssertionError(f"the search made no calls: {process.communicate()[1]}")


def wait_for_no_server(folder: Path, patience_s: float = 15) -> list[str]:
    """Return the processes that still mention the study's folder, when none does or at the end."""
    until = time.monotonic() + patience_s
    left = mentioning(folder)
    while left and time.monotonic() < until:
        time.sleep(0.1)
        left = mentioning(folder)
    return left


def mentioning(folder: Path) -> list[str]:
    """Return command lines of living processes that work in, or write to, a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            at = os.readlink(process / "cwd")
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if at.startswith(str(folder)) and state != "Z":
            found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


def test_a_killed_study_ends_with_a_confirmed_winner(study: Path) -> None:
    summary = json.loads((study / "summary.json").read_text())
    assert summary["energy"]["method"] == "estimated"
    assert summary["confirm"]["queries"] == 8
    assert summary["confirm"]["repeats"] == 2
    assert summary["confirm"]["energy_j"] > 0
    assert summary["search"]["distinct"] == 14
    assert summary["search"]["calls_reused"] > 0
    assert {row["family"] for row in summary["baselines"] if row["confirmed"]} >= {
        "smollm2-135m alone"
    }
    assert summary["verdict"]["kind"] in {
        "winner_beats_baselines",
        "winner_meets_alone",
        "baseline_wins",
        "none_meets_floor",
    }
    assert (study / "report.html").stat().st_size > 10_000


def test_both_models_really_generated(study: Path) -> None:
    with sqlite3.connect(study.parent / "ledger.sqlite") as connection:
        rows = connection.execute(
            "select model, count(distinct text), sum(completion_tokens) from calls "
            "join prompts using (key) where epoch = 0 group by model"
        ).fetchall()
    assert len(rows) == 2
    assert all(texts > 5 and tokens > 50 for _, texts, tokens in rows)


def test_the_export_replays_to_the_searched_score_exactly(study: Path) -> None:
    spec = load_spec(study / "best.yaml")
    command = [sys.executable, "-m", "archon.cli", "run", str(study / "best.yaml")]
    done = subprocess.run(
        [*command, "--split", "select", "--json"], capture_output=True, text=True, check=True
    )
    replayed = json.loads(done.stdout)
    assert spec.measured is not None
    searched = spec.measured["on_select"]
    assert replayed["accuracy"] == searched["accuracy"]
    assert replayed["energy_j"] == searched["energy_j"]


def test_the_export_answers_a_question_and_accounts_for_it(study: Path) -> None:
    command = [sys.executable, "-m", "archon.cli", "run", str(study / "best.yaml")]
    done = subprocess.run(
        [*command, "What is 12 + 31?", "--json"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        cwd=study.parent,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["answer"]
    assert answer["energy_method"] == "estimated"
    assert answer["energy_j"] > 0
    assert all(call["completion_tokens"] > 0 for call in answer["calls"])
    shares = sum(call["energy_j"] for call in answer["calls"])
    assert shares == pytest.approx(answer["energy_j"])


def test_a_weaver_of_the_study_answers_with_p_correct(study: Path, tmp_path: Path) -> None:
    """Fitted on the fit split from the ledger, exported, and run on a question of its own."""
    with stored_study(study) as stored:
        space = Space("ensemble", stored.config.models, stored.config.axes)
        point = next(one for one in space.baselines() if "weave" in one.family)
        select = stored.evaluator.task.splits["select"]
        evaluation = stored.evaluator.evaluate(space.at(point.params), select)
    assert evaluation.spec.unfitted() is None
    path = tmp_path / "weave.yaml"
    path.write_text(evaluation.spec.to_yaml())
    command = [sys.executable, "-m", "archon.cli", "run", str(path), "What is 12 + 31?"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE_S, check=False, cwd=study.parent
    )
    assert done.returncode == 0, done.stderr
    # Eight fit queries are too few to calibrate on, which is said.
    told = re.search(r"^P\(correct\) (\d\.\d+) \(not calibrated\)$", done.stdout, re.MULTILINE)
    assert told is not None, done.stdout
    assert 0 < float(told[1]) < 1
