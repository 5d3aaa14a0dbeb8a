"""What survives a kill, a Ctrl-C and a dying server: everything that was completed."""

import math
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import optuna
import pytest
import yaml
from killable_study import NATURES
from optuna.trial import FrozenTrial, TrialState
from scripted_world import Call, World, settings

from archon.errors import ArchonError, EngineError

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("killable_study.py")
HANG = 100
"""The call that never comes back: the first trial makes 40, the second 160."""


class Running:
    """A study in a process of its own that hangs in the middle of a trial."""

    def __init__(self, folder: Path) -> None:
        conf = folder / "study.yaml"
        conf.write_text(yaml.safe_dump(settings(folder, list(NATURES))))
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT), str(folder), str(conf), str(HANG)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        assert self.process.stdout is not None
        if self.process.stdout.readline() != "hanging\n":
            raise AssertionError(self.process.communicate()[1])

    def end_by(self, number: signal.Signals) -> tuple[int, str]:
        """Send a signal; return the exit status and what was said on stderr."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    study = Running(tmp_path)
    yield study
    if study.process.poll() is None:
        study.process.kill()
        study.process.communicate()


def committed(folder: Path) -> set[int]:
    """Return the seeds of the calls in the ledger: each stands for one call."""
    with sqlite3.connect(folder / "out" / "ledger.sqlite") as connection:
        rows = connection.execute("SELECT key, sample, epoch FROM calls").fetchall()
    connection.close()
    return {
        int.from_bytes(sha256(key + f"/{sample}/{epoch}".encode()).digest()[:4]) >> 1
        for key, sample, epoch in rows
    }


def trials(folder: Path, *states: TrialState) -> list[FrozenTrial]:
    storage = f"sqlite:///{folder / 'out' / 'world' / 'study.sqlite'}"
    study = optuna.load_study(study_name="world", storage=storage)
    return study.get_trials(states=states or None)


def goes_on(folder: Path) -> World:
    """Run the same study to its end in this process; return its world."""
    world = World(folder, NATURES)
    outcome = world.run()
    assert outcome.summary["search"]["distinct"] == 5
    assert outcome.summary["exported"] == "4x small plain T0.7, confident vote"
    return world


def test_kill_9_loses_only_what_was_in_flight(running: Running, tmp_path: Path) -> None:
    running.end_by(signal.SIGKILL)
    before = committed(tmp_path)
    assert len(before) == HANG - 1
    (cut_off,) = trials(tmp_path, TrialState.RUNNING)

    world = goes_on(tmp_path)
    assert not before & {call.seed for call in world.calls}
    assert not trials(tmp_path, TrialState.RUNNING, TrialState.WAITING)
    assert trials(tmp_path)[cut_off.number].state == TrialState.FAIL
    again = trials(tmp_path, TrialState.COMPLETE, TrialState.PRUNED)
    assert cut_off.params in [trial.params for trial in again]
    made = len(before) + len(world.made(live=False))
    assert made == world.stored(epoch=0)


def test_ctrl_c_ends_in_one_line_and_the_next_run_goes_on(running: Running, tmp_path: Path) -> None:
    status, said = running.end_by(signal.SIGINT)
    assert status == 130
    (line,) = said.splitlines()
    assert line.startswith("archon search: stopped after ")
    assert line.endswith("the same command continues")
    assert not trials(tmp_path, TrialState.RUNNING)
    before = committed(tmp_path)
    world = goes_on(tmp_path)
    assert not before & {call.seed for call in world.calls}


def test_a_dead_server_ends_the_study_with_what_was_completed(tmp_path: Path) -> None:
    async def dies(call: Call) -> None:
        if call.number > HANG:
            raise EngineError("the server of small is gone; see small.log")

    world = World(tmp_path, NATURES, dies)
    with pytest.raises(EngineError) as caught:
        world.run()
    assert caught.value.exit_status == 1
    assert "\n" not in str(caught.value)
    assert world.stored() == HANG
    assert not trials(tmp_path, TrialState.RUNNING)
    before = committed(tmp_path)
    again = goes_on(tmp_path)
    assert not before & {call.seed for call in again.calls}


def test_a_meter_that_fails_in_one_window_is_not_taken_for_zero(tmp_path: Path) -> None:
    """Energy of the search stays unknown, and a confirm block without it is measured again."""
    world = World(tmp_path, NATURES)

    async def hook(call: Call) -> None:
        if call.number == 10 or (call.live and len(world.made(live=True)) == 1):
            world.meter.bad_reads = 1

    world.hook = hook
    outcome = world.run()
    assert outcome.summary["search"]["joules"] is None
    assert outcome.summary["search"]["payback_queries"] is None
    assert outcome.summary["search"]["confirm_joules"] is None
    assert outcome.summary["confirm"]["energy_j"] is not None
    assert outcome.summary["confirm"]["priced_error"] == pytest.approx(0, abs=1e-9)


def test_a_meter_that_fails_for_good_ends_the_study_and_blocks_are_measured_later(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, NATURES)

    async def hook(call: Call) -> None:
        world.meter.bad_reads = math.inf if call.live else 0

    async def fine(_: Call) -> None:
        pass

    world.hook = hook
    with pytest.raises(ArchonError, match="idle power: energy could not be read: broken"):
        world.run()
    world.meter.bad_reads, world.hook = 0, fine
    outcome = world.run()
    assert outcome.summary["confirm"]["energy_j"] is not None
    assert outcome.summary["confirm"]["repeats"] == 2
