import os
import threading
import time

import pytest

from archon.energy import Conditions, Recorder, choose_basis


def recorder(meter, clock, **options):
    basis = choose_basis(meter.domains)
    return Recorder(meter, basis, clock=clock, wall=lambda: 1.5e9, **options)


def until_read(meter, times):
    """Let the watching thread look until the meter was read so often."""
    pause, deadline = threading.Event(), time.monotonic() + 10
    while meter.reads < times:
        assert time.monotonic() < deadline, "the thread does not look"
        pause.wait(0.001)


def test_a_window_is_the_difference_of_its_ends(replay, clock):
    meter = replay({"gpu:a": 100.0, "cpu:0": 7.0}, {"gpu:a": 160.0, "cpu:0": 8.5})
    with recorder(meter, clock).window("phase", concurrency=16) as pending:
        clock.advance(2)
    window = pending.window
    assert [d.joules for d in window.domains] == [60.0, 1.5]
    assert (window.label, window.concurrency, window.started_at) == ("phase", 16, 1.5e9)
    assert window.seconds == 2
    assert window.flags == ()


@pytest.mark.parametrize(
    ("readings", "reason"),
    [
        ([100.0, 105.0, 3.0, 200.0], "jumped back"),
        ([100.0, None, 200.0], "gone"),
        ([None, 100.0, 200.0], "gone"),
        ([0.0, 9e9, 9e9], "leapt"),
    ],
    ids=["reset", "failure in the middle", "failure at the start", "leap"],
)
def test_a_counter_that_misbehaves_inside_makes_its_domain_unknown(replay, clock, readings, reason):
    meter = replay(*({"gpu:a": joules, "cpu:0": 1.0} for joules in readings))
    with recorder(meter, clock, check_every_s=0.001).window("phase") as pending:
        clock.advance(1)
        until_read(meter, len(readings))
    gpu, cpu = pending.window.domains
    assert gpu.joules is None
    assert reason in gpu.reason
    assert cpu.joules == 0.0


@pytest.mark.parametrize(
    ("last", "reason"), [(None, "gone"), (20.0, "jumped back"), (9e9, "leapt")]
)
def test_a_counter_that_misbehaves_at_the_end_is_unknown(replay, clock, last, reason):
    meter = replay({"gpu:a": 100.0}, {"gpu:a": last})
    with recorder(meter, clock).window("phase") as pending:
        clock.advance(1)
    assert pending.window.domains[0].joules is None
    assert reason in pending.window.domains[0].reason


def test_a_window_shorter_than_ten_ticks_says_so(replay, clock):
    meter = replay({"gpu:a": 1.0}, {"gpu:a": 2.0}, tick_s=0.1)
    with recorder(meter, clock).window("phase") as pending:
        clock.advance(0.5)
    assert pending.window.flags == ("short: 0.5 s < 10 ticks of 0.1 s",)
    assert pending.window.domains[0].joules == 1.0


def test_one_coarse_tick_in_a_short_window_is_no_leap(replay, clock):
    meter = replay({"gpu:a": 0.0}, {"gpu:a": 70.0}, tick_s=0.1)  # 700 W, told every 0.1 s
    with recorder(meter, clock).window("phase") as pending:
        clock.advance(0.001)
    assert pending.window.domains[0].joules == 70.0


def test_a_body_that_raises_leaves_a_flagged_window(replay, clock):
    recording = recorder(replay({"gpu:a": 1.0}, {"gpu:a": 2.0}), clock)
    seen = []

    def body():
        with recording.window("phase") as pending:
            seen.append(pending)
            clock.advance(1)
            raise KeyError("stop")

    with pytest.raises(KeyError):
        body()
    (pending,) = seen
    assert pending.window.flags == ("interrupted: KeyError",)
    assert pending.window.domains[0].joules == 1.0


def test_no_thread_outlives_its_window(replay, clock):
    before = set(threading.enumerate())
    with recorder(replay({"gpu:a": 1.0}), clock).window("phase"):
        assert set(threading.enumerate()) > before
    assert set(threading.enumerate()) == before


def test_the_inside_is_looked_at_slowly(replay, clock):
    meter = replay({"gpu:a": 1.0})
    with recorder(meter, clock, check_every_s=60.0).window("phase"):
        pass
    assert meter.reads == 3  # at both ends, and once to confirm


def test_a_slow_read_is_dated_to_its_middle(replay, clock):
    meter = replay({"gpu:a": 1.0}, {"gpu:a": 2.0})
    slow, read = iter([0.0, 0.5, 0.0]), meter.read

    def slow_read():
        clock.advance(next(slow))
        return read()

    meter.read = slow_read
    with recorder(meter, clock).window("phase") as pending:
        clock.advance(2)
    assert pending.window.seconds == 2.25


def test_a_counter_that_may_wrap_is_looked_at_in_time(replay):
    # the kernel's smallest counters wrap in a minute or so; one of a fifth of a second must not
    meter = replay({"cpu:0": 1.0}, max_gap_s=0.2)
    with Recorder(meter, choose_basis(meter.domains), check_every_s=1000).window("phase"):
        until_read(meter, 4)


def test_a_domain_that_fails_right_after_the_end_is_unknown(replay, clock):
    meter = replay({"gpu:a": 1.0}, {"gpu:a": 2.0}, {"gpu:a": None})
    with recorder(meter, clock).window("phase") as pending:
        clock.advance(1)
    assert pending.window.domains[0].joules is None
    assert pending.window.flags == ("invalid: gpu:a: gone",)


def test_a_window_can_be_looked_at_before_it_ends(replay, clock):
    meter = replay({"gpu:a": 10.0}, {"gpu:a": 40.0}, {"gpu:a": 90.0})
    with recorder(meter, clock).window("phase") as pending:
        clock.advance(1)
        pending.look()
        so_far = pending.so_far()
        clock.advance(1)
    assert (so_far.seconds, so_far.domains[0].joules) == (1, 30.0)
    assert (pending.window.seconds, pending.window.domains[0].joules) == (2, 80.0)


def test_conditions_are_asked_for_at_both_ends_and_inside(replay, clock, proc):
    meter = replay({"gpu:a": 1.0, "gpu:b": 1.0})
    proc.process(7, parent=1, seconds=0)
    proc.process(8, parent=1, seconds=0)
    proc.process(1, parent=0, seconds=0)
    told = [
        {"gpu:a": Conditions(50.0, (7,))},
        {"gpu:a": Conditions(80.0, (7, 8))},
        {"gpu:a": Conditions(60.0, (8, os.getpid()))},
    ]
    proc.process(os.getpid(), parent=1, seconds=0)
    asked = []

    def conditions():
        asked.append(meter.reads)
        return told[min(len(asked), 3) - 1]

    meter.conditions = conditions
    recording = recorder(meter, clock, check_every_s=0.001, proc=proc.root)
    with recording.window("phase") as pending:
        clock.advance(1)
        until_read(meter, 3)
    first, second = pending.window.domains
    assert (first.temperature_c, first.others) == (80.0, 2)
    assert (second.temperature_c, second.others) == (None, None)
    assert pending.window.flags == ("shared: gpu:a also runs 2 other processes",)
    assert asked[0] == 0


def test_flags_are_about_the_rails_that_count(replay, clock):
    meter = replay({"gpu:a": 1.0, "cpu:0": None})
    basis = choose_basis(meter.domains, "gpu")
    with Recorder(meter, basis, clock=clock).window("phase") as pending:
        clock.advance(1)
    assert pending.window.domains[1].reason == "gone"
    assert pending.window.flags == ()


def test_idle_watts_per_domain(replay, clock):
    meter = replay({"gpu:a": 10.0, "cpu:0": 1.0}, {"gpu:a": 130.0, "cpu:0": None})
    watts, window = recorder(meter, clock).measure_idle(4.0, wait=clock.advance)
    assert watts == {"gpu:a": 30.0, "cpu:0": None}
    assert (window.label, window.seconds) == ("idle", 4.0)


def test_own_share_of_the_machines_work(replay, clock, proc):
    proc.process(10, parent=1, seconds=50.0)
    meter = replay({"gpu:a": 1.0})
    shared = recorder(meter, clock, own_pids=lambda: [10], proc=proc.root)
    with shared.window("phase") as pending:
        clock.advance(2)
        proc.process(10, parent=1, seconds=53.0)
        proc.spend(user=4, idle=6)
    assert pending.window.own_share == pytest.approx(0.75)


def test_own_share_is_unknown_where_it_cannot_be_told(replay, clock, proc):
    meter = replay({"gpu:a": 1.0})
    with recorder(meter, clock).window("nobody asked") as pending:
        pass
    assert pending.window.own_share is None
    shared = recorder(meter, clock, own_pids=lambda: [os.getpid()], proc=proc.root)
    with shared.window("nothing was spent") as pending:
        pass
    assert pending.window.own_share is None
    with shared.window("the files went away") as pending:
        (proc.root / "stat").unlink()
    assert pending.window.own_share is None
