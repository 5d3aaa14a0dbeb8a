"""The program: a spec answers a question through a real server, and every wrong input is a line."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from profile_content import Truth
from profile_content import profile as device_profile

from archon.cli import main
from archon.energy import (
    Coef,
    Coefficients,
    ModelPrice,
    PriceList,
    choose_basis,
    open_meter,
)
from archon.engines.client import RetryPolicy
from archon.engines.zoo import identity, load_zoo
from archon.hardware import fingerprint
from archon.ledger import Ledger
from archon.profile import load_profile, save_profile
from archon.search.calibrate import price_key

ROOT = Path(__file__).parents[1]


class Model:
    """An OpenAI-compatible server that adds the two numbers of the question.

    Attributes:
        wrong: Answers that come first, before right ones.
        refuses: HTTP status of every reply, 200 for an answer.
    """

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.wrong = 0
        self.refuses = 200
        handler = type("Handler", (_Handler,), {"model": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, args=[0.01], daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        self.bodies.append(body)
        question = body["messages"][-1]["content"]
        numbers = [int(number) for number in re.findall(r"\d+", question)]
        total = sum(numbers[:2]) + (len(self.bodies) <= self.wrong)
        words = len(question.split())
        return {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {"role": "assistant", "content": f"It is {total}."},
                }
            ],
            "usage": {
                "prompt_tokens": words,
                "completion_tokens": 3 if words < 10 else body["max_tokens"],
                "total_tokens": 0,
            },
        }


class _Handler(BaseHTTPRequestHandler):
    model: Model
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        status = self.model.refuses
        reply: dict[str, Any] = {"error": {"message": "not today"}}
        if status == 200:
            reply = self.model.answer(body)
        content = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Model]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(RetryPolicy, "wait_s", lambda *_: 0.0)
    model = Model()
    yield model
    model.stop()


def spec(tmp_path: Path, url: str, samples: int = 1, **ref: Any) -> str:
    generator = {"type": "generator", "model": "m", "samples": samples, "temperature": 0.5}
    layers: list[Any] = [[generator]]
    if samples > 1:
        layers.append([{"type": "vote"}])
    data = {"models": {"m": {"base_url": url, "model": "adder"} | ref}, "layers": layers}
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(data))
    return str(path)


def one_line(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 2) -> str:
    """Run a command that fails; return what it said."""
    assert main(arguments) == status
    out, said = capsys.readouterr()
    assert out == ""
    *progress, line = said.splitlines()
    assert all(told.startswith("[0") for told in progress)
    assert line.startswith(f"archon {arguments[0]}: ")
    return line


def test_run_answers_and_accounts_for_the_call(
    model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", spec(tmp_path, model.url), "What is 12 + 31 ?"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0] == "43"
    assert "generator" in out
    assert " J in " in out
    assert len(model.bodies) == 1
    assert model.bodies[0]["model"] == "adder"


def test_run_json_is_one_object_with_candidates_calls_tokens_and_joules(
    model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model.wrong = 1
    assert main(["run", spec(tmp_path, model.url, samples=3), "What is 12 + 31 ?", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["answer"] == "43"
    (candidate,) = answer["candidates"]
    assert (candidate["text"], candidate["model"]) == ("It is 43.", "m")
    assert [call["component"] for call in answer["calls"]] == ["generator"] * 3
    assert {call["prompt_tokens"] for call in answer["calls"]} == {6}
    assert {call["completion_tokens"] for call in answer["calls"]} == {3}
    assert answer["energy_j"] > 0
    assert sum(call["energy_j"] for call in answer["calls"]) == pytest.approx(answer["energy_j"])
    assert answer["energy_method"] in {"counter", "polled", "estimated"}
    assert answer["basis"]
    assert len({body["seed"] for body in model.bodies}) == 3


def own_zoo(tmp_path: Path, url: str) -> Path:
    folder = tmp_path / "zoo"
    folder.mkdir()
    entry = {"name": "mine", "license": "none", "base_url": url, "model": "adder"}
    (folder / "mine.yaml").write_text(yaml.safe_dump(entry))
    return folder


def test_run_finds_models_in_a_folder_of_ones_own(
    model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    zoo = str(own_zoo(tmp_path, model.url))
    path = tmp_path / "zoo_spec.yaml"
    path.write_text("{models: {m: {zoo: mine}}, layers: [[{type: generator, model: m}]]}")
    assert main(["run", str(path), "What is 1 + 2 ?", "--zoo", zoo]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "3"
    assert "unknown model 'mine'" in one_line(capsys, "run", str(path), "What is 1 + 2 ?")


def test_run_refuses_an_unfitted_pipeline_before_it_looks_for_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(
        "{models: {m: {zoo: smollm2-135m}}, layers: [[{type: generator, model: m, samples: 2}], "
        "[{type: weaver, verifiers: [length]}]]}"
    )
    monkeypatch.setattr("archon.cli.ZooPool", None)
    assert "has no fitted numbers" in one_line(capsys, "run", str(path), "What is 1 + 2 ?")


STUDY = """
study: {name: sums, dir: out}
task: {source: jsonl, path: sums.jsonl, scorer: numeric, sizes: {fit: 0, select: 16, test: 16}}
models: [mine]
zoo: [zoo]
space: ensemble
axes: {styles: {plain: [48]}, samples: [1]}
objective: {metric: ipj, accuracy_floor: 0.9}
calibration: {idle_seconds: 0.1}
confirm: {repeats: 1}
search: {sampler: exhaustive}
target: {concurrency: 4}
"""


@pytest.fixture
def study(tmp_path: Path, model: Model) -> str:
    """A study of a model of one's own, its prices known."""
    own_zoo(tmp_path, model.url)
    lines = [{"prompt": f"What is {n} + 1 ?", "answer": n + 1} for n in range(40)]
    (tmp_path / "sums.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    (tmp_path / "study.yaml").write_text(STUDY)
    name = identity(load_zoo(["mine"], [tmp_path / "zoo"])["mine"], {})
    meter = open_meter()
    basis = choose_basis(meter.domains)
    meter.close()
    price = ModelPrice(*[Coef(0.1, 0.1, 0.1)] * 6)
    prices = PriceList(1.0, basis.label, basis.method, 4, {name: price}, fingerprint())
    with Ledger(tmp_path / "out" / "ledger.sqlite") as ledger:
        key = price_key([name], fingerprint(), basis, 4, Coefficients())
        ledger.save_prices(key, prices.to_json())
    return "conf=study.yaml"


def test_search_run_replay_and_report_with_a_model_of_ones_own(
    model: Model, study: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Over HTTP and on this machine's meter."""
    assert main(["search", study, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["exported"] == "mine plain"
    assert summary["confirm"]["accuracy"] == 1.0
    assert summary["confirm"]["energy_j"] > 0

    asked = len(model.bodies)
    assert main(["run", "out/latest/best.yaml", "--split", "select", "--json"]) == 0
    replayed = json.loads(capsys.readouterr().out)
    assert replayed["accuracy"] == summary["best"]["accuracy"]
    assert replayed["energy_j"] == summary["best"]["energy_j"]
    assert len(model.bodies) == asked

    assert main(["run", "out/latest/best.yaml", "What is 12 + 31 ?", "--zoo", "zoo"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "43"

    report = Path("out/latest/report.html")
    report.unlink()
    assert main(["report", "out/latest"]) == 0
    assert "report.html" in capsys.readouterr().out
    assert "mine plain" in report.read_text()


def test_search_with_a_server_that_is_gone(
    model: Model, study: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model.stop()
    assert "does not answer" in one_line(capsys, "search", study, status=1)


def test_run_without_an_answer_fails(
    model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model.refuses = 400
    assert main(["run", spec(tmp_path, model.url), "What is 1 + 2 ?"]) == 1
    said = capsys.readouterr().err
    assert said.splitlines()[-1].startswith("archon run: no answer: HTTP 400: ")
    assert "not today" in said


def test_run_says_that_a_server_is_gone(
    model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = spec(tmp_path, model.url)
    model.stop()
    line = one_line(capsys, "run", path, "What is 1 + 2 ?", status=1)
    assert model.url in line
    assert "does not answer" in line


def test_run_says_which_key_is_missing(
    model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = spec(tmp_path, model.url, api_key_env="NO_SUCH_KEY")
    assert "set NO_SUCH_KEY" in one_line(capsys, "run", path, "What is 1 + 2 ?")
    assert model.bodies == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a spec is a mapping"),
        ("[1, 2", "spec.yaml"),
        ("{models: {}, layers: []}", "layers"),
        ("{models: {m: {zoo: x}}, layers: [[{type: guess, model: m}]]}", "unknown component type"),
        ("{models: {m: {zoo: x}}, layers: [[{type: generator, model: n}]]}", "layers[0][0]"),
        ("{models: {m: {zoo: x}}, layers: [[{type: vote}]]}", "cannot come first"),
        (
            "{models: {m: {zoo: x}}, layers: [[{type: generator, model: m, sampels: 2}]]}",
            "sampels",
        ),
        ("{models: {m: {zoo: nope}}, layers: [[{type: generator, model: m}]]}", "unknown model"),
        ("{archon: 2, models: {m: {zoo: x}}, layers: [[{type: generator, model: m}]]}", "archon"),
    ],
)
def test_a_malformed_spec_is_one_line_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    assert said in one_line(capsys, "run", str(path), "question")


def test_other_bad_input_to_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = spec(tmp_path, "http://127.0.0.1:9/v1")
    assert "cannot be read" in one_line(capsys, "run", str(tmp_path / "none.yaml"), "question")
    assert "cannot be read" in one_line(capsys, "run", str(tmp_path), "question")
    assert "either a question or --split" in one_line(capsys, "run", path)
    assert "either a question" in one_line(capsys, "run", path, "what?", "--split", "select")
    assert "the question is empty" in one_line(capsys, "run", path, "  ")
    assert "--concurrency" in one_line(capsys, "run", path, "what?", "--concurrency", "0")
    assert "manifest.json" in one_line(capsys, "run", path, "--split", "select")


def a_profile(path: Path, **given: Any) -> str:
    """Write the profile of a device that has the model of one's own."""
    made = device_profile({"mine": Truth(accuracy=0.9)}, **{"concurrencies": (1, 4)} | given)
    save_profile(made, path)
    return str(path)


def test_report_ranks_a_study_for_another_device(
    model: Model, study: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    device = a_profile(tmp_path / "device.json")
    assert main(["search", study, "--quiet"]) == 0
    capsys.readouterr()
    before = {path: path.read_bytes() for path in (tmp_path / "out/latest").iterdir()}
    asked = len(model.bodies)
    assert main(["report", "out/latest", "--device", device, "--json"]) == 0
    ranking = json.loads(capsys.readouterr().out)
    (pipeline,) = ranking["pipelines"]
    assert (pipeline["name"], pipeline["accuracy"], ranking["floor"]) == ("mine plain", 1.0, 0.9)
    price = load_profile(Path(device)).price_list(4).models['{"weights":"mine"}']
    assert pipeline["energy_j"] == pytest.approx(price.cost(6, 3).joules)
    assert pipeline["energy_j_here"] == pytest.approx(0.1 * (6 + 3 + 1))
    assert ranking["notes"] == ["mine: the profile is of other weights or settings of this name"]

    assert main(["report", "out/latest", "--device", device]) == 0
    out = capsys.readouterr().out
    assert "predicted for 2 cores of AMD EPYC 9B45" in out
    assert "mine plain" in out
    assert {path: path.read_bytes() for path in (tmp_path / "out/latest").iterdir()} == before
    assert len(model.bodies) == asked

    other = a_profile(tmp_path / "other.json", concurrencies=(16,))
    said = one_line(capsys, "report", "out/latest", "--device", other)
    assert "measured at 16 in flight, not at 4" in said


def test_bad_input_to_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, device = str(tmp_path), tmp_path / "device.json"
    given = ("report", folder, "--device", str(device))
    assert "device.json: cannot be read" in one_line(capsys, *given)
    for text in ("{", "[]", "{}", '{"archon_profile": 1}'):
        device.write_text(text)
        assert "device.json: not a profile" in one_line(capsys, *given)
    a_profile(device)
    assert "give the folder of a finished study" in one_line(capsys, *given)
    a_profile(tmp_path / "profile.json")
    assert "give the folder of a finished study" in one_line(capsys, *given)  # it is a profile
    assert "--json goes with --device" in one_line(capsys, "report", folder, "--json")


def test_report_needs_a_results_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "summary.json" in one_line(capsys, "report", str(tmp_path))


def test_search_is_the_search_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "conf=quickstrat"]) == 2
    assert capsys.readouterr().err.startswith("archon search: conf=quickstrat: unknown")


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["report", "--help"]])
def test_every_command_explains_itself_with_an_example(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 0
    assert "example" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["dance"], ["run", "a.yaml", "b", "--split", "train"]])
def test_usage_errors_have_status_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_the_program_as_a_process(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "archon.cli", "run", str(tmp_path / "none.yaml"), "question"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("archon run: ")
