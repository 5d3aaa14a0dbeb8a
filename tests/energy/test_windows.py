import json

import pytest

from archon.energy import Domain, DomainEnergy, Window, choose_basis

GPU0 = Domain("gpu:a", "gpu", "counter", 0.1)
GPU1 = Domain("gpu:b", "gpu", "polled", 0.05)
CPU_GUESS = Domain("cpu:0", "cpu", "estimated", 0.01)


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


def test_windows_stored_before_there_were_more_figures_are_read():
    data = window(energy(GPU0, 1.0)).to_json()
    later = ("peak_watts", "temperature_c", "others", "error_j")
    for domain in data["domains"]:
        assert all(domain.pop(name) is None for name in later)
    assert Window.from_json(data) == window(energy(GPU0, 1.0))


def test_mean_watts_of_a_rail():
    assert energy(GPU0, 30.0).mean_watts(2.0) == 15.0
    assert energy(GPU0, None, "lost").mean_watts(2.0) is None
    assert energy(GPU0, 0.0).mean_watts(0.0) is None


def test_broken_json_is_a_value_error():
    data = window(energy(GPU0, 1.0)).to_json()
    del data["seconds"]
    with pytest.raises(ValueError, match="seconds"):
        Window.from_json(data)
