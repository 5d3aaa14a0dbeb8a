"""The meter for machines without energy counters: watts modelled from utilisation."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from archon.energy import proc as procfs
from archon.energy.meter import Domain, Meter, Reading
from archon.errors import MeterError, UsageError


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Watts of a processor and of memory; the defaults are averages over cloud servers.

    The defaults are Cloud Carbon Footprint's
    (https://www.cloudcarbonfootprint.org/docs/methodology, "Compute" and "Memory"; average of the
    AWS fleet): a fleet's average, not this machine's. Its watts per vCPU are those of whole
    servers in SPECpower_ssj2008, of which some went to their memory, fans and power supply; memory
    makers' figures give the watts per GB. Both together therefore count a server's usual memory
    twice, in the idle watts. ``conf/hardware`` has numbers for single kinds of processor.

    Attributes:
        min_watts_per_vcpu: Watts of an idle hardware thread.
        max_watts_per_vcpu: Watts of a fully used hardware thread.
        dram_watts_per_gb: Watts per GB of memory installed, used or not.
        source: Where the numbers come from, for reports.

    Raises:
        UsageError: A number is negative or not finite, or max is below min.
    """

    min_watts_per_vcpu: float = 0.74
    max_watts_per_vcpu: float = 3.5
    dram_watts_per_gb: float = 0.392
    source: str = "Cloud Carbon Footprint averages"

    def __post_init__(self) -> None:
        low, high, dram = self.min_watts_per_vcpu, self.max_watts_per_vcpu, self.dram_watts_per_gb
        if not (0 <= low <= high < math.inf and 0 <= dram < math.inf):
            raise UsageError(
                f"energy coefficients: {low} to {high} W per vCPU and {dram} W per GB are not "
                "possible; give 0 <= min_watts_per_vcpu <= max_watts_per_vcpu and "
                "dram_watts_per_gb >= 0"
            )


class EstimatedMeter(Meter):
    """CPU and DRAM of the whole machine, modelled: domains ``cpu:all``, ``dram:all``.

    A vCPU draws min + (max - min) x utilisation watts, and utilisation x time is the busy time
    the kernel counts, so joules over any window follow exactly from two readings of /proc/stat:
    ``min x vCPUs x elapsed + (max - min) x busy seconds``. Nothing is polled.

    Args:
        coefficients: Watts per vCPU and per GB.
        proc: Root of the proc file system.
        clock: Monotonic seconds.

    Raises:
        MeterError: The kernel's counts cannot be read here.
    """

    def __init__(
        self,
        coefficients: Coefficients | None = None,
        proc: Path = procfs.PROC,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.coefficients = coefficients or Coefficients()
        self._proc = proc
        self._clock = clock
        try:
            self._vcpus = procfs.vcpus(proc)
            self._dram_watts = self.coefficients.dram_watts_per_gb * procfs.memory_gb(proc)
            self._busy_at_start = procfs.busy_seconds(proc)
        except (OSError, ValueError) as error:
            raise MeterError(f"energy cannot be estimated on this machine: {error}") from error
        self._started = clock()
        tick_s, cpu_watts = procfs.tick_s(), self._vcpus * self.coefficients.max_watts_per_vcpu
        self._domains = (
            Domain("cpu:all", "cpu", "estimated", tick_s, max_watts=cpu_watts),
            Domain("dram:all", "dram", "estimated", tick_s, max_watts=self._dram_watts),
        )

    @property
    def domains(self) -> tuple[Domain, ...]:
        """``cpu:all`` and ``dram:all``."""
        return self._domains

    def read(self) -> Mapping[str, Reading]:
        """Return the joules since the meter was opened."""
        elapsed_s = self._clock() - self._started
        dram = Reading(self._dram_watts * elapsed_s)
        try:
            busy_s = procfs.busy_seconds(self._proc) - self._busy_at_start
        except (OSError, ValueError) as error:
            return {"cpu:all": Reading(None, f"CPU time unreadable: {error}"), "dram:all": dram}
        low, high = self.coefficients.min_watts_per_vcpu, self.coefficients.max_watts_per_vcpu
        cpu = Reading(low * self._vcpus * elapsed_s + (high - low) * busy_s)
        return {"cpu:all": cpu, "dram:all": dram}
