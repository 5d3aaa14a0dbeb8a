import os
import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from archon.energy import Coefficients, EstimatedMeter
from archon.energy.testing import MeterTestCase
from archon.errors import MeterError, UsageError

SIMPLE = Coefficients(min_watts_per_vcpu=1.0, max_watts_per_vcpu=5.0, dram_watts_per_gb=0.5)


class TestOnThisMachine(MeterTestCase):
    @pytest.fixture
    def copy(self, tmp_path) -> Path:
        """A folder whose files are the kernel's own, and which can be taken away."""
        for name in ("stat", "meminfo"):
            (tmp_path / name).symlink_to(f"/proc/{name}")
        return tmp_path

    @pytest.fixture
    def open_meter(self, copy):
        return lambda: EstimatedMeter(proc=copy)

    @pytest.fixture
    def break_source(self, copy):
        return lambda: shutil.rmtree(copy)

    @pytest.fixture
    def watts(self):
        return 0.0, max(3.5 * os.cpu_count(), 0.392 * 2**14)


def test_watts_follow_utilisation(proc, clock):
    meter = EstimatedMeter(SIMPLE, proc.root, clock)
    clock.advance(10)
    proc.spend(user=5, idle=15)  # a quarter of two CPUs
    readings = meter.read()
    assert readings["cpu:all"].joules == pytest.approx(10 * 2 * (1 + 4 * 0.25))
    assert readings["dram:all"].joules == pytest.approx(10 * 4 * 0.5)


def test_any_window_is_exact_however_load_varies(proc, clock):
    meter = EstimatedMeter(SIMPLE, proc.root, clock)
    joules = [0.0]
    for busy in (0.0, 2.0, 0.5, 0.01):
        clock.advance(1)
        proc.spend(system=busy, idle=2 - busy)
        joules.append(meter.read()["cpu:all"].joules)
    steps = [after - before for before, after in pairwise(joules)]
    assert steps == pytest.approx([2, 10, 4, 2.04])


def test_domains_are_labelled_estimated(proc):
    domains = EstimatedMeter(SIMPLE, proc.root).domains
    assert [(d.name, d.kind, d.method) for d in domains] == [
        ("cpu:all", "cpu", "estimated"),
        ("dram:all", "dram", "estimated"),
    ]


def test_without_the_kernels_counts_there_is_no_estimate(tmp_path):
    with pytest.raises(MeterError, match="cannot be estimated"):
        EstimatedMeter(proc=tmp_path)


@pytest.mark.parametrize(
    "numbers", [(-1, 5, 0.5), (5, 1, 0.5), (1, 5, -0.5), (1, float("nan"), 0.5)]
)
def test_impossible_coefficients_are_refused(numbers):
    with pytest.raises(UsageError, match="not possible"):
        Coefficients(*numbers)
