"""The suite every meter must pass: subclass it in a pytest file.

``MeterTestCase`` holds for any meter, also on real hardware. ``CounterTestCase`` adds what can be
checked where the test itself moves the counters that the meter reads: replay them to a meter of
your own through whatever it opens (a folder, a library, a device object), not through the meter.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import get_args

import pytest

from archon.energy.basis import Basis
from archon.energy.meter import DomainKind, Meter, Method
from archon.energy.recorder import Recorder
from archon.energy.windows import Window
from archon.errors import MeterError


class MeterTestCase:
    """Contract of ``Meter``.

    A subclass gives the fixtures ``open_meter`` (returns a function that opens the meter) and
    ``break_source`` (returns a function that makes what it reads fail), and may narrow ``watts``.
    A source that can fail in several ways (vanished, permission denied, garbage) parametrises
    ``break_source``, so that each way is tested.

    Example:
        >>> class TestMyMeter(MeterTestCase):
        ...     @pytest.fixture
        ...     def open_meter(self, fake_bus):
        ...         return lambda: MyMeter(fake_bus.path)
        ...
        ...     @pytest.fixture(params=["unplugged", "locked"])
        ...     def break_source(self, request, fake_bus):
        ...         return lambda: fake_bus.fail(request.param)
    """

    window_s = 0.3

    @pytest.fixture
    def open_meter(self) -> Callable[[], Meter]:
        """Return a function that opens the meter under test."""
        raise NotImplementedError("a subclass gives the fixture open_meter")

    @pytest.fixture
    def break_source(self) -> Callable[[], None]:
        """Return a function after which at least one domain cannot be read."""
        raise NotImplementedError("a subclass gives the fixture break_source")

    @pytest.fixture
    def watts(self) -> tuple[float, float]:
        """Return bounds of the watts of every domain during the test."""
        return 0.0, 10_000.0

    @pytest.fixture
    def meter(self, open_meter: Callable[[], Meter]) -> Iterator[Meter]:
        """Open the meter, and close it after the test."""
        meter = open_meter()
        yield meter
        meter.close()

    def test_domains_are_named_for_what_they_feed(self, meter: Meter) -> None:
        """Names are unique and begin with the kind; ticks are positive and shorter than a wrap."""
        assert meter.domains
        assert len({domain.name for domain in meter.domains}) == len(meter.domains)
        for domain in meter.domains:
            assert domain.kind in get_args(DomainKind)
            assert domain.method in get_args(Method)
            assert domain.name == "soc" or domain.name.startswith(f"{domain.kind}:")
            assert domain.tick_s > 0
            assert domain.max_gap_s is None or domain.max_gap_s > domain.tick_s

    def test_every_domain_is_read_and_never_falls(self, meter: Meter) -> None:
        """Each reading covers exactly the domains, and joules only grow."""
        before = meter.read()
        for _ in range(100):
            now = meter.read()
            assert set(now) == {domain.name for domain in meter.domains}
            for name, reading in now.items():
                assert reading.joules is not None, reading.reason
                assert reading.joules >= (before[name].joules or 0.0)
            before = now

    def test_power_is_plausible(self, meter: Meter, watts: tuple[float, float]) -> None:
        """A window's mean watts lie within the bounds, up to one tick at each end."""
        window = _window(meter, lambda: time.sleep(self.window_s))
        for domain in window.domains:
            assert domain.joules is not None, domain.reason
            slack_s = 2 * domain.tick_s
            assert domain.joules >= watts[0] * (window.seconds - slack_s)
            assert domain.joules <= watts[1] * (window.seconds + slack_s)

    def test_threads_may_read_together(self, meter: Meter) -> None:
        """Concurrent readers see sound values."""
        with ThreadPoolExecutor(4) as pool:
            for readings in pool.map(lambda _: meter.read(), range(40)):
                assert all(reading.joules is not None for reading in readings.values())

    def test_a_broken_source_is_unknown_not_zero(
        self, meter: Meter, break_source: Callable[[], None]
    ) -> None:
        """Readings become None with a reason, nothing raises, and an open window is invalid."""
        domains = meter.domains
        window = _window(meter, break_source)
        lost = {name: r for name, r in meter.read().items() if r.joules is None}
        assert lost
        assert all(reading.reason for reading in lost.values())
        assert {d.name for d in window.domains if d.joules is None and d.reason} == set(lost)
        assert meter.domains == domains

    def test_opening_on_a_broken_source_gives_the_reason(
        self, open_meter: Callable[[], Meter], break_source: Callable[[], None]
    ) -> None:
        """It is refused in one line, or opened with the domains that cannot be read."""
        break_source()
        try:
            meter = open_meter()
        except MeterError as error:
            reason = str(error)
        else:
            reason = next((r.reason for r in meter.read().values() if r.joules is None), None) or ""
            meter.close()
        assert reason
        assert "\n" not in reason

    def test_conditions_are_told_of_own_domains_only(
        self, meter: Meter, break_source: Callable[[], None]
    ) -> None:
        """Asking never raises, whether the source works or not."""
        names = {domain.name for domain in meter.domains}
        assert set(meter.conditions()) <= names
        break_source()
        assert set(meter.conditions()) <= names

    def test_close_leaves_no_thread_and_may_be_repeated(
        self, open_meter: Callable[[], Meter]
    ) -> None:
        """Closing twice is harmless, and sampling threads are gone."""
        before = set(threading.enumerate())
        meter = open_meter()
        meter.read()
        meter.close()
        meter.close()
        assert set(threading.enumerate()) <= before


class CounterTestCase(MeterTestCase):
    """Contract of a meter whose counters the test moves itself.

    Beside those of ``MeterTestCase``, a subclass gives the fixtures ``spend`` (returns a function
    that adds so many joules to every counter) and ``reset`` (returns a function after which every
    counter starts again from zero). It may set ``resolution_j`` to the step of its counters, and
    ``wraps_after_j`` to the joules after which they begin again.
    """

    resolution_j = 1e-6
    wraps_after_j: float | None = None

    @pytest.fixture
    def spend(self) -> Callable[[float], None]:
        """Return a function that adds joules to every counter."""
        raise NotImplementedError("a subclass gives the fixture spend")

    @pytest.fixture
    def reset(self) -> Callable[[], None]:
        """Return a function that sets every counter to zero."""
        raise NotImplementedError("a subclass gives the fixture reset")

    def test_a_window_holds_what_was_spent_in_it(
        self, meter: Meter, spend: Callable[[float], None]
    ) -> None:
        """Not what was spent before or after."""
        spend(3.0)
        window = _window(meter, lambda: spend(4.625))
        spend(3.0)
        for domain in window.domains:
            assert domain.joules == pytest.approx(4.625, abs=self.resolution_j)

    def test_no_joule_is_lost_or_doubled_over_wraps(
        self, meter: Meter, spend: Callable[[float], None]
    ) -> None:
        """Many wrap-arounds add up while other threads read as well."""
        steps, step_j = 50, 0.3 * (self.wraps_after_j or 1000.0)
        done = threading.Event()

        def keep_reading() -> None:
            while not done.is_set():
                meter.read()

        before = meter.read()
        with ThreadPoolExecutor(3) as pool:
            others = [pool.submit(keep_reading) for _ in range(3)]
            for _ in range(steps):
                spend(step_j)
                meter.read()
            done.set()
            for other in others:
                other.result()
        after = meter.read()
        for name, reading in after.items():
            assert reading.joules is not None, reading.reason
            spent_j = reading.joules - (before[name].joules or 0.0)
            assert spent_j == pytest.approx(steps * step_j, abs=steps * self.resolution_j)

    def test_a_reset_makes_the_window_unknown(
        self, meter: Meter, spend: Callable[[float], None], reset: Callable[[], None]
    ) -> None:
        """It is never a negative amount, and never a huge one."""
        spend(50.0)
        window = _window(meter, reset)
        for domain in window.domains:
            assert domain.joules is None
            assert domain.reason

    def test_the_window_after_a_reset_is_sound(
        self, meter: Meter, spend: Callable[[float], None], reset: Callable[[], None]
    ) -> None:
        """What a counter was before does not matter to later windows."""
        spend(50.0)
        meter.read()
        reset()
        window = _window(meter, lambda: spend(2.0))
        for domain in window.domains:
            assert domain.joules == pytest.approx(2.0, abs=self.resolution_j), domain.reason


def _window(meter: Meter, body: Callable[[], object]) -> Window:
    """Record a window of all rails."""
    basis = Basis(tuple(domain.name for domain in meter.domains), "every rail", "estimated")
    with Recorder(meter, basis).window("test") as pending:
        body()
    assert pending.window is not None
    return pending.window
