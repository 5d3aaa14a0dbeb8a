"""The command ``weaver``: what each subcommand prints and writes, and how it refuses."""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from archon.engines.client import RetryPolicy
from weaver import Scores, Weaver, methods
from weaver.command import main
from weaver.score_files import load_scores, save_scores
from weaver.synthetic import two_coin

RATES = {"tpr": (0.6, 0.9), "tnr": (0.6, 0.9)}
SELECT_KEYS = {"method", "selected", "probability", "abstain", "verifiers"}


def replaced(scores, **changes):
    fields = ("scores", "verifiers", "answers", "labels", "correct", "cost_j")
    return Scores(**{name: getattr(scores, name) for name in fields} | changes)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Scores with truth, answers, labels for 8 of 60 queries and joules, in the working folder."""
    monkeypatch.chdir(tmp_path)
    scores, _ = two_coin(3, queries=60, samples=6, verifiers=5, **RATES, answers="each")
    labels = np.where(np.arange(60)[:, None] < 8, scores.correct, -1)
    cost_j = np.array([0.5, 1.0, 2.0, 0.25, 0.0])
    full = replaced(scores, labels=labels, cost_j=cost_j)
    save_scores(full, Path("scores.npz"))
    save_scores(replaced(full, labels=None), Path("unlabelled.npz"))
    save_scores(replaced(full, correct=None), Path("blind.npz"))
    return tmp_path


def run(capsys, *arguments):
    """Run a command that succeeds; return its stdout."""
    assert main([*map(str, arguments)]) == 0
    return capsys.readouterr().out


def refused(capsys, *arguments, status=2):
    """Run a command that fails; return the one line it said."""
    assert main([*map(str, arguments)]) == status
    out, said = capsys.readouterr()
    assert out == ""
    *progress, line = said.splitlines()
    assert line.startswith(f"weaver {arguments[0]}: ")
    assert all(one.startswith("energy: ") for one in progress)
    return line


# fit and select


def test_a_fitted_model_selects_as_its_method_does(capsys):
    run(capsys, "fit", "scores.npz", "--method", "em", "-o", "model.json")
    by_model = run(capsys, "select", "scores.npz", "--model", "model.json", "--json")
    by_method = run(capsys, "select", "scores.npz", "--method", "em", "--json")
    assert by_model == by_method


def test_select_json_is_its_contract(capsys):
    told = json.loads(run(capsys, "select", "scores.npz", "--method", "em", "--json"))
    assert set(told) == SELECT_KEYS | {"accuracy"}
    assert told["method"] == "em"
    scores = load_scores(Path("scores.npz"))
    expected = Weaver("em").fit(scores).decide(scores)
    assert told["selected"] == expected.selected.tolist()
    assert told["probability"] == pytest.approx(expected.probability.tolist())
    assert told["abstain"] == [False] * 60
    chosen = scores.correct[np.arange(60), expected.selected]
    assert told["accuracy"] == pytest.approx(chosen.mean())
    assert [set(one) for one in told["verifiers"]] == [
        {"name", "tpr", "tnr", "weight", "cost_j"}
    ] * 5
    assert [one["cost_j"] for one in told["verifiers"]] == [0.5, 1.0, 2.0, 0.25, 0.0]


def test_the_truth_changes_nothing_but_the_accuracy(capsys):
    seeing = json.loads(run(capsys, "select", "scores.npz", "--json"))
    blind = json.loads(run(capsys, "select", "blind.npz", "--json"))
    assert set(blind) == SELECT_KEYS
    del seeing["accuracy"]
    assert blind == seeing


def test_a_risk_makes_it_abstain_where_it_is_unsure(capsys):
    told = json.loads(run(capsys, "select", "scores.npz", "--risk", "0.2", "--json"))
    given = [p for p, no in zip(told["probability"], told["abstain"], strict=True) if not no]
    held = [p for p, no in zip(told["probability"], told["abstain"], strict=True) if no]
    assert given
    assert held
    assert 1 - np.mean(given) <= 0.2
    assert max(held) < min(given)
    shown = run(capsys, "select", "scores.npz", "--risk", "0.2")
    assert f"{len(given)} answered at risk 0.2" in shown
    assert "abstains" in shown


def test_select_prints_verifiers_selections_and_a_summary(capsys):
    shown = run(capsys, "select", "scores.npz", "--method", "em")
    for text in ("v00", "0.25", "P(correct)", "… and 40 more", "60 queries", "accuracy 0."):
        assert text in shown
    assert max(map(len, shown.splitlines())) <= 100


def test_fit_prints_verifiers_what_is_left_out_and_doubts(capsys):
    scores = load_scores(Path("unlabelled.npz"))
    twice = np.concatenate([scores.scores, scores.scores[:, :, :1]], axis=2)
    names = (*scores.verifiers, "again")
    save_scores(Scores(twice, names, answers=scores.answers), Path("twice.npz"))
    shown = run(capsys, "fit", "twice.npz", "--method", "em")
    assert "left out because" in shown
    assert "doubt: v00 and again repeat each other" in shown
    told = json.loads(run(capsys, "fit", "twice.npz", "--method", "em", "--json"))
    assert sum(one["dropped"] is not None for one in told["verifiers"]) == 1
    assert any("repeat each other" in doubt for doubt in told["doubts"])


def test_the_class_balance_given_is_the_one_used(capsys):
    run(capsys, "fit", "scores.npz", "--method", "em", "--class-balance", "0.4", "-o", "m.json")
    assert Weaver.from_json(Path("m.json").read_text()).get_params()["class_balance"] == 0.4


# compare


def test_compare_judges_every_method_on_the_queries_without_labels(capsys):
    names = [name for name in methods.names() if name != "snorkel"]
    arguments = ("compare", "scores.npz", "--methods", ",".join(names), "--json")
    told = json.loads(run(capsys, *arguments))
    assert (told["queries"], told["judged"], told["labels_seen"]) == (60, 52, False)
    scores = load_scores(Path("scores.npz"))
    truth = scores.correct[8:]
    assert told["oracle"] == pytest.approx(truth.any(axis=1).mean())
    found = {one["method"]: one for one in told["standings"]}
    assert list(found) == names
    for one in found.values():
        assert one["reason"] is None
        low, high = one["interval"]
        assert 0 <= low <= one["accuracy"] <= high <= told["oracle_interval"][1]
        assert 0 <= one["calibration_error"] <= 1
        assert one["fit_s"] > 0
    assert found["first"]["accuracy"] == pytest.approx(truth[:, 0].mean())
    selected = Weaver("em").fit(scores).select(scores)[8:]
    assert found["em"]["accuracy"] == pytest.approx(truth[np.arange(52), selected].mean())
    assert found["mean"]["cost_j"] == pytest.approx(3.75)
    assert found["first"]["cost_j"] == found["plurality"]["cost_j"] == 0.0


def test_the_interval_is_that_of_resampled_queries(capsys):
    told = json.loads(run(capsys, "compare", "unlabelled.npz", "--methods", "em", "--json"))
    (em,) = told["standings"]
    hits = np.arange(60) < round(em["accuracy"] * 60)
    drawn = np.random.default_rng(0).choice(hits, (20000, 60)).mean(axis=1)
    assert em["interval"] == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=1.01 / 60)


def test_plurality_costs_nothing_because_no_verifier_breaks_its_ties(capsys):
    tied = np.array([["a", "b"], ["a", "b"]])
    judged = np.array([[[0.0], [1.0]], [[0.0], [1.0]]])
    tie = Scores(judged, ("v",), answers=tied, correct=[[0, 1], [0, 1]], cost_j=[1.0])
    save_scores(tie, Path("tie.npz"))
    told = json.loads(run(capsys, "compare", "tie.npz", "--methods", "plurality,mean", "--json"))
    assert [one["accuracy"] for one in told["standings"]] == [0.0, 1.0]
    assert [one["cost_j"] for one in told["standings"]] == [0.0, 1.0]


def test_a_method_that_cannot_run_is_a_row_with_the_reason(capsys, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "snorkel"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "snorkel", None)
    told = json.loads(run(capsys, "compare", "unlabelled.npz", "--json"))
    found = {one["method"]: one for one in told["standings"]}
    assert tuple(found) == methods.names()
    assert found["em"]["accuracy"] > 0
    assert found["snorkel"]["accuracy"] is None
    assert "archon-ipw[snorkel]" in found["snorkel"]["reason"]
    assert found["logistic"]["reason"] == found["naive_bayes"]["reason"] == "needs labels"
    shown = run(capsys, "compare", "unlabelled.npz")
    assert "oracle" in shown
    assert "logistic: needs labels" in shown
    assert max(map(len, shown.splitlines())) <= 100


def test_where_all_is_labelled_that_is_said(capsys):
    scores = load_scores(Path("scores.npz"))
    save_scores(replaced(scores, labels=scores.correct), Path("known.npz"))
    assert "every query is labelled" in run(
        capsys, "compare", "known.npz", "--methods", "first,logistic"
    )


# score


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
def answers(folder):
    (folder / "answers.jsonl").write_text("\n".join(map(json.dumps, LINES)) + "\n\n")


def test_score_writes_what_the_verifiers_said_with_joules(capsys, judge):
    verifiers = f"{judge},consistency"
    options = ("--verifiers", verifiers, "--zoo", "zoo", "--meter", "estimated")
    arguments = ("score", "answers.jsonl", *options)
    told = json.loads(run(capsys, *arguments, "-o", "s.npz", "--json"))
    assert told["energy"] == "cpu+dram estimated"
    scores = load_scores(Path("s.npz"))
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
    assert np.isnan(load_scores(Path("s.npz")).cost_j).all()


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


# What is refused


@pytest.mark.parametrize("command", ["fit", "select", "compare"])
@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"scores": np.ones((2, 2))}, "shape (2, 2)"),
        ({"scores": np.array([[["a"]]])}, "need numbers"),
        ({"scores": np.array([[[{}]]], dtype=object)}, "pickles are not read"),
        ({"labels": np.array([[3]])}, "value 3"),
        ({"verifiers": np.array(["a", "b"])}, "2 names for 1"),
    ],
)
def test_scores_that_lie(capsys, command, arrays, says):
    np.savez("lies.npz", **{"scores": np.ones((1, 1, 1)), "verifiers": np.array(["a"])} | arrays)
    said = refused(capsys, command, "lies.npz")
    assert "lies.npz: " in said
    assert says in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("fit", "none.npz"), "none.npz: no such file"),
        (("fit", "scores.npz", "--method", "oracle"), "unknown method 'oracle'"),
        (("fit", "unlabelled.npz", "--method", "logistic"), "needs labels"),
        (("fit", "scores.npz", "--class-balance", "1.5"), "--class-balance: a share"),
        (("fit", "scores.npz", "--method", "first", "--class-balance", ".5"), "takes none"),
        (("fit", "scores.npz", "--seed", "-1"), "seed -1"),
        (("fit", "scores.npz", "-o", "scores.npz"), "name a .json file"),
        (("fit", "scores.npz", "-o", "nowhere/m.json"), "cannot be written there"),
        (("select", "scores.npz", "--method", "oracle"), "unknown method 'oracle'"),
        (("select", "scores.npz", "--risk", "2"), "risk 2.0"),
        (("select", "scores.npz", "--model", "none.json"), "none.json: cannot be read"),
        (("select", "scores.npz", "--model", "scores.npz"), "scores.npz: cannot be read: it is"),
        (("select", "scores.npz", "--model", "other.json"), "not a fitted weaver"),
        (("select", "other.npz", "--model", "model.json"), "fitted to other verifiers"),
        (("compare", "blind.npz"), "blind.npz: no array 'correct'"),
        (("compare", "scores.npz", "--methods", "em,oracle"), "unknown method 'oracle'"),
    ],
)
def test_what_does_not_hold_is_one_line(capsys, arguments, says):
    scores = load_scores(Path("scores.npz"))
    Path("model.json").write_text(Weaver("em").fit(scores).to_json())
    Path("other.json").write_text("{}")
    save_scores(replaced(scores, verifiers=tuple("abcde")), Path("other.npz"))
    before = Path("scores.npz").read_bytes()
    assert says in refused(capsys, *arguments)
    assert Path("scores.npz").read_bytes() == before


def test_a_fit_that_fails_leaves_the_model_that_was_there(capsys):
    Path("model.json").write_text("earlier")
    before = sorted(os.listdir())
    refused(capsys, "fit", "unlabelled.npz", "--method", "naive_bayes", "-o", "model.json")
    assert Path("model.json").read_text() == "earlier"
    assert sorted(os.listdir()) == before


def test_a_full_disk_is_one_line(capsys):
    Path("model.json").write_text("earlier")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    try:
        said = refused(capsys, "fit", "scores.npz", "-o", "model.json", status=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "too large" in said
    assert Path("model.json").read_text() == "earlier"


@pytest.mark.parametrize("command", ["score", "fit", "select", "compare"])
def test_help_has_an_example(capsys, command):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"\n  weaver {command} " in capsys.readouterr().out


def test_a_reader_that_has_enough_is_no_error():
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, "w") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "weaver.command", "select", "scores.npz"],
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        )
    assert (done.returncode, done.stderr) == (141, "")
