"""What a meter is: cumulative joules per domain."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

DomainKind = Literal["gpu", "cpu", "dram", "soc"]
Method = Literal["counter", "polled", "estimated"]


@dataclass(frozen=True, slots=True)
class Domain:
    """One rail a meter reads.

    Attributes:
        name: ``gpu:<uuid>`` (``gpu:amd-<index>``), ``cpu:<package>``, ``dram:<package>`` (``all``
            where estimated) or ``soc``, which contains its chip's GPU, CPU and memory.
        kind: What the rail feeds.
        method: ``counter`` (hardware energy counter), ``polled`` (integrated power),
            ``estimated`` (modelled from utilisation).
        tick_s: Seconds between updates of the source; bounds the error of short windows.
        max_gap_s: Longest time between two reads that cannot hide a wrap-around of the counter;
            None where it cannot wrap.
        max_watts: The most the rail can draw, None if unknown; bounds what a tick may hide.
    """

    name: str
    kind: DomainKind
    method: Method
    tick_s: float
    max_gap_s: float | None = None
    max_watts: float | None = None


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a rail's device tells besides its energy; None where it does not.

    Attributes:
        temperature_c: Degrees Celsius now.
        pids: Processes that compute on the device now.
    """

    temperature_c: float | None = None
    pids: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """Cumulative joules of one domain, or None with the reason it could not be read.

    Attributes:
        error_j: Cumulative bound of what sampling may have got wrong, where power is sampled.
    """

    joules: float | None
    reason: str | None = None
    error_j: float = 0.0


class Meter(ABC):
    """A source of cumulative energy readings. Reading must be cheap and never raise."""

    @property
    @abstractmethod
    def domains(self) -> tuple[Domain, ...]:
        """The rails this meter reads, fixed for its lifetime."""

    @abstractmethod
    def read(self) -> Mapping[str, Reading]:
        """Return the cumulative joules per domain name, monotonic while the source is sound."""

    def conditions(self) -> Mapping[str, Conditions]:
        """Return what is known now per domain name; a domain left out tells nothing."""
        return {}

    def close(self) -> None:  # noqa: B027 - a meter may hold nothing
        """Release handles and stop sampling threads."""
