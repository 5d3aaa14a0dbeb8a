"""Scales are fitted on training data and reused."""

import numpy as np
import pytest

from weaver.normalise import CLIP, Extent, Normaliser


def fit(column):
    rows = np.array(column, dtype=float)[:, None]
    return Normaliser.fit(rows, Extent.of(rows))


def test_a_gaussian_becomes_standard_on_any_scale():
    column = 1000 + 50 * np.random.default_rng(0).standard_normal(20_000)
    scale = fit(column)
    assert scale.centre[0] == pytest.approx(1000, abs=2)
    assert scale.spread[0] == pytest.approx(50, abs=2)


def test_an_outlier_moves_nothing_and_is_clipped():
    scale = fit([*range(100), 1e9])
    assert scale.centre[0] == pytest.approx(50, abs=1)
    assert scale.apply(np.array([[1e9]]))[0, 0] == CLIP


@pytest.mark.parametrize(
    ("column", "at", "becomes"),
    [
        ([0, 1, 1, 1], [0, 1], [-1, 1]),
        ([3, 3, 3], [3, 4], [0, 1]),
        ([np.nan, np.nan], [2], [2]),
        ([0, 0, 0, 0, 0, 1, 3], [0], [0]),
    ],
)
def test_few_values(column, at, becomes):
    assert fit(column).apply(np.array(at, dtype=float)[:, None])[:, 0].tolist() == becomes


def test_missing_stays_missing():
    assert np.isnan(fit([1, 2, 3, np.nan]).apply(np.array([[np.nan]]))).all()
