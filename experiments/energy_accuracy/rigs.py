"""Our meters, each reading a trace through its real code in simulated time."""

import ctypes
import math
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from archon.energy import (
    Coefficients,
    Domain,
    EstimatedMeter,
    Meter,
    NvmlMeter,
    RaplMeter,
    Reading,
)
from archon.energy.nvml import SENSOR_S
from archon.energy.polled import PolledPower
from archon.energy.proc import tick_s as jiffy_s
from archon.energy.rapl import TICK_S
from experiments.energy_accuracy.powercap import PowercapTree
from experiments.energy_accuracy.simulation import LiveFile, Refreshed, Simulation
from experiments.energy_accuracy.traces import Trace

_SINCE_BOOT_J = 5e6  # a counter is rarely young
_LATE_S = 0.002  # a sampling thread wakes up to this much late
_GPU_IS_LOST = 15
_VCPUS = 64
_BUSY_S = 1e5  # CPU time since boot
LIMIT_WATTS = 700.0
"""Power limit of the replayed GPUs; no trace draws more."""


@dataclass(frozen=True, slots=True)
class World:
    """Where a meter is opened: what is drawn, what time it is, and chance."""

    trace: Trace
    clock: Simulation
    chance: Random


@dataclass(frozen=True, slots=True)
class Rig:
    """A meter of ours set up to read a trace.

    Attributes:
        basis: The kinds of rail that together draw the trace.
        blind_s: Power that comes and goes within this many seconds may be missed altogether, and
            no bound can hold.
    """

    name: str
    basis: str
    open: Callable[[World], Meter]
    blind_s: float = 0.0


class ReplayNvml:
    """The stand-in for NVIDIA's library.

    It carries the library's own name and is loaded first, so that the binding finds it.
    """

    def __init__(self, folder: Path) -> None:
        library = folder / "libnvidia-ml.so.1"
        source = Path(__file__).with_name("replay_nvml.c")
        flags = ("-shared", "-fPIC", "-O1", f"-Wl,-soname,{library.name}")
        subprocess.run(["cc", *flags, "-o", library, source], check=True)
        loaded = ctypes.CDLL(str(library))
        self._millijoules = ctypes.c_ulonglong.in_dll(loaded, "replay_millijoules")
        self._result = ctypes.c_int.in_dll(loaded, "replay_result")

    def counter(self, tick_s: float, failing: float = 0.0) -> Rig:
        """Return a GPU whose counter moves every ``tick_s``; a part of the reads may fail."""
        name = f"NVML counter, {tick_s * 1000:.0f} ms ticks"
        if failing:
            name += f", {failing:.0%} of reads fail"
        return Rig(name, "gpu", partial(self._open, tick_s, failing))

    def _open(self, tick_s: float, failing: float, world: World) -> Meter:
        phase_s = world.chance.uniform(0, tick_s)

        def refresh() -> None:
            joules = _SINCE_BOOT_J + world.trace.energy(_last(world.clock.now, tick_s, phase_s))
            self._millijoules.value = int(joules * 1000)
            self._result.value = _GPU_IS_LOST if world.chance.random() < failing else 0

        self._result.value = 0
        return Refreshed(NvmlMeter({}, world.clock), refresh)


def polled(hertz: float, sensor_s: float = 0.0) -> Rig:
    """Return a GPU without a counter; its power sensor may refresh only every so often."""
    name = f"NVML polled at {hertz:.0f} Hz"
    if sensor_s:
        name += f", sensor of {sensor_s * 1000:.0f} ms"
    blind_s = max(1 / hertz + _LATE_S, sensor_s)
    return Rig(name, "gpu", partial(_PolledGpu, 1 / hertz, sensor_s), blind_s)


def rapl(folder: Path) -> Rig:
    """Return two packages and their memory, with counters that wrap."""
    tree = PowercapTree(folder / "powercap")

    def opened(world: World) -> Meter:
        phase_s = world.chance.uniform(0, TICK_S)
        since_boot_j = world.chance.uniform(0, _SINCE_BOOT_J)

        def refresh() -> None:
            tree.write(since_boot_j + world.trace.energy(_last(world.clock.now, TICK_S, phase_s)))

        refresh()
        return Refreshed(RaplMeter(tree.root), refresh)

    return Rig("RAPL, 2 sockets, wrapping", "cpu+dram", opened)


def estimated(folder: Path) -> Rig:
    """Return the estimate on a /proc in which the trace is the utilisation of 64 processors."""
    low, high = 10.0 / _VCPUS, 700.0 / _VCPUS
    coefficients = Coefficients(low, high, source="the trace")
    stat = LiveFile(folder / "stat")
    (folder / "meminfo").write_text(f"MemTotal: {64 * 2**20} kB\n")
    processors = "".join(f"cpu{number} 0 0 0 0\n" for number in range(_VCPUS))

    def opened(world: World) -> Meter:
        began_s = world.clock.now

        def refresh() -> None:
            joules = world.trace.joules(began_s, world.clock.now)
            busy_s = (joules - low * _VCPUS * (world.clock.now - began_s)) / (high - low)
            stat.write(f"cpu {int((_BUSY_S + busy_s) / jiffy_s())} 0 0 0 0 0 0 0 0 0\n{processors}")

        refresh()
        return Refreshed(EstimatedMeter(coefficients, folder, world.clock), refresh)

    return Rig("estimated", "cpu", opened)


class _PolledGpu(Meter):
    """A GPU without a counter as the NVML meter reads it, its sampling thread simulated."""

    def __init__(self, period_s: float, sensor_s: float, world: World) -> None:
        phase_s = world.chance.uniform(0, sensor_s)

        def watts() -> float:
            now = world.clock.now
            return world.trace.watts(_last(now, sensor_s, phase_s) if sensor_s else now)

        self._polled = PolledPower(watts, world.clock, period_s, stale_s=SENSOR_S)
        self._domains = (Domain("gpu:replayed", "gpu", "polled", SENSOR_S, max_watts=LIMIT_WATTS),)
        world.clock.repeat(self._polled.read, lambda: period_s + world.chance.uniform(0, _LATE_S))

    @property
    def domains(self) -> tuple[Domain, ...]:
        return self._domains

    def read(self) -> Mapping[str, Reading]:
        return {"gpu:replayed": self._polled.read()}


def _last(now: float, tick_s: float, phase_s: float) -> float:
    """Return when the last tick was."""
    return math.floor((now - phase_s) / tick_s) * tick_s + phase_s
