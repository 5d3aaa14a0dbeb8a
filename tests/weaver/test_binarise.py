"""Votes from scores."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archon.errors import UsageError
from weaver.binarise import thresholds, vote
from weaver.normalise import Extent


def cut(column, how="auto", class_balance=None, labels=None):
    rows = np.array(column, dtype=float)[:, None]
    known = None if labels is None else np.array(labels, dtype=np.int8)
    return thresholds(rows, Extent.of(rows), how, class_balance, known)[0]


@pytest.mark.parametrize("how", ["auto", "median", "balance", 0.9])
def test_two_values_are_cut_between_them(how):
    assert cut([0, 1, 1], how, 0.25) == 0.5
    assert cut([-3, 5, np.nan], how, 0.25) == 1


@pytest.mark.parametrize(
    ("how", "balance", "expected"),
    [
        ("median", None, 4.5),
        ("auto", None, 4.5),
        ("balance", 0.2, 7.5),
        ("auto", 0.2, 7.5),
        (3, None, 3),
    ],
)
def test_rules(how, balance, expected):
    assert cut(range(10), how, balance) == expected


def test_ties_go_to_one_side():
    assert cut([0, 1, 1, 1, 1, 1, 1, 2]) in (0.5, 1.5)
    assert cut([0, 0, 0, 0, 0, 1, 2]) == 0.5


def test_learned_is_where_labels_separate_best():
    scores = np.arange(40)
    labels = (scores >= 30).astype(int)
    assert cut(scores, "learned", labels=labels) == 29.5
    assert cut(scores, labels=labels) == 29.5, "auto learns from ten of each"
    assert cut(scores, labels=np.where(scores < 35, labels, -1)) == 19.5, "too few: the median"


def test_what_is_needed_is_asked_for():
    with pytest.raises(UsageError, match="class balance"):
        cut(range(5), "balance")
    with pytest.raises(UsageError, match="needs labels"):
        cut(range(5), "learned", labels=[1, 1, 1, -1, -1])


@given(st.lists(st.floats(-1e6, 1e6), min_size=3), st.floats(0.05, 0.95))
def test_a_cut_leaves_votes_on_both_sides_unless_constant(column, balance):
    rows = np.array(column)[:, None]
    votes = vote(rows, thresholds(rows, Extent.of(rows), "balance", balance, None))
    values = set(votes[:, 0].tolist())
    low, high = rows.min(), rows.max()
    assert values == ({0.0, 1.0} if low < low + (high - low) / 2 else {1.0})
