"""The methods that learn from labels."""

import numpy as np
import pytest
from scipy.optimize import minimize

from weaver import methods
from weaver.methods.supervised import logistic_regression
from weaver.synthetic import two_coin


def test_newton_finds_the_minimum():
    rng = np.random.default_rng(0)
    features, weight = rng.normal(size=(60, 3)), rng.random(60)
    right = (rng.random(60) < 0.4).astype(float)

    def loss(at):
        odds = features @ at[:-1] + at[-1]
        return 0.5 * at[:-1] @ at[:-1] + 0.7 * weight @ (np.logaddexp(0, odds) - right * odds)

    expected = minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-9}).x
    np.testing.assert_allclose(
        logistic_regression(features, right, weight, 0.7), expected, atol=1e-5
    )


def test_separable_labels_give_finite_weights():
    x = np.repeat(np.arange(8.0)[:, None, None], 2, axis=2)
    method = methods.make("logistic").fit(x, labels=(np.arange(8) >= 4).astype(int)[:, None])
    assert np.isfinite(method.weights_).all()
    assert (np.diff(method.predict_proba(x)[:, 0]) >= 0).all()


@pytest.mark.parametrize("name", ["logistic", "naive_bayes"])
def test_probabilities_mean_what_they_say(name):
    scores, truth = two_coin(
        0, queries=200, samples=20, verifiers=6, tpr=(0.6, 0.8), tnr=(0.6, 0.8), class_balance=0.2
    )
    chance = (
        methods.make(name).fit(scores.scores, labels=truth.correct).predict_proba(scores.scores)
    )
    sure = chance > 0.5
    assert chance.mean() == pytest.approx(truth.correct.mean(), abs=0.03)
    assert truth.correct[sure].mean() == pytest.approx(chance[sure].mean(), abs=0.05)


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("name", ["logistic", "naive_bayes"])
def test_labels_of_one_kind_teach_the_share_alone(name, label):
    x = np.random.default_rng(0).random((10, 4, 3))
    labels = np.full((10, 4), -1)
    labels[:2] = label
    chance = methods.make(name).fit(x, labels=labels).predict_proba(x)
    assert (chance > 0.5).all() == bool(label) or name == "naive_bayes"
    assert np.isfinite(chance).all()


def test_naive_bayes_counts():
    x = np.array([[[1.0], [1.0], [0.0], [0.0], [1.0]]])
    method = methods.make("naive_bayes").fit(x, labels=[[1, 1, 1, 0, -1]])
    assert method.tpr_[0] == pytest.approx(3 / 5)
    assert method.tnr_[0] == pytest.approx(2 / 3)
    assert method.class_balance_ == pytest.approx(4 / 6)


def test_that_a_score_is_missing_can_tell():
    rng = np.random.default_rng(0)
    truth = rng.random((100, 4)) < 0.5
    x = rng.random((100, 4, 2))
    x[:, :, 0][~truth] = np.nan
    method = methods.make("logistic").fit(x, labels=truth.astype(int))
    assert method.missing_[0] < -1
    assert method.predict_proba(x)[truth].mean() > 0.9
