import os
import subprocess
import sys
from pathlib import Path

import pytest

from archon.energy.nvml import visible_gpus


@pytest.mark.parametrize(
    ("cases", "flags"), [("nvml_cases.py", ()), ("nvml_old_driver_cases.py", ("-DOLD_DRIVER",))]
)
def test_the_real_binding_on_a_stand_in_library(build_fake_nvml, cases, flags):
    # a process of its own, because the binding keeps the library it first loaded
    path = Path(__file__).with_name(cases)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(path)],
        env=os.environ | {"LD_LIBRARY_PATH": str(build_fake_nvml(*flags))},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_without_the_drivers_library_there_is_no_gpu_meter(tmp_path):
    (tmp_path / "libnvidia-ml.so.1").write_text("not a library")
    code = "from archon.energy import NvmlMeter; NvmlMeter({})"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"LD_LIBRARY_PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "MeterError: no NVIDIA driver (its library libnvidia-ml.so.1" in run.stderr


def test_an_ambiguous_beginning_names_no_gpu():
    assert visible_gpus(["GPU-aa1", "GPU-aa2"], "GPU-aa") == ()
    assert visible_gpus(["GPU-aa1", "GPU-aa2"], "GPU-aa2") == ("GPU-aa2",)
