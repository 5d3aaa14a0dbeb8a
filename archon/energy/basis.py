"""The energy basis: which rails a study counts."""

from collections.abc import Sequence
from dataclasses import dataclass

from archon.energy.meter import Domain, DomainKind, Meter, Method
from archon.errors import MeterError, UsageError

_KINDS: tuple[DomainKind, ...] = ("gpu", "cpu", "dram", "soc")


@dataclass(frozen=True, slots=True)
class Basis:
    """The rails a study counts; numbers of different bases are never compared.

    Attributes:
        domains: Names of the rails.
        label: For tables and plots, for example ``gpu`` or ``cpu+dram estimated``; choosing by
            this label on the same machine gives this basis again.
        method: The least direct method among the rails.
    """

    domains: tuple[str, ...]
    label: str
    method: Method

    def require_readable(self, meter: Meter) -> None:
        """Check that every rail can be read now.

        Raises:
            MeterError: One cannot; the reason is given.
        """
        readings = meter.read()
        for name in self.domains:
            reading = readings.get(name)
            if reading is None or reading.joules is None:
                reason = "this meter does not read it" if reading is None else reading.reason
                raise MeterError(f"energy basis {self.label}: {name} cannot be read: {reason}")


def choose_basis(domains: Sequence[Domain], wanted: str = "auto") -> Basis:
    """Choose the rails to count.

    Args:
        domains: What the meter reads.
        wanted: ``auto`` counts every measured rail if there are any, else the estimated ones,
            and so never mixes the two. Kinds joined by ``+`` (``gpu+cpu+dram``) count exactly
            these, mixed if need be; ``estimated`` after them insists on an estimate.

    Raises:
        UsageError: A kind is unknown, or this meter does not read it so.
    """
    if wanted == "auto":
        measured = [domain for domain in domains if domain.method != "estimated"]
        return _basis(measured or domains)
    kinds = {kind.strip() for kind in wanted.replace("estimated", "").split("+")}
    there = "+".join(kind for kind in _KINDS if any(domain.kind == kind for domain in domains))
    if not kinds <= set(there.split("+")):
        raise UsageError(f"energy basis {wanted!r}: the meter in use reads {there}; use auto")
    basis = _basis([domain for domain in domains if domain.kind in kinds])
    if "estimated" in wanted and basis.method != "estimated":
        raise UsageError(
            f"energy basis {wanted!r}: these rails are measured here; use {basis.label!r}, or "
            "the estimated meter"
        )
    return basis


def _basis(domains: Sequence[Domain]) -> Basis:
    def kinds(estimated: bool) -> str:
        having = {d.kind for d in domains if (d.method == "estimated") == estimated}
        return "+".join(kind for kind in _KINDS if kind in having)

    measured, modelled = kinds(estimated=False), kinds(estimated=True)
    label = " + ".join(part for part in (measured, modelled and f"{modelled} estimated") if part)
    methods = {domain.method for domain in domains}
    worst: Method = "counter"
    if "polled" in methods:
        worst = "polled"
    if "estimated" in methods:
        worst = "estimated"
    return Basis(tuple(domain.name for domain in domains), label, worst)
