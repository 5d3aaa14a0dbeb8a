"""What every method must do, and the properties that hold for some."""

import json
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archon.errors import UsageError
from weaver import methods
from weaver.methods.base import Method
from weaver.synthetic import two_coin

NAMES = tuple(name for name in methods.names() if name != "snorkel")
VOTING = ("naive_bayes", "em", "moments", "matrix", "tensor", "clusters")
WEIGHING = ("logistic", "naive_bayes", "em", "continuous", "moments", "matrix", "tensor")
seeds = st.integers(0, 10**6)


def draw(seed, **changes):
    """Return scores, answers and labels of a small set with a clear signal."""
    shape = {"queries": 40, "samples": 8, "verifiers": 5, "class_balance": 0.4}
    rates = {"tpr": (0.65, 0.9), "tnr": (0.65, 0.9)}
    scores, truth = two_coin(seed, **{**shape, **rates, **changes})
    labels = truth.correct.copy()
    labels[len(labels) // 2 :] = -1
    return scores, labels


def fit(name, x, answers=None, labels=None):
    return methods.make(name).fit(x, answers, labels)


def close(one, other, tolerance=2e-3):
    """EM stops within a tolerance of its fixed point, so the order of sums shows a little."""
    np.testing.assert_allclose(one, other, atol=tolerance)


HARD = {
    "copies": {"copies": 0.9},
    "difficulty": {"difficulty": 1.5},
    "missing": {"missing": 0.3},
    "most missing": {"missing": 0.9},
    "continuous": {"continuous": True},
    "two verifiers": {"verifiers": 2},
    "one verifier": {"verifiers": 1},
    "one sample": {"samples": 1},
    "one query": {"queries": 1},
    "one cell": {"queries": 1, "samples": 1, "verifiers": 1},
    "answers": {"answers": "once"},
    "nearly all wrong": {"class_balance": 0.01},
    "nearly all right": {"class_balance": 0.99},
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("hard", HARD)
def test_every_method_stands_hard_data(name, labelled, hard):
    scores, labels = draw(1, **HARD[hard])
    labels[:1] = [0, 1] * 4 if labels.shape[1] == 8 else 1
    method = methods.class_of(name)
    given = labels if labelled or method.needs_labels else None
    fitted = fit(name, scores.scores, scores.answers, given)
    check(fitted, scores.scores, scores.answers)


ODD = {
    "all yes": np.ones((6, 4, 3)),
    "all no": np.zeros((6, 4, 3)),
    "all missing": np.full((6, 4, 3), np.nan),
    "one constant": np.dstack(
        [np.tile([0.0, 1.0], (6, 2)), np.tile([0.0, 1.0], (6, 2)), np.ones((6, 4))]
    ),
    "one never seen": np.dstack([np.tile([0.0, 1.0], (6, 2))] * 2 + [np.full((6, 4), np.nan)]),
    "perfect agreement": np.repeat(np.tile([0.0, 1.0, 1.0, 0.0], (6, 1))[..., None], 3, axis=2),
    "huge": 1e300 * np.random.default_rng(0).standard_normal((6, 4, 3)),
    "tiny": 1e-300 * np.random.default_rng(0).standard_normal((6, 4, 3)),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("odd", ODD)
def test_every_method_stands_odd_data(name, odd):
    x = ODD[odd]
    labels = np.full(x.shape[:2], -1)
    labels[0] = [0, 1, 1, 0]
    check(fit(name, x, None, labels), x, None)
    answers = np.tile(["1", "", "2", "1"], (6, 1))
    if not methods.class_of(name).needs_labels:
        check(fit(name, x, answers), x, answers)


def check(method, x, answers):
    chance = method.predict_proba(x, answers)
    assert chance.shape == x.shape[:2]
    assert np.isfinite(chance).all()
    assert ((chance >= 0) & (chance <= 1)).all()
    chosen = method.select(x, answers)
    assert chosen.shape == x.shape[:1]
    assert ((chosen >= 0) & (chosen < x.shape[1])).all()


@pytest.mark.parametrize("name", NAMES)
@given(seed=seeds)
@settings(max_examples=4)
def test_order_does_not_matter(name, seed):
    scores, labels = draw(seed, missing=0.1, answers="each")
    x, answers = scores.scores, scores.answers
    rng = np.random.default_rng(seed)
    queries, samples, verifiers = (rng.permutation(size) for size in x.shape)
    plain = fit(name, x, answers, labels).predict_proba(x, answers)
    by_verifier = x[:, :, verifiers]
    close(fit(name, by_verifier, answers, labels).predict_proba(by_verifier, answers), plain)
    cut = np.ix_(queries, samples)
    moved = fit(name, x[cut], answers[cut], labels[cut]).predict_proba(x[cut], answers[cut])
    close(moved, plain[cut])


@pytest.mark.parametrize(
    "name", ["mean", "plurality", "em", "continuous", "moments", "matrix", "tensor"]
)
@given(seed=seeds)
@settings(max_examples=4)
def test_all_data_twice_say_the_same(name, seed):
    scores, _ = draw(seed, answers="each")
    x, answers = scores.scores, scores.answers
    twice = fit(name, np.concatenate([x, x]), np.concatenate([answers, answers]))
    close(twice.predict_proba(x, answers), fit(name, x, answers).predict_proba(x, answers))


@pytest.mark.parametrize("name", WEIGHING)
@given(seed=seeds, which=st.integers(0, 6))
@settings(max_examples=4)
def test_a_flipped_verifier_gets_the_opposite_weight(name, seed, which):
    scores, labels = draw(seed, verifiers=7)
    x = scores.scores
    known = labels if methods.class_of(name).needs_labels else None
    plain = fit(name, x, labels=known)
    flipped_x = x.copy()
    flipped_x[:, :, which] = 1 - x[:, :, which]
    flipped = fit(name, flipped_x, labels=known)
    sign = np.where(np.arange(7) == which, -1, 1)
    close(flipped.weights_, sign * plain.weights_, 0.02)
    close(flipped.predict_proba(flipped_x), plain.predict_proba(x), 5e-3)


@pytest.mark.parametrize("name", WEIGHING)
@given(seed=seeds)
@settings(max_examples=4)
def test_a_perfect_verifier_wins(name, seed):
    scores, _ = draw(seed, tpr=(0.6, 0.7), tnr=(0.6, 0.7), queries=120)
    truth = scores.correct
    x = np.concatenate([scores.scores, truth[..., None]], axis=2)
    known = np.where(np.arange(120)[:, None] < 60, truth, -1)
    method = fit(name, x, labels=known if methods.class_of(name).needs_labels else None)
    assert method.weights_.argmax() == 5
    chosen = truth[np.arange(120), method.select(x)]
    assert (chosen == truth.max(axis=1)).mean() > 0.97


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("continuous", [False, True])
def test_json_gives_the_same_predictions(name, continuous):
    scores, labels = draw(3, continuous=continuous, missing=0.1, answers="each")
    x, answers = scores.scores, scores.answers
    fitted = fit(name, x, answers, labels)
    again = methods.from_json(fitted.to_json())
    assert type(again) is type(fitted)
    assert again.get_params() == fitted.get_params()
    np.testing.assert_array_equal(again.predict_proba(x, answers), fitted.predict_proba(x, answers))
    np.testing.assert_array_equal(again.select(x, answers), fitted.select(x, answers))


@pytest.mark.parametrize("name", NAMES)
def test_parameters_stay_as_given(name):
    method = methods.make(name)
    before = method.get_params()
    assert all(not key.endswith("_") for key in before)
    scores, labels = draw(0)
    method.fit(scores.scores, labels=labels)
    assert method.get_params() == before
    assert all(hasattr(method, f.name) for f in fields(method))


@pytest.mark.parametrize("name", NAMES)
def test_the_method_reads_nothing_of_padding(name):
    scores, labels = draw(5, answers="each")
    x, answers = scores.scores, scores.answers
    wide = np.concatenate([x, np.full((40, 3, 5), np.nan)], axis=1)
    wide_answers = np.concatenate([answers, np.full((40, 3), "")], axis=1)
    wide_labels = np.concatenate([labels, np.full((40, 3), -1)], axis=1)
    padded = fit(name, wide, wide_answers, wide_labels)
    chance = padded.predict_proba(wide, wide_answers)
    close(chance[:, :8], fit(name, x, answers, labels).predict_proba(x, answers))
    assert (chance[:, 8:] == 0).all()
    assert (padded.select(wide, wide_answers) < 8).all()


def record_of(name):
    scores, labels = draw(0)
    return json.loads(fit(name, scores.scores, labels=labels).to_json())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda r: r.update(weaver=2), "format 2"),
        (lambda r: r.update(method="oracle"), "unknown method 'oracle'"),
        (lambda r: r.pop("params"), "need an object"),
        (lambda r: r["params"].update(color=1), "params may hold"),
        (lambda r: r["params"].update(class_balance=2), "class_balance 2"),
        (lambda r: r["params"].update(binarize="never"), "binarize 'never'"),
        (lambda r: r["fitted"].pop("tpr_"), "fitted must hold"),
        (lambda r: r["fitted"].update(tpr_=[0.5]), "sizes do not agree"),
        (lambda r: r["fitted"].update(tpr_=0.5), "shape"),
        (lambda r: r["fitted"].update(tpr_=["a"] * 5), "not all finite"),
        (lambda r: r["fitted"].update(tpr_=[float("nan")] * 5), "not all finite"),
        (lambda r: r["fitted"].update(tpr_=[[1], [1, 2]]), "unequal length"),
        (lambda r: r["fitted"].update(class_balance_=None), "not all finite"),
    ],
)
def test_json_that_lies(change, says):
    record = record_of("em")
    change(record)
    with pytest.raises(UsageError, match=says):
        methods.from_json(json.dumps(record))


def test_text_that_is_no_json():
    with pytest.raises(UsageError, match="not JSON"):
        methods.from_json("{")


def test_what_is_wrong_is_said():
    x = np.ones((3, 2, 2))
    with pytest.raises(UsageError, match="unknown method 'best'; known: first"):
        methods.make("best")
    with pytest.raises(UsageError, match=r"method em: .*'speed'"):
        methods.make("em", speed=1)
    with pytest.raises(UsageError, match="not fitted"):
        methods.make("em").predict_proba(x)
    with pytest.raises(UsageError, match="scores of 3 verifiers, fitted with 2"):
        fit("em", x).predict_proba(np.ones((3, 2, 3)))
    for name in ("logistic", "naive_bayes"):
        with pytest.raises(UsageError, match="needs labels"):
            fit(name, x, labels=np.full((3, 2), -1))
    for params in ({"c": 0}, {"c": "1"}):
        with pytest.raises(UsageError, match="number above 0"):
            methods.make("logistic", **params).fit(x, labels=np.ones((3, 2)))
    for params in ({"bins": 0}, {"shrinkage": -1}):
        with pytest.raises(UsageError, match="need a"):
            methods.make("clusters", **params).fit(x)


def test_another_package_adds_a_method(monkeypatch):
    from importlib.metadata import EntryPoint

    class Last(methods.First):
        name = "last"

    entry = EntryPoint("last", "tests:Last", "weaver.methods")
    monkeypatch.setattr(EntryPoint, "load", lambda _: Last)
    monkeypatch.setattr(methods, "entry_points", lambda **_: [entry])
    methods._classes.cache_clear()
    try:
        assert isinstance(methods.make("last"), Method)
        assert "last" in methods.names()
    finally:
        methods._classes.cache_clear()
