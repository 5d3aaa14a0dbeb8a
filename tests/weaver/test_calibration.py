"""Calibrated probabilities, and abstaining at a risk."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archon.errors import UsageError
from weaver.calibrate import Calibrator, threshold_for_risk
from weaver.metrics import calibration_error


def overconfident(count, seed=0):
    rng = np.random.default_rng(seed)
    odds = rng.normal(0, 1, count)
    return 1 / (1 + np.exp(-3 * odds)), rng.random(count) < 1 / (1 + np.exp(-odds))


@pytest.mark.parametrize("how", ["platt", "isotonic"])
def test_overconfidence_is_taken_back(how):
    chance, correct = overconfident(3000)
    fresh, truth = overconfident(3000, 1)
    calibrator = Calibrator.fit(chance, correct, how)
    before = calibration_error(fresh, truth.astype(np.int8))
    assert calibration_error(calibrator.apply(fresh), truth.astype(np.int8)) < before / 3


@given(
    st.integers(0, 1000),
    st.sampled_from(["auto", "platt", "isotonic", "none"]),
    st.integers(0, 300),
)
def test_it_never_turns_the_order_around_and_reads_back(seed, how, count):
    chance, correct = overconfident(count, seed)
    calibrator = Calibrator.fit(chance, correct, how)
    grid = calibrator.apply(np.linspace(0, 1, 101))
    assert (np.diff(grid) >= -1e-12).all()
    assert ((grid >= 0) & (grid <= 1)).all()
    again = Calibrator.from_record(json.loads(json.dumps(asdict(calibrator))))
    assert (again.apply(np.linspace(0, 1, 101)) == grid).all()


def test_how_much_is_fitted_depends_on_how_many_labels():
    kinds = [Calibrator.fit(*overconfident(count), "auto").kind for count in (19, 20, 199, 200)]
    assert kinds == ["none", "platt", "platt", "isotonic"]


def test_scores_against_the_truth_become_a_constant():
    chance, correct = overconfident(500)
    assert np.ptp(Calibrator.fit(1 - chance, correct, "platt").apply(chance)) < 1e-9


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0, 1))
def test_the_threshold_is_the_lowest_that_keeps_the_risk(chances, risk):
    chance = np.array(chances)
    threshold = threshold_for_risk(chance, risk)
    given_ = chance[chance >= threshold]
    if given_.size:
        assert (1 - given_).mean() <= risk + 1e-9
    lower = chance[chance < threshold]
    if lower.size:
        more = chance[chance >= lower.max()]
        assert (1 - more).mean() > risk - 1e-9


def test_a_risk_is_a_share():
    with pytest.raises(UsageError, match="risk 2"):
        threshold_for_risk(np.ones(1), 2)


@pytest.mark.parametrize(
    "record",
    [
        None,
        {"kind": "none"},
        {"kind": "spline", "x": [], "y": []},
        {"kind": "platt", "x": [1.0], "y": []},
        {"kind": "platt", "x": [1.0, "2"], "y": []},
        {"kind": "isotonic", "x": [2.0, 1.0], "y": [0.1, 0.2]},
        {"kind": "isotonic", "x": [1.0, 2.0], "y": [0.1, 1.2]},
        {"kind": "isotonic", "x": [], "y": []},
        {"kind": "none", "x": [1.0], "y": []},
    ],
)
def test_records_that_lie(record):
    with pytest.raises(UsageError, match="calibrator"):
        Calibrator.from_record(record)
