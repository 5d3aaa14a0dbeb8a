"""NVML through the real binding; run by test_nvml.py with a stand-in library on the path."""

import time
from typing import ClassVar

import pytest

from archon.energy import NvmlMeter, Recorder, choose_basis, open_meter
from archon.energy.testing import MeterTestCase
from archon.errors import MeterError, UsageError

UUIDS = [f"GPU-{i}a000000-0000-4000-8000-000000000000" for i in range(2)]


@pytest.fixture
def fake(monkeypatch):
    """Set up the stand-in: ``fake(gpus=2, watts=50)``."""

    def configure(**settings):
        for name, value in settings.items():
            monkeypatch.setenv(f"FAKE_NVML_{name.upper()}", str(value))

    return configure


@pytest.fixture
def opened():
    """Open meters that are closed after the test."""
    meters = []

    def open_(environ=None):
        meters.append(NvmlMeter(environ or {}))
        return meters[-1]

    yield open_
    for meter in meters:
        meter.close()


def record(meter, seconds):
    """Measure a window of real time."""
    recorder = Recorder(meter, choose_basis(meter.domains), check_every_s=0.05)
    with recorder.window("w") as pending:
        time.sleep(seconds)
    return pending.window


class TestCounter(MeterTestCase):
    settings: ClassVar[dict] = {}

    @pytest.fixture
    def gone(self, tmp_path):
        return tmp_path / "gone"

    @pytest.fixture
    def open_meter(self, fake, gone):
        fake(lost_if=gone, **self.settings)
        return lambda: NvmlMeter({})

    @pytest.fixture
    def break_source(self, gone):
        return gone.touch

    @pytest.fixture
    def watts(self):
        return 99.0, 101.0


class TestCoarseCounter(TestCounter):
    settings: ClassVar[dict] = {"tick_s": 0.1}


class TestPolled(TestCounter):
    settings: ClassVar[dict] = {"no_counter": 1}


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (None, UUIDS),
        ("0", UUIDS[:1]),
        ("1", UUIDS[1:]),
        ("1,0", UUIDS[::-1]),
        (UUIDS[1], UUIDS[1:]),
        ("GPU-1a", UUIDS[1:]),
        (" GPU-0a , 1", UUIDS),
        ("0,7,1", UUIDS[:1]),
        ("0,0", UUIDS[:1]),
    ],
)
def test_only_the_gpus_in_use_are_read(fake, opened, setting, expected):
    fake(gpus=2)
    environ = {} if setting is None else {"CUDA_VISIBLE_DEVICES": setting}
    assert [d.name for d in opened(environ).domains] == [f"gpu:{uuid}" for uuid in expected]


@pytest.mark.parametrize("setting", ["", "-1", "2", "GPU-", "GPU-zz", "NoDevFiles"])
def test_without_a_gpu_in_use_there_is_no_meter(fake, setting):
    fake(gpus=2)
    with pytest.raises(MeterError, match="no NVIDIA GPU is in use"):
        NvmlMeter({"CUDA_VISIBLE_DEVICES": setting})
    with pytest.raises(UsageError, match="nvml is not available here: no NVIDIA GPU is in use"):
        open_meter("nvml", environ={"CUDA_VISIBLE_DEVICES": setting})


def test_auto_reads_gpus_and_counts_them_alone(fake):
    fake(gpus=2)
    meter = open_meter("auto", environ={})
    assert [d.method for d in meter.domains] == ["counter"] * 2 + ["estimated"] * 2
    assert choose_basis(meter.domains).label == "gpu"
    meter.close()


def test_each_gpu_has_its_own_joules(fake, opened):
    fake(gpus=2, watts=50)
    window = record(opened(), 0.2)
    first, second = (domain.joules for domain in window.domains)
    assert first == pytest.approx(50 * window.seconds, rel=0.1)
    assert second == pytest.approx(100 * window.seconds, rel=0.1)


@pytest.mark.parametrize(("no_instant", "watts"), [(0, 100), (1, 150)])
def test_without_a_counter_power_is_integrated(fake, opened, no_instant, watts):
    fake(no_counter=1, no_instant=no_instant)
    meter = opened()
    assert [(d.method, d.tick_s, d.max_watts) for d in meter.domains] == [("polled", 0.1, 300.0)]
    window = record(meter, 0.2)
    assert window.domains[0].joules == pytest.approx(watts * window.seconds, rel=0.1)


@pytest.mark.parametrize(
    ("fault", "seconds", "reason"),
    [
        ({"lost_after_s": 0.1}, 0.2, "GPU is lost"),
        ({"lost_after_s": 0.1, "no_counter": 1}, 0.2, "GPU is lost"),
        ({"back_after_s": 0.1}, 0.2, "jumped back"),
        ({"freeze_after_s": 0.1}, 0.7, "stood still"),
    ],
    ids=["lost", "lost while polled", "reset", "frozen"],
)
def test_a_fault_inside_a_window_makes_that_gpu_unknown(fake, opened, fault, seconds, reason):
    fake(gpus=2, **fault)
    window = record(opened(), seconds)
    struck, other = window.domains
    assert struck.joules is None
    assert reason in struck.reason
    assert other.joules == pytest.approx(200 * window.seconds, rel=0.1)


def test_a_counter_may_stand_still_at_no_power(fake, opened):
    fake(watts=0)
    assert record(opened(), 0.6).domains[0].joules == 0.0


@pytest.mark.parametrize(
    ("environ", "name"),
    [({}, f"gpu:{UUIDS[0]}"), ({"CUDA_VISIBLE_DEVICES": "MIG-1-2-3"}, "gpu:MIG-1-2-3")],
    ids=["mode", "slice"],
)
def test_mig_is_refused_with_the_reason(fake, opened, environ, name):
    fake(mig=1)
    meter = opened(environ)
    reading = meter.read()[name]
    assert reading.joules is None
    assert "MIG" in reading.reason
    with pytest.raises(MeterError, match="MIG"):
        choose_basis(meter.domains).require_readable(meter)


def test_a_gpu_without_any_sensor_is_unknown(fake, opened):
    fake(no_counter=1, no_power=1)
    (reading,) = opened().read().values()
    assert reading.joules is None
    assert "neither an energy counter nor a power reading" in reading.reason


@pytest.mark.parametrize("no_counter", [0, 1])
def test_a_closed_meter_gives_reasons(fake, opened, no_counter):
    fake(no_counter=no_counter)
    meter = opened()
    meter.close()
    (reading,) = meter.read().values()
    assert reading.joules is None
    assert "ninitialized" in reading.reason


def test_temperature_and_processes_are_told(fake, opened):
    fake(gpus=2, pids="12,34")
    first, second = opened().conditions().values()
    assert (first.temperature_c, first.pids) == (60.0, (12, 34))
    assert (second.temperature_c, second.pids) == (70.0, ())


def test_conditions_that_are_not_told_are_unknown(fake, opened):
    fake(cool=1)
    (conditions,) = opened().conditions().values()
    assert (conditions.temperature_c, conditions.pids) == (None, None)


def test_a_lost_gpu_tells_nothing(fake, opened, tmp_path):
    fake(lost_if=tmp_path, pids="12")
    (conditions,) = opened().conditions().values()
    assert (conditions.temperature_c, conditions.pids) == (None, None)
