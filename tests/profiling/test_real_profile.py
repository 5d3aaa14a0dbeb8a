"""A profile of a real model behind a real vLLM server."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from archon.profile import load_profile, to_json

pytestmark = pytest.mark.vllm


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("profile") / "out"
    arguments = "smollm2-135m --concurrency 1,4 --queries 8 --repeats 2 --max-tokens 16 --idle 1"
    done = subprocess.run(
        [sys.executable, "-m", "archon.cli", "profile", *arguments.split(), "-o", str(folder)],
        capture_output=True,
        text=True,
        timeout=420,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "energy: cpu+dram estimated" in " ".join(done.stdout.split())
    return folder


def test_the_server_told_its_times_and_tokens(folder: Path) -> None:
    profile = load_profile(folder)
    model = profile.models["smollm2-135m"]
    assert model.engine["engine"].startswith("vLLM ")
    assert "--max-num-seqs 4" in model.engine["arguments"]
    for load in model.loads.values():
        for call in (call for run in load.runs for call in run.calls):
            assert not call.failed
            assert call.ttft_s is not None
            assert 0 < call.ttft_s <= call.latency_s
            assert 0 < call.completion_tokens <= 16


def test_the_loads_are_what_they_are_called(folder: Path) -> None:
    loads = json.loads((folder / "profile.json").read_text())["models"]["smollm2-135m"]["loads"]
    alone, batched = loads["1"], loads["4"]
    assert 0.5 < alone["in_flight"] <= 1.05
    assert 1.5 < batched["in_flight"] <= 4.2
    for load in (alone, batched):
        assert load["decode_j_per_token"] > load["prefill_j_per_token"] > 0
        assert load["watts"]["mean"] > 0 < load["watts"]["idle"]
        assert load["energy_j"] == pytest.approx(
            load["watts"]["mean"] / load["queries_per_s"], rel=1e-9
        )


def test_every_number_follows_from_the_file(folder: Path) -> None:
    written = json.loads((folder / "profile.json").read_text())
    assert json.loads(json.dumps(to_json(load_profile(folder)))) == written
    with (folder / "profile.csv").open(newline="") as file:
        rows = {row["concurrency"]: row for row in csv.DictReader(file)}
    for name, load in written["models"]["smollm2-135m"]["loads"].items():
        assert float(rows[name]["energy_j"]) == load["energy_j"]
    page = (folder / "profile.html").read_text()
    assert "estimated" in page
    again = subprocess.run(
        [sys.executable, "-m", "archon.cli", "report", str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert again.stdout.split() == [str(folder / "profile.html")]
    assert (folder / "profile.html").read_text() == page
