"""The price experiment's figures: errors, bounds, naive prices and agreement of order."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archon.energy import Coef, Load, ModelPrice
from experiments.price_accuracy.errors import (
    agreement,
    joule_bounds,
    mean_watts,
    per_token_price,
    relative_error,
    summarise,
)

LOADS = [
    Load(prefill_tokens=900, decode_tokens=100, calls=10, joules=30.0, seconds=2.0),
    Load(prefill_tokens=100, decode_tokens=900, calls=10, joules=70.0, seconds=3.0),
]
JOULES = st.lists(st.floats(0.1, 1000), min_size=3, max_size=12, unique=True)


def test_an_error_is_relative_to_what_was_measured() -> None:
    assert relative_error(predicted=12.0, measured=10.0) == pytest.approx(0.2)
    assert relative_error(predicted=5.0, measured=10.0) == pytest.approx(-0.5)


def test_errors_of_both_signs_cancel_in_the_bias_only() -> None:
    errors = summarise([0.1, -0.3, 0.2])

    assert errors.mean_absolute == pytest.approx(0.2)
    assert errors.worst == pytest.approx(0.3)
    assert errors.bias == pytest.approx(0.0)
    assert errors.count == 3


def test_bounds_take_every_coefficient_to_the_same_end() -> None:
    free = Coef(0.0, 0.0, 0.0)
    price = ModelPrice(
        Coef(1.0, 0.5, 1.5), Coef(2.0, 1.0, 4.0), Coef(3.0, 2.0, 3.0), free, free, free
    )

    assert joule_bounds(price, Load(10, 5, 2, joules=1.0, seconds=1.0)) == (14.0, 41.0)


def test_the_naive_price_spends_the_windows_total_on_the_windows_tokens() -> None:
    price = per_token_price(LOADS)

    assert price.cost(1000, 1000, 20).joules == pytest.approx(100.0)
    assert price.cost(1000, 1000, 20).seconds == pytest.approx(5.0)
    assert price.cost(7, 0).joules == price.cost(0, 7).joules
    assert mean_watts(LOADS) == pytest.approx(20.0)


@settings(max_examples=25)
@given(JOULES)
def test_the_measured_order_scaled_agrees_entirely(measured: list[float]) -> None:
    found = agreement([2 * value for value in measured], measured)

    assert found.spearman == pytest.approx(1.0)
    assert found.kendall == pytest.approx(1.0)
    assert found.right == found.pairs


@settings(max_examples=25)
@given(JOULES)
def test_the_measured_order_reversed_agrees_nowhere(measured: list[float]) -> None:
    found = agreement([-value for value in measured], measured)

    assert found.spearman == pytest.approx(-1.0)
    assert found.right == 0


def test_only_pairs_that_clearly_differ_are_counted() -> None:
    measured = [10.0, 10.5, 20.0]

    found = agreement([11.0, 9.0, 19.0], measured)

    assert (found.right, found.pairs) == (2, 2)


def test_a_tie_of_two_that_clearly_differ_is_not_right() -> None:
    assert agreement([5.0, 5.0], [10.0, 20.0]).right == 0


def test_the_interval_holds_the_correlation_and_narrows_with_agreement() -> None:
    measured = [float(value) for value in range(1, 13)]
    shuffled = [2.0, 1.0, 4.0, 3.0, 6.0, 5.0, 8.0, 7.0, 10.0, 9.0, 12.0, 11.0]

    loose, exact = agreement(shuffled, measured), agreement(measured, measured)

    assert loose.spearman is not None
    assert loose.spearman_ci is not None
    low, high = loose.spearman_ci
    assert low < loose.spearman < high
    assert exact.spearman_ci == pytest.approx((1.0, 1.0))


@pytest.mark.parametrize("measured", [[], [1.0, 2.0], [3.0, 3.0, 3.0]])
def test_too_few_or_equal_pipelines_have_no_correlation(measured: list[float]) -> None:
    found = agreement(measured, measured)

    assert (found.spearman, found.spearman_ci, found.kendall) == (None, None, None)
