"""AMD GPUs, Apple silicon and NVIDIA Jetson, through the library Zeus (extra ``meters``)."""

import importlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from archon.energy.meter import Conditions, Domain, Meter, Method, Reading
from archon.energy.polled import PERIOD_S, PolledPower
from archon.errors import MeterError

AMD_TICK_S = 0.1  # not documented; as coarse as NVIDIA's


@dataclass(frozen=True, slots=True)
class _Chip:
    """The fields of Zeus's measurement that make up a chip's energy, and how Zeus gets them."""

    needed: tuple[str, ...]
    method: Method
    tick_s: float
    if_there: tuple[str, ...] = ()


_CHIPS = (
    # A Jetson's input rail, polled by Zeus ten times a second; boards without it show two rails.
    _Chip(("total_energy_mj",), "polled", 0.1),
    _Chip(("cpu_energy_mj", "gpu_energy_mj"), "polled", 0.1),
    # Apple's cores and clusters lie inside cpu_total; whether the GPU's SRAM lies inside gpu is not
    # documented, so it is not added. macOS publishes most of these counters twice in two seconds,
    # at uneven intervals (https://github.com/lablup/all-smi/issues/415).
    _Chip(("cpu_total_mj", "gpu_mj"), "counter", 2.0, if_there=("ane_mj", "dram_mj")),
)


class ZeusMeter(Meter):
    """AMD GPUs, ``gpu:amd-<HIP index>`` each, and the ``soc`` of a Mac or Jetson.

    ``soc`` is the whole module on a Jetson with an input rail and CPU plus GPU rails on others;
    CPU, GPU, neural engine and memory on Apple silicon, whose counters are the chip's own model of
    its power. A CPU or GPU rail of the same chip must not be added to it. NVIDIA GPUs and RAPL
    are never read here, so that nothing is counted twice.

    Args:
        gpus: AMD GPUs with the interface of ``zeus.device.gpu.GPU``.
        soc: A chip with the interface of ``zeus.device.soc.SoC``.
        clock: Monotonic seconds.

    Raises:
        MeterError: There is neither.
    """

    def __init__(
        self,
        gpus: Iterable[Any] = (),
        soc: Any | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._domains: tuple[Domain, ...] = ()
        self._readers: dict[str, Callable[[], Reading]] = {}
        self._polled: list[PolledPower] = []
        self._holder: object = None  # shuts AMD's library down when it is collected
        if soc is not None:
            self._add_soc(soc)
        tracked = {gpu.gpu_index: gpu for gpu in gpus}
        self._gpus = {
            f"gpu:amd-{index}": gpu
            for index, gpu in tracked.items()
            if not _counted_by_its_twin(gpu, tracked)
        }
        for name, gpu in self._gpus.items():
            self._add_gpu(name, gpu)
        if not self._domains:
            raise MeterError("Zeus finds no AMD GPU, Apple silicon or Jetson with a power sensor")

    @classmethod
    def of_this_machine(cls) -> "ZeusMeter":
        """Open what Zeus finds here.

        Of AMD GPUs these are the ones that ``HIP_VISIBLE_DEVICES`` of this process (or else
        ``CUDA_VISIBLE_DEVICES``) shows.

        Raises:
            MeterError: Zeus is not installed, finds nothing, or fails; the reason is given.
        """
        try:
            amd = importlib.import_module("zeus.device.gpu.amd")
            soc = importlib.import_module("zeus.device.soc")
        except ImportError as error:
            raise MeterError(
                "AMD GPUs, Apple silicon and Jetson need the package zeus: "
                f"pip install 'archon-ipw[meters]' ({error})"
            ) from error
        chip = None
        try:
            gpus = amd.AMDGPUs() if amd.amdsmi_is_available() else None
            with suppress(soc.ZeusSoCInitError):
                chip = soc.get_soc()
        except Exception as error:
            raise MeterError(f"Zeus cannot open the devices here: {_told(error)}") from error
        meter = cls(gpus.gpus if gpus else (), chip)
        meter._holder = gpus
        return meter

    @property
    def domains(self) -> tuple[Domain, ...]:
        """The chip, then the AMD GPUs in HIP's order."""
        return self._domains

    def read(self) -> Mapping[str, Reading]:
        """Return the joules per rail, from a start of its own each."""
        return {name: reader() for name, reader in self._readers.items()}

    def conditions(self) -> Mapping[str, Conditions]:
        """Return the temperature of each AMD GPU."""
        return {name: Conditions(_temperature_c(gpu)) for name, gpu in self._gpus.items()}

    def close(self) -> None:
        """Stop sampling threads; Zeus keeps its own handles until the program ends."""
        for polled in self._polled:
            polled.close()

    def _add_gpu(self, name: str, gpu: Any) -> None:
        if gpu.supports_get_total_energy_consumption():
            self._add(
                Domain(name, "gpu", "counter", AMD_TICK_S),
                lambda: _joules(gpu.get_total_energy_consumption),
            )
            return
        milliwatts = _power_sensor(gpu)
        polled = PolledPower(lambda: _watts(milliwatts), self._clock)
        polled.start()
        self._polled.append(polled)
        self._add(Domain(name, "gpu", "polled", PERIOD_S), polled.read)

    def _add_soc(self, soc: Any) -> None:
        lock = threading.Lock()  # a Jetson answers one question at a time

        def read(rails: Sequence[str]) -> Reading:
            with lock:
                return _joules(lambda: _sum(soc.get_total_energy_consumption(), rails))

        try:
            found = vars(soc.get_total_energy_consumption())
        except Exception as error:
            raise MeterError(f"Zeus: {_told(error)}") from error
        there = {rail for rail, value in found.items() if value is not None}
        for chip in _CHIPS:
            if there.issuperset(chip.needed):
                rails = (*chip.needed, *there.intersection(chip.if_there))
                self._add(Domain("soc", "soc", chip.method, chip.tick_s), partial(read, rails))
                return

    def _add(self, domain: Domain, reader: Callable[[], Reading]) -> None:
        self._domains += (domain,)
        self._readers[domain.name] = reader


def _counted_by_its_twin(gpu: Any, tracked: Mapping[int, Any]) -> bool:
    """Return whether a GPU is the second half of an MI250, whose first half tells of both."""
    odd = gpu.gpu_index % 2 == 1 and gpu.gpu_index - 1 in tracked
    return odd and "MI250" in gpu.get_name() and not gpu.supports_get_total_energy_consumption()


def _joules(millijoules: Callable[[], float]) -> Reading:
    try:
        return Reading(millijoules() / 1000)
    except Exception as error:
        return Reading(None, f"Zeus: {_told(error)}")


def _sum(measured: Any, rails: Sequence[str]) -> float:
    return sum(float(getattr(measured, rail)) for rail in rails)


def _power_sensor(gpu: Any) -> Callable[[], int]:
    """Return the query for the power now, or for its average where a GPU has only that."""
    with suppress(Exception):
        gpu.get_instant_power_usage()
        now: Callable[[], int] = gpu.get_instant_power_usage
        return now
    average: Callable[[], int] = gpu.get_average_power_usage
    return average


def _watts(milliwatts: Callable[[], int]) -> float:
    try:
        return milliwatts() / 1000
    except Exception as error:
        raise MeterError(f"Zeus: {_told(error)}") from error


def _temperature_c(gpu: Any) -> float | None:
    try:
        return float(gpu.get_gpu_temperature())
    except Exception:
        return None


def _told(error: Exception) -> str:
    """Return an exception of Zeus or of a maker's library, which may be of any kind, on a line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
