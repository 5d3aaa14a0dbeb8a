"""Recording windows: read, watch the counters while work runs, read again."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from archon.energy import proc as procfs
from archon.energy.basis import Basis
from archon.energy.meter import Domain, Meter, Reading
from archon.energy.windows import DomainEnergy, Window

SHORT_TICKS = 10
MAX_WATTS = 10_000.0  # beyond any single rail; a jump of more is a broken counter


class Pending:
    """A window being recorded; ``window`` is set when it closes."""

    window: Window | None = None


class Recorder:
    """Records windows on a meter.

    Inside a window a thread re-reads the counters every ``check_every_s``: a counter that fails,
    jumps back or leaps makes its domain invalid even if it looks sound again at the end.

    Args:
        meter: Where joules come from; the caller closes it.
        basis: The rails that count; flags are about these.
        clock: Monotonic seconds.
        wall: Unix seconds, to date windows.
        check_every_s: Seconds between the looks inside a window.
        own_pids: Returns the roots of the process trees that do our work; without it
            ``own_share`` is None.
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
        self._check_every_s = check_every_s
        self._own_pids = own_pids
        self._proc = proc

    @contextmanager
    def window(self, label: str, concurrency: int | None = None) -> Iterator[Pending]:
        """Record what runs inside; the window is kept (and flagged) if the body raises."""
        pending = Pending()
        flags: list[str] = []
        started_at = self._wall()
        cpu_before = self._cpu_seconds()
        traces = [_Trace(domain) for domain in self.meter.domains]
        started = self._look(traces)
        ended = threading.Event()
        watcher = threading.Thread(
            target=self._watch, args=(traces, ended), name="energy-window", daemon=True
        )
        watcher.start()
        try:
            yield pending
        except BaseException as error:
            flags.append(f"interrupted: {type(error).__name__}")
            raise
        finally:
            ended.set()
            watcher.join()
            seconds = self._look(traces) - started
            pending.window = Window(
                label=label,
                started_at=started_at,
                seconds=seconds,
                domains=tuple(trace.energy() for trace in traces),
                concurrency=concurrency,
                own_share=_share(cpu_before, self._cpu_seconds()),
                flags=(*flags, *self._short(seconds)),
            )

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
        watts = {
            domain.name: None if domain.joules is None else domain.joules / window.seconds
            for domain in window.domains
        }
        return watts, window

    def _look(self, traces: list["_Trace"]) -> float:
        """Read every domain once; return when that was."""
        readings = self.meter.read()
        now = self._clock()
        for trace in traces:
            trace.add(now, readings[trace.domain.name])
        return now

    def _watch(self, traces: list["_Trace"], ended: threading.Event) -> None:
        while not ended.wait(self._check_every_s):
            self._look(traces)

    def _short(self, seconds: float) -> list[str]:
        ticks = [d.tick_s for d in self.meter.domains if d.name in self.basis.domains]
        tick_s = max(ticks, default=0.0)
        if seconds >= SHORT_TICKS * tick_s:
            return []
        return [f"short: {seconds:.3g} s < {SHORT_TICKS} ticks of {tick_s:.3g} s"]

    def _cpu_seconds(self) -> tuple[float, float] | None:
        """Return our own and all CPU seconds so far, or None where they are not known."""
        if self._own_pids is None:
            return None
        try:
            own = procfs.own_busy_seconds(self._own_pids(), self._proc)
            return own, procfs.busy_seconds(self._proc)
        except (OSError, ValueError):
            return None


class _Trace:
    """One domain's readings through a window; what makes it invalid stays."""

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self._first: float | None = None
        self._last: tuple[float, float] | None = None  # seconds, joules
        self._reason: str | None = None

    def add(self, now: float, reading: Reading) -> None:
        if self._reason is not None:
            return
        if reading.joules is None:
            self._reason = reading.reason or "the meter gave no reading and no reason"
            return
        if self._last is None:
            self._first = reading.joules
        else:
            then, before = self._last
            spent = reading.joules - before
            if spent < 0:
                self._reason = f"the counter jumped back by {-spent:.6g} J"
            elif spent > MAX_WATTS * (now - then + self.domain.tick_s):
                self._reason = f"the counter leapt by {spent:.6g} J in {now - then:.3g} s"
        self._last = (now, reading.joules)

    def energy(self) -> DomainEnergy:
        domain, joules = self.domain, None
        if self._reason is None and self._first is not None and self._last is not None:
            joules = self._last[1] - self._first
        return DomainEnergy(
            domain.name, domain.kind, domain.method, joules, self._reason, domain.tick_s
        )


def _share(before: tuple[float, float] | None, after: tuple[float, float] | None) -> float | None:
    """Return own / all CPU seconds between two counts, at most 1 (they are counted apart)."""
    if before is None or after is None:
        return None
    own, everything = after[0] - before[0], after[1] - before[1]
    return min(1.0, own / everything) if own >= 0 and everything > 0 else None
