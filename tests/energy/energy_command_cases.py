"""``archon energy`` on GPUs; run by test_energy_command.py with a stand-in library on the path."""

import os

import pytest

UUIDS = [f"GPU-{i}a000000-0000-4000-8000-000000000000" for i in range(2)]


@pytest.fixture
def fake(monkeypatch):
    """Set up the stand-in: ``fake(gpus=2, watts=50)``."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def configure(**settings):
        for name, value in settings.items():
            monkeypatch.setenv(f"FAKE_NVML_{name.upper()}", str(value))

    return configure


def gpus(result):
    return [domain for domain in result["domains"] if domain["kind"] == "gpu"]


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (None, UUIDS),
        ("1", UUIDS[1:]),
        ("1,0", UUIDS[::-1]),
        (UUIDS[1], UUIDS[1:]),
        (UUIDS[0][:8], UUIDS[:1]),
        ("", []),
    ],
    ids=["unset", "index", "order", "UUID", "prefix", "empty"],
)
def test_the_gpus_in_use_are_the_domains(fake, metered, monkeypatch, setting, expected):
    fake(gpus=2)
    if setting is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", setting)
    status, result = metered("--seconds", 0.1)
    assert status == 0
    assert [domain["name"] for domain in gpus(result)] == [f"gpu:{uuid}" for uuid in expected]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"back_after_s": 0.5}, "jumped back"),
        ({"freeze_after_s": 0.1}, "stood still"),
        ({"freeze_after_s": 0.7, "tick_s": 0.1}, "stood still"),
        ({"lost_after_s": 0.5}, "GPU is lost"),
        ({"lost_after_s": 0.5, "no_counter": 1}, "GPU is lost"),
    ],
    ids=["reset", "frozen", "frozen near the end", "lost", "lost while polled"],
)
def test_a_fault_leaves_that_gpu_without_joules(fake, metered, fault, reason):
    fake(gpus=2, **fault)
    status, result = metered("--seconds", 1.0)
    struck, sound = gpus(result)
    assert (struck["joules"], struck["mean_watts"], struck["valid"]) == (None, None, False)
    assert reason in struck["reason"]
    assert (sound["valid"], sound["reason"]) == (True, None)
    assert sound["joules"] == pytest.approx(200 * result["seconds"], rel=0.2)
    assert result["total_joules"] is None
    assert any(flag.startswith(f"invalid: {struck['name']}") for flag in result["flags"])
    assert status == 0


def test_without_any_joules_it_fails(fake, metered):
    fake(lost_after_s=0.1)
    status, result = metered("--seconds", 0.2, "--meter", "nvml")
    assert status == 1
    assert [d["valid"] for d in result["domains"]] == [False]


def test_a_mig_gpu_has_no_joules_but_a_reason(fake, metered):
    fake(mig=1)
    status, result = metered("--seconds", 0.1)
    (gpu,) = gpus(result)
    assert (gpu["joules"], gpu["valid"]) == (None, False)
    assert "MIG" in gpu["reason"]
    assert result["basis"] == "gpu"
    assert result["total_joules"] is None
    assert status == 0


def test_counted_gpus_are_the_total_and_an_estimated_cpu_stands_beside(fake, metered):
    fake(gpus=2)
    _, result = metered("--seconds", 0.2)
    assert result["basis"] == "gpu"
    assert [(d["name"], d["method"], d["counted"]) for d in result["domains"]] == [
        *[(f"gpu:{uuid}", "counter", True) for uuid in UUIDS],
        ("cpu:all", "estimated", False),
        ("dram:all", "estimated", False),
    ]
    first, second = gpus(result)
    assert result["total_joules"] == pytest.approx(first["joules"] + second["joules"])


def test_the_basis_may_be_chosen(fake, metered):
    fake()
    _, result = metered("--seconds", 0.2, "--basis", "gpu+cpu+dram")
    assert result["basis"] == "gpu + cpu+dram estimated"
    assert result["total_joules"] == pytest.approx(sum(d["joules"] for d in result["domains"]))


def test_a_step_shows_in_peak_and_temperature(fake, metered):
    fake(watts=100, step_after_s=1.5, step_watts=300)  # a look a second: one whole at 300 W
    _, result = metered("--seconds", 4.0)
    (gpu,) = gpus(result)
    assert gpu["peak_watts"] == pytest.approx(300, rel=0.05)
    assert 150 < gpu["mean_watts"] < 290
    assert gpu["temperature_c"] == 80.0


def test_other_processes_on_a_gpu_are_counted_and_flagged(fake, metered):
    fake(gpus=2, pids=f"{os.getpid()},1")
    _, result = metered("--seconds", 0.1)
    first, second = gpus(result)
    assert first["others"] == 1
    assert f"shared: {first['name']} also runs 1 other process" in result["flags"]
    assert not any(second["name"] in flag for flag in result["flags"])


@pytest.mark.parametrize("pids", [{}, {"pids": 2**22 + 1}], ids=["not told", "of elsewhere"])
def test_processes_that_cannot_be_told_apart_are_unknown(fake, metered, pids):
    fake(**pids)
    _, result = metered("--seconds", 0.1)
    assert gpus(result)[0]["others"] is None
    assert not any("shared" in flag for flag in result["flags"])


def test_idle_watts_are_subtracted(fake, metered):
    fake(watts=100, step_after_s=2.5, step_watts=400)
    _, result = metered("--idle", 1.0, "--seconds", 4.0)
    (gpu,) = gpus(result)
    assert gpu["idle_watts"] == pytest.approx(100, rel=0.02)
    assert gpu["net_joules"] == pytest.approx(gpu["joules"] - gpu["idle_watts"] * result["seconds"])
    assert result["net_joules"] == gpu["net_joules"] > 200


def test_the_table_names_what_people_need(fake, energy):
    fake(gpus=2, pids="1", lost_after_s=0.3)
    status, out, _ = energy("--seconds", 0.6)
    assert status == 0
    assert "energy not known in 0.6" in out
    words = " ".join(out.replace("│", " ").split())
    assert "gpu:GPU-0a000000 counter" in words
    assert "GPU is lost" in words
    assert "estimated" in words
    assert "not in the total" in words
