import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archon.energy import Domain, RaplMeter, Recorder, basis_of
from archon.energy.testing import CounterTestCase
from archon.errors import MeterError

UNPRIVILEGED = 65534


class TestOnAPowercapTree(CounterTestCase):
    wraps_after_j = 262_143.328850

    @pytest.fixture
    def open_meter(self, powercap):
        return lambda: RaplMeter(powercap.root)

    @pytest.fixture
    def spend(self, powercap):
        return powercap.spend

    @pytest.fixture
    def reset(self, powercap):
        def reset():
            for zone in ("intel-rapl:0", "intel-rapl:1", "intel-rapl:0:2", "intel-rapl:1:2"):
                powercap.put(zone, 0)

        return reset

    @pytest.fixture(
        params=["vanished", "a folder", "dangling link", "garbage", "negative", "above its range"]
    )
    def break_source(self, request, powercap):
        zone = "intel-rapl:1"
        file = powercap.file(zone)

        def folder():
            file.unlink()
            file.mkdir()

        def dangling():
            file.unlink()
            file.symlink_to("nowhere")

        return {
            "vanished": file.unlink,
            "a folder": folder,
            "dangling link": dangling,
            "garbage": lambda: powercap.put(zone, "12 J"),
            "negative": lambda: powercap.put(zone, -1),
            "above its range": lambda: powercap.put(zone, powercap.range_uj + 1),
        }[request.param]


def joules(meter):
    return {name: reading.joules for name, reading in meter.read().items()}


def test_packages_and_their_memory_count_and_nothing_else(powercap):
    meter = RaplMeter(powercap.root)
    gap_s = powercap.range_uj / 1e6 / 1000
    assert meter.domains == (
        Domain("cpu:0", "cpu", "counter", 0.001, gap_s, 1000.0),
        Domain("dram:0", "dram", "counter", 0.001, gap_s, 1000.0),
        Domain("cpu:1", "cpu", "counter", 0.001, gap_s, 1000.0),
        Domain("dram:1", "dram", "counter", 0.001, gap_s, 1000.0),
    )
    assert joules(meter) == {"cpu:0": 7.0, "dram:0": 1.0, "cpu:1": 14.0, "dram:1": 1.000001}


def test_each_socket_has_its_own_counter_and_wrap(powercap):
    powercap.put("intel-rapl:1", powercap.range_uj - 4_000_000)
    meter = RaplMeter(powercap.root)
    with Recorder(meter, basis_of(meter)).window("phase") as pending:
        powercap.spend(10.0, "intel-rapl:0", "intel-rapl:0:0", "intel-rapl:0:1", "intel-rapl:2")
        powercap.spend(6.0, "intel-rapl:1")  # over the top
        powercap.spend(2.5, "intel-rapl:1:2")
    assert powercap.energy_uj("intel-rapl:1") == 2_000_000
    spent = {domain.name: domain.joules for domain in pending.window.domains}
    assert spent == pytest.approx({"cpu:0": 10.0, "dram:0": 0.0, "cpu:1": 6.0, "dram:1": 2.5})


@pytest.mark.parametrize("place", ["the control type's folder", "a mount that has only it"])
def test_zones_are_found_where_a_container_mounts_them(powercap, tmp_path, place):
    root = (powercap.root / "intel-rapl").resolve()
    if place == "a mount that has only it":
        mount = tmp_path / "mount"
        mount.mkdir()
        (mount / "intel-rapl").symlink_to(root)
        root = mount
    assert joules(RaplMeter(root)) == joules(RaplMeter(powercap.root))


def test_dies_are_packages_of_their_own(powercap):
    powercap.put("intel-rapl:0", "package-0-die-0", "name")
    powercap.put("intel-rapl:1", "package-0-die-1", "name")
    names = [domain.name for domain in RaplMeter(powercap.root).domains]
    assert names == ["cpu:0-die-0", "dram:0-die-0", "cpu:0-die-1", "dram:0-die-1"]


def test_two_zones_of_one_name_are_two_rails(powercap):
    powercap.put("intel-rapl:1", "package-0", "name")
    assert joules(RaplMeter(powercap.root))["cpu:intel-rapl:1"] == 14.0


@pytest.mark.parametrize("damage", ["missing", "garbage"])
def test_without_its_range_a_counter_is_not_used(powercap, damage):
    if damage == "missing":
        powercap.file("intel-rapl:0", "max_energy_range_uj").unlink()
    else:
        powercap.put("intel-rapl:0", "a lot", "max_energy_range_uj")
    reading = RaplMeter(powercap.root).read()["cpu:0"]
    assert reading.joules is None
    assert "cannot be told from a reset" in reading.reason
    assert joules(RaplMeter(powercap.root))["cpu:1"] == 14.0


def test_a_counter_that_comes_back_has_lost_nothing(powercap):
    meter = RaplMeter(powercap.root)
    before = joules(meter)["cpu:0"]
    powercap.put("intel-rapl:0", "")
    assert joules(meter)["cpu:0"] is None
    powercap.put("intel-rapl:0", 7_000_000)
    powercap.spend(3.0, "intel-rapl:0")
    assert joules(meter)["cpu:0"] - before == pytest.approx(3.0)


def test_permission_denied_names_the_fix(powercap):
    code = (
        "import os, sys; from pathlib import Path; from archon.energy.rapl import RaplMeter\n"
        f"os.getuid() or os.seteuid({UNPRIVILEGED})\n"
        "print(RaplMeter(Path(sys.argv[1])).read()['dram:1'].reason)"
    )
    with TemporaryDirectory() as folder:  # pytest's own are closed to other users
        Path(folder).chmod(0o755)
        root = Path(folder) / "powercap"
        type(powercap)(root)
        for file in root.glob("intel-rapl:*/energy_uj"):
            file.chmod(0)
        run = subprocess.run(
            [sys.executable, "-c", code, root],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert run.stdout == (
        f"{root}/intel-rapl:1:2/energy_uj: permission denied: since the PLATYPUS attack "
        "only root reads energy counters; run as root, or allow it until the next boot: "
        f"sudo chmod a+r {root}/intel-rapl:*/energy_uj\n"
    ), run.stderr


@pytest.mark.parametrize("what", ["no tree", "no zones", "psys only"])
def test_a_machine_without_packages_is_told_so(tmp_path, what):
    root = tmp_path / "powercap"
    if what != "no tree":
        root.mkdir()
    if what == "psys only":
        (root / "intel-rapl:0").mkdir()
        (root / "intel-rapl:0" / "name").write_text("psys\n")
    with pytest.raises(MeterError, match=r"no package in .*; virtual machines usually have none"):
        RaplMeter(root)


@settings(deadline=None)
@given(
    start=st.integers(0, 999_999),
    steps=st.lists(st.integers(0, 999_999), max_size=30),
)
def test_any_increments_below_the_range_add_up(tmp_path_factory, start, steps):
    zone = tmp_path_factory.mktemp("powercap") / "intel-rapl:0"
    zone.mkdir()
    (zone / "name").write_text("package-0")
    (zone / "max_energy_range_uj").write_text("1000000")
    true_uj = start
    (zone / "energy_uj").write_text(str(true_uj))
    meter = RaplMeter(zone.parent)
    first = joules(meter)["cpu:0"]
    for step in steps:
        true_uj += step
        (zone / "energy_uj").write_text(str(true_uj % 1_000_000))
        spent = joules(meter)["cpu:0"] - first
        assert spent == pytest.approx((true_uj - start) / 1e6, abs=1e-9)
