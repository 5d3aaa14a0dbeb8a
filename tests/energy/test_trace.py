import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archon.energy import Domain, Reading
from archon.energy.trace import Trace

COUNTER = Domain("gpu:a", "gpu", "counter", tick_s=0.1)
LIMITED = Domain("gpu:a", "gpu", "counter", tick_s=0.1, max_watts=700.0)


def traced(looks, domain=COUNTER):
    """What a rail spent, looked at: ``(seconds, joules), ...``."""
    trace = Trace(domain)
    for now, joules in looks:
        trace.add(now, Reading(joules, None if joules is not None else "gone"))
    return trace.energy()


def test_the_peak_is_the_highest_mean_between_two_looks():
    energy = traced([(0, 0.0), (1, 100.0), (2, 400.0), (3, 500.0)])
    assert energy.peak_watts == 300
    assert energy.mean_watts(3) == pytest.approx(500 / 3)


def test_looks_closer_than_ten_ticks_are_joined():
    # 0.25 s at 400 W, else nothing: a second that holds all of it has a mean of 100 W
    looks = [(0, 0.0), (0.5, 0.0), (0.75, 100.0), (1.0, 100.0), (1.25, 100.0), (1.5, 100.0)]
    assert traced(looks).peak_watts == 100


def test_a_window_of_less_than_ten_ticks_has_no_peak():
    assert traced([(0, 0.0), (0.9, 90.0)]).peak_watts is None


@given(st.lists(st.tuples(st.floats(0.01, 2), st.floats(0, 500)), min_size=1, max_size=20))
def test_the_peak_is_not_below_the_mean(steps):
    now = joules = 0.0
    looks = [(now, joules)]
    for seconds, watts in steps:
        now, joules = now + seconds, joules + seconds * watts
        looks.append((now, joules))
    energy = traced(looks)
    if now >= 1.01:
        assert energy.peak_watts >= energy.mean_watts(now) * (1 - 1e-9)
        assert energy.peak_watts <= 500 * (1 + 1e-9)


@given(
    powers=st.lists(st.tuples(st.floats(0.01, 1), st.floats(0, 700)), min_size=1, max_size=20),
    looks=st.lists(st.floats(0, 20), min_size=2, max_size=6, unique=True),
)
def test_whatever_the_power_does_below_its_limit_the_stated_bound_holds(powers, looks):
    def spent(until):
        joules = 0.0
        for seconds, watts in powers:
            joules += watts * min(seconds, max(0.0, until))
            until -= seconds
        return joules

    times = sorted(looks)
    energy = traced([(at, spent(0.1 * math.floor(at / 0.1))) for at in times], LIMITED)
    assert energy.error_j == pytest.approx(70)
    assert abs(energy.joules - (spent(times[-1]) - spent(times[0]))) <= 70 + 1e-6


def test_what_sampling_may_have_missed_in_the_window_is_in_the_bound():
    trace = Trace(LIMITED)
    for now, doubt_j in ((0, 5.0), (1, 6.0), (2, 9.5)):
        trace.add(now, Reading(100.0 * now, error_j=doubt_j))
    assert trace.energy().error_j == pytest.approx(70 + 4.5)


def test_a_rail_of_unknown_limit_has_no_bound():
    energy = traced([(0, 0.0), (2, 200.0)])
    assert (energy.joules, energy.error_j) == (200.0, None)


@pytest.mark.parametrize("bad", [None, 10.0])
def test_an_unknown_rail_has_no_other_figures(bad):
    energy = traced([(0, 50.0), (2, 250.0), (4, bad), (6, 600.0)])
    assert (energy.joules, energy.peak_watts, energy.error_j) == (None, None, None)
    assert energy.mean_watts(6) is None
    assert energy.reason


def test_a_gap_in_which_wraps_may_hide_is_unknown():
    wrapping = Domain("cpu:0", "cpu", "counter", tick_s=0.001, max_gap_s=60.0)
    assert traced([(0, 0.0), (59, 100.0), (118, 200.0)], wrapping).joules == 200
    energy = traced([(0, 0.0), (61, 100.0), (62, 101.0)], wrapping)
    assert energy.joules is None
    assert energy.reason == "not read for 61 s; a wrap of the counter may hide in more than 60 s"


def test_the_highest_temperature_stays():
    trace = Trace(COUNTER)
    for celsius, highest in ((None, None), (0.0, 0.0), (-3.0, 0.0), (61.0, 61.0), (None, 61.0)):
        trace.warm(celsius)
        assert trace.energy().temperature_c == highest
