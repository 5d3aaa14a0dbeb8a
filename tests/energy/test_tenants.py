import os

import pytest

from archon.energy.tenants import Tenants


@pytest.fixture
def processes(proc):
    """Ours (10, and 11 and 12 below it), this very process, and a stranger's 20."""
    proc.process(10, parent=1, seconds=1)
    proc.process(11, parent=10, seconds=1)
    proc.process(12, parent=11, seconds=1)
    proc.process(20, parent=1, seconds=1)
    proc.process(os.getpid(), parent=1, seconds=1)
    proc.process(1, parent=0, seconds=1)
    return proc


@pytest.fixture
def whole_machine(processes):
    """The machine's first pid namespace, as the kernel numbers it."""
    (processes.root / "self" / "ns").mkdir(parents=True)
    (processes.root / "self" / "ns" / "pid").symlink_to("pid:[4026531836]")
    return processes


@pytest.fixture
def tenants(processes):
    return Tenants(lambda: [10], processes.root)


def test_descendants_and_this_process_are_ours(tenants):
    tenants.add("gpu:a", [12, 20])
    tenants.add("gpu:a", [10, 1, os.getpid()])
    tenants.add("gpu:b", [11])
    assert tenants.others("gpu:a") == 2
    assert tenants.others("gpu:b") == 0


def test_a_process_is_counted_once_and_remembered_when_it_ended(tenants, processes):
    tenants.add("gpu:a", [12, 20])
    for pid in (12, 20):
        (processes.root / str(pid) / "stat").unlink()
    tenants.add("gpu:a", [12, 20])
    assert tenants.others("gpu:a") == 1


def test_a_process_that_is_not_here_makes_the_count_unknown(tenants):
    tenants.add("gpu:a", [12, 4711])
    assert tenants.others("gpu:a") is None


def test_a_device_that_tells_nothing_is_unknown(tenants):
    tenants.add("gpu:a", [12])
    assert tenants.others("gpu:b") is None


def test_nobody_is_nobody_only_where_all_processes_show(whole_machine):
    tenants = Tenants(tuple, whole_machine.root)
    tenants.add("gpu:a", [])
    assert tenants.others("gpu:a") == 0


def test_in_a_container_nobody_may_be_somebody(tenants):
    tenants.add("gpu:a", [])
    assert tenants.others("gpu:a") is None
