"""The server's command line and environment, per device."""

import itertools
import sys
from pathlib import Path

import pytest

from archon.engines.fetch import LocalModel
from archon.engines.vllm_command import serve_command, serve_env
from archon.engines.zoo import ZooEntry

ENTRY = ZooEntry.model_validate(
    {
        "name": "tiny",
        "license": "MIT",
        "sources": [{"hub": "me/tiny"}],
        "max_model_len": 4096,
        "serving": {
            "args": ["--quantization", "fp8"],
            "cpu": {"args": ["--seed", "1"], "env": {"VLLM_CPU_KVCACHE_SPACE": "3"}},
            "cuda": {"env": {"NCCL_DEBUG": "INFO"}},
        },
    }
)
MODEL = LocalModel(Path("/models/tiny"), "nowhere", "{}")


def pairs(command: list[str]) -> set[tuple[str, str]]:
    return set(itertools.pairwise(command))


def test_the_cpu_server_never_splits_a_prefill() -> None:
    command = serve_command(MODEL, ENTRY, "cpu", max_num_seqs=16)
    assert "--no-enable-chunked-prefill" in command
    assert {
        ("--model", "/models/tiny"),
        ("--max-model-len", "4096"),
        ("--max-num-batched-tokens", "4096"),
        ("--block-size", "32"),
        ("--max-num-seqs", "16"),
        ("--quantization", "fp8"),
        ("--seed", "1"),
    } <= pairs(command)


def test_servers_on_one_gpu_share_its_memory() -> None:
    command = serve_command(MODEL, ENTRY, "cuda", share=2)
    assert {
        ("serve", "/models/tiny"),
        ("--gpu-memory-utilization", "0.450"),
        ("--quantization", "fp8"),
    } <= pairs(command)
    assert not {"--enforce-eager", "--no-enable-chunked-prefill", "--seed"} & set(command)


def test_gpus_are_numbered_as_the_meters_number_them() -> None:
    env = serve_env(ENTRY, "cuda", {"CUDA_DEVICE_ORDER": "FASTEST_FIRST", "KEPT": "1"})
    assert env["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert (env["KEPT"], env["NCCL_DEBUG"]) == ("1", "INFO")


def test_the_zoo_overrides_the_shell_which_overrides_the_defaults() -> None:
    shell = {"VLLM_CPU_KVCACHE_SPACE": "2", "VLLM_CPU_NUM_OF_RESERVED_CPU": "1"}
    env = serve_env(ENTRY, "cpu", shell)
    assert env["VLLM_CPU_KVCACHE_SPACE"] == "3"
    assert env["VLLM_CPU_NUM_OF_RESERVED_CPU"] == "1"
    assert serve_env(ENTRY, "cpu", {})["VLLM_CPU_NUM_OF_RESERVED_CPU"] == "0"


def test_openmp_is_preloaded_beside_what_is_preloaded_already(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    openmp = tmp_path / "lib" / "libiomp5.so"
    openmp.parent.mkdir()
    openmp.write_bytes(b"")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert serve_env(ENTRY, "cpu", {})["LD_PRELOAD"] == str(openmp)
    assert serve_env(ENTRY, "cpu", {"LD_PRELOAD": "/x.so"})["LD_PRELOAD"] == f"{openmp}:/x.so"
