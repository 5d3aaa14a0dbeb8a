"""Choosing a sample: log-odds, then the mass of its answer, then its scores."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from weaver import methods
from weaver.select import choose

ALL = np.ones((1, 3), dtype=bool)


def chosen(odds, mass=None, tie=(0, 0, 0), real=ALL):
    held = None if mass is None else np.array([mass], dtype=float)
    return int(choose(np.array([odds], dtype=float), real, held, np.array([tie], dtype=float))[0])


def test_keys_in_turn():
    assert chosen([0, 2, 1]) == 1
    assert chosen([1, 1, 0], mass=[1, 2, 9]) == 1
    assert chosen([1, 1, 1], mass=[1, 2, 2], tie=[9, 1, 3]) == 2
    assert chosen([1, 1, 1], tie=[1, 5, 3]) == 1
    assert chosen([1, 1, 1]) == 0, "equal in all: the first"


def test_rounding_is_no_difference():
    assert chosen([0.1 + 0.2, 0.3, 0], tie=[0, 1, 0]) == 1


def test_padding_is_never_chosen():
    assert chosen([9, 1, 2], real=np.array([[False, True, True]])) == 2


@given(st.permutations(range(6)))
def test_votes_that_tie_are_decided_by_the_scores_behind_them(order):
    rng = np.random.default_rng(0)
    x = rng.random((60, 6, 4)) + (rng.random((60, 6, 1)) < 0.5)
    method = methods.make("em").fit(x)
    same = x.copy()
    same[0] = 1e3 + np.arange(6)[:, None]  # every vote is yes
    place = np.array(order)
    assert place[method.select(same[:1, place])[0]] == 5
