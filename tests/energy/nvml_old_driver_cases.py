"""A driver without the newer entry points; run by test_nvml.py with its library on the path."""

import time

import pytest

from archon.energy import NvmlMeter, Recorder, choose_basis


def test_missing_entry_points_are_missing_features(monkeypatch):
    monkeypatch.setenv("FAKE_NVML_PIDS", "12,34")
    meter = NvmlMeter({})
    # its limit is the one set by hand, for it does not tell the one it enforces
    assert [(d.method, d.max_watts) for d in meter.domains] == [("polled", 250.0)]
    with Recorder(meter, choose_basis(meter.domains)).window("w") as pending:
        time.sleep(0.2)
    (conditions,) = meter.conditions().values()
    meter.close()
    # the average, the only power this driver tells, reads 150 W
    assert pending.window.domains[0].joules == pytest.approx(150 * pending.window.seconds, rel=0.1)
    # both by the older of two queries; the average is 150 W, the temperature follows the true 100 W
    assert (conditions.temperature_c, conditions.pids) == (60.0, (12, 34))
