"""Samples with equal answers share their correctness."""

import numpy as np
import pytest

from weaver import methods
from weaver.answers import AnswerModel, Groups
from weaver.metrics import selection_accuracy
from weaver.synthetic import two_coin

ANSWERS = np.array([["a", "b", "a", ""], ["a", "a", "", ""]])
REAL = np.array([[True, True, True, True], [True, True, True, False]])


def test_groups():
    groups = Groups.find(ANSWERS, REAL)
    assert groups.mass_of.tolist() == [[2, 1, 2, 1], [2, 2, 1, 0]]
    assert groups.of[0, 0] == groups.of[0, 2]
    assert groups.of[0, 0] != groups.of[1, 0], "another query's answer is another answer"
    assert groups.of[1, 2] != groups.of[1, 3], "no answer is like no other"
    assert groups.share[groups.of[0, 0]] == pytest.approx(2.5 / 5)
    assert groups.share[groups.of[1, 0]] == pytest.approx(2.5 / 4)


def test_equal_answers_get_equal_probability_and_a_query_at_most_one_correct_answer():
    scores, _ = two_coin(0, queries=30, samples=8, verifiers=5, answers="each")
    for name in ("em", "mean", "clusters"):
        chance = methods.make(name).fit(scores.scores, scores.answers)
        chance = chance.predict_proba(scores.scores, scores.answers)
        for row, answers in zip(chance, scores.answers, strict=True):
            by_answer = {a: set(row[answers == a].round(9)) for a in set(answers.tolist())}
            assert all(len(values) == 1 for values in by_answer.values())
            assert sum(values.pop() for values in by_answer.values()) <= 1 + 1e-6


@pytest.mark.parametrize(("judged", "correlation"), [("each", 0.0), ("once", 1.0)])
def test_whether_a_second_look_tells_something_is_found_out(judged, correlation):
    rates = {"tpr": (0.6, 0.85), "tnr": (0.6, 0.85)}
    scores, _ = two_coin(0, queries=100, samples=12, verifiers=6, answers=judged, **rates)
    method = methods.make("em").fit(scores.scores, scores.answers)
    assert method.answer_correlation_ == pytest.approx(correlation, abs=0.15)


@pytest.mark.parametrize("judged", ["each", "once"])
def test_answers_help(judged):
    rates = {"tpr": (0.55, 0.8), "tnr": (0.55, 0.8)}
    scores, truth = two_coin(1, queries=200, samples=12, verifiers=6, answers=judged, **rates)
    x, answers = scores.scores, scores.answers
    blind = methods.make("em").fit(x).select(x)
    seeing = methods.make("em").fit(x, answers).select(x, answers)
    voting = methods.make("plurality").fit(x, answers).select(x, answers)
    accuracy = [selection_accuracy(chosen, truth.correct) for chosen in (blind, voting, seeing)]
    assert accuracy[2] > max(accuracy[:2])


def test_without_evidence_the_most_frequent_answer_wins():
    scores, _ = two_coin(0, queries=60, samples=9, verifiers=5, answers="each")
    noise = np.random.default_rng(0).integers(0, 2, scores.scores.shape).astype(float)
    method = methods.make("em").fit(noise, scores.answers)
    mass = Groups.find(scores.answers, scores.present).mass_of
    chosen = method.select(noise, scores.answers)
    assert (mass[np.arange(60), chosen] == mass.max(axis=1)).all()


def test_answers_not_seen_in_training_break_ties_alone():
    model = AnswerModel.without_answers(np.array([-1.0, 0.5]))
    groups = Groups.find(np.array([["a", "a", "b"]]), np.ones((1, 3), dtype=bool))
    odds = model.log_odds(np.array([[1.0, 1.0, 1.0]]), groups)
    assert odds[0, 0] == pytest.approx(odds[0, 2])


def labelled(seed, rates):
    """A third of the queries labelled; the commonest answer is right more often than any other."""
    scores, truth = two_coin(
        seed, queries=120, samples=12, verifiers=6, answers="each", tpr=rates, tnr=rates
    )
    labels = np.where(np.arange(120)[:, None] < 40, truth.correct, -1)
    return scores.scores, scores.answers, labels, truth.correct


@pytest.mark.parametrize("name", ["em", "continuous", "clusters", "naive_bayes", "logistic"])
def test_labels_say_how_far_evidence_is_to_be_believed(name):
    trust = []
    for rates in ((0.5, 0.5), (0.75, 0.9)):
        x, answers, labels, _ = labelled(0, rates)
        trust.append(methods.make(name).fit(x, answers, labels).answer_trust_)
    assert trust[0] < 0.35
    assert trust[1] > trust[0] + 0.2


@pytest.mark.parametrize("name", ["em", "continuous", "clusters", "naive_bayes", "logistic"])
def test_junk_verifiers_do_not_overrule_the_vote_when_labels_show_it(name):
    gained = []
    for seed in range(4):
        x, answers, labels, truth = labelled(seed, (0.5, 0.5))
        chosen, voted = (
            methods.make(one).fit(x, answers, labels).select(x, answers)[40:]
            for one in (name, "plurality")
        )
        gained.append(
            selection_accuracy(chosen, truth[40:]) - selection_accuracy(voted, truth[40:])
        )
    assert np.mean(gained) > -0.05


@pytest.mark.parametrize("name", ["em", "continuous", "moments", "matrix", "tensor", "clusters"])
def test_without_labels_camps_leave_the_vote_alone(name):
    rng = np.random.default_rng(0)
    opinions = rng.integers(0, 2, (2, 60, 9, 1))
    x = np.concatenate(
        [np.where(rng.random((60, 9, 4)) < 0.8, one, 1 - one) for one in opinions], axis=2
    ).astype(float)
    answers = rng.choice(["a", "b", "c"], (60, 9), p=[0.5, 0.3, 0.2])
    chosen, voted = (
        methods.make(one).fit(x, answers).select(x, answers) for one in (name, "plurality")
    )
    assert (chosen == voted).all()


def test_mass_and_evidence_fitted_to_labels_recover_what_made_them():
    rng = np.random.default_rng(0)
    answers = rng.choice(list("abcdef"), (3000, 6), p=[0.4, 0.2, 0.1, 0.1, 0.1, 0.1])
    real = np.ones(answers.shape, dtype=bool)
    groups = Groups.find(answers, real)
    evidence = rng.normal(0, 2, len(groups.mass))
    made = AnswerModel(0.0, 1.0, -0.5, 1.5, 0.4)
    odds = made.log_odds(evidence[groups.of], groups)
    labels = np.zeros(answers.shape, dtype=np.int8)
    for query in range(len(answers)):
        _, first = np.unique(groups.of[query], return_index=True)
        chance = 1 / (1 + np.exp(-odds[query, first]))
        drawn = rng.choice(len(first) + 1, p=[*chance, max(0.0, 1 - chance.sum())])
        if drawn < len(first):
            labels[query] = groups.of[query] == groups.of[query, first[drawn]]
    # the prior of the evidence moves α a little, so it is not compared
    found = AnswerModel.fit(evidence[groups.of], groups, real, labels)
    assert found.trust == pytest.approx(0.4, abs=0.06)
    assert found.slope == pytest.approx(1.5, abs=0.15)
