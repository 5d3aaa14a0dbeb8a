import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from archon.energy import Domain, Meter, Reading


class ReplayMeter(Meter):
    """Gives readings handed to it, the last one for ever; counts how often it was read."""

    def __init__(
        self, *readings: Mapping[str, float | None], method="counter", tick_s=0.001, max_gap_s=None
    ):
        self._readings = list(readings)
        self.reads = 0
        self._domains = tuple(
            Domain(name, name.partition(":")[0], method, tick_s, max_gap_s) for name in readings[0]
        )

    @property
    def domains(self):
        return self._domains

    def read(self):
        now = self._readings[min(self.reads, len(self._readings) - 1)]
        self.reads += 1
        return {
            name: Reading(joules, None if joules is not None else "gone")
            for name, joules in now.items()
        }


class Ticker:
    """A clock that moves when told."""

    def __init__(self, now: float = 1000.0):
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Ticker:
    return Ticker()


@pytest.fixture
def replay():
    return ReplayMeter


class FakeProc:
    """A proc file system of two CPUs and 4 GB, in which jiffies are spent by hand."""

    def __init__(self, root: Path, hz: int = 100):
        self.root = root
        self.hz = hz
        self.jiffies = dict.fromkeys(
            ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest"], 0
        )
        (root / "meminfo").write_text(f"MemTotal:       {4 * 2**20} kB\nMemFree: 1 kB\n")
        self.spend(user=100, idle=900)

    def spend(self, **seconds: float) -> None:
        for name, spent in seconds.items():
            self.jiffies[name] += round(spent * self.hz)
        counts = " ".join(map(str, self.jiffies.values())) + " 0"
        (self.root / "stat").write_text(f"cpu  {counts}\ncpu0 {counts}\ncpu1 {counts}\nintr 5\n")

    def process(self, pid: int, parent: int, seconds: float, reaped: float = 0.0) -> None:
        """``seconds`` of its own, and those of children it has waited for."""
        (self.root / str(pid)).mkdir(exist_ok=True)
        own, waited = round(seconds * self.hz), round(reaped * self.hz)
        fields = f"S {parent} 1 1 0 -1 0 0 0 0 0 {own} 0 {waited} 0 20 0"
        (self.root / str(pid) / "stat").write_text(f"{pid} (a (b) c) {fields}\n")


@pytest.fixture
def proc(tmp_path, monkeypatch) -> FakeProc:
    monkeypatch.setattr("archon.energy.proc.tick_s", lambda: 0.01)
    root = tmp_path / "proc"
    root.mkdir()
    return FakeProc(root)


class FakePowercap:
    """A powercap tree of two sockets, laid out like the kernel's class folder.

    Every zone is linked beside and inside its parent. Counters are turned by hand.
    """

    range_uj = 262_143_328_850

    def __init__(self, root: Path):
        self.root = root
        self._devices = root.parent / "devices"
        for socket in (0, 1):
            self._zone(f"intel-rapl:{socket}", f"package-{socket}", uj=7_000_000 * (socket + 1))
            for number, name in enumerate(["core", "uncore", "dram"]):
                self._zone(f"intel-rapl:{socket}:{number}", name, uj=1_000_000 + socket)
        self._zone("intel-rapl:2", "psys", uj=9_000_000)
        self._zone("intel-rapl-mmio:0", "package-0", uj=7_000_000)

    def file(self, zone: str, name: str = "energy_uj") -> Path:
        return self.root / zone / name

    def energy_uj(self, zone: str) -> int:
        return int(self.file(zone).read_text())

    def put(self, zone: str, uj: object, name: str = "energy_uj") -> None:
        """Write as the kernel does: a reader sees the old text or the new."""
        text = self.file(zone, name).resolve()
        fresh = text.with_name("fresh")
        fresh.write_text(f"{uj}\n")
        fresh.replace(text)

    def spend(self, joules: float, *zones: str) -> None:
        """Turn the counters of some zones, or of all."""
        for zone in zones or [entry.name for entry in self.root.glob("*:*")]:
            turned = self.energy_uj(zone) + round(joules * 1e6)
            self.put(zone, turned % self.range_uj)

    def _zone(self, zone: str, name: str, uj: int) -> None:
        control, _, numbers = zone.partition(":")
        *above, _ = numbers.split(":")
        folder = self._devices / control
        for depth in range(len(above)):
            folder /= ":".join([control, *above[: depth + 1]])
        folder /= zone
        folder.mkdir(parents=True)
        for file, value in {
            "name": name,
            "energy_uj": uj,
            "max_energy_range_uj": self.range_uj,
        }.items():
            (folder / file).write_text(f"{value}\n")
        self.root.mkdir(exist_ok=True)
        (self.root / zone).symlink_to(folder)
        if not (self.root / control).exists():
            (self.root / control).symlink_to(self._devices / control)


@pytest.fixture
def powercap(tmp_path) -> FakePowercap:
    root = tmp_path / "class" / "powercap"
    root.parent.mkdir()
    return FakePowercap(root)


@pytest.fixture(scope="session")
def build_fake_nvml(tmp_path_factory):
    """Compile the stand-in for NVIDIA's library; returns the folder to put it on the path."""

    def build(*flags: str) -> Path:
        folder = tmp_path_factory.mktemp("nvml")
        source = Path(__file__).with_name("fake_nvml.c")
        library = folder / "libnvidia-ml.so.1"
        command = ["cc", "-shared", "-fPIC", "-Wall", "-Werror", *flags, "-o", library, source]
        subprocess.run([*command, "-lm"], check=True)
        return folder

    return build


@pytest.fixture
def energy(capfd):
    """Run ``archon energy``; returns its exit status, stdout and stderr, the command's included."""
    from archon.cli import main

    def run(*arguments: object) -> tuple[int, str, str]:
        status = main(["energy", *map(str, arguments)])
        return status, *capfd.readouterr()

    return run


@pytest.fixture
def metered(energy):
    """Run ``archon energy --json``; returns its exit status and its one object."""

    def run(*arguments: object) -> tuple[int, dict]:
        status, out, _ = energy("--json", *arguments)
        return status, json.loads(out)

    return run
