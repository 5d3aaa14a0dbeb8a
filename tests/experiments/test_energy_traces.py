import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.energy_accuracy.traces import TRACES, Piece, Trace

moments = st.floats(-500, 500)


@pytest.mark.parametrize("trace", TRACES, ids=lambda trace: trace.name)
@pytest.mark.parametrize(("start_s", "seconds"), [(0.0, 3.0), (17.3, 0.1), (123.456, 61.0)])
def test_the_exact_joules_are_the_integral_of_the_watts(trace, start_s, seconds):
    step_s = seconds / 100_000
    middles = start_s + step_s * (np.arange(100_000) + 0.5)
    summed = step_s * sum(trace.watts(float(at_s)) for at_s in middles)
    assert trace.joules(start_s, start_s + seconds) == pytest.approx(summed, rel=1e-4)


@pytest.mark.parametrize("trace", TRACES, ids=lambda trace: trace.name)
def test_watts_lie_between_10_and_700(trace):
    watts = [trace.watts(float(at_s)) for at_s in np.linspace(0, trace.period_s, 1000)]
    assert min(watts) >= 10
    assert max(watts) <= 700


@given(st.sampled_from(TRACES), moments, moments, moments)
def test_joules_of_adjoining_windows_add_up(trace, first, second, third):
    whole = trace.joules(first, third)
    parts = trace.joules(first, second) + trace.joules(second, third)
    assert parts == pytest.approx(whole, rel=1e-9, abs=1e-6)


@given(st.sampled_from(TRACES), moments)
def test_every_period_is_alike(trace, at_s):
    once = trace.joules(at_s, at_s + trace.period_s)
    assert once == pytest.approx(trace.energy(trace.period_s), rel=1e-9)


def test_a_ramp_and_a_flat_piece_by_hand():
    trace = Trace("by hand", (Piece(2.0, 10.0, 30.0), Piece(1.0, 5.0, 5.0)))
    assert trace.watts(1.0) == 20.0
    assert trace.watts(2.0) == 5.0  # at a jump, the power after it
    assert trace.watts(4.0) == 20.0
    assert trace.joules(1.0, 3.5) == pytest.approx(25 + 5 + 6.25)
