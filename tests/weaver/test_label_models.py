"""How well label models recover what made the votes."""

import numpy as np
import pytest

from weaver import methods
from weaver.labelled import with_labels
from weaver.methods.em import maximise
from weaver.methods.matrix import loss, overlaps
from weaver.methods.moments import from_moments
from weaver.metrics import selection_accuracy
from weaver.synthetic import two_coin
from weaver.two_coin import TwoCoin
from weaver.votes import Votes

LABEL_FREE = ("em", "continuous", "moments", "matrix", "tensor")


@pytest.fixture(scope="module")
def large():
    return [two_coin(seed) for seed in range(2)]


@pytest.mark.parametrize("name", ["em", "moments"])
def test_as_good_as_knowing_the_rates(large, name):
    losses, tpr_error, tnr_error, balance = [], [], [], []
    for scores, truth in large:
        votes = Votes.pack(scores.scores.reshape(-1, 20))
        bayes = TwoCoin(truth.class_balance, truth.tpr, truth.tnr).log_odds(votes)
        best = selection_accuracy(bayes.reshape(500, 100).argmax(axis=1), truth.correct)
        method = methods.make(name).fit(scores.scores)
        losses.append(best - selection_accuracy(method.select(scores.scores), truth.correct))
        tpr_error.append(np.abs(method.tpr_ - truth.tpr))
        tnr_error.append(np.abs(method.tnr_ - truth.tnr))
        balance.append(abs(method.class_balance_ - truth.class_balance))
    assert np.mean(losses) < 0.005
    assert np.mean([tpr_error, tnr_error]) < 0.01
    assert np.max([tpr_error, tnr_error]) < 0.03
    assert max(balance) < 0.03


@pytest.mark.parametrize("name", LABEL_FREE)
@pytest.mark.parametrize("class_balance", [0.2, 0.5, 0.8])
def test_never_upside_down_and_the_class_balance_on_its_side(name, class_balance):
    for seed in range(4):
        scores, truth = two_coin(
            seed,
            queries=150,
            samples=20,
            verifiers=10,
            tpr=(0.55, 0.85),
            tnr=(0.55, 0.85),
            class_balance=class_balance,
        )
        method = methods.make(name).fit(scores.scores)
        chance = method.predict_proba(scores.scores)
        assert np.corrcoef(chance.ravel(), truth.correct.ravel())[0, 1] > 0.5
        assert method.class_balance_ == pytest.approx(class_balance, abs=0.08)


@pytest.mark.parametrize("name", LABEL_FREE)
def test_a_given_class_balance_is_kept(name):
    scores, _ = two_coin(0, queries=50, samples=10, verifiers=6, tpr=(0.7, 0.8), tnr=(0.7, 0.8))
    method = methods.make(name, class_balance=0.3).fit(scores.scores)
    assert method.class_balance_ == pytest.approx(0.3)


def test_em_ends_where_a_step_changes_nothing():
    scores, _ = two_coin(1, queries=50, samples=20, verifiers=6, tpr=(0.6, 0.8), tnr=(0.6, 0.8))
    votes = Votes.pack(scores.scores.reshape(-1, 6))
    found = maximise(votes, from_moments(votes, None))
    chance = 1 / (1 + np.exp(-found.log_odds(votes)))
    assert found.class_balance == pytest.approx(chance.mean(), abs=1e-4)
    yes, seen = votes.counts(chance)
    np.testing.assert_allclose(found.tpr, yes / seen, atol=1e-4)


def test_moments_of_the_model_itself_give_the_model_back():
    truth = TwoCoin(0.3, np.array([0.9, 0.7, 0.6, 0.4]), np.array([0.8, 0.7, 0.9, 0.5]))
    # every pattern of votes, as often as the model says
    patterns = (np.arange(16)[:, None] >> np.arange(4) & 1).astype(float)
    right = 0.3 * np.prod(np.where(patterns == 1, truth.tpr, 1 - truth.tpr), axis=1)
    wrong = 0.7 * np.prod(np.where(patterns == 1, 1 - truth.tnr, truth.tnr), axis=1)
    votes = Votes.pack(np.repeat(patterns, np.rint((right + wrong) * 200_000).astype(int), axis=0))
    for found in (
        from_moments(votes, None),
        methods.make("tensor")._rates(votes),
        methods.make("matrix")._rates(votes),
        methods.make("em")._rates(votes),
    ):
        assert found.class_balance == pytest.approx(0.3, abs=0.005)
        np.testing.assert_allclose(found.tpr, truth.tpr, atol=0.005)
        np.testing.assert_allclose(found.tnr, truth.tnr, atol=0.005)


def test_the_gradient_of_the_published_loss():
    scores, _ = two_coin(2, queries=20, samples=5, verifiers=3, missing=0.2)
    observed, between = overlaps(Votes.pack(scores.scores.reshape(-1, 3)))
    balance = np.array([0.6, 0.4])
    mu = np.random.default_rng(0).random((6, 2))
    value, gradient = loss(mu, observed, between, balance)
    for index in range(12):
        step = np.zeros(12)
        step[index] = 1e-6
        ahead, _ = loss(mu + step.reshape(6, 2), observed, between, balance)
        assert (ahead - value) / 1e-6 == pytest.approx(gradient[index], abs=1e-3)


def junk(seed):
    """Five verifiers that share an opinion that has nothing to do with the truth; one knows."""
    rng = np.random.default_rng(seed)
    truth, opinion = rng.random((150, 6)) < 0.35, rng.random((150, 6)) < 0.5
    echoes = [np.where(rng.random((150, 6)) < 0.85, opinion, ~opinion) for _ in range(5)]
    judge = np.where(rng.random((150, 6)) < 0.8, truth, ~truth)
    return np.stack([*echoes, judge], axis=2).astype(float), truth.astype(np.int8)


@pytest.mark.parametrize("name", LABEL_FREE)
def test_a_few_labels_find_the_one_that_knows(name):
    x, truth = junk(0)
    labels = np.full(truth.shape, -1)
    labels[:8] = truth[:8]
    without = selection_accuracy(methods.make(name).fit(x).select(x), truth)
    method = methods.make(name).fit(x, labels=labels)
    assert method.weights_.argmax() == 5
    assert selection_accuracy(method.select(x), truth) > without + 0.15


def test_labels_turn_an_inverted_model_around():
    scores, truth = two_coin(3, queries=40, samples=10, verifiers=5, tpr=(0.7, 0.9), tnr=(0.7, 0.9))
    votes = Votes.pack(1 - scores.scores.reshape(-1, 5))
    labels = np.where(np.arange(400) < 40, truth.correct.ravel(), -1).astype(np.int8)
    free = from_moments(votes, None)
    found, _ = with_labels((free, free.swapped()), votes, labels, np.arange(400) // 10, None)
    assert (free.informedness > 0).all()
    assert (found.informedness < 0).all()


def test_votes_that_do_not_agree_teach_nothing():
    x = np.random.default_rng(0).integers(0, 2, (50, 4, 6)).astype(float)
    method = methods.make("em").fit(x)
    np.testing.assert_allclose(method.weights_, 0, atol=1e-12)


def test_scores_say_more_than_votes():
    scores, truth = two_coin(0, queries=200, samples=20, verifiers=10, continuous=True)
    by_score, by_vote = (
        selection_accuracy(
            methods.make(name).fit(scores.scores).select(scores.scores), truth.correct
        )
        for name in ("continuous", "em")
    )
    assert by_score > by_vote + 0.02


def test_continuous_is_em_where_all_verifiers_vote():
    scores, _ = two_coin(0, queries=40, samples=10, verifiers=6, tpr=(0.6, 0.8), tnr=(0.6, 0.8))
    x = scores.scores
    x[:, :, 0] = 1
    one, other = (methods.make(name).fit(x).predict_proba(x) for name in ("continuous", "em"))
    np.testing.assert_allclose(one, other, atol=1e-9)


def test_continuous_reads_only_the_order_of_scores():
    scores, _ = two_coin(0, queries=60, samples=10, verifiers=6, continuous=True)
    x = scores.scores / np.abs(scores.scores).max(axis=(0, 1))
    plain = methods.make("continuous").fit(x).predict_proba(x)
    bent = methods.make("continuous").fit(np.exp(3 * x)).predict_proba(np.exp(3 * x))
    np.testing.assert_allclose(plain, bent, atol=0.02)


def test_clusters_know_that_hard_queries_are_hard():
    scores, truth = two_coin(
        0, queries=200, samples=20, verifiers=8, tpr=(0.6, 0.8), tnr=(0.6, 0.8), difficulty=1.5
    )
    brier = {
        name: np.mean(
            (methods.make(name).fit(scores.scores).predict_proba(scores.scores) - truth.correct)
            ** 2
        )
        for name in ("em", "clusters")
    }
    assert brier["clusters"] < brier["em"]
