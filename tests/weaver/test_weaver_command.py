"""``weaver fit``, ``select`` and ``compare``: what they print and write, and how they refuse."""

import json
import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from weaver_terminal import refused, run

from weaver import Scores, Weaver, methods
from weaver.command import main
from weaver.score_files import load_scores, save_scores
from weaver.synthetic import two_coin

RATES = {"tpr": (0.6, 0.9), "tnr": (0.6, 0.9)}
SELECT_KEYS = {"method", "selected", "probability", "abstain", "energy", "verifiers"}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Scores with truth, answers, labels for 8 of 60 queries and joules, in the working folder."""
    monkeypatch.chdir(tmp_path)
    scores, _ = two_coin(3, queries=60, samples=6, verifiers=5, **RATES, answers="each")
    labels = np.where(np.arange(60)[:, None] < 8, scores.correct, -1)
    cost_j = np.array([0.5, 1.0, 2.0, 0.25, 0.0])
    full = replace(scores, labels=labels, cost_j=cost_j, energy="cpu+dram estimated")
    save_scores(full, Path("scores.npz"))
    save_scores(replace(full, labels=None), Path("unlabelled.npz"))
    save_scores(replace(full, correct=None), Path("blind.npz"))
    return tmp_path


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
    save_scores(replace(scores, labels=scores.correct), Path("known.npz"))
    assert "every query is labelled" in run(
        capsys, "compare", "known.npz", "--methods", "first,logistic"
    )


# Joules


COMMANDS = [
    ("fit", "scores.npz", "--method", "em"),
    ("select", "scores.npz", "--method", "em"),
    ("compare", "scores.npz", "--methods", "em"),
]


@pytest.mark.parametrize("arguments", COMMANDS)
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "(energy: cpu+dram estimated)"),
        ({"energy": "[red]gpu"}, "(energy: [red]gpu)"),
        ({"energy": None}, "(energy: basis unknown)"),
    ],
)
def test_joules_stand_below_their_basis(capsys, arguments, changes, says):
    save_scores(replace(load_scores(Path("scores.npz")), **changes), Path("scores.npz"))
    assert says in " ".join(run(capsys, *arguments).split())
    told = json.loads(run(capsys, *arguments, "--json"))
    assert told["energy"] == changes.get("energy", "cpu+dram estimated")


@pytest.mark.parametrize("arguments", COMMANDS)
@pytest.mark.parametrize("cost_j", [None, np.zeros(5)])
def test_no_joules_have_no_basis(capsys, arguments, cost_j):
    scores = replace(load_scores(Path("scores.npz")), cost_j=cost_j, energy=None)
    save_scores(scores, Path("scores.npz"))
    assert "energy" not in run(capsys, *arguments)


def test_a_fitted_model_keeps_the_basis_of_its_joules(capsys):
    run(capsys, "fit", "scores.npz", "--method", "em", "-o", "model.json")
    other = replace(load_scores(Path("scores.npz")), cost_j=[3.0] * 5, energy="gpu")
    save_scores(other, Path("scores.npz"))
    shown = run(capsys, "select", "scores.npz", "--model", "model.json")
    assert "(energy: cpu+dram estimated)" in shown


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
    save_scores(replace(scores, verifiers=tuple("abcde")), Path("other.npz"))
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
