"""A driver without the newer entry points; run by test_nvml.py with its library on the path."""

import time

import pytest

from archon.energy import NvmlMeter, Recorder, choose_basis


def test_missing_entry_points_are_missing_features():
    meter = NvmlMeter({})
    assert [domain.method for domain in meter.domains] == ["polled"]
    with Recorder(meter, choose_basis(meter.domains)).window("w") as pending:
        time.sleep(0.2)
    meter.close()
    # the average, the only power this driver tells, reads 150 W
    assert pending.window.domains[0].joules == pytest.approx(150 * pending.window.seconds, rel=0.1)
