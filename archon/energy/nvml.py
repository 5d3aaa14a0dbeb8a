"""NVIDIA GPUs through NVML: the energy counter, or integrated power where there is none."""

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import pynvml

from archon.energy.meter import Conditions, Domain, Meter, Reading
from archon.energy.polled import PolledPower
from archon.errors import MeterError

COUNTER_TICK_S = 0.1  # GPUs update their counter every 20 to 100 ms; take the coarsest
SENSOR_S = 0.1  # power sensors are as slow
FROZEN_AFTER_S = 0.5
WATCH_EVERY_S = 0.02

_NO_MIG = "MIG slices share one power sensor: turn MIG off or choose another energy basis"


def visible_gpus(uuids: Sequence[str], setting: str | None) -> tuple[str, ...]:
    """Return which GPUs a CUDA program sees, by UUID, in its order.

    Entries of ``CUDA_VISIBLE_DEVICES`` may be indices, UUIDs or unique beginnings of one; as in
    CUDA, the first entry that names no GPU ends the list. Indices count in PCI bus order, which
    is NVML's always and CUDA's under ``CUDA_DEVICE_ORDER=PCI_BUS_ID``.

    Args:
        uuids: The machine's GPUs in NVML's order.
        setting: The value of ``CUDA_VISIBLE_DEVICES``; None (unset) shows all.

    Returns:
        UUIDs, each once; an entry that names a MIG slice is returned as it stands.
    """
    if setting is None:
        return tuple(uuids)
    seen: dict[str, None] = {}
    for entry in (part.strip() for part in setting.split(",")):
        if entry.startswith("MIG-"):
            found = [entry]
        elif entry.isdecimal():
            found = list(uuids[int(entry) : int(entry) + 1])
        else:
            found = [uuid for uuid in uuids if entry.startswith("GPU-") and uuid.startswith(entry)]
        if len(found) != 1:
            break
        seen[found[0]] = None
    return tuple(seen)


class NvmlMeter(Meter):
    """The GPUs in use: domain ``gpu:<uuid>`` each.

    A GPU that is in use and cannot be metered (MIG, no sensor) keeps its domain, whose readings
    are None with the reason: its energy is unknown, not absent.

    Args:
        environ: Where ``CUDA_VISIBLE_DEVICES`` is looked up.
        clock: Monotonic seconds.

    Raises:
        MeterError: NVML does not work here, or no GPU is in use.
    """

    def __init__(
        self,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._readers: dict[str, Callable[[], Reading]] = {}
        self._gpus: dict[str, Any] = {}
        self._counters: list[_Counter] = []
        self._polled: list[PolledPower] = []
        self._open = False
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError_LibraryNotFound as error:
            raise MeterError(
                "no NVIDIA driver (its library libnvidia-ml.so.1 cannot be loaded)"
            ) from error
        except pynvml.NVMLError as error:
            raise MeterError(
                f"NVML (the NVIDIA driver's library) does not work: {error}"
            ) from error
        self._open = True
        try:
            handles = _handles()
            setting = environ.get("CUDA_VISIBLE_DEVICES")
            uuids = visible_gpus(list(handles), setting)
            if not uuids:
                where = "" if setting is None else f", CUDA_VISIBLE_DEVICES={setting!r}"
                raise MeterError(f"no NVIDIA GPU is in use ({len(handles)} present{where})")
        except BaseException:
            self.close()
            raise
        self._domains = tuple(self._add(uuid, handles.get(uuid)) for uuid in uuids)

    @property
    def domains(self) -> tuple[Domain, ...]:
        """One per GPU in use, in CUDA's order."""
        return self._domains

    def read(self) -> Mapping[str, Reading]:
        """Return the joules per GPU since its driver was loaded, or since opening if polled."""
        return {name: reader() for name, reader in self._readers.items()}

    def conditions(self) -> Mapping[str, Conditions]:
        """Return every GPU's temperature and the processes that compute on it.

        A counter behind its GPU's power is given the time to move on, half a second at most, so
        that a read after this one finds out if it is frozen.
        """
        for counter in self._counters:
            counter.watch()
        return {
            name: Conditions(_temperature_c(handle), _pids(handle))
            for name, handle in self._gpus.items()
        }

    def close(self) -> None:
        """Stop sampling threads and let NVML go."""
        for polled in self._polled:
            polled.close()
        if self._open:
            self._open = False
            pynvml.nvmlShutdown()

    def _add(self, uuid: str, handle: Any | None) -> Domain:
        name = f"gpu:{uuid}"
        if handle is not None:
            self._gpus[name] = handle
        refusal = _NO_MIG if handle is None else _refusal(handle)
        if refusal is not None:
            reading = Reading(None, refusal)
            self._readers[name] = lambda: reading
        elif _supported(pynvml.nvmlDeviceGetTotalEnergyConsumption, handle) is None:
            polled = PolledPower(lambda: _watts(handle), self._clock, stale_s=SENSOR_S)
            polled.start()
            self._polled.append(polled)
            self._readers[name] = polled.read
            return Domain(name, "gpu", "polled", SENSOR_S, max_watts=_limit_watts(handle))
        else:
            self._counters.append(_Counter(handle, self._clock))
            self._readers[name] = self._counters[-1].read
        limit = None if handle is None or refusal else _limit_watts(handle)
        return Domain(name, "gpu", "counter", COUNTER_TICK_S, max_watts=limit)


class _Counter:
    """The energy counter of one GPU; one that stands still while power flows is broken."""

    def __init__(self, handle: Any, clock: Callable[[], float]) -> None:
        self._handle = handle
        self._clock = clock
        self._last = (-1.0, 0.0)  # joules, seconds at which they were first seen
        self._watched: tuple[float, float, float] | None = None  # seconds, joules, watts

    def read(self) -> Reading:
        try:
            joules = pynvml.nvmlDeviceGetTotalEnergyConsumption(self._handle) / 1000
            now = self._clock()
            last, since = self._last
            if joules != last:
                self._last = (joules, now)
            elif now - since >= FROZEN_AFTER_S and (watts := _watts(self._handle)) > 0:
                return Reading(
                    None,
                    f"the energy counter has stood still for {now - since:.1f} s "
                    f"while the GPU draws {watts:.0f} W",
                )
        except pynvml.NVMLError as error:
            return Reading(None, f"energy counter: {error}")
        except MeterError:  # no power reading to hold against it
            pass
        return Reading(joules)

    def watch(self) -> None:
        """Wait while the counter stands still, if it fell behind the power since the last time."""
        joules = self.read().joules
        before, self._watched = self._watched, None
        if joules is None:
            return
        with suppress(MeterError):
            self._watched = (self._clock(), joules, _watts(self._handle))
        if before is None or self._watched is None:
            return
        seconds = self._watched[0] - before[0] - COUNTER_TICK_S
        if joules - before[1] >= min(before[2], self._watched[2]) * seconds:
            return
        for _ in range(math.ceil(FROZEN_AFTER_S / WATCH_EVERY_S)):
            time.sleep(WATCH_EVERY_S)
            if self.read().joules != joules:
                return


def _handles() -> dict[str, Any]:
    """Return NVML's handles by UUID, in NVML's order (PCI bus)."""
    try:
        found = [
            pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())
        ]
        return {pynvml.nvmlDeviceGetUUID(handle): handle for handle in found}
    except pynvml.NVMLError as error:
        raise MeterError(f"NVML cannot list the GPUs: {error}") from error


def _refusal(handle: Any) -> str | None:
    """Return why a GPU cannot be metered, or None."""
    try:
        mig = _supported(pynvml.nvmlDeviceGetMigMode, handle)
        if mig is not None and mig[0] == pynvml.NVML_DEVICE_MIG_ENABLE:
            return _NO_MIG
        if _supported(pynvml.nvmlDeviceGetTotalEnergyConsumption, handle) is None:
            _watts(handle)
    except MeterError as error:
        return str(error)
    return None


def _limit_watts(handle: Any) -> float | None:
    """Return the power limit that is enforced, None if it is not told."""
    for query in (pynvml.nvmlDeviceGetEnforcedPowerLimit, pynvml.nvmlDeviceGetPowerManagementLimit):
        with suppress(MeterError):
            if (milliwatts := _supported(query, handle)) is not None:
                return float(milliwatts) / 1000
    return None


def _watts(handle: Any) -> float:
    """Return the power now; on drivers that do not tell it, their average over the last second."""
    instant = _supported(
        pynvml.nvmlDeviceGetFieldValues, handle, [pynvml.NVML_FI_DEV_POWER_INSTANT]
    )
    if instant is not None and instant[0].nvmlReturn == pynvml.NVML_SUCCESS:
        return float(instant[0].value.uiVal) / 1000
    milliwatts = _supported(pynvml.nvmlDeviceGetPowerUsage, handle)
    if milliwatts is None:
        raise MeterError("the GPU has neither an energy counter nor a power reading")
    return float(milliwatts) / 1000


def _temperature_c(handle: Any) -> float | None:
    """Return the temperature of the GPU's die, None where it is not told."""
    queries = (pynvml.nvmlDeviceGetTemperatureV, pynvml.nvmlDeviceGetTemperature)
    degrees = _first_told(queries, handle, pynvml.NVML_TEMPERATURE_GPU)
    return None if degrees is None else float(degrees)


def _pids(handle: Any) -> tuple[int, ...] | None:
    """Return the processes that compute on the GPU, None where they are not told."""
    queries = (
        pynvml.nvmlDeviceGetComputeRunningProcesses_v3,
        pynvml.nvmlDeviceGetComputeRunningProcesses_v2,
    )
    processes = _first_told(queries, handle)
    return None if processes is None else tuple(process.pid for process in processes)


def _first_told(queries: Sequence[Callable[..., Any]], *arguments: Any) -> Any | None:
    """Return the first answer that the driver gives; drivers differ in which queries they know."""
    for query in queries:
        with suppress(pynvml.NVMLError):
            return query(*arguments)
    return None


def _supported(query: Callable[..., Any], *arguments: Any) -> Any | None:
    """Return a query's answer, or None where the GPU or its (older) driver does not know it.

    Raises:
        MeterError: The query failed for another reason.
    """
    try:
        return query(*arguments)
    except (pynvml.NVMLError_NotSupported, pynvml.NVMLError_FunctionNotFound):
        return None
    except pynvml.NVMLError as error:
        raise MeterError(f"{query.__name__}: {error}") from error
