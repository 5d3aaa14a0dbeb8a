"""``weaver score``: what it writes, prints and shows on its way, and how it refuses."""

import json
import os
import re
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from weaver_terminal import refused, run

from archon import progress
from archon.engines.client import RetryPolicy
from weaver.command import main
from weaver.score_files import load_scores
from weaver.scoring import Shower
from weaver.verifiers import Step


class Yes(BaseHTTPRequestHandler):
    """A server that says yes to what holds a 4; its log-probabilities are certain."""

    protocol_version = "HTTP/1.1"
    refuses = False
    interrupts = False

    def do_POST(self):
        if Yes.interrupts:
            Yes.interrupts = False
            os.kill(os.getpid(), signal.SIGINT)
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        time.sleep(0.01)
        said = "Yes" if "4" in body["messages"][-1]["content"].split("answer:")[-1] else "No"
        tops = [{"token": said, "logprob": -0.1}, {"token": "maybe", "logprob": -3.0}]
        choice = {
            "index": 0,
            "finish_reason": "length",
            "message": {"role": "assistant", "content": said},
            "logprobs": {"content": [{**tops[0], "top_logprobs": tops}]},
        }
        reply = {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [choice],
            "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10},
        }
        if self.refuses:
            reply = {"error": {"message": "too long"}}
        self.reply(400 if self.refuses else 200, reply)

    def reply(self, status, content):
        content = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    """Says nothing when a client hangs up on it."""

    def handle_error(self, *_):
        pass


@pytest.fixture
def judge(monkeypatch):
    """A zoo in ``zoo`` whose model ``sage`` is a server in this process."""
    monkeypatch.setattr(RetryPolicy, "wait_s", lambda *_: 0.0)
    monkeypatch.setenv("NO_PROXY", "*")
    server = Server(("", 0), Yes)
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    Path("zoo").mkdir()
    # This program takes 127.0.0.2 for another machine.
    for name, host in (("sage", "127.0.0.1"), ("oracle", "127.0.0.2")):
        url = f"http://{host}:{server.server_port}/v1"
        Path(f"zoo/{name}.yaml").write_text(f"name: {name}\nbase_url: {url}\n")
    yield "judge(model=sage, reads=answer)"
    server.shutdown()
    server.server_close()


LINES = [
    {
        "id": "q1",
        "prompt": "What is 2 + 2?",
        "samples": ["It is 4.", "It is 5.", "Hm."],
        "answers": ["4", "5", None],
        "correct": [1, 0, 0],
        "labels": [1, -1, -1],
    },
    {"id": 2, "prompt": "And 3 + 3?", "samples": ["6"], "answers": ["6"], "correct": [1]},
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A samples file in the working folder."""
    monkeypatch.chdir(tmp_path)
    Path("answers.jsonl").write_text("\n".join(map(json.dumps, LINES)) + "\n\n")


def test_score_writes_what_the_verifiers_said_with_joules(capsys, judge):
    verifiers = f"{judge},consistency"
    options = ("--verifiers", verifiers, "--zoo", "zoo", "--meter", "estimated")
    arguments = ("score", "answers.jsonl", *options)
    told = json.loads(run(capsys, *arguments, "-o", "s.npz", "--json"))
    assert told["energy"] == "cpu+dram estimated"
    scores = load_scores(Path("s.npz"))
    assert scores.energy == told["energy"]
    assert scores.verifiers == (judge, "consistency")
    nan, third = np.nan, 1 / 3
    np.testing.assert_array_equal(scores.scores[:, :, 0], [[1, 0, nan], [0, nan, nan]])
    np.testing.assert_allclose(scores.scores[:, :, 1], [[third, third, nan], [1, nan, nan]])
    assert scores.answers.tolist() == [["4", "5", ""], ["6", "", ""]]
    assert scores.labels.tolist() == [[1, -1, -1], [-1, -1, -1]]
    assert scores.correct.tolist() == [[1, 0, 0], [1, -1, -1]]
    asked, free = told["verifiers"]
    counts = {"judged": 3, "unparsed": 0, "failed": 0, "calls": 3, "made": 3}
    assert asked == {"name": judge, **counts, "cost_j": asked["cost_j"]}
    assert asked["cost_j"] > 0
    assert scores.cost_j.tolist() == [asked["cost_j"], 0.0]
    assert free["calls"] == 0
    shown = run(capsys, *arguments, "-o", "again.npz", "--ledger", "s.ledger.sqlite")
    assert f"energy: {told['energy']}" in shown.replace("\n", " ")
    assert [judge, "3", "0", "0", "3", "0"] == [cell.strip() for cell in shown.split("│")[1:7]]
    assert max(map(len, shown.splitlines())) <= 100


def test_scores_made_can_be_selected_from(capsys, judge):
    arguments = ("score", "answers.jsonl", "--verifiers", judge, "--zoo", "zoo")
    run(capsys, *arguments, "-o", "s.parquet")
    told = json.loads(run(capsys, "select", "s.parquet", "--method", "mean", "--json"))
    assert told["selected"] == [0, 0]
    assert told["accuracy"] == 1.0


@pytest.mark.usefixtures("judge")
def test_joules_of_another_machine_are_not_measured(capsys):
    verifiers = "judge(model=oracle),judge(model=sage)"
    arguments = ("score", "answers.jsonl", "--verifiers", verifiers, "--zoo", "zoo", "-o", "s.npz")
    told = json.loads(run(capsys, *arguments, "--json"))
    assert told["energy"] == "not measured"
    assert [one["cost_j"] for one in told["verifiers"]] == [None, None]
    scores = load_scores(Path("s.npz"))
    assert np.isnan(scores.cost_j).all()
    assert scores.energy is None


def test_score_shows_how_far_it_is_on_stderr(capsys, judge, monkeypatch):
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
    verifiers = f"consistency,{judge}"
    options = ("--verifiers", verifiers, "--zoo", "zoo", "--meter", "estimated")
    assert main(["score", "answers.jsonl", *options, "-o", "s.npz"]) == 0
    out, said = capsys.readouterr()
    assert "verifier 2/2" not in out
    steps = [line for line in said.splitlines() if "verifier 2/2" in line]
    assert all(line.endswith(f"; {judge}") for line in steps)
    assert all(f"{made}/3 calls" in line for made, line in zip([0, 0, 1, 2, 3], steps, strict=True))
    assert re.search(r"67%  2/3 calls; about \d+ s .*left", steps[3])
    assert "verifier 1/2" not in said  # it asks no one


def test_time_and_joules_left_are_those_of_the_calls_left(capsys, monkeypatch):
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
    shower = Shower(progress.Progress(), ("length", "judge"), "gpu")
    for made, joules in ((0, None), (20, None), (25, 50.0)):
        shower(Step("judge", made, 100, joules))
    first, unknown, last = capsys.readouterr().err.splitlines()
    assert first.endswith(f"verifier 2/2 {'░' * 20}   0%  0/100 calls; judge")
    assert re.search(r"20/100 calls; about \d+ s left; judge$", unknown)
    spent = r"25/100 calls; about \d+ s and 150 J left; 50 J spent \(gpu\); judge$"
    assert re.search(spent, last)


def test_ctrl_c_leaves_what_was_there(capsys, judge, monkeypatch):
    monkeypatch.setattr(Yes, "interrupts", True)
    Path("s.npz").write_text("earlier")
    options = ("--verifiers", judge, "--zoo", "zoo", "--concurrency", "1")
    arguments = ("score", "answers.jsonl", *options, "-o", "s.npz")
    assert refused(capsys, *arguments, status=130) == "weaver score: stopped"
    assert Path("s.npz").read_text() == "earlier"
    assert not list(Path().glob(".s*"))


def test_a_verifier_whose_every_call_fails_leaves_no_file(capsys, judge, monkeypatch):
    monkeypatch.setattr(Yes, "refuses", True)
    Path("s.npz").write_text("earlier")
    arguments = ("score", "answers.jsonl", "--verifiers", judge, "--zoo", "zoo", "-o", "s.npz")
    assert f"verifier {judge}: 3 calls failed and no other gave a verdict" in refused(
        capsys, *arguments, status=1
    )
    assert Path("s.npz").read_text() == "earlier"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "write one JSON object per line"),
        ("[1]", "not a JSON object"),
        ({"prompt": "?", "samples": ["a"]}, '"id": Field required'),
        ({"id": 1.5, "prompt": "?", "samples": ["a"]}, '"id": must be'),
        ({"id": "q1", "prompt": "?", "samples": ["a"]}, "'q1' is taken by line 1"),
        ({"id": 3, "prompt": " ", "samples": ["a"]}, '"prompt": is blank'),
        ({"id": 3, "prompt": "?", "samples": []}, '"samples"'),
        ({"id": 3, "prompt": "?", "samples": [4]}, '"samples.0"'),
        ({"id": 3, "prompt": "?", "samples": ["a"], "answers": ["a", "b"]}, "2 for 1 samples"),
        ({"id": 3, "prompt": "?", "samples": ["a"], "labels": [2]}, '"labels.0"'),
        ({"id": 3, "prompt": "?", "samples": ["a"], "correct": [None]}, '"correct.0"'),
        ({"id": 3, "prompt": "?", "samples": ["a"], "answer": "a"}, 'unknown key "answer"'),
    ],
)
def test_a_samples_file_that_lies(capsys, line, says):
    text = line if isinstance(line, str) else json.dumps(line)
    Path("bad.jsonl").write_text(json.dumps(LINES[0]) + "\n\n" + text)
    arguments = ("score", "bad.jsonl", "--verifiers", "length", "-o", "s.npz")
    said = refused(capsys, *arguments)
    assert "bad.jsonl:3: " in said
    assert says in said
    assert not Path("s.npz").exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"--verifiers": "lenght"}, "did you mean length"),
        ({"--verifiers": "judge(model=a"}, "verifier 'judge(model=a'"),
        ({"--verifiers": " , "}, "name at least one"),
        ({"--verifiers": "length,length"}, "stands 2 times"),
        ({"--verifiers": "entropy"}, "needs top_logprobs"),
        ({"--verifiers": "judge(model=nobody)"}, "unknown model 'nobody'"),
        ({"SAMPLES": "none.jsonl"}, "none.jsonl: cannot be read"),
        ({"SAMPLES": "empty.jsonl"}, "empty"),
        ({"SAMPLES": "plain.jsonl", "--verifiers": "consistency"}, "no line holds any"),
        ({"--verifiers": "judge(model=lost)", "--zoo": "lost"}, "http://[lost is no address"),
        ({"-o": "s.txt"}, "name a .npz or .parquet file"),
        ({"-o": ""}, "name a .npz or .parquet file"),
        ({"-o": "nowhere/s.npz"}, "cannot be written there"),
        ({"-o": "folder.npz"}, "is a folder"),
        ({"--zoo": "nowhere"}, "nowhere: no such folder"),
        ({"--ledger": "answers.jsonl"}, "the ledger cannot be used"),
        (
            {"--verifiers": "judge(model=smollm2-135m)", "--meter": "yardstick"},
            "'yardstick' is unk",
        ),
        ({"--concurrency": "0"}, "--concurrency: at least 1"),
    ],
)
def test_score_refuses(capsys, changes, says):
    Path("empty.jsonl").write_text("\n")
    Path("plain.jsonl").write_text(json.dumps({"id": 1, "prompt": "?", "samples": ["a"]}))
    Path("folder.npz").mkdir()
    Path("lost").mkdir()
    Path("lost/lost.yaml").write_text("name: lost\nbase_url: 'http://[lost'\n")
    Path("s.npz").write_text("earlier")
    before = sorted(os.listdir())
    given = {"SAMPLES": "answers.jsonl", "--verifiers": "length", "-o": "s.npz"} | changes
    options = [part for name, value in given.items() if name != "SAMPLES" for part in (name, value)]
    assert says in refused(capsys, "score", given["SAMPLES"], *options)
    assert Path("s.npz").read_text() == "earlier"
    assert [name for name in sorted(os.listdir()) if "ledger" not in name] == before
