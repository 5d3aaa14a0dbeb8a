"""Recording windows: read, watch the counters while work runs, read again."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from archon.energy import proc as procfs
from archon.energy.basis import Basis
from archon.energy.meter import Conditions, Meter
from archon.energy.tenants import Tenants
from archon.energy.trace import SHORT_TICKS, Trace
from archon.energy.windows import DomainEnergy, Window

MIN_CHECK_S = 0.05


class Recorder:
    """Records windows on a meter.

    Inside a window a thread re-reads the counters every ``check_every_s``, or more often if a
    counter could wrap around twice in that time: a counter that fails, jumps back or leaps makes
    its domain invalid even if it looks sound again at the end. With each look it asks for
    temperatures and for the processes on the devices.

    Args:
        meter: Where joules come from; the caller closes it.
        basis: The rails that count; flags are about these.
        clock: Monotonic seconds.
        wall: Unix seconds, to date windows.
        check_every_s: Seconds between the looks inside a window.
        own_pids: Returns the roots of the process trees that do our work, besides this process;
            without it ``own_share`` is None.
        proc: Root of the proc file system.
    """

    def __init__(
        self,
        meter: Meter,
        basis: Basis,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        check_every_s: float = 1.0,
        own_pids: Callable[[], Iterable[int]] | None = None,
        proc: Path = procfs.PROC,
    ) -> None:
        self.meter = meter
        self.basis = basis
        self._clock = clock
        self._wall = wall
        gaps = [domain.max_gap_s for domain in meter.domains if domain.max_gap_s is not None]
        self._check_every_s = min([check_every_s, *(max(MIN_CHECK_S, gap / 2) for gap in gaps)])
        self._own_pids = own_pids
        self._proc = proc

    @contextmanager
    def window(self, label: str, concurrency: int | None = None) -> Iterator["Pending"]:
        """Record what runs inside; the window is kept (and flagged) if the body raises."""
        cpu_before = self._cpu_seconds()
        tenants = Tenants(self._own_pids or (lambda: ()), self._proc)
        pending = Pending(
            self.meter, self.basis, self._clock, tenants, label, self._wall(), concurrency
        )
        pending.ask()
        pending.look()
        ended = threading.Event()
        watcher = threading.Thread(
            target=self._watch, args=(pending, ended), name="energy-window", daemon=True
        )
        watcher.start()
        interrupted: tuple[str, ...] = ()
        try:
            yield pending
        except BaseException as error:
            interrupted = (f"interrupted: {type(error).__name__}",)
            raise
        finally:
            ended.set()
            pending.look()
            watcher.join()
            pending.ask()
            pending.confirm()
            own_share = _share(cpu_before, self._cpu_seconds())
            pending.window = pending.so_far(own_share, interrupted)

    def measure_idle(
        self, seconds: float, wait: Callable[[float], None] = time.sleep
    ) -> tuple[dict[str, float | None], Window]:
        """Record a window in which nothing is asked of the machine.

        Returns:
            Watts per domain name (None where unknown), and the window.
        """
        with self.window("idle") as pending:
            wait(seconds)
        window = pending.window
        assert window is not None
        return {domain.name: domain.mean_watts(window.seconds) for domain in window.domains}, window

    def _watch(self, pending: "Pending", ended: threading.Event) -> None:
        while not ended.wait(self._check_every_s):
            pending.look()
            pending.ask()

    def _cpu_seconds(self) -> tuple[float, float] | None:
        """Return our own and all CPU seconds so far, or None where they are not known."""
        if self._own_pids is None:
            return None
        try:
            roots = {os.getpid(), *self._own_pids()}
            own = procfs.own_busy_seconds(roots, self._proc)
            return own, procfs.busy_seconds(self._proc)
        except (OSError, ValueError):
            return None


class Pending:
    """A window being recorded.

    Attributes:
        window: Set when the window closes.
    """

    window: Window | None = None

    def __init__(
        self,
        meter: Meter,
        basis: Basis,
        clock: Callable[[], float],
        tenants: Tenants,
        label: str,
        started_at: float,
        concurrency: int | None,
    ) -> None:
        self._meter = meter
        self._basis = basis
        self._clock = clock
        self._tenants = tenants
        self._label = label
        self._started_at = started_at
        self._concurrency = concurrency
        self._traces = [Trace(domain) for domain in meter.domains]
        self._started: float | None = None
        self._seconds = 0.0
        self._lock = threading.Lock()  # the watching thread looks, and a live view may

    def look(self) -> None:
        """Read every domain once."""
        with self._lock:
            before = self._clock()
            readings = self._meter.read()
            now = (before + self._clock()) / 2
            if self._started is None:
                self._started = now
            self._seconds = now - self._started
            for trace in self._traces:
                trace.add(now, readings[trace.domain.name])

    def ask(self) -> None:
        """Ask for temperatures and for the processes on the devices."""
        told = self._meter.conditions()
        with self._lock:
            for trace in self._traces:
                conditions = told.get(trace.domain.name, Conditions())
                trace.warm(conditions.temperature_c)
                if conditions.pids is not None:
                    self._tenants.add(trace.domain.name, conditions.pids)

    def confirm(self) -> None:
        """Read once more, not to add to the window but to see that no domain has failed."""
        readings = self._meter.read()
        for trace in self._traces:
            trace.check(readings[trace.domain.name])

    def so_far(self, own_share: float | None = None, interrupted: tuple[str, ...] = ()) -> Window:
        """Return the window from its start to the last look."""
        with self._lock:
            domains = tuple(t.energy(self._tenants.others(t.domain.name)) for t in self._traces)
            counted = [domain for domain in domains if domain.name in self._basis.domains]
            return Window(
                label=self._label,
                started_at=self._started_at,
                seconds=self._seconds,
                domains=domains,
                concurrency=self._concurrency,
                own_share=own_share,
                flags=(*interrupted, *_flags(counted, self._seconds)),
            )


def _flags(counted: Sequence[DomainEnergy], seconds: float) -> Iterator[str]:
    """Yield what a reader should know about the rails that count."""
    tick_s = max((domain.tick_s for domain in counted), default=0.0)
    if seconds < SHORT_TICKS * tick_s:
        yield f"short: {seconds:.3g} s < {SHORT_TICKS} ticks of {tick_s:.3g} s"
    for domain in counted:
        if domain.joules is None:
            yield f"invalid: {domain.name}: {domain.reason}"
        if domain.others:
            word = "process" if domain.others == 1 else "processes"
            yield f"shared: {domain.name} also runs {domain.others} other {word}"


def _share(before: tuple[float, float] | None, after: tuple[float, float] | None) -> float | None:
    """Return own / all CPU seconds between two counts, at most 1 (they are counted apart)."""
    if before is None or after is None:
        return None
    own, everything = after[0] - before[0], after[1] - before[1]
    return min(1.0, own / everything) if own >= 0 and everything > 0 else None
