import os

import pytest

from archon.energy import proc as procfs


def test_waiting_and_stolen_time_are_not_work(proc):
    before = procfs.busy_seconds(proc.root)
    proc.spend(idle=5, iowait=3, steal=2)
    assert procfs.busy_seconds(proc.root) == before


def test_every_kind_of_work_counts_once(proc):
    before = procfs.busy_seconds(proc.root)
    # the kernel counts a guest's time in user as well
    proc.spend(user=1, nice=2, system=3, irq=4, softirq=5, guest=1)
    assert procfs.busy_seconds(proc.root) - before == pytest.approx(15)


def test_a_stat_without_counts_is_refused(proc):
    (proc.root / "stat").write_text("cpu  0 0 0 0 0 0 0 0 0 0\n")
    with pytest.raises(ValueError, match="counts no CPU time"):
        procfs.busy_seconds(proc.root)


def test_own_time_is_that_of_the_trees(proc):
    proc.process(10, parent=1, seconds=1.0, reaped=0.25)
    proc.process(11, parent=10, seconds=2.0)
    proc.process(12, parent=11, seconds=4.0)
    proc.process(20, parent=1, seconds=8.0)
    proc.process(30, parent=1, seconds=100.0)
    assert procfs.own_busy_seconds([10, 20], proc.root) == pytest.approx(15.25)
    assert procfs.own_busy_seconds([10, 11, 12], proc.root) == pytest.approx(7.25)
    assert procfs.own_busy_seconds([99], proc.root) == 0


def test_the_parent_of_a_process(proc):
    proc.process(11, parent=10, seconds=2.0)
    assert procfs.parent(11, proc.root) == 10
    with pytest.raises(OSError, match="No such file"):
        procfs.parent(12, proc.root)


def test_the_real_files_are_understood():
    before = procfs.own_busy_seconds([os.getpid()])
    while procfs.own_busy_seconds([os.getpid()]) < before + 5 * procfs.tick_s():
        pass
    assert procfs.busy_seconds() > before
    assert procfs.vcpus() == os.sysconf("SC_NPROCESSORS_ONLN")
    assert procfs.memory_gb() > 0
    assert procfs.parent(os.getpid()) == os.getppid()
