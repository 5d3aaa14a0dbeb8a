"""Cumulative joules from a power reading: a thread samples it and integrates."""

import threading
import time
from collections.abc import Callable

from archon.energy.meter import Reading
from archon.errors import MeterError

PERIOD_S = 0.05
GAP_S = 2.0
HOLD_S = 3.0


class PolledPower:
    """Integrates a power reading over time by the trapezoid rule.

    A read takes a sample of its own, so a window's ends are sharp. When a sample fails, or none
    was taken for ``GAP_S``, energy is unknown across the hole: readings are then None for at
    least ``HOLD_S``, long enough for every open window's slow checks to see it.

    Between two samples the power may have been anywhere between them (or, unseen, beyond), and
    each may be ``stale_s`` old: the readings' error bound grows by half the step plus that, times
    the change of power.

    Args:
        watts: Returns the power now; raises MeterError when it cannot be read.
        clock: Monotonic seconds.
        period_s: Seconds between the thread's samples.
        stale_s: How old a power reading may be.
    """

    def __init__(
        self,
        watts: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
        period_s: float = PERIOD_S,
        stale_s: float = 0.0,
    ) -> None:
        self._watts = watts
        self._clock = clock
        self._period_s = period_s
        self._stale_s = stale_s
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._joules = self._error_j = 0.0
        self._last: tuple[float, float] | None = None  # seconds, watts
        self._failed: tuple[float, str] | None = None  # seconds, reason

    def start(self) -> None:
        """Start the sampling thread."""
        self._thread = threading.Thread(target=self._run, name="energy-polling", daemon=True)
        self._thread.start()

    def read(self) -> Reading:
        """Take a sample and return the joules since the first one."""
        with self._lock:
            now = self._clock()
            try:
                watts = self._watts()
            except MeterError as error:
                self._failed, self._last = (now, str(error)), None
            else:
                if self._last is not None:
                    then, before = self._last
                    if now - then > GAP_S:
                        self._failed = (now, f"power was not sampled for {now - then:.1f} s")
                    self._joules += (now - then) * (watts + before) / 2
                    doubt_s = (now - then) / 2 + self._stale_s
                    self._error_j += doubt_s * abs(watts - before)
                self._last = (now, watts)
            if self._failed is not None and now - self._failed[0] < HOLD_S:
                return Reading(None, self._failed[1])
            return Reading(self._joules, error_j=self._error_j)

    def close(self) -> None:
        """Stop the sampling thread; harmless when repeated."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._period_s):
            self.read()
