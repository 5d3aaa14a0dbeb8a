import sys
import time
from types import SimpleNamespace

import pytest
import zeus.device.gpu.amd as zeus_amd
from zeus.device.soc.apple import AppleSiliconMeasurement
from zeus.device.soc.common import SoC
from zeus.device.soc.jetson import JetsonMeasurement

from archon.energy import Conditions, ZeusMeter
from archon.energy.testing import CounterTestCase, MeterTestCase
from archon.errors import MeterError


class AmdSmi:
    """A stand-in for AMD's own library, below Zeus: two GPUs in the reverse of HIP's order."""

    class AmdSmiLibraryException(Exception):  # noqa: N818 - AMD's name
        def get_error_code(self):
            return 10

        def get_error_info(self):
            return "no permission"

    AmdSmiException = AmdSmiLibraryException
    AmdSmiInitFlags = SimpleNamespace(INIT_AMD_GPUS=0)
    AmdSmiTemperatureType = SimpleNamespace(HOTSPOT=0)
    AmdSmiTemperatureMetric = SimpleNamespace(CURRENT=0)

    def __init__(self):
        self.opened = time.monotonic()
        self.name = "Instinct MI300X"
        self.power = {"current_socket_power": 100, "average_socket_power": "N/A"}
        self.counted_watts = [0.0, 0.0]
        self.spent_j = [1000.0, 1000.0]
        self.lost = False
        self.shut = False

    def amdsmi_init(self, _flags):
        self._check()

    def amdsmi_shut_down(self):
        self.shut = True

    def amdsmi_get_processor_handles(self):
        return [1, 0]

    def amdsmi_get_gpu_enumeration_info(self, handle):
        return {"hip_id": handle}

    def amdsmi_get_gpu_asic_info(self, _handle):
        return {"market_name": self.name}

    def amdsmi_get_power_info(self, _handle):
        self._check()
        return self.power

    def amdsmi_get_energy_count(self, handle):
        self._check()
        drawn_j = self.counted_watts[handle] * (time.monotonic() - self.opened)
        return {
            "energy_accumulator": (self.spent_j[handle] + drawn_j) * 1e6 / 15.3,
            "counter_resolution": 15.3,
        }

    def amdsmi_get_temp_metric(self, handle, _type, _metric):
        self._check()
        return 61_000 + 1000 * handle

    def spend(self, joules):
        self.spent_j = [spent + joules for spent in self.spent_j]

    def reset(self):
        self.spent_j = [0.0, 0.0]

    def lose(self):
        self.lost = True

    def _check(self):
        if self.lost:
            raise self.AmdSmiLibraryException


@pytest.fixture
def amdsmi(monkeypatch):
    library = AmdSmi()
    monkeypatch.setitem(sys.modules, "amdsmi", library)
    monkeypatch.setattr(zeus_amd, "amdsmi", library)
    monkeypatch.delenv("HIP_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    caches = (zeus_amd.amdsmi_is_available, zeus_amd._hip_to_amdsmi_handle)
    for cache in caches:
        cache.cache_clear()
    yield library
    for cache in caches:
        cache.cache_clear()


class Chip(SoC):
    """A chip of which only the cumulative measurement is asked."""

    def __init__(self, measured):
        self.measured = measured
        self.lost = False

    def get_total_energy_consumption(self):
        if self.lost:
            raise RuntimeError("IOReport is gone")
        return self.measured

    def get_available_metrics(self):
        raise NotImplementedError

    def begin_window(self, key, restart=False):
        raise NotImplementedError

    def end_window(self, key):
        raise NotImplementedError


@pytest.mark.usefixtures("amdsmi")
class TestAmdCounter(CounterTestCase):
    resolution_j = 0.002  # Zeus gives whole millijoules

    @pytest.fixture
    def open_meter(self):
        return lambda: ZeusMeter([zeus_amd.AMDGPU(index) for index in (0, 1)])

    @pytest.fixture
    def spend(self, amdsmi):
        return amdsmi.spend

    @pytest.fixture
    def reset(self, amdsmi):
        return amdsmi.reset

    @pytest.fixture
    def break_source(self, amdsmi):
        return amdsmi.lose


class WithoutCounter(zeus_amd.AMDGPU):
    def supports_get_total_energy_consumption(self):
        return False


@pytest.mark.usefixtures("amdsmi")
class TestAmdPower(MeterTestCase):
    @pytest.fixture
    def open_meter(self):
        return lambda: ZeusMeter([WithoutCounter(0)])

    @pytest.fixture
    def break_source(self, amdsmi):
        return amdsmi.lose

    @pytest.fixture
    def watts(self):
        return 99.0, 101.0


class TestAppleSilicon(CounterTestCase):
    resolution_j = 0.002

    @pytest.fixture
    def chip(self):
        return Chip(AppleSiliconMeasurement(cpu_total_mj=9000, gpu_mj=500, ane_mj=0, dram_mj=70))

    @pytest.fixture
    def open_meter(self, chip):
        return lambda: ZeusMeter(soc=chip)

    @pytest.fixture
    def spend(self, chip):
        def spend(joules):
            chip.measured.gpu_mj += round(joules * 1000)

        return spend

    @pytest.fixture
    def reset(self, chip):
        def reset():
            chip.measured.zero_all_fields()

        return reset

    @pytest.fixture
    def break_source(self, chip):
        return lambda: setattr(chip, "lost", True)


@pytest.mark.parametrize(
    ("measured", "joules", "method"),
    [
        (JetsonMeasurement(3000.0, 4000.0, 12_000.0), 12.0, "polled"),
        (JetsonMeasurement(3000.0, 4000.0, None), 7.0, "polled"),
        (
            AppleSiliconMeasurement(
                cpu_total_mj=1000,
                performance_cores_mj=[400, 500],
                performance_cluster_mj=[950],
                dram_mj=20,
                gpu_mj=3000,
                gpu_sram_mj=5,
                ane_mj=100,
            ),
            4.12,
            "counter",
        ),
        (AppleSiliconMeasurement(cpu_total_mj=1000, gpu_mj=3000), 4.0, "counter"),
    ],
    ids=["Jetson with an input rail", "Jetson without", "Apple", "Apple without a memory rail"],
)
def test_a_chip_is_one_rail_whose_parts_count_once(measured, joules, method):
    meter = ZeusMeter(soc=Chip(measured))
    (domain,) = meter.domains
    assert (domain.name, domain.kind, domain.method) == ("soc", "soc", method)
    assert meter.read()["soc"].joules == pytest.approx(joules)


@pytest.mark.parametrize(
    "measured", [JetsonMeasurement(), JetsonMeasurement(cpu_energy_mj=3000.0)], ids=["no", "part"]
)
def test_a_chip_of_which_too_little_is_told_is_no_meter(measured):
    with pytest.raises(MeterError, match="with a power sensor"):
        ZeusMeter(soc=Chip(measured))


def test_a_gpu_that_tells_only_its_average_power_is_polled_for_that(amdsmi):
    amdsmi.power = {"current_socket_power": "N/A", "average_socket_power": 80}
    meter = ZeusMeter([WithoutCounter(0)])
    before = meter.read()["gpu:amd-0"].joules
    assert meter.read()["gpu:amd-0"].joules > before
    meter.close()


def test_zeus_errors_become_reasons(amdsmi):
    meter = ZeusMeter([zeus_amd.AMDGPU(0)])
    amdsmi.lose()
    reading = meter.read()["gpu:amd-0"]
    assert reading.reason == "Zeus: ZeusGPUNoPermissionError: no permission"


def test_gpus_tell_their_temperature(amdsmi):
    meter = ZeusMeter([zeus_amd.AMDGPU(0), zeus_amd.AMDGPU(1)])
    assert meter.conditions() == {"gpu:amd-0": Conditions(61.0), "gpu:amd-1": Conditions(62.0)}
    amdsmi.lose()
    assert meter.conditions() == {"gpu:amd-0": Conditions(), "gpu:amd-1": Conditions()}


class Half(zeus_amd.AMDGPU):
    """A half of an MI250, as Zeus finds it: the second tells nothing."""

    def supports_get_total_energy_consumption(self):
        return self.gpu_index == 0


def test_the_second_half_of_a_dual_gpu_is_counted_with_the_first(amdsmi):
    amdsmi.name = "Instinct MI250X"
    both = ZeusMeter([Half(0), Half(1)])
    assert [domain.name for domain in both.domains] == ["gpu:amd-0"]
    with_second_only = ZeusMeter([Half(1)])
    assert [domain.name for domain in with_second_only.domains] == ["gpu:amd-1"]
    with_second_only.close()


def test_zeus_itself_decides_which_counters_to_trust(amdsmi):
    amdsmi.counted_watts = [100.0, 0.0]  # the second stands still
    meter = ZeusMeter.of_this_machine()
    assert {domain.name: domain.method for domain in meter.domains} == {
        "gpu:amd-0": "counter",
        "gpu:amd-1": "polled",
    }
    assert all(reading.joules is not None for reading in meter.read().values())
    assert not amdsmi.shut  # the library stays open as long as the meter
    meter.close()
    del meter
    assert amdsmi.shut


def test_only_visible_gpus_are_read(amdsmi, monkeypatch):
    amdsmi.counted_watts = [100.0, 100.0]
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "1")
    assert [domain.name for domain in ZeusMeter.of_this_machine().domains] == ["gpu:amd-1"]


@pytest.mark.usefixtures("amdsmi")
def test_a_setting_that_zeus_does_not_understand_is_one_line(monkeypatch):
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "GPU-1a2b")
    with pytest.raises(MeterError, match=r"devices here: ValueError: .*GPU-1"):
        ZeusMeter.of_this_machine()


def test_without_the_extra_the_pip_command_is_told(monkeypatch):
    for name in ("zeus", "zeus.device.gpu.amd"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MeterError, match=r"pip install 'archon-ipw\[meters\]'"):
        ZeusMeter.of_this_machine()
