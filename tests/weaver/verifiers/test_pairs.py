"""Which pairs are judged, and the strengths that follow from who wins."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from weaver.verifiers.pairwise import bradley_terry, schedule


@given(st.integers(0, 12), st.integers(1, 80))
def test_no_pair_is_judged_twice_and_everybody_plays_about_as_often(count, most):
    pairs = schedule(count, most)
    assert len(pairs) == min(most, count * (count - 1) // 2)
    assert len({frozenset(pair) for pair in pairs}) == len(pairs)
    assert all(one != other for one, other in pairs)
    played = Counter(index for pair in pairs for index in pair)
    times = [played[index] for index in range(count)]
    assert not times or max(times) - min(times) <= 2


def test_strengths_of_a_full_tournament_are_found():
    truth = np.array([-1.0, 0.2, 0.3, 0.5])
    won = {
        (one, other): float(expit(truth[one] - truth[other]))
        for one in range(4)
        for other in range(one)
    }
    assert bradley_terry(4, won) == pytest.approx(truth, abs=0.15)
    assert np.argsort(bradley_terry(4, won)).tolist() == [0, 1, 2, 3]


def test_winning_everything_gives_a_finite_strength():
    strengths = bradley_terry(3, {(0, 1): 1.0, (1, 2): 1.0, (0, 2): 1.0})
    assert np.isfinite(strengths).all()
    assert strengths[0] > strengths[1] > strengths[2]
    assert strengths.sum() == pytest.approx(0)


def test_a_chain_of_pairs_ranks_those_who_never_met():
    strengths = bradley_terry(3, {(0, 1): 0.8, (1, 2): 0.8})
    assert strengths[0] > strengths[1] > strengths[2]


def test_nobody_played():
    assert bradley_terry(2, {}).tolist() == [0.0, 0.0]
