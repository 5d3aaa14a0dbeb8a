"""The choice of verifiers under a budget of joules."""

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from archon.errors import UsageError
from weaver import Scores, Weaver, budget, methods
from weaver.budget import joules_per_query, ladder
from weaver.command import main
from weaver.metrics import selection_accuracy
from weaver.score_files import save_scores
from weaver.synthetic import two_coin
from weaver.two_coin import TwoCoin
from weaver.votes import Votes

EM = methods.make("em")


def draw(rates, cost_j, seed=0, queries=150, samples=6, labelled=0, balance=0.4):
    """Independent voters that are right at these rates, of correct and of wrong samples alike."""
    rng = np.random.default_rng(seed)
    truth = (rng.random((queries, samples)) < balance).astype(np.int8)
    right = rng.random((queries, samples, len(rates))) < np.array(rates)
    labels = truth.copy()
    labels[labelled:] = -1
    return Scores(
        np.where(right, truth[..., None], 1 - truth[..., None]).astype(float),
        tuple("abcdefghij"[: len(rates)]),
        labels=labels if labelled else None,
        correct=truth,
        cost_j=cost_j,
    )


# joules per query


def test_every_sample_is_a_verdict_where_there_are_no_answers():
    scores = Scores(np.zeros((2, 3, 2)), ("a", "b"), cost_j=[0.5, 0.0])
    assert joules_per_query(scores).tolist() == [1.5, 0.0]


def test_equal_answers_are_judged_once_unless_their_scores_differ():
    once, each = [[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]], [[1.0, 0.5, 0.0], [0.0, 0.0, 0.0]]
    scores = Scores(
        np.stack([once, each], axis=2),
        ("once", "each"),
        answers=[["4", "4", "5"], ["4", "4", "4"]],
        cost_j=[1.0, 1.0],
    )
    assert joules_per_query(scores).tolist() == [1.5, 3.0]


def test_a_missing_verdict_was_paid_for_and_padding_was_not():
    judged = np.array([[[1.0, np.nan], [1.0, np.nan]], [[1.0, 1.0], [np.nan, np.nan]]])
    scores = Scores(judged, ("a", "b"), answers=[["4", "4"], ["5", ""]], cost_j=[1.0, 2.0])
    assert joules_per_query(scores).tolist() == [1.0, 2.0]


# the ladder


@pytest.mark.parametrize("labelled", [0, 30])
def test_the_choice_is_about_the_best_that_the_budget_allows(labelled):
    """Judged by the Bayes rule of the true rates, of all affordable subsets."""
    scores, truth = two_coin(
        5, queries=300, samples=6, verifiers=5, class_balance=0.4, tpr=(0.5, 0.9), tnr=(0.5, 0.9)
    )
    cost_j = np.array([0.4, 0.1, 0.3, 0.2, 0.5])
    labels = truth.correct.copy()
    labels[labelled:] = -1
    found = ladder(replace(scores, labels=labels, cost_j=cost_j), EM)

    def known(subset):
        part = scores.scores[:, :, subset].reshape(-1, len(subset))
        model = TwoCoin(truth.class_balance, truth.tpr[subset], truth.tnr[subset])
        odds = model.log_odds(Votes.pack(part)).reshape(300, 6)
        return selection_accuracy(odds.argmax(axis=1), truth.correct)

    subsets = [list(some) for size in range(1, 6) for some in combinations(range(5), size)]
    for budget_j in (1.2, 2.4, 3.6, 6.0, 9.0):
        within = [some for some in subsets if 6 * cost_j[some].sum() <= budget_j * (1 + 1e-9)]
        chosen = found.within(budget_j)
        index = [scores.verifiers.index(name) for name in chosen.verifiers]
        assert chosen.energy_j == pytest.approx(6 * cost_j[index].sum())
        assert chosen.energy_j <= budget_j * (1 + 1e-9)
        assert known(index) >= max(map(known, within)) - 0.03


def test_rungs_cost_more_and_are_worth_more_up_to_all_verifiers():
    found = ladder(draw([0.9, 0.8, 0.7, 0.65], [0.4, 0.3, 0.2, 0.0]), EM)
    assert found.rungs[0].verifiers == ("d",)
    assert found.rungs[0].energy_j == 0
    for one, other in zip(found.rungs, found.rungs[1:], strict=False):
        assert other.energy_j > one.energy_j
        assert other.accuracy > one.accuracy + budget.LEAST_GAIN
        assert "d" in other.verifiers
    assert found.rungs[-1] == found.everything
    assert found.everything.verifiers == ("a", "b", "c", "d")
    assert found.everything.energy_j == pytest.approx(6 * 0.9)


def test_no_joules_are_spent_on_what_gains_nothing():
    scores = draw([1.0, 0.8, 0.7], [0.5, 0.4, 1.0], labelled=150)
    assert ladder(scores, EM).rungs[-1].verifiers == ("a",)
    rich = Weaver("em", budget_j=1e9).fit(scores)
    assert rich.used_ == ("a",)
    assert rich.report_[1].dropped == rich.report_[2].dropped == "adds too little"


def test_adding_one_by_one_comes_close_to_trying_all(monkeypatch):
    scores = draw([0.9, 0.6, 0.8, 0.7, 0.75, 0.65], [1.0, 0.1, 0.5, 0.2, 0.4, 0.1])
    best = ladder(scores, EM)
    monkeypatch.setattr(budget, "EXHAUSTIVE", 0)
    for budget_j in (0.6, 2.4, 4.8, 9.0):
        near = ladder(scores, EM, budget_j=budget_j).within(budget_j)
        assert near.energy_j <= budget_j
        assert near.accuracy >= best.within(budget_j).accuracy - 0.02


def test_a_cheap_bargain_does_not_crowd_out_a_single_good_verifier(monkeypatch):
    """After the bargain the good one no longer fits: the case most gain per joule gets wrong."""
    monkeypatch.setattr(budget, "EXHAUSTIVE", 0)
    scores = draw([0.95, 0.6], [1.0, 0.01], labelled=150)
    assert ladder(scores, EM, budget_j=6.0).within(6.0).verifiers == ("a",)


def test_of_verifiers_that_repeat_each_other_the_affordable_one_is_used():
    scores = draw([0.85, 0.85, 0.8, 0.75, 0.7], [1.0, 0.1, 0.4, 0.3, 0.2])
    votes = scores.scores.copy()
    again = np.random.default_rng(1).random(votes.shape[:2]) < 0.9
    votes[again, 1] = votes[again, 0]
    scores = replace(scores, scores=votes)
    rich, poor = (Weaver("em", budget_j=budget_j).fit(scores) for budget_j in (60.0, 3.6))
    for weaver in (rich, poor):
        assert len({"a", "b"} & set(weaver.used_)) == 1
    assert "b" in poor.used_
    assert poor.report_[0].dropped in ("repeats b", "over the budget")


def test_labels_tell_good_verifiers_from_a_camp_of_bad_ones():
    """Votes alone side with the camp: its members agree with each other, not with the truth."""
    rng = np.random.default_rng(0)
    truth = (rng.random((200, 5)) < 0.4).astype(np.int8)
    fancy = (rng.random((200, 5)) < 0.4).astype(np.int8)
    sides = [truth] * 2 + [fancy] * 4
    votes = [np.where(rng.random(side.shape) < 0.85, side, 1 - side) for side in sides]
    scores = Scores(np.stack(votes, axis=2), tuple("abcdef"), cost_j=np.full(6, 0.1))
    blind = ladder(scores, EM).within(1.0)
    seeing = ladder(replace(scores, labels=truth), EM).within(1.0)
    assert set(blind.verifiers) <= set("cdef")
    assert seeing.verifiers == ("a", "b")


def test_labels_of_the_query_itself_do_not_count():
    """Verifiers that know nothing are expected to do as well as chance, not as well as they fit."""
    guess = {"tpr": (0.5, 0.5), "tnr": (0.5, 0.5), "class_balance": 0.4}
    scores, truth = two_coin(0, queries=40, samples=4, verifiers=60, **guess)
    scores = replace(scores, labels=truth.correct, cost_j=np.zeros(60))
    known = ladder(scores, methods.make("logistic")).everything.accuracy
    fitted = methods.make("logistic").fit(scores.scores, labels=truth.correct)
    assert selection_accuracy(fitted.select(scores.scores), truth.correct) > 0.55
    assert known == pytest.approx(truth.correct.mean(), abs=0.1)


def test_how_many_queries_have_labels_is_said():
    found = ladder(draw([0.8, 0.7], [1.0, 2.0], queries=20, labelled=3), EM)
    assert (found.queries, found.labelled) == (20, 3)


def test_the_truth_is_never_read():
    scores = draw([0.9, 0.7, 0.6], [1.0, 2.0, 3.0])
    assert ladder(replace(scores, correct=1 - scores.correct), EM) == ladder(scores, EM)


def test_the_order_of_verifiers_does_not_matter():
    scores = draw([0.9, 0.8, 0.7, 0.6, 0.65, 0.75, 0.6, 0.7], np.linspace(0.1, 1, 8))
    one, other = (ladder(some, EM) for some in (scores, scores.only(scores.verifiers[::-1])))
    for rung, turned in zip(one.rungs, other.rungs, strict=True):
        assert set(rung.verifiers) == set(turned.verifiers)
        assert rung.energy_j == pytest.approx(turned.energy_j)


@pytest.mark.parametrize("name", [kind.name for kind in methods.BUILT_IN if kind.name != "snorkel"])
def test_every_method_has_a_ladder(name):
    scores = draw([0.9, 0.8, 0.7], [1.0, 2.0, 0.0], queries=30, labelled=10)
    answers = np.random.default_rng(0).integers(0, 3, (30, 6)).astype(str)
    found = ladder(replace(scores, answers=answers), methods.make(name))
    assert found.rungs
    assert all(0 <= rung.accuracy <= 1 for rung in (*found.rungs, found.everything))


# what cannot be done


def test_joules_that_are_missing_are_named():
    scores = draw([0.9, 0.8, 0.7], [1.0, np.nan, 2.0])
    with pytest.raises(UsageError, match="joules of verifier b were not measured"):
        ladder(scores, EM)
    with pytest.raises(UsageError, match="no cost_j"):
        Weaver(budget_j=1.0).fit(replace(scores, cost_j=None))


def test_joules_of_a_verifier_that_is_no_candidate_need_not_be_known():
    votes = draw([0.9, 0.8, 0.7], [1.0, 2.0, 3.0]).scores
    votes[:, :, 1] = 1.0
    scores = Scores(votes, tuple("abc"), cost_j=[1.0, np.nan, 2.0])
    weaver = Weaver("em", budget_j=100.0).fit(scores)
    assert weaver.report_[1].dropped == "always votes the same"


def test_all_verifiers_constant_leaves_one():
    scores = Scores(np.ones((3, 2, 3)), tuple("abc"), cost_j=[1.0, 2.0, 0.0])
    assert Weaver("em", budget_j=2.0).fit(scores).used_ == ("a",)


def test_a_budget_that_buys_nothing_says_what_is_cheapest():
    with pytest.raises(UsageError, match=r"cheapest choice, b, costs 1\.2 J per query"):
        Weaver(budget_j=1.0).fit(draw([0.9, 0.8], [1.0, 0.2]))


def test_labels_of_one_query_leave_nothing_to_hold_out():
    scores = draw([0.9, 0.8], [1.0, 0.2], labelled=1)
    with pytest.raises(UsageError, match="labels of at least two queries"):
        ladder(scores, methods.make("logistic"))


# the command


RATES = [0.75, 0.8, 0.7, 0.65, 0.7]
COST_J = [0.4, 0.1, 0.2, 0.0, 0.3]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scores = draw(RATES, COST_J)
    save_scores(scores, Path("scores.npz"))
    save_scores(replace(scores, energy="cpu estimated"), Path("metered.npz"))


def run(capsys, *arguments):
    assert main([*arguments]) == 0
    return capsys.readouterr().out


@pytest.mark.usefixtures("folder")
def test_fit_shows_the_ladder_and_the_rung_chosen(capsys):
    shown = run(capsys, "fit", "scores.npz", "--method", "em", "--budget-j", "0.6")
    (chosen,) = [line for line in shown.splitlines() if "→" in line]
    assert "b, d" in chosen
    assert "0.6" in chosen
    for text in ("energy: basis unknown", "without labels", "over the budget"):
        assert text in " ".join(shown.split())
    shown = run(capsys, "fit", "metered.npz", "--ladder")
    assert "what joules for verifiers buy (energy: cpu estimated)" in shown
    assert "→" not in shown
    assert "a, b, c, d, e" in shown
    assert "what joules" not in run(capsys, "fit", "scores.npz")


@pytest.mark.usefixtures("folder")
def test_fit_json_holds_the_ladder(capsys):
    told = json.loads(run(capsys, "fit", "metered.npz", "--budget-j", "0.6", "--json"))
    assert told["energy"] == "cpu estimated"
    assert told["chosen"] in told["ladder"]["rungs"]
    assert told["chosen"]["verifiers"] == ["b", "d"]
    assert set(told["chosen"]) == {"verifiers", "energy_j", "accuracy"}
    assert told["ladder"]["everything"]["energy_j"] == pytest.approx(6 * 1.0)
    used = [one["name"] for one in told["verifiers"] if one["dropped"] is None]
    assert used == ["b", "d"]
    plain = json.loads(run(capsys, "fit", "scores.npz", "--json"))
    assert plain["ladder"] is plain["chosen"] is plain["energy"] is None


@pytest.mark.usefixtures("folder")
def test_select_keeps_the_budget_and_needs_only_the_verifiers_used(capsys):
    fitted = run(capsys, "select", "metered.npz", "--budget-j", "0.6", "--json")
    run(capsys, "fit", "metered.npz", "--budget-j", "0.6", "-o", "model.json")
    assert run(capsys, "select", "metered.npz", "--model", "model.json", "--json") == fitted
    assert json.loads(fitted)["energy"] == "cpu estimated"
    scores = draw(RATES, COST_J)
    save_scores(scores.only(("d", "b")), Path("two.npz"))
    two = json.loads(run(capsys, "select", "two.npz", "--model", "model.json", "--json"))
    assert two == json.loads(fitted)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("fit", "scores.npz", "--budget-j", "-1"), "budget_j -1.0: need joules"),
        (("select", "scores.npz", "--budget-j", "nan"), "budget_j nan: need joules"),
        (("select", "scores.npz", "--budget-j", "1", "--model", "m.json"), "weaver fit"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(capsys, arguments, says):
    assert main([*arguments]) == 2
    out, said = capsys.readouterr()
    assert out == ""
    assert len(said.splitlines()) == 1
    assert says in said
