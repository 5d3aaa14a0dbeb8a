import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from archon.energy import (
    Coef,
    Load,
    ModelPrice,
    PriceList,
    ProgramLoad,
    ProgramPrice,
    fit_model_price,
    fit_program_price,
    share,
)
from archon.errors import UsageError

# prefill-heavy, decode-heavy, call-heavy and mixed windows
DESIGN = [(8000, 20, 20), (200, 900, 10), (300, 60, 60), (2000, 500, 30), (6000, 100, 40)] * 2
NAMES = ("prefill_j", "decode_j", "call_j", "prefill_s", "decode_s", "call_s")

prices = st.tuples(
    st.floats(0.002, 0.02), st.floats(0.05, 0.5), st.floats(0.1, 2.0), st.floats(0.01, 100.0)
)


def loads(prefill, decode, call, watts=10.0, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    for p, d, c in DESIGN:
        joules = prefill * p + decode * d + call * c
        error_j, error_s = 1 + noise * rng.standard_normal(2)
        yield Load(p, d, c, joules * error_j, joules / watts * error_s)


@given(prices)
@example((0.01, 0.2, 0.0, 10.0))
@example((0.0, 0.2, 0.5, 10.0))
def test_exact_windows_give_their_prices_back(truth):
    *joules, watts = truth
    price = fit_model_price(list(loads(*joules, watts=watts)))
    expected = [*joules, *(each / watts for each in joules)]
    for name, value in zip(NAMES, expected, strict=True):
        assert getattr(price, name).value == pytest.approx(value, rel=1e-6, abs=1e-9)


@given(prices, st.floats(0.001, 0.3), st.integers(0, 1000))
def test_prices_are_never_negative_and_lie_in_their_intervals(truth, noise, seed):
    windows = list(loads(*truth, noise=noise, seed=seed))
    assume(all(window.joules > 0 and window.seconds > 0 for window in windows))
    price = fit_model_price(windows)
    for name in NAMES:
        coef = getattr(price, name)
        assert 0 <= coef.ci_low <= coef.value <= coef.ci_high


def test_intervals_cover_the_truth_at_their_rate():
    truth = (0.01, 0.2, 0.5)
    hits = []
    for seed in range(300):
        price = fit_model_price(list(loads(*truth, noise=0.03, seed=seed)))
        coefs = (price.prefill_j, price.decode_j, price.call_j)
        hits += [c.ci_low <= t <= c.ci_high for c, t in zip(coefs, truth, strict=True)]
    assert 0.92 < np.mean(hits) < 0.98


def test_the_order_of_the_windows_does_not_matter():
    windows = list(loads(0.01, 0.2, 0.5, noise=0.05))
    forward, backward = fit_model_price(windows), fit_model_price(windows[::-1])
    for name in NAMES:
        there, back = getattr(forward, name), getattr(backward, name)
        assert there.value == pytest.approx(back.value)


@pytest.mark.parametrize(
    ("design", "message"),
    [
        ([(100, 20, 10), (200, 40, 20), (400, 80, 40), (50, 10, 5)], "do not separate"),
        ([(100, 20, 2), (300, 40, 4), (50, 80, 8), (70, 10, 1)], "decode_tokens from calls"),
        ([(0, 20, 10), (0, 40, 5), (0, 80, 3), (0, 10, 5)], "no window has any prefill_tokens"),
        ([(100, 20, 10), (200, 40, 5), (50, 80, 3)], "3 calibration windows"),
        ([], "0 calibration windows"),
    ],
)
def test_windows_that_cannot_tell_the_terms_apart_are_refused(design, message):
    with pytest.raises(ValueError, match=message):
        fit_model_price([Load(p, d, c, 0.01 * p + 0.2 * d + c, 1.0) for p, d, c in design])


@pytest.mark.parametrize(
    "bad", [{"joules": 0.0}, {"seconds": -1.0}, {"joules": float("nan")}], ids=str
)
def test_unmeasured_windows_are_refused(bad):
    first, *others = loads(0.01, 0.2, 0.5)
    with pytest.raises(ValueError, match="positive, finite"):
        fit_model_price([replace(first, **bad), *others])


@given(prices)
def test_exact_windows_of_programs_give_their_prices_back(truth):
    cpu, run, _, watts = truth
    made = [(runs * each, runs) for runs, each in [(64, 0.03), (32, 0.08), (16, 0.25), (20, 0.25)]]
    windows = [
        ProgramLoad(cpu_s, runs, cpu * cpu_s + run * runs, (cpu * cpu_s + run * runs) / watts)
        for cpu_s, runs in made
    ]
    price = fit_program_price(windows)
    expected = [cpu, run, cpu / watts, run / watts]
    for name, value in zip(("cpu_j", "run_j", "cpu_s", "run_s"), expected, strict=True):
        assert getattr(price, name).value == pytest.approx(value, rel=1e-6)
    with pytest.raises(ValueError, match="2 calibration windows cannot price 2 terms; give 3"):
        fit_program_price(windows[:2])
    with pytest.raises(ValueError, match="do not separate cpu_s from runs"):
        fit_program_price([windows[0]] * 3)


PROGRAMS = ProgramPrice(Coef(2.0, 1, 3), Coef(0.5, 0, 1), Coef(0.4, 0, 1), Coef(0.1, 0, 1))


def price_list(**changes):
    prefill, decode, call = Coef(0.01, 0.009, 0.011), Coef(0.2, 0.1, 0.3), Coef(0.5, 0.0, 1.0)
    price = ModelPrice(prefill, decode, call, Coef(0.001, 0, 1), Coef(0.02, 0, 1), Coef(0, 0, 1))
    listed = PriceList(5.0, "cpu+dram estimated", "estimated", 16, {"m": price}, {"cpu": "x"})
    return replace(listed, **changes)


def test_a_cost_is_linear_in_what_was_done():
    cost = price_list().cost("m", prefill_tokens=100, decode_tokens=50, calls=2)
    assert cost.joules == pytest.approx(1 + 10 + 1)
    assert cost.seconds == pytest.approx(0.1 + 1 + 0)


def test_net_takes_the_idle_draw_of_the_busy_time_off():
    listed = price_list()
    cost = listed.cost("m", 100, 50, 2)
    assert listed.net(cost) == pytest.approx(12 - 5 * 1.1)


def test_programs_are_priced_by_cpu_time_and_run():
    cost = price_list(programs=PROGRAMS).program_cost(cpu_s=3.0, runs=4)
    assert (cost.joules, cost.seconds) == pytest.approx((6 + 2, 1.2 + 0.4))
    with pytest.raises(UsageError, match=r"no price for running programs.*calibration\.refresh"):
        price_list().program_cost(1.0)


def test_a_list_without_programs_is_stored_as_before_there_were_any():
    assert "programs" not in price_list().to_json()
    assert PriceList.from_json(price_list().to_json()).programs is None


def test_an_unknown_model_is_named():
    with pytest.raises(UsageError, match="no price for model 'n', only for m"):
        price_list().cost("n", 1, 1)


@given(st.floats(min_value=0, allow_nan=False, allow_infinity=False))
def test_json_keeps_every_bit(number):
    listed = price_list(idle_watts=number, programs=PROGRAMS)
    assert PriceList.from_json(json.loads(json.dumps(listed.to_json()))) == listed


weights = st.lists(st.floats(0, 1e308), min_size=1, max_size=40)


@given(st.floats(0, 1e12), weights)
@example(7.0, [0.0, 0.0, 0.0])
@example(7.0, [5e-324, 1e308])
def test_shares_are_conserving_and_not_negative(total, parts):
    shares = share(total, parts)
    assert shares.shape == (len(parts),)
    assert (shares >= 0).all()
    assert shares.sum() == pytest.approx(total, rel=1e-12, abs=1e-300)


@given(st.floats(0, 1e12), weights, st.randoms(use_true_random=False))
def test_shares_are_permuted_as_the_weights_are(total, parts, random):
    order = list(range(len(parts)))
    random.shuffle(order)
    shuffled = share(total, [parts[i] for i in order])
    assert shuffled.tolist() == share(total, parts)[order].tolist()


def test_shares_are_in_proportion_and_equal_without_weights():
    assert share(12.0, [1, 2, 3]).tolist() == [2.0, 4.0, 6.0]
    assert share(12.0, [0, 0, 0]).tolist() == [4.0, 4.0, 4.0]


@pytest.mark.parametrize(
    ("total", "parts"),
    [(1.0, []), (1.0, [-1.0, 2.0]), (-1.0, [1.0]), (float("inf"), [1.0]), (1.0, [float("nan")])],
)
def test_what_cannot_be_shared_is_refused(total, parts):
    with pytest.raises(ValueError, match="share"):
        share(total, parts)
