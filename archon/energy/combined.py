"""Several meters as one, and which meters to open on this machine."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TypeVar

from archon.energy.estimated import Coefficients, EstimatedMeter
from archon.energy.meter import Conditions, Domain, Meter, Reading
from archon.energy.nvml import NvmlMeter
from archon.energy.proc import PROC
from archon.energy.rapl import POWERCAP, RaplMeter
from archon.energy.zeus_meter import ZeusMeter
from archon.errors import MeterError, UsageError

_GROUP = "archon.meters"
_Told = TypeVar("_Told")


class CombinedMeter(Meter):
    """The rails of several meters, none twice.

    A name that an earlier meter reads is left out of later ones. An estimated rail is left out
    where the rails of its kind are measured and all of them can be read when this meter is made,
    and so is one of a chip whose ``soc`` can.
    """

    def __init__(self, meters: Sequence[Meter]) -> None:
        self._meters = tuple(meters)
        sound: dict[str, bool] = {}
        for meter in self._meters:
            readings = meter.read()
            for domain in meter.domains:
                if domain.method != "estimated":
                    readable = readings[domain.name].joules is not None
                    sound[domain.kind] = readable and sound.get(domain.kind, True)
        self._kept: dict[str, tuple[int, Domain]] = {}
        for index, meter in enumerate(self._meters):
            for domain in meter.domains:
                measured = sound.get(domain.kind) or sound.get("soc")
                if domain.method != "estimated" or not measured:
                    self._kept.setdefault(domain.name, (index, domain))

    @property
    def domains(self) -> tuple[Domain, ...]:
        """The rails of all meters, in their order."""
        return tuple(domain for _, domain in self._kept.values())

    def read(self) -> Mapping[str, Reading]:
        """Return every rail's cumulative joules from the meter it was taken from."""
        return self._gather(lambda meter: meter.read())

    def conditions(self) -> Mapping[str, Conditions]:
        """Return what each rail's own meter tells of it."""
        return self._gather(lambda meter: meter.conditions())

    def close(self) -> None:
        """Close all meters."""
        for meter in self._meters:
            meter.close()

    def _gather(self, ask: Callable[[Meter], Mapping[str, _Told]]) -> dict[str, _Told]:
        told = [ask(meter) for meter in self._meters]
        return {
            name: told[index][name]
            for name, (index, _) in self._kept.items()
            if name in told[index]
        }


def open_meter(
    kind: str = "auto",
    coefficients: Coefficients | None = None,
    environ: Mapping[str, str] = os.environ,
    proc: Path = PROC,
) -> Meter:
    """Open the meter of this machine.

    Args:
        kind: ``nvml`` (the NVIDIA GPUs in use), ``rapl`` (CPU packages and their memory), ``zeus``
            (AMD GPUs, Apple silicon, Jetson), ``estimated`` (CPU and memory, modelled), a meter
            registered under the entry-point group ``archon.meters`` (a callable without arguments
            that returns a ``Meter`` or raises ``MeterError`` with the reason), or ``auto``:
            whatever of these there is, together.
        coefficients: Watts for the estimate.
        environ: Where ``CUDA_VISIBLE_DEVICES`` is looked up, and ``ARCHON_POWERCAP``, the folder
            to read RAPL from instead of ``/sys/class/powercap``.
        proc: Root of the proc file system.

    Raises:
        UsageError: There is no such meter, it is not available here (the reason is given), or a
            registered one is broken: it raises something else than ``MeterError``.
    """
    powercap = Path(environ.get("ARCHON_POWERCAP") or POWERCAP)
    openers: dict[str, Callable[[], Meter]] = {
        "nvml": lambda: NvmlMeter(environ),
        "rapl": lambda: RaplMeter(powercap),
        "zeus": ZeusMeter.of_this_machine,
        **{plugin.name: partial(_registered, plugin) for plugin in entry_points(group=_GROUP)},
        "estimated": lambda: EstimatedMeter(coefficients, proc),
    }
    if kind not in ("auto", *openers):
        known = ", ".join(openers)
        raise UsageError(f"energy.meter: {kind!r} is unknown; use auto, or one of {known}")
    meters: list[Meter] = []
    reasons: list[str] = []
    with ExitStack() as opened:
        for name in openers if kind == "auto" else [kind]:
            try:
                meters.append(openers[name]())
            except MeterError as error:
                reasons.append(str(error))
            else:
                opened.callback(meters[-1].close)
        if not meters:
            raise UsageError(f"energy.meter: {kind} is not available here: {'; '.join(reasons)}")
        meter = meters[0] if len(meters) == 1 else CombinedMeter(meters)
        opened.pop_all()
    return meter


def _registered(plugin: EntryPoint) -> Meter:
    """Open a meter of another package.

    Raises:
        MeterError: It is not available here.
        UsageError: It is broken.
    """
    try:
        meter = plugin.load()()
    except MeterError:
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UsageError(
            f"energy.meter: the registered meter {plugin.name} ({plugin.value}) is broken: {reason}"
        ) from error
    if not isinstance(meter, Meter):
        raise UsageError(
            f"energy.meter: the registered meter {plugin.name} ({plugin.value}) returned "
            f"{type(meter).__name__}: it must return an archon.energy.Meter"
        )
    return meter
