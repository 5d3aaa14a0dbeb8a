import json

import pytest

from archon.energy import Domain, DomainEnergy, Window, choose_basis
from archon.errors import MeterError, UsageError

GPU0 = Domain("gpu:a", "gpu", "counter", 0.1)
GPU1 = Domain("gpu:b", "gpu", "polled", 0.05)
CPU = Domain("cpu:0", "cpu", "counter", 0.001)
CPU_GUESS = Domain("cpu:0", "cpu", "estimated", 0.01)
DRAM_GUESS = Domain("dram:0", "dram", "estimated", 0.01)


@pytest.mark.parametrize(
    ("domains", "wanted", "names", "label", "method"),
    [
        ([GPU0, CPU_GUESS, DRAM_GUESS], "auto", ["gpu:a"], "gpu", "counter"),
        ([GPU0, GPU1], "auto", ["gpu:a", "gpu:b"], "gpu", "polled"),
        ([GPU0, CPU, DRAM_GUESS], "auto", ["gpu:a", "cpu:0"], "gpu+cpu", "counter"),
        (
            [CPU_GUESS, DRAM_GUESS],
            "auto",
            ["cpu:0", "dram:0"],
            "cpu+dram estimated",
            "estimated",
        ),
        ([CPU_GUESS, DRAM_GUESS], "cpu estimated", ["cpu:0"], "cpu estimated", "estimated"),
        (
            [GPU0, CPU_GUESS, DRAM_GUESS],
            "gpu+cpu+dram",
            ["gpu:a", "cpu:0", "dram:0"],
            "gpu + cpu+dram estimated",
            "estimated",
        ),
    ],
)
def test_the_basis_says_what_is_counted_and_how(domains, wanted, names, label, method):
    basis = choose_basis(domains, wanted)
    assert (list(basis.domains), basis.label, basis.method) == (names, label, method)
    assert choose_basis(domains, basis.label) == basis


@pytest.mark.parametrize(
    ("domains", "wanted", "message"),
    [
        ([CPU_GUESS, DRAM_GUESS], "gpu", "reads cpu\\+dram"),
        ([GPU0], "gpu+colour", "reads gpu"),
        ([GPU0], "", "reads gpu"),
        ([CPU], "cpu estimated", "measured here; use 'cpu'"),
    ],
)
def test_a_basis_that_is_not_there_is_refused(domains, wanted, message):
    with pytest.raises(UsageError, match=message):
        choose_basis(domains, wanted)


def energy(domain, joules, reason=None):
    return DomainEnergy(domain.name, domain.kind, domain.method, joules, reason, domain.tick_s)


def window(*energies, seconds=2.0):
    return Window("w", 1.5e9, seconds, energies, 4, 0.75, ("interrupted: ValueError",))


def test_a_window_sums_its_basis_only():
    basis = choose_basis([GPU0, GPU1, CPU_GUESS], "gpu")
    spent = window(energy(GPU0, 30.0), energy(GPU1, 12.0), energy(CPU_GUESS, 1000.0))
    assert spent.joules(basis) == 42.0
    assert spent.watts(basis) == 21.0


def test_one_unknown_rail_makes_the_sum_unknown():
    basis = choose_basis([GPU0, GPU1], "gpu")
    assert window(energy(GPU0, 30.0), energy(GPU1, None, "lost")).joules(basis) is None
    assert window(energy(GPU0, 30.0)).joules(basis) is None
    assert window(energy(GPU0, 30.0), energy(GPU1, None, "lost")).watts(basis) is None


def test_a_window_survives_json():
    spent = window(energy(GPU0, 0.1 + 0.2), energy(CPU_GUESS, None, "gone"), seconds=1 / 3)
    assert Window.from_json(json.loads(json.dumps(spent.to_json()))) == spent


def test_broken_json_is_a_value_error():
    data = window(energy(GPU0, 1.0)).to_json()
    del data["seconds"]
    with pytest.raises(ValueError, match="seconds"):
        Window.from_json(data)


def test_an_unreadable_basis_is_refused_with_the_reason(replay):
    meter = replay({"gpu:a": None, "cpu:0": 1.0})
    choose_basis(meter.domains, "cpu").require_readable(meter)
    with pytest.raises(MeterError, match="gpu:a cannot be read: gone"):
        choose_basis(meter.domains, "gpu").require_readable(meter)
