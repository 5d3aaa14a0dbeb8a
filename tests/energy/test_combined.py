import pytest

from archon.energy import Coefficients, CombinedMeter, open_meter
from archon.errors import UsageError


def test_rails_of_different_kinds_are_put_together(replay):
    meter = CombinedMeter([replay({"gpu:a": 5.0}), replay({"cpu:0": 7.0}, method="estimated")])
    assert [d.name for d in meter.domains] == ["gpu:a", "cpu:0"]
    assert {name: r.joules for name, r in meter.read().items()} == {"gpu:a": 5.0, "cpu:0": 7.0}


@pytest.mark.parametrize("measured_first", [True, False])
def test_a_measured_rail_displaces_the_estimate_of_its_kind(replay, measured_first):
    measured = replay({"cpu:0": 1.0, "cpu:1": 2.0})
    estimated = replay({"cpu:0": 10.0, "dram:0": 20.0}, method="estimated")
    order = [measured, estimated] if measured_first else [estimated, measured]
    meter = CombinedMeter(order)
    assert {d.name: d.method for d in meter.domains} == {
        "cpu:0": "counter",
        "cpu:1": "counter",
        "dram:0": "estimated",
    }
    joules = {name: reading.joules for name, reading in meter.read().items()}
    assert joules == {"cpu:0": 1.0, "cpu:1": 2.0, "dram:0": 20.0}


def test_a_rail_that_two_meters_read_is_counted_once(replay):
    meter = CombinedMeter([replay({"gpu:a": 1.0}), replay({"gpu:a": 2.0, "gpu:b": 3.0})])
    assert {name: r.joules for name, r in meter.read().items()} == {"gpu:a": 1.0, "gpu:b": 3.0}


def test_coefficients_reach_the_estimate(proc):
    meter = open_meter("estimated", Coefficients(1.0, 2.0, 3.0), proc=proc.root)
    assert meter.coefficients == Coefficients(1.0, 2.0, 3.0)


def test_a_meter_that_is_not_available_is_one_line_with_the_reason(tmp_path):
    with pytest.raises(UsageError, match=r"estimated is not available here: .*stat") as caught:
        open_meter("estimated", proc=tmp_path)
    assert "\n" not in str(caught.value)


def test_an_unknown_meter_is_refused():
    with pytest.raises(UsageError, match="'solar' is unknown; use auto, nvml or estimated"):
        open_meter("solar")
