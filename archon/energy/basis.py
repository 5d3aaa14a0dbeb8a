"""The energy basis: which rails a study counts."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from archon.energy.meter import Domain, DomainKind, Meter, Method
from archon.errors import MeterError, UsageError

_KINDS: tuple[DomainKind, ...] = ("gpu", "cpu", "dram", "soc")
_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Basis:
    """The rails a study counts; numbers of different bases are never compared.

    Attributes:
        domains: Names of the rails.
        label: For tables and plots, for example ``gpu`` or ``cpu+dram estimated``; choosing by
            this label on the same machine gives this basis again.
        method: The least direct method among the rails.
        left_out: Measured rails that ``auto`` does not count, each with the reason.
    """

    domains: tuple[str, ...]
    label: str
    method: Method
    left_out: tuple[str, ...] = field(default=(), compare=False)

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


def basis_of(meter: Meter, wanted: str = "auto") -> Basis:
    """Choose the rails of a meter to count, by what can be read of it now.

    Raises:
        UsageError: As ``choose_basis``.
    """
    unreadable = {
        name: reading.reason or "no reason given"
        for name, reading in meter.read().items()
        if reading.joules is None
    }
    return choose_basis(meter.domains, wanted, unreadable)


def choose_basis(
    domains: Sequence[Domain], wanted: str = "auto", unreadable: Mapping[str, str] = _NONE
) -> Basis:
    """Choose the rails to count.

    ``auto`` counts every measured rail if there are any, else the estimated ones, and so never
    mixes the two. Of the measured ones it leaves out:

    - CPU or memory where not every rail of the kind can be read: a laptop whose counters only root
      may read is not refused. A GPU that cannot be read stays, for its energy must not vanish.
    - whatever stands beside a ``soc``, which contains the chip's CPU, GPU and memory. Count a
      graphics card beside it by ``gpu+soc``.
    - memory alone, which says little about the work.

    Args:
        domains: What the meter reads.
        wanted: ``auto``, or kinds joined by ``+`` (``gpu+cpu+dram``) to count exactly these, the
            measured rail of a kind where there is one, else the estimated; a list that ends in
            ``estimated`` means the estimated ones. A label of a basis is understood:
            ``gpu + cpu+dram estimated``.
        unreadable: Reasons by name of the rails that cannot be read.

    Raises:
        UsageError: A kind is unknown, or this meter does not read it so.
    """
    if wanted == "auto":
        return _auto(domains, unreadable)
    groups = re.split(r"\s+\+\s+", wanted.strip())
    chosen = [domain for group in groups for domain in _named(domains, group, wanted)]
    return _basis([domain for domain in domains if domain in chosen])


def _auto(domains: Sequence[Domain], unreadable: Mapping[str, str]) -> Basis:
    measured = [domain for domain in domains if domain.method != "estimated"]
    lost = {d.kind for d in measured if d.kind in ("cpu", "dram") and d.name in unreadable}
    chip = [domain for domain in measured if domain.kind == "soc"]
    counted = chip or [domain for domain in measured if domain.kind not in lost]
    if {domain.kind for domain in counted} <= {"dram"}:
        counted = [domain for domain in domains if domain.method == "estimated"] or measured

    def why(domain: Domain) -> str:
        if domain.name in unreadable:
            return unreadable[domain.name]
        if chip:
            return f"may be part of soc; if it is not, use basis {domain.kind}+soc"
        if domain.kind in lost:
            return f"another {domain.kind} rail cannot be read"
        return "memory alone says little"

    left_out = [f"{domain.name}: {why(domain)}" for domain in measured if domain not in counted]
    return _basis(counted, tuple(left_out))


def _named(domains: Sequence[Domain], group: str, wanted: str) -> list[Domain]:
    """Return the rails of the kinds joined by ``+`` in a group, which may end in ``estimated``."""
    estimated = group.endswith("estimated")
    chosen: list[Domain] = []
    for kind in (part.strip() for part in group.removesuffix("estimated").split("+")):
        measured = [d for d in domains if d.kind == kind and d.method != "estimated"]
        modelled = [d for d in domains if d.kind == kind and d.method == "estimated"]
        if not measured and not modelled:
            raise UsageError(
                f"energy basis {wanted!r}: the meter in use reads {_kinds(domains)}; use auto"
            )
        if estimated and not modelled:
            raise UsageError(
                f"energy basis {wanted!r}: {kind} is measured here; ask for it without "
                "'estimated', or use the estimated meter"
            )
        chosen += modelled if estimated or not measured else measured
    return chosen


def _basis(domains: Sequence[Domain], left_out: tuple[str, ...] = ()) -> Basis:
    measured = _kinds([domain for domain in domains if domain.method != "estimated"])
    modelled = _kinds([domain for domain in domains if domain.method == "estimated"])
    label = " + ".join(part for part in (measured, modelled and f"{modelled} estimated") if part)
    methods = {domain.method for domain in domains}
    worst: Method = "counter"
    if "polled" in methods:
        worst = "polled"
    if "estimated" in methods:
        worst = "estimated"
    return Basis(tuple(domain.name for domain in domains), label, worst, left_out)


def _kinds(domains: Sequence[Domain]) -> str:
    there = {domain.kind for domain in domains}
    return "+".join(kind for kind in _KINDS if kind in there)
