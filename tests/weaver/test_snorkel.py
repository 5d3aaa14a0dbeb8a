"""Snorkel's LabelModel behind the common interface."""

import sys

import numpy as np
import pytest

from archon.errors import UsageError
from weaver import methods
from weaver.synthetic import two_coin

RATES = {"tpr": (0.65, 0.9), "tnr": (0.65, 0.9)}


@pytest.mark.parametrize("class_balance", [0.25, 0.75])
def test_it_comes_out_upright(class_balance):
    scores, truth = two_coin(
        0, queries=100, samples=10, verifiers=6, class_balance=class_balance, missing=0.1, **RATES
    )
    method = methods.make("snorkel").fit(scores.scores)
    chance = method.predict_proba(scores.scores)
    assert np.corrcoef(chance.ravel(), truth.correct.ravel())[0, 1] > 0.6
    again = methods.from_json(method.to_json())
    np.testing.assert_array_equal(again.predict_proba(scores.scores), chance)


def test_two_verifiers_are_left_to_moments():
    scores, _ = two_coin(0, queries=50, samples=10, verifiers=2, **RATES)
    x = scores.scores
    np.testing.assert_array_equal(
        methods.make("snorkel").fit(x).predict_proba(x),
        methods.make("moments").fit(x).predict_proba(x),
    )


def test_without_the_extra_one_line_says_how_to_get_it(monkeypatch):
    for name in [module for module in sys.modules if module.split(".")[0] == "snorkel"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "snorkel", None)
    scores, _ = two_coin(0, queries=50, samples=10, verifiers=4, **RATES)
    with pytest.raises(UsageError, match=r"pip install 'archon-ipw\[snorkel\]'"):
        methods.make("snorkel").fit(scores.scores)


@pytest.mark.parametrize("params", [{"epochs": 0}, {"epochs": 1.5}, {"learning_rate": 0}])
def test_parameters_are_checked(params):
    with pytest.raises(UsageError, match=next(iter(params))):
        methods.make("snorkel", **params).fit(np.ones((2, 2, 3)))
