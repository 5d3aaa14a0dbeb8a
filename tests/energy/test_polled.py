import threading

import pytest

from archon.energy.polled import GAP_S, HOLD_S, PolledPower
from archon.errors import MeterError


class Power:
    """Watts as a function of the clock, or a failure."""

    def __init__(self, clock, watts):
        self.clock, self.watts, self.fails = clock, watts, False

    def __call__(self):
        if self.fails:
            raise MeterError("GPU is lost")
        return self.watts(self.clock.now)


def test_a_ramp_is_integrated_exactly_at_uneven_samples(clock):
    polled = PolledPower(Power(clock, lambda now: 10 + 4 * (now - 1000)), clock)
    polled.read()
    for step in (0.05, 0.2, 0.01, 0.74):
        clock.advance(step)
        reading = polled.read()
    assert reading.joules == pytest.approx(10 * 1 + 4 * 1 / 2)


def test_the_bound_covers_a_step_anywhere_between_two_samples(clock):
    polled = PolledPower(Power(clock, lambda now: 300.0 if now > 1000.1 else 100.0), clock)
    polled.read()
    clock.advance(1.0)
    reading = polled.read()
    true_j = 100 * 0.1 + 300 * 0.9
    assert reading.joules == pytest.approx(200)
    assert abs(reading.joules - true_j) <= reading.error_j == pytest.approx(100)


def test_a_stale_sensor_widens_the_bound(clock):
    polled = PolledPower(Power(clock, lambda now: now - 1000), clock, stale_s=0.1)
    polled.read()
    clock.advance(1.0)
    assert polled.read().error_j == pytest.approx((0.5 + 0.1) * 1.0)


def test_a_failed_sample_is_unknown_long_enough_to_be_seen(clock):
    power = Power(clock, lambda _: 10.0)
    polled = PolledPower(power, clock)
    polled.read()
    power.fails = True
    assert polled.read().joules is None
    power.fails = False
    clock.advance(HOLD_S / 2)
    reading = polled.read()
    assert (reading.joules, reading.reason) == (None, "GPU is lost")


def test_after_the_hold_new_windows_are_sound(clock):
    power = Power(clock, lambda _: 10.0)
    polled = PolledPower(power, clock)
    power.fails = True
    polled.read()
    power.fails = False
    while (before := polled.read()).joules is None:
        clock.advance(0.5)
    clock.advance(0.5)
    assert polled.read().joules - before.joules == pytest.approx(5.0)


def test_a_hole_in_the_samples_is_not_bridged(clock):
    polled = PolledPower(Power(clock, lambda _: 10.0), clock)
    polled.read()
    clock.advance(GAP_S + 0.5)
    reading = polled.read()
    assert reading.joules is None
    assert "not sampled for 2.5 s" in reading.reason


def test_the_thread_samples_until_closed(clock):
    sampled = threading.Event()

    def watts():
        sampled.set()
        return 10.0

    polled = PolledPower(watts, clock, period_s=0.001)
    polled.start()
    assert sampled.wait(5)
    polled.close()
    sampled.clear()
    assert not sampled.wait(0.02)
