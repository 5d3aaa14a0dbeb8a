"""Measures of selections and verifiers."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weaver.metrics import auc, calibration_error, pass_at_k, selection_accuracy


def test_selection_accuracy_leaves_out_the_unknown():
    correct = np.array([[1, 0], [0, 1], [-1, 1], [0, 0]], dtype=np.int8)
    assert selection_accuracy(np.array([0, 0, 0, 1]), correct) == pytest.approx(1 / 3)
    assert selection_accuracy(np.array([0]), np.array([[-1]], dtype=np.int8)) is None


@given(st.lists(st.integers(0, 1), min_size=1, max_size=7), st.integers(1, 7))
def test_pass_at_k_is_the_mean_over_subsets(row, k):
    found = pass_at_k(np.array([[*row, -1]], dtype=np.int8), k)
    if k > len(row):
        assert found is None
    else:
        subsets = [max(subset) for subset in combinations(row, k)]
        assert found == pytest.approx(np.mean(subsets))


def test_pass_at_k_of_many_samples_stays_in_range():
    row = np.zeros((1, 5000), dtype=np.int8)
    row[0, 0] = 1
    assert pass_at_k(row, 2500) == pytest.approx(0.5)


def test_auc():
    correct = np.array([1, 0, 1, 0, -1], dtype=np.int8)
    assert auc(np.array([0.9, 0.1, 0.8, 0.2, 0.5]), correct) == 1
    assert auc(np.array([1.0, 1, 1, 1, 0]), correct) == 0.5
    assert auc(np.array([np.nan, 0.1, 0.15, 0.2, 0]), correct) == 0.5
    assert auc(np.array([0.9, np.nan, 0.8, np.nan, 0]), correct) is None


def test_calibration_error():
    correct = np.array([1, 1, 0, 0], dtype=np.int8)
    assert calibration_error(np.array([1.0, 1, 0, 0]), correct) == 0
    assert calibration_error(np.array([0.0, 0, 1, 1]), correct) == 1
    assert calibration_error(np.full(4, 0.5), correct, bins=1) == 0
    assert calibration_error(np.array([0.7]), np.array([-1])) is None
