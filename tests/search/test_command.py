"""The command: table on stdout, one line on stderr for anything wrong, exit status."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml
from scripted_world import Nature, World, run_study, settings

from archon.search import command
from archon.search.command import search_command

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    """Leave the test process' handling of SIGTERM as it was."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    data = settings(tmp_path, ["small"])
    data["task"]["sizes"] = {"fit": 0, "select": 16, "test": 16}
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose models the command uses in place of the zoo's."""
    world = World(tmp_path, {"small": Nature(0.5, words=10)})
    world.store_prices(world.config())
    monkeypatch.setattr(
        command, "run_study", partial(run_study, pool=world.pool, meter=world.meter)
    )
    return world


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run the command on bad input; return its one line."""
    assert search_command([*arguments, "--quiet"]) == 2
    out, said = capsys.readouterr()
    assert out == ""
    (line,) = said.splitlines()
    assert line.startswith("archon search: ")
    assert "Traceback" not in line
    return line


def test_the_table_and_where_things_are(
    world: World, conf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search_command([f"conf={conf}", "--quiet"]) == 0
    out, said = capsys.readouterr()
    assert said == ""
    assert "counter" in out
    assert "J/query" in out
    assert "small plain" in out
    assert "best.yaml" in out
    assert max(map(len, out.splitlines())) < 200
    *_, pipeline, report = out.splitlines()
    assert Path(pipeline.partition(":")[2].strip()).is_file()
    assert Path(report.partition(":")[2].strip()).is_file()

    assert search_command([f"conf={conf}", "--quiet"]) == 0
    assert "Nothing left to do" in capsys.readouterr().out
    assert len(world.calls) == len({call.seed for call in world.calls})


def test_json_is_the_summary(world: World, conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert search_command([f"conf={conf}", "--json", "search.budget.trials=3"]) == 0
    out, said = capsys.readouterr()
    latest = world.folder / "out" / "latest" / "summary.json"
    assert json.loads(out) == json.loads(latest.read_text())
    assert json.loads(out)["search"]["distinct"] == 3
    assert "search" in said  # progress


@pytest.mark.usefixtures("world")
def test_progress_tells_trials_best_and_what_is_left(
    conf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search_command([f"conf={conf}", "search.budget.seconds=1000", "search.budget.joules=1e6"])
    said = capsys.readouterr().err
    assert "prices of this machine and load are in the ledger" in said
    assert "left" in said
    assert "confirm" in said
    assert "distinct pipelines" in said


def test_a_failure_at_run_time_is_one_line_and_status_1(
    world: World, conf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search_command([f"conf={conf}", "--quiet", "search.budget.seconds=1e-9"]) == 1
    out, said = capsys.readouterr()
    assert out == ""
    (line,) = said.splitlines()
    assert "budget of seconds is used up" in line
    assert world.calls == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["conf=quickstrat"], "did you mean quickstart?"),
        ([], "give one conf=NAME"),
        (["conf=CONF", "serach.sampler=tpe"], "serach"),
        (["conf=CONF", "search.sampler=gp"], "search.sampler"),
        (["conf=CONF", "objective.accuracy_floor=high"], "neither a number"),
        (["conf=CONF", "models=[smollm2-135]"], "did you mean smollm2-135m?"),
        (["conf=CONF", "space=ensembel"], "space ensembel: unknown"),
        (["conf=CONF", "axes.sampels=[1]"], "axes.sampels"),
        (["conf=CONF", "axes.samples=[many]"], "check axes"),
        (["conf=CONF", "task.sizes.test=0"], "task.sizes.test"),
        (["conf=CONF", "task.sizes.select=999"], "140 distinct queries"),
        (["conf=CONF", "task.path=none.jsonl"], "none.jsonl"),
        (["conf=CONF", "task.scorer=best"], "unknown scorer"),
        (["conf=CONF", "task.source=web"], "unknown task source"),
        (["conf=CONF", "study.dir=CONF/below/a/file"], "set study.dir"),
        (["conf=CONF", "study.dir=/proc/nowhere"], "set study.dir"),
        (["conf=CONF", "energy.basis=moon"], "energy basis 'moon'"),
        (["conf=CONF", "energy.coefficients.max_watts_per_vcpu=0"], "max_watts_per_vcpu"),
        (["conf=CONF", "zoo=[/no/such/folder]"], "/no/such/folder"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    conf: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    if not any(item.startswith(("models=", "zoo=")) for item in arguments[1:]):
        arguments = [*arguments, "models=[smollm2-135m]"] if len(arguments) > 1 else arguments
    assert said in refused(capsys, *(item.replace("CONF", str(conf)) for item in arguments))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "the task file is empty"),
        (['{"prompt": "1 + 1", "answer": 2}'] * 2 + ["{oops"], ":3: "),
        (['{"prompt": "1 + 1", "answer": 2}'] * 2 + ['{"prompt": "2 + 2"}'], ":3: no reference"),
    ],
)
def test_a_bad_task_file_is_named_with_its_line(
    conf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], lines: list[str], said: str
) -> None:
    (tmp_path / "bad.jsonl").write_text("\n".join(lines))
    line = refused(capsys, f"conf={conf}", f"task.path={tmp_path}/bad.jsonl")
    assert f"{tmp_path}/bad.jsonl" in line
    assert said in line


def test_bad_input_leaves_earlier_results_alone(
    world: World, conf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search_command([f"conf={conf}", "--quiet"])
    capsys.readouterr()

    def known() -> dict[Path, bytes]:
        files = (world.folder / "out").rglob("*.[cyj]*")
        return {path: path.read_bytes() for path in files if path.is_file()}

    before = known()
    refused(capsys, f"conf={conf}", "objective.metric=ipj")
    refused(capsys, f"conf={conf}", "axes.samples=[1]")
    assert known() == before


@pytest.mark.parametrize("place", ["storage.ledger", "storage.study"])
def test_a_damaged_database_is_one_line(
    world: World, conf: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    path = world.folder / "damaged.sqlite"
    path.write_bytes(b"this is no database" * 100)
    where = str(path) if place == "storage.ledger" else f"sqlite:///{path}"
    assert search_command([f"conf={conf}", "--quiet", f"{place}={where}"]) in {1, 2}
    (line,) = capsys.readouterr().err.splitlines()
    assert "damaged.sqlite" in line
    assert path.read_bytes().startswith(b"this is no database")


@pytest.mark.parametrize("place", ["storage.ledger", "storage.study"])
def test_a_database_without_its_driver_is_one_line(
    world: World, conf: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    url = "oracle+cx_oracle://nobody@127.0.0.1/none"
    assert search_command([f"conf={conf}", "--quiet", f"{place}={url}"]) in {1, 2}
    (line,) = capsys.readouterr().err.splitlines()
    assert "oracle" in line
    assert world.calls == []


def test_help_names_the_packaged_configurations(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        search_command(["--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert "quickstart" in out
    assert "python -m archon.search conf=quickstart" in out


def python(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=120,
    )


def test_the_module_is_the_command(conf: Path) -> None:
    done = python("-m", "archon.search", f"conf={conf}", f"study.dir={conf}/below")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "cannot write results here" in line
