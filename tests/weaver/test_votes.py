"""Packed votes give the sums of plain products."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from weaver.votes import Votes


@st.composite
def ballots(draw):
    rows, verifiers = draw(st.integers(1, 12)), draw(st.integers(1, 23))
    seed, missing = draw(st.integers(0, 10**6)), draw(st.sampled_from([0.0, 0.3, 1.0]))
    rng = np.random.default_rng(seed)
    matrix = rng.integers(0, 2, (rows, verifiers)).astype(float)
    matrix[rng.random(matrix.shape) < missing] = np.nan
    return matrix


@given(ballots())
@settings(max_examples=60)
def test_sums_and_counts_are_those_of_the_matrix(matrix):
    votes = Votes.pack(matrix)
    rng = np.random.default_rng(0)
    if_yes, if_no = rng.normal(size=(2, matrix.shape[1]))
    weight = rng.random(len(matrix))
    yes, no = matrix == 1, matrix == 0
    np.testing.assert_allclose(votes.row_sums(if_yes, if_no), yes @ if_yes + no @ if_no, atol=1e-12)
    counted = votes.counts(weight)
    np.testing.assert_allclose(counted[0], weight @ yes, atol=1e-12)
    np.testing.assert_allclose(counted[1], weight @ (yes | no), atol=1e-12)
    assert votes.yes.tolist() == yes.sum(axis=0).tolist()
    assert votes.seen.tolist() == (yes | no).sum(axis=0).tolist()


@given(ballots())
@settings(max_examples=40)
def test_covariance_is_over_rows_where_both_voted(matrix):
    votes = Votes.pack(matrix)
    centred = matrix - votes.mean
    for one in range(min(3, matrix.shape[1])):
        for other in range(min(3, matrix.shape[1])):
            both = centred[:, one] * centred[:, other]
            expected = 0.0 if np.isnan(both).all() else np.nanmean(both)
            assert abs(votes.covariance[one, other] - expected) < 1e-5
