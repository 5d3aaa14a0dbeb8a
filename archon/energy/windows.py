"""Windows: what was spent between two readings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from archon.energy.basis import Basis
from archon.energy.meter import DomainKind, Method


@dataclass(frozen=True, slots=True)
class DomainEnergy:
    """What one rail spent in a window, and how well that is known.

    Attributes:
        name: ``gpu:<uuid>``, ``cpu:<package>``, ``dram:<package>`` or ``soc``.
        kind: What the rail feeds.
        method: How it was read.
        joules: None when the counter failed, jumped or stood still.
        reason: Why ``joules`` is None.
        tick_s: Seconds between updates of the source: the energy of one tick bounds the error.
        peak_watts: Highest mean over the window or any stretch of it between two looks that is at
            least ten ticks long (a tick more or less: to a tenth); None in a shorter window.
        temperature_c: Highest temperature seen.
        others: Processes seen computing on the device that are not ours; None if unknown.
        error_j: Bound of what the counter's tick may add or hide (one tick at the rail's highest
            possible watts), and of what sampling may have got wrong where power is sampled. None
            when ``joules`` is, and where the highest watts are not known. A model's error
            (``estimated``) comes on top.
    """

    name: str
    kind: DomainKind
    method: Method
    joules: float | None
    reason: str | None
    tick_s: float
    peak_watts: float | None = None
    temperature_c: float | None = None
    others: int | None = None
    error_j: float | None = None

    def mean_watts(self, seconds: float) -> float | None:
        """Return the mean watts over the window's ``seconds``, None if the joules are unknown."""
        return self.joules / seconds if self.joules is not None and seconds > 0 else None


@dataclass(frozen=True, slots=True)
class Window:
    """What the machine spent from one moment to another.

    Attributes:
        label: What ran.
        started_at: Unix seconds.
        seconds: Length, by a monotonic clock.
        domains: Every rail the meter read, counted in the basis or not.
        concurrency: Calls in flight, where one number describes it.
        own_share: Part of the machine's CPU time spent by our own processes, in [0, 1].
        flags: What a reader should know about the rails that count: that the window was cut off
            (``interrupted: …``) or too short for the counter (``short: …``), that a rail's energy
            is unknown (``invalid: …``), that a GPU also works for others (``shared: …``).
    """

    label: str
    started_at: float
    seconds: float
    domains: tuple[DomainEnergy, ...]
    concurrency: int | None = None
    own_share: float | None = None
    flags: tuple[str, ...] = ()

    def joules(self, basis: Basis) -> float | None:
        """Return the joules of a basis' rails, or None if any of them is not known."""
        found = {domain.name: domain.joules for domain in self.domains}
        joules = [found.get(name) for name in basis.domains]
        known = [value for value in joules if value is not None]
        return sum(known) if known and len(known) == len(joules) else None

    def watts(self, basis: Basis) -> float | None:
        """Return the mean watts of a basis' rails, or None if any of them is not known."""
        joules = self.joules(basis)
        return joules / self.seconds if joules is not None and self.seconds > 0 else None

    def to_json(self) -> dict[str, Any]:
        """Return a mapping of plain JSON types."""
        data: dict[str, Any] = _WINDOW.dump_python(self, mode="json")
        return data

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Window":
        """Return the window that ``to_json`` gave.

        Raises:
            ValueError: A field is missing or of the wrong type.
        """
        return _WINDOW.validate_python(data)


_WINDOW = TypeAdapter(Window)
