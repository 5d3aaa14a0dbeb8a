"""What metering costs: CPU time of windows in which nothing else happens."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from archon.errors import ArchonError
from experiments.energy_accuracy.powercap import PowercapTree

MOST_CORES = 0.01
MOST_WAITS = 5.0
"""Per second: a process that waits no more than this does not poll fast."""

_ROOT = Path(__file__).parents[2]
_FAKE_NVML = _ROOT / "tests" / "energy" / "fake_nvml.c"
_LIVE_S = 0.1


@dataclass(frozen=True, slots=True)
class Setup:
    """A recorder on a meter.

    Attributes:
        meter: Names of meters joined by `` + ``.
        counter: Whether the GPU has an energy counter.
        every_s: Seconds between looks inside a window; None is the default.
        own: Whether the CPU time of our own processes is worked out too.
    """

    meter: str
    counter: bool = True
    every_s: float | None = None
    own: bool = False

    @property
    def name(self) -> str:
        """What is shown in the table."""
        meter = self.meter.replace("NVML", "NVML counter" if self.counter else "NVML polled")
        return meter + (", own processes" if self.own else "")

    @property
    def polls(self) -> bool:
        """Whether this is expected to poll fast: there is no counter, or a live view is open."""
        return not self.counter or self.every_s is not None


@dataclass(frozen=True, slots=True)
class Cost:
    """What a setup cost, one number per window.

    Attributes:
        cores: CPU seconds per second.
        waits: Times per second that one of the process' threads went to sleep.
    """

    setup: Setup
    cores: tuple[float, ...]
    waits: tuple[float, ...]

    @property
    def broken(self) -> str | None:
        """Return which claim does not hold, or None."""
        if self.setup.every_s is None and statistics.median(self.cores) > MOST_CORES:
            return f"{self.setup.name}: more than {MOST_CORES:.0%} of a core at the default rate"
        if not self.setup.polls and statistics.median(self.waits) > MOST_WAITS:
            return f"{self.setup.name}: polls fast although there is a counter"
        return None


_ALL = "NVML + RAPL + estimated"
SETUPS = (
    Setup("NVML"),
    Setup("NVML", counter=False),
    Setup("RAPL"),
    Setup("estimated"),
    Setup(_ALL),
    Setup(_ALL, own=True),
    Setup(_ALL, counter=False, own=True),
    Setup("NVML", every_s=_LIVE_S),
    Setup(_ALL, own=True, every_s=_LIVE_S),
)


def measure_costs(
    setups: Sequence[Setup], folder: Path, *, seconds: float, windows: int
) -> list[Cost]:
    """Record windows in a process for each setup, all at the same time: they mostly sleep."""
    library = folder / "libnvidia-ml.so.1"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, _FAKE_NVML, "-lm"], check=True)
    tree = PowercapTree(folder / "powercap")
    costs = []
    with ExitStack() as stack:
        running = [_start(setup, folder, tree.root, seconds, windows) for setup in setups]
        for process in running:
            stack.callback(process.kill)
        for setup, process in zip(setups, running, strict=True):
            printed, _ = process.communicate()
            if process.returncode:
                raise ArchonError(f"{setup.name} could not be recorded; its process failed, above")
            cores, waits = zip(*json.loads(printed), strict=True)
            costs.append(Cost(setup, cores, waits))
    return costs


def _start(
    setup: Setup, library: Path, powercap: Path, seconds: float, windows: int
) -> subprocess.Popen[str]:
    wanted = {**asdict(setup), "powercap": str(powercap), "seconds": seconds, "windows": windows}
    command = [sys.executable, "-m", "experiments.energy_accuracy.idle_recorder"]
    environ = os.environ | {
        "LD_LIBRARY_PATH": str(library),
        "FAKE_NVML_TICK_S": "0.1",
        "FAKE_NVML_NO_COUNTER": "0" if setup.counter else "1",
    }
    return subprocess.Popen(
        [*command, json.dumps(wanted)], cwd=_ROOT, env=environ, stdout=subprocess.PIPE, text=True
    )
