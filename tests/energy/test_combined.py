import sys

import pytest

from archon.energy import (
    Coefficients,
    CombinedMeter,
    Conditions,
    EstimatedMeter,
    RaplMeter,
    basis_of,
    open_meter,
)
from archon.energy.testing import CounterTestCase
from archon.errors import UsageError

NO_NVIDIA = {"CUDA_VISIBLE_DEVICES": ""}


def joules(meter):
    return {name: reading.joules for name, reading in meter.read().items()}


def methods(meter):
    return {domain.name: domain.method for domain in meter.domains}


class TestSocketsAndAGpu(CounterTestCase):
    wraps_after_j = 262_143.328850

    @pytest.fixture
    def gpu(self):
        return {"gpu:a": 100.0}

    @pytest.fixture
    def open_meter(self, powercap, replay, gpu):
        return lambda: CombinedMeter([RaplMeter(powercap.root), replay(gpu)])

    @pytest.fixture
    def spend(self, powercap, gpu):
        def spend(joules):
            powercap.spend(joules)
            gpu["gpu:a"] += joules

        return spend

    @pytest.fixture
    def reset(self, powercap, gpu):
        def reset():
            for zone in powercap.root.glob("intel-rapl:*"):
                powercap.put(zone.name, 0)
            gpu["gpu:a"] = 0.0

        return reset

    @pytest.fixture(params=["one socket", "the GPU"])
    def break_source(self, request, powercap, gpu):
        if request.param == "one socket":
            return powercap.file("intel-rapl:0").unlink
        return lambda: gpu.update({"gpu:a": None})


def test_rails_of_different_kinds_are_put_together(replay):
    meter = CombinedMeter([replay({"gpu:a": 5.0}), replay({"cpu:all": 7.0}, method="estimated")])
    assert [d.name for d in meter.domains] == ["gpu:a", "cpu:all"]
    assert joules(meter) == {"gpu:a": 5.0, "cpu:all": 7.0}


@pytest.mark.parametrize("measured_first", [True, False])
def test_a_measured_rail_displaces_the_estimate_of_its_kind(replay, measured_first):
    measured = replay({"cpu:0": 1.0, "cpu:1": 2.0})
    estimated = replay({"cpu:all": 10.0, "dram:all": 20.0}, method="estimated")
    order = [measured, estimated] if measured_first else [estimated, measured]
    meter = CombinedMeter(order)
    assert methods(meter) == {"cpu:0": "counter", "cpu:1": "counter", "dram:all": "estimated"}
    assert joules(meter) == {"cpu:0": 1.0, "cpu:1": 2.0, "dram:all": 20.0}


@pytest.mark.parametrize("sockets", [(1.0, None), (None, 1.0), (None, None)])
def test_an_unreadable_rail_leaves_the_estimate_of_its_kind_and_both_are_shown(replay, sockets):
    measured = replay({"cpu:0": sockets[0], "cpu:1": sockets[1], "dram:0": 3.0})
    estimated = replay({"cpu:all": 10.0, "dram:all": 20.0}, method="estimated")
    meter = CombinedMeter([measured, estimated])
    assert list(joules(meter).values()) == [*sockets, 3.0, 10.0]
    assert [domain.name for domain in meter.domains] == ["cpu:0", "cpu:1", "dram:0", "cpu:all"]


@pytest.mark.parametrize(("soc", "shown"), [(4.0, ["soc"]), (None, ["soc", "cpu:all"])])
def test_a_chip_that_can_be_read_displaces_the_estimate_of_its_processor(replay, soc, shown):
    meter = CombinedMeter([replay({"soc": soc}), replay({"cpu:all": 9.0}, method="estimated")])
    assert [domain.name for domain in meter.domains] == shown


def test_a_rail_that_two_meters_read_is_counted_once(replay):
    meter = CombinedMeter([replay({"gpu:a": 1.0}), replay({"gpu:a": 2.0, "gpu:b": 3.0})])
    assert joules(meter) == {"gpu:a": 1.0, "gpu:b": 3.0}


def test_each_rail_is_described_by_its_own_meter(replay):
    class Warm(type(replay({"gpu:a": 1.0}))):
        def conditions(self):
            return {name: Conditions(70.0) for name in ("gpu:a", "gpu:b")}

    meter = CombinedMeter([replay({"gpu:a": 1.0}), Warm({"gpu:a": 2.0, "gpu:b": 3.0})])
    assert meter.conditions() == {"gpu:b": Conditions(70.0)}


def test_auto_measures_what_can_be_measured(powercap, proc):
    environ = NO_NVIDIA | {"ARCHON_POWERCAP": str(powercap.root)}
    meter = open_meter("auto", environ=environ, proc=proc.root)
    assert methods(meter) == dict.fromkeys(["cpu:0", "dram:0", "cpu:1", "dram:1"], "counter")
    assert joules(open_meter("rapl", environ=environ)) == joules(meter)


def test_auto_without_permission_falls_back_to_the_estimate_and_says_why(powercap, proc):
    for counter in powercap.root.glob("intel-rapl:*/energy_uj"):
        counter.unlink()
    environ = NO_NVIDIA | {"ARCHON_POWERCAP": str(powercap.root)}
    meter = open_meter("auto", environ=environ, proc=proc.root)
    basis = basis_of(meter)
    assert basis.label == "cpu+dram estimated"
    assert [note.partition(":")[0] for note in basis.left_out] == ["cpu", "dram", "cpu", "dram"]
    assert all("energy_uj: No such file" in note for note in basis.left_out)
    basis.require_readable(meter)


def test_coefficients_reach_the_estimate(proc):
    meter = open_meter("estimated", Coefficients(1.0, 2.0, 3.0), proc=proc.root)
    assert meter.coefficients == Coefficients(1.0, 2.0, 3.0)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("estimated", ".*stat"), ("rapl", "RAPL: no package in .*"), ("nvml", ".*NVIDIA")],
)
def test_a_meter_that_is_not_available_is_one_line_with_the_reason(tmp_path, kind, reason):
    environ = NO_NVIDIA | {"ARCHON_POWERCAP": str(tmp_path)}
    with pytest.raises(UsageError, match=f"{kind} is not available here: {reason}") as caught:
        open_meter(kind, environ=environ, proc=tmp_path)
    assert "\n" not in str(caught.value)


def test_an_unknown_meter_is_refused():
    with pytest.raises(UsageError, match="'solar' is unknown; use auto, or one of nvml, rapl, ze"):
        open_meter("solar")


PLUGIN = """
from archon.energy import Domain, Meter, Reading
from archon.errors import MeterError

closed = []


class WallPlug(Meter):
    domains = (Domain("gpu:wall", "gpu", "polled", 1.0),)

    def read(self):
        return {"gpu:wall": Reading(42.0)}

    def close(self):
        closed.append(self)


def absent():
    raise MeterError("no plug answers")


def broken():
    raise KeyError("plug")


def confused():
    return {}
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a package that registers some of its callables as meters."""

    def install(**meters):
        (tmp_path / "wall_plug.py").write_text(PLUGIN)
        info = tmp_path / "wall_plug-1.0.dist-info"
        info.mkdir()
        lines = "".join(f"{name} = wall_plug:{what}\n" for name, what in meters.items())
        (info / "entry_points.txt").write_text(f"[archon.meters]\n{lines}")
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: wall-plug\nVersion: 1.0\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "wall_plug", raising=False)

    return install


def test_a_registered_meter_is_opened_by_its_name_and_by_auto(install, proc, tmp_path):
    install(wall="WallPlug")
    environ = NO_NVIDIA | {"ARCHON_POWERCAP": str(tmp_path)}
    assert joules(open_meter("wall")) == {"gpu:wall": 42.0}
    assert set(methods(open_meter(environ=environ, proc=proc.root))) == {
        "gpu:wall",
        "cpu:all",
        "dram:all",
    }
    assert sys.modules["wall_plug"].closed == []


def test_a_registered_meter_that_is_absent_gives_its_reason(install, proc, tmp_path):
    install(wall="absent")
    environ = NO_NVIDIA | {"ARCHON_POWERCAP": str(tmp_path)}
    with pytest.raises(UsageError, match="wall is not available here: no plug answers"):
        open_meter("wall")
    assert isinstance(open_meter(environ=environ, proc=proc.root), EstimatedMeter)


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("broken", "is broken: KeyError: 'plug'"),
        ("missing", "is broken: AttributeError"),
        ("confused", "returned dict: it must return an archon.energy.Meter"),
    ],
)
def test_a_broken_registered_meter_is_named_and_what_was_open_is_closed(install, what, reason):
    install(first="WallPlug", second=what)
    with pytest.raises(UsageError, match=rf"the registered meter second \(wall_plug:.*\) {reason}"):
        open_meter(environ=NO_NVIDIA)
    assert len(sys.modules["wall_plug"].closed) == 1
