"""CPU packages and their memory through RAPL, as Linux's powercap tree shows it."""

import re
import threading
from collections.abc import Mapping
from pathlib import Path

from archon.energy.meter import Domain, DomainKind, Meter, Reading
from archon.errors import MeterError

POWERCAP = Path("/sys/class/powercap")
TICK_S = 0.001
MAX_WATTS = 1000.0  # of one package; bounds from below how fast a counter can wrap


class RaplMeter(Meter):
    """The packages, and their memory where it has a counter: ``cpu:<package>``, ``dram:<package>``.

    The zones are those of the kernel's powercap framework
    (https://docs.kernel.org/power/powercap/powercap.html), named ``intel-rapl`` on AMD as well. Of
    these only ``package-*`` and their ``dram`` count. ``core`` and ``uncore`` lie inside their
    package. ``psys`` contains every package and, depending on the maker, more or less of the rest
    of the machine. ``intel-rapl-mmio`` shows the same packages by another way. Memory is not part
    of its package's counter.

    Counters wrap around at ``max_energy_range_uj``; a reset looks like a wrap, and shows as a leap
    of the joules. A counter that cannot be read keeps its domain, whose readings are None with the
    reason.

    Args:
        root: The powercap tree.

    Raises:
        MeterError: There is no package.
    """

    def __init__(self, root: Path = POWERCAP) -> None:
        self._domains: tuple[Domain, ...] = ()
        self._counters: dict[str, _Counter] = {}
        for package, zone in _packages(root).items():
            self._add(f"cpu:{package}", "cpu", zone)
            for inner in _inside(zone.parent, zone.name):
                if _name(inner) == "dram":
                    self._add(f"dram:{package}", "dram", inner)
        if not self._domains:
            raise MeterError(
                f"RAPL: no package in {root}; virtual machines usually have none, on other "
                "machines load the kernel module intel_rapl_msr"
            )

    @property
    def domains(self) -> tuple[Domain, ...]:
        """One per package, each followed by its memory."""
        return self._domains

    def read(self) -> Mapping[str, Reading]:
        """Return the joules per counter since it was last at zero before the meter was opened."""
        return {name: counter.read() for name, counter in self._counters.items()}

    def _add(self, name: str, kind: DomainKind, zone: Path) -> None:
        counter = self._counters[name] = _Counter(zone)
        gap_s = counter.range_uj and counter.range_uj / 1e6 / MAX_WATTS
        self._domains += (Domain(name, kind, "counter", TICK_S, gap_s, MAX_WATTS),)


class _Counter:
    """One ``energy_uj``, continued over its wrap-arounds; may be read from several threads."""

    def __init__(self, zone: Path) -> None:
        self._file = zone / "energy_uj"
        self._lock = threading.Lock()
        self._wrapped_uj = 0
        self._last_uj = 0
        self.range_uj: int | None = None
        self._refusal: str | None = None
        try:
            self.range_uj = _microjoules(zone / "max_energy_range_uj")
        except MeterError as error:
            self._refusal = f"{error}; without it a wrap-around cannot be told from a reset"

    def read(self) -> Reading:
        if self.range_uj is None:
            return Reading(None, self._refusal)
        with self._lock:
            try:
                now_uj = _microjoules(self._file)
            except MeterError as error:
                return Reading(None, str(error))
            if now_uj > self.range_uj:
                above = f"{now_uj} is above the counter's range of {self.range_uj}"
                return Reading(None, f"{self._file}: {above}")
            if now_uj < self._last_uj:
                self._wrapped_uj += self.range_uj
            self._last_uj = now_uj
            return Reading((self._wrapped_uj + now_uj) / 1e6)


def _packages(root: Path) -> dict[str, Path]:
    """Return the packages' zones by name: ``0``, or ``0-die-1`` where dies are packages."""
    found: dict[str, Path] = {}
    for zone in _inside(root, "intel-rapl"):
        if (name := _name(zone)).startswith("package-"):
            package = name.removeprefix("package-")
            found[zone.name if package in found else package] = zone
    return found


def _inside(folder: Path, parent: str) -> list[Path]:
    """Return the zones directly below a zone or control type of a folder.

    The kernel's class folder shows every zone both beside and inside its parent; a container's
    mount may have only one of the two.
    """
    found: dict[int, Path] = {}
    for place in (folder, folder / parent):
        for zone in place.glob(f"{parent}:*"):
            number = zone.name.removeprefix(f"{parent}:")
            if number.isdecimal():
                found.setdefault(int(number), zone)
    return [found[number] for number in sorted(found)]


def _name(zone: Path) -> str:
    try:
        return (zone / "name").read_text().strip()
    except OSError:  # the zone went away while we looked
        return ""


def _microjoules(file: Path) -> int:
    """Return the count a file holds.

    Raises:
        MeterError: It cannot be read, or holds something else.
    """
    try:
        text = file.read_text(errors="replace").strip()
    except PermissionError as error:
        every = file.parent.parent / "intel-rapl:*" / "energy_uj"
        raise MeterError(
            f"{file}: permission denied: since the PLATYPUS attack only root reads energy "
            f"counters; run as root, or allow it until the next boot: sudo chmod a+r {every}"
        ) from error
    except OSError as error:
        raise MeterError(f"{file}: {error.strerror}") from error
    if not re.fullmatch("[0-9]{1,20}", text):
        raise MeterError(f"{file}: {text[:40]!r} is not a number of microjoules")
    return int(text)
