"""The facts of a machine, with and without a driver's library."""

import json
import os
import subprocess
import sys
import textwrap

import pytest

from archon import hardware
from archon.hardware import describe, device, fingerprint, gpus, native_dtype

ASK = """
import json
from archon.hardware import describe, device, fingerprint, gpus
print(json.dumps([gpus(), device(), describe(fingerprint())]))
"""

TWO_GPUS = """
int index_of(void *handle) { return (int)(long)handle - 1; }
void put(char *to, const char *text) { while ((*to++ = *text++)); }
int nvmlInitWithFlags(unsigned flags) { return 0; }
int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int result) { return "Not Supported"; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    *handle = (void *)(long)(index + 1);
    return 0;
}
int nvmlDeviceGetName(void *handle, char *name, unsigned length) {
    put(name, "NVIDIA H100 80GB HBM3");
    return 0;
}
int nvmlSystemGetDriverVersion(char *version, unsigned length) {
    put(version, "580.65");
    return 0;
}
int nvmlDeviceGetPowerManagementLimit(void *handle, unsigned *milliwatts) {
    *milliwatts = 700000;
    return index_of(handle) ? 3 : 0; /* 3: not supported */
}
"""


def asked_with(library):
    # a process of its own, because the binding keeps the library it first loaded
    run = subprocess.run(
        [sys.executable, "-c", ASK],
        env=os.environ | {"LD_LIBRARY_PATH": str(library)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(run.stdout)


def test_gpus_are_listed_with_what_their_driver_tells(tmp_path):
    source = tmp_path / "nvml.c"
    source.write_text(textwrap.dedent(TWO_GPUS))
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-o", tmp_path / "libnvidia-ml.so.1", source], check=True
    )
    found, on, described = asked_with(tmp_path)
    gpu = {"name": "NVIDIA H100 80GB HBM3", "driver": "580.65"}
    assert found == [gpu | {"power_limit_w": "700"}, gpu]
    assert on == "cuda"
    assert described.startswith("2 x NVIDIA H100 80GB HBM3, ")


def test_without_a_driver_there_are_no_gpus(tmp_path):
    (tmp_path / "libnvidia-ml.so.1").write_text("not a library")
    found, on, described = asked_with(tmp_path)
    assert (found, on) == ([], "cpu")
    assert " x NVIDIA" not in described


def test_a_fingerprint_is_text_that_stays_the_same():
    facts = fingerprint()
    assert facts == fingerprint()
    assert facts.keys() >= {"cpu", "cpu_type", "cores", "memory_gib", "os"}
    assert all(isinstance(value, str) and value for value in facts.values())
    assert int(facts["cores"]) == len(os.sched_getaffinity(0))
    assert 0 < int(facts["memory_gib"]) < 100_000


def test_every_gpu_is_in_the_fingerprint():
    facts = fingerprint()
    assert [facts[f"gpu{index}.name"] for index in range(len(gpus()))] == [
        gpu["name"] for gpu in gpus()
    ]
    assert device() == ("cuda" if gpus() else "cpu")


@pytest.mark.parametrize(
    ("flags", "on", "dtype"),
    [
        ("fpu avx avx2 fma", "cpu", "float32"),
        ("avx2 avx512f avx512_vnni", "cpu", "float32"),
        ("avx2 avx512f avx512_bf16", "cpu", "bfloat16"),
        ("avx2 avx512f amx_bf16 amx_tile", "cpu", "bfloat16"),
        ("fp asimd bf16 i8mm", "cpu", "bfloat16"),
        ("", "cpu", "float32"),
        ("avx2", "cuda", "bfloat16"),
    ],
)
def test_models_are_computed_in_what_the_machine_has_instructions_for(
    monkeypatch, flags, on, dtype
):
    monkeypatch.setattr(hardware, "device", lambda: on)
    monkeypatch.setattr(hardware, "_cpu_info", lambda name: flags if name == "flags" else "1")
    assert native_dtype() == dtype
    assert fingerprint()["cpu_type"] == f"1-1-1-{dtype}"


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ([], ""),
        (["H100"], "1 x H100, "),
        (["H100", "A10", "H100"], "2 x H100, 1 x A10, "),
    ],
)
def test_a_fingerprint_in_words(names, told):
    facts = {"cpu": "EPYC", "cores": "8", "memory_gib": "64", "os": "Linux", "vllm": "1.0"}
    for index, name in enumerate(names):
        facts |= {f"gpu{index}.name": name, f"gpu{index}.driver": "580"}
    assert describe(facts) == f"{told}8 cores of EPYC, 64 GiB"
