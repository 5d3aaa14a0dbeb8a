"""Simulated time, and sources brought up to the simulated moment before they are read."""

import heapq
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path

from archon.energy import Conditions, Domain, Meter, Reading


class Simulation:
    """A clock that moves when told, and runs what falls due on the way.

    Args:
        now: Seconds.
    """

    def __init__(self, now: float) -> None:
        self.now = now
        self._due: list[tuple[float, int, Callable[[], object], Callable[[], float]]] = []
        self._order = count()

    def __call__(self) -> float:
        """Return the seconds."""
        return self.now

    def repeat(self, action: Callable[[], object], pause: Callable[[], float]) -> None:
        """Run an action again and again, after a pause each time, as a sampling thread does."""
        heapq.heappush(self._due, (self.now + pause(), next(self._order), action, pause))

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self._due and self._due[0][0] <= end:
            self.now, _, action, pause = heapq.heappop(self._due)
            action()
            self.repeat(action, pause)
        self.now = end


class Refreshed(Meter):
    """A meter whose source is brought up to the simulated moment before every read."""

    def __init__(self, meter: Meter, refresh: Callable[[], None]) -> None:
        self._meter = meter
        self._refresh = refresh

    @property
    def domains(self) -> tuple[Domain, ...]:
        """The rails of the meter."""
        return self._meter.domains

    def read(self) -> Mapping[str, Reading]:
        """Bring the source up to the moment, and read it."""
        self._refresh()
        return self._meter.read()

    def conditions(self) -> Mapping[str, Conditions]:
        """Return what the meter tells."""
        return self._meter.conditions()

    def close(self) -> None:
        """Close the meter."""
        self._meter.close()


class LiveFile:
    """A file of the kernel's: its content changes while readers open and close it.

    Kept open, because a simulated minute rewrites it thousands of times.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)

    def write(self, text: str) -> None:
        """Replace the content."""
        self._file.seek(0)
        self._file.write(text.encode())
        self._file.truncate()
