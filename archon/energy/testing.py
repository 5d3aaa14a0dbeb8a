"""The suite every meter must pass: subclass ``MeterTestCase`` in a pytest file."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import get_args

import pytest

from archon.energy.basis import Basis, choose_basis
from archon.energy.meter import DomainKind, Meter, Method
from archon.energy.recorder import Recorder


class MeterTestCase:
    """Contract of ``Meter``.

    A subclass gives the fixtures ``open_meter`` (returns a function that opens the meter) and
    ``break_source`` (returns a function that makes what it reads fail), and may narrow ``watts``.

    Example:
        >>> class TestMyMeter(MeterTestCase):
        ...     @pytest.fixture
        ...     def open_meter(self):
        ...         return MyMeter
        ...
        ...     @pytest.fixture
        ...     def break_source(self, fake_bus):
        ...         return fake_bus.unplug
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
        """Names are unique and begin with the kind; ticks are positive."""
        assert meter.domains
        assert len({domain.name for domain in meter.domains}) == len(meter.domains)
        for domain in meter.domains:
            assert domain.kind in get_args(DomainKind)
            assert domain.method in get_args(Method)
            assert domain.name == "soc" or domain.name.startswith(f"{domain.kind}:")
            assert domain.tick_s > 0

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
        with Recorder(meter, _all_of(meter)).window("test") as pending:
            time.sleep(self.window_s)
        assert pending.window is not None
        for domain in pending.window.domains:
            assert domain.joules is not None, domain.reason
            slack_s = 2 * domain.tick_s
            assert domain.joules >= watts[0] * (pending.window.seconds - slack_s)
            assert domain.joules <= watts[1] * (pending.window.seconds + slack_s)

    def test_threads_may_read_together(self, meter: Meter) -> None:
        """Concurrent readers see sound values."""
        with ThreadPoolExecutor(4) as pool:
            for readings in pool.map(lambda _: meter.read(), range(40)):
                assert all(reading.joules is not None for reading in readings.values())

    def test_a_vanished_source_is_unknown_not_zero(
        self, meter: Meter, break_source: Callable[[], None]
    ) -> None:
        """Readings become None with a reason, nothing raises, and an open window is invalid."""
        with Recorder(meter, _all_of(meter)).window("test") as pending:
            break_source()
        lost = {name: r for name, r in meter.read().items() if r.joules is None}
        assert lost
        assert all(reading.reason for reading in lost.values())
        assert pending.window is not None
        assert pending.window.joules(_all_of(meter)) is None
        assert {d.name for d in pending.window.domains if d.joules is None and d.reason} == set(
            lost
        )

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


def _all_of(meter: Meter) -> Basis:
    """Return the basis of all rails, measured and estimated."""
    return choose_basis(meter.domains, "+".join({domain.kind for domain in meter.domains}))
