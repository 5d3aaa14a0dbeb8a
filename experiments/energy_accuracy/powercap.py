"""A powercap tree of two sockets in which a known energy is spent."""

from pathlib import Path

from experiments.energy_accuracy.simulation import LiveFile

RANGE_UJ = 65_532_610_987
"""Where the counters wrap, as on many Xeons: every 94 s at 700 W on one of them."""

ZONES = {
    "intel-rapl:0": ("package-0", 0.5),
    "intel-rapl:0/intel-rapl:0:0": ("core", 0.35),
    "intel-rapl:0/intel-rapl:0:1": ("dram", 0.1),
    "intel-rapl:1": ("package-1", 0.3),
    "intel-rapl:1/intel-rapl:1:0": ("core", 0.2),
    "intel-rapl:1/intel-rapl:1:1": ("dram", 0.1),
    "intel-rapl:2": ("psys", 1.1),
}
"""Name of each zone, and its part of what packages and memory spend together."""


class PowercapTree:
    """The files of ``/sys/class/powercap`` that tell energy.

    Args:
        root: Where they are made.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._counters: dict[LiveFile, float] = {}
        for zone, (name, share) in ZONES.items():
            folder = root / zone
            folder.mkdir(parents=True)
            (folder / "name").write_text(name)
            (folder / "max_energy_range_uj").write_text(str(RANGE_UJ))
            self._counters[LiveFile(folder / "energy_uj")] = share
        self.write(0.0)

    def write(self, joules: float) -> None:
        """Set every counter to its part of the joules of packages and memory since boot."""
        for counter, share in self._counters.items():
            counter.write(f"{int(joules * share * 1e6) % RANGE_UJ}\n")
