"""Several meters as one, and which meters to open on this machine."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from archon.energy import nvml
from archon.energy.estimated import Coefficients, EstimatedMeter
from archon.energy.meter import Domain, Meter, Reading
from archon.energy.proc import PROC
from archon.errors import MeterError, UsageError


class CombinedMeter(Meter):
    """The rails of several meters, none twice.

    A name that an earlier meter reads is left out of later ones, and an estimated rail is left
    out where a rail of its kind is measured.
    """

    def __init__(self, meters: Sequence[Meter]) -> None:
        self._meters = tuple(meters)
        every = [(meter, domain) for meter in self._meters for domain in meter.domains]
        measured = {domain.kind for _, domain in every if domain.method != "estimated"}
        self._kept: dict[str, tuple[Meter, Domain]] = {}
        for meter, domain in every:
            if domain.method != "estimated" or domain.kind not in measured:
                self._kept.setdefault(domain.name, (meter, domain))

    @property
    def domains(self) -> tuple[Domain, ...]:
        """The rails of all meters, in their order."""
        return tuple(domain for _, domain in self._kept.values())

    def read(self) -> Mapping[str, Reading]:
        """Return every rail's cumulative joules from the meter it was taken from."""
        readings = {meter: meter.read() for meter in self._meters}
        return {name: readings[meter][name] for name, (meter, _) in self._kept.items()}

    def close(self) -> None:
        """Close all meters."""
        for meter in self._meters:
            meter.close()


def open_meter(
    kind: str = "auto",
    coefficients: Coefficients | None = None,
    environ: Mapping[str, str] = os.environ,
    proc: Path = PROC,
) -> Meter:
    """Open the meter of this machine.

    Args:
        kind: ``nvml`` (the GPUs in use), ``estimated`` (CPU and DRAM, modelled), or ``auto``:
            whatever of these there is, together.
        coefficients: Watts for the estimate.
        environ: Where ``CUDA_VISIBLE_DEVICES`` is looked up.
        proc: Root of the proc file system.

    Raises:
        UsageError: There is no such meter, or it is not available here; the reason is given.
    """
    if kind not in ("auto", "nvml", "estimated"):
        raise UsageError(f"energy.meter: {kind!r} is unknown; use auto, nvml or estimated")
    meters: list[Meter] = []
    reasons: list[str] = []
    if kind in ("auto", "nvml"):
        gpus, reason = nvml.available(environ)
        meters += [gpus] if gpus else []
        reasons += [reason] if reason else []
    if kind in ("auto", "estimated"):
        try:
            meters.append(EstimatedMeter(coefficients, proc))
        except MeterError as error:
            reasons.append(str(error))
    if not meters:
        raise UsageError(f"energy.meter: {kind} is not available here: {'; '.join(reasons)}")
    return meters[0] if len(meters) == 1 else CombinedMeter(meters)
