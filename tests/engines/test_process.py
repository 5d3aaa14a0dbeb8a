"""No process of a server survives: not its own death, its supervisor's, nor its owner's."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from archon.engines.process import SupervisedProcess

# A server with a child that refuses to end politely and one that left the process group.
TREE = """
import os, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
stubborn = os.fork()
if not stubborn:
    signal.pause()
signal.signal(signal.SIGTERM, signal.SIG_DFL)
escaped = os.fork()
if not escaped:
    os.setsid()
    with open(sys.argv[1], "w") as ready:
        ready.write(f"{stubborn} {os.getpid()}")
    signal.pause()
signal.pause()
"""

OWNER = """
import os, signal, sys
from pathlib import Path
from archon.engines.process import SupervisedProcess
tree, ready, told, forks = sys.argv[1:]
process = SupervisedProcess([sys.executable, "-I", "-S", "-c", tree, ready], env=dict(os.environ),
                            cwd=Path(ready).parent, log=Path(ready + ".log"), grace_s=0.2)
if forks == "forks" and os.fork() == 0:  # it inherits the pipe to the supervisor
    signal.alarm(30)
    signal.pause()
with open(told, "w") as out:
    out.write(f"{process.pid} {process.supervisor_pid}")
signal.pause()
"""


def read_fifo(fifo: Path) -> list[int]:
    """Return the numbers written to a FIFO by its one writer."""
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        text = b""
        while select.select([reader], [], [], 20.0)[0]:
            chunk = os.read(reader, 100)
            if not chunk and text:
                return [int(word) for word in text.split()]
            text += chunk
        raise AssertionError(f"nothing was written to {fifo}")
    finally:
        os.close(reader)


def assert_gone(*pids: int, within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    for pid in pids:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            left_s = max(0.0, deadline - time.monotonic())
            assert select.select([handle], [], [], left_s)[0], f"process {pid} is still there"
        finally:
            os.close(handle)


def run(command: list[str], folder: Path, grace_s: float = 0.2) -> SupervisedProcess:
    log = folder / "server.log"
    return SupervisedProcess(command, env=dict(os.environ), cwd=folder, log=log, grace_s=grace_s)


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code, *arguments]


@pytest.fixture
def ready(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "ready")
    return tmp_path / "ready"


@pytest.fixture
def tree(ready: Path) -> Iterator[tuple[SupervisedProcess, list[int]]]:
    process = run(python(TREE, str(ready)), ready.parent)
    try:
        yield process, read_fifo(ready)
    finally:
        process.stop()


Tree = tuple[SupervisedProcess, list[int]]


def test_pids_are_the_whole_tree(tree: Tree) -> None:
    process, children = tree
    assert set(process.pids()) == {process.pid, *children}
    assert process.exit_status is None


def test_it_has_a_session_of_its_own_so_that_ctrl_c_does_not_reach_it(tree: Tree) -> None:
    process, _ = tree
    assert os.getsid(process.pid) == process.pid
    assert os.getsid(process.supervisor_pid) == process.supervisor_pid


def test_stop_ends_the_stubborn_and_the_escaped(tree: Tree) -> None:
    process, children = tree
    process.stop()
    assert_gone(process.pid, *children, within_s=0)
    assert process.pids() == ()
    assert process.exit_status == 128 + signal.SIGTERM
    process.stop()


def test_death_of_the_server_takes_its_children_along(tree: Tree) -> None:
    process, children = tree
    assert process.running()
    os.kill(process.pid, signal.SIGKILL)
    assert_gone(process.pid)
    assert not process.running()
    assert process.wait(20.0)
    assert_gone(*children, within_s=0)
    assert process.exit_status == 128 + signal.SIGKILL


def test_sigterm_to_the_supervisor_stops_everything(tree: Tree) -> None:
    process, children = tree
    os.kill(process.supervisor_pid, signal.SIGTERM)
    assert_gone(process.supervisor_pid, process.pid, *children)


def test_death_of_the_supervisor_takes_the_group_along(tree: Tree) -> None:
    process, (stubborn, escaped) = tree
    os.kill(process.supervisor_pid, signal.SIGKILL)
    assert_gone(process.supervisor_pid, process.pid, stubborn)
    assert process.exit_status is not None
    os.kill(escaped, signal.SIGKILL)  # out of everybody's reach: no supervisor, no group


@pytest.mark.parametrize("forks", ["alone", "forks"])
def test_death_of_the_owner_takes_everything_along(ready: Path, forks: str) -> None:
    told = ready.with_name("told")
    os.mkfifo(told)
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, TREE, str(ready), str(told), forks], start_new_session=True
    )
    try:
        children = read_fifo(ready)
        own = read_fifo(told)
        owner.kill()
        owner.wait()
        assert_gone(*own, *children)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(owner.pid, signal.SIGKILL)


def test_the_exit_status_is_passed_on(tmp_path: Path) -> None:
    process = run(python("import sys; sys.exit(3)"), tmp_path)
    assert process.wait(20.0)
    assert process.exit_status == 3
    process.stop()


def test_output_goes_to_the_log(tmp_path: Path) -> None:
    process = run(python("import sys; print('out'); print('err', file=sys.stderr)"), tmp_path)
    assert process.wait(20.0)
    process.stop()
    assert sorted((tmp_path / "server.log").read_text().split()) == ["err", "out"]


def test_a_program_that_does_not_exist_says_so_in_the_log(tmp_path: Path) -> None:
    process = run(["no-such-program"], tmp_path)
    assert process.wait(20.0)
    process.stop()
    assert process.exit_status == 127
    assert "cannot start no-such-program" in (tmp_path / "server.log").read_text()
