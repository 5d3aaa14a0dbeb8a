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
