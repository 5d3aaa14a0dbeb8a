"""Running a process within limits, and ending it together with its children."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from archon.tasks.sandbox.pipes import Pipes
from archon.tasks.sandbox.results import Cut, Limits

_WATCH_S = 0.02


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a process.

    Attributes:
        cut: The limit that ended it and the reason in words; None when none did.
        report: What it wrote to its report pipe.
        stdout: Standard output as far as it was read, at most one pipe beyond the limit.
        stderr: Standard error, likewise.
        seconds: Wall time.
        cpu_s: CPU time of the process and of its children.
    """

    cut: tuple[Cut, str] | None
    report: bytes
    stdout: bytes
    stderr: bytes
    seconds: float
    cpu_s: float


def supervise(
    command: Callable[[Mapping[str, int]], Sequence[str]],
    *,
    inputs: Mapping[str, bytes],
    limits: Limits,
    cwd: str,
    environment: Mapping[str, str],
) -> Ended:
    """Run a command until it closes its pipe ``report`` or exceeds a limit, then end all of it.

    Args:
        command: The command, given the descriptors of its pipes by name: the inputs, ``report``,
            and ``info``, where bubblewrap names the process 1 of a sandbox.
        inputs: What it reads from each of its input pipes; ``stdin`` is one of them.
        limits: Of these, wall time and output; where there is a ``/proc``, also the CPU time and
            resident memory of the process and all its descendants.
        cwd: Its working directory.
        environment: All of its environment.
    """
    began = time.monotonic()
    with Pipes(inputs, ("stdout", "stderr", "report", "info")) as pipes:
        theirs = pipes.theirs
        process = subprocess.Popen(
            command(theirs),
            stdin=theirs["stdin"],
            stdout=theirs["stdout"],
            stderr=theirs["stderr"],
            pass_fds=list(theirs.values()),
            cwd=cwd,
            env=environment,
            start_new_session=True,
        )
        pipes.hand_over()
        try:
            cut, seen_cpu_s = _watch(process.pid, pipes, limits, began + limits.wall_s)
        finally:
            _end(process.pid, pipes)
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        while cut is None and pipes.move(0):  # what it said last
            cut = _too_much_output(pipes, limits)
        heard = {name: bytes(data) for name, data in pipes.heard.items() if name != "info"}
    return Ended(
        cut,
        **heard,
        seconds=time.monotonic() - began,
        # The processes in a sandbox that is killed pass on nothing of what they used.
        cpu_s=max(used.ru_utime + used.ru_stime, seen_cpu_s),
    )


def _watch(
    pid: int, pipes: Pipes, limits: Limits, deadline: float
) -> tuple[tuple[Cut, str] | None, float]:
    """Move data until the report ends or a limit is exceeded.

    Returns:
        The limit, if any, and the CPU seconds seen last.
    """
    cpu_s, look_at = 0.0, 0.0
    while pipes.is_open("report"):
        pipes.move(_WATCH_S)
        if cut := _too_much_output(pipes, limits):
            return cut, cpu_s
        now = time.monotonic()
        if now > deadline:
            return ("timed_out", f"took longer than {limits.wall_s:g} s"), cpu_s
        if now > look_at:
            cpu_s, memory_bytes = _usage(pid)
            if cpu_s > limits.cpu_s:
                return ("timed_out", f"used more than {limits.cpu_s:g} s of CPU time"), cpu_s
            if memory_bytes > limits.memory_bytes:
                return ("out_of_memory", f"used more than {limits.memory_bytes >> 20} MiB"), cpu_s
            look_at = time.monotonic() + _WATCH_S
    return None, cpu_s


def _too_much_output(pipes: Pipes, limits: Limits) -> tuple[Cut, str] | None:
    if len(pipes.heard["stdout"]) + len(pipes.heard["stderr"]) <= limits.output_bytes:
        return None
    return "output_too_big", f"printed more than {limits.output_bytes} bytes"


def _usage(pid: int) -> tuple[float, int]:
    """Return CPU seconds (also of ended children) and resident bytes of a process tree."""
    ticks = pages = 0
    waiting = [pid]
    while waiting:
        process = Path("/proc", str(waiting.pop()))
        with suppress(OSError):  # it has just ended, or this system has no /proc
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            # proc_pid_stat(5): utime, stime, cutime, cstime, and rss; its field 3 is fields[0]
            ticks += sum(map(int, fields[11:15]))
            pages += int(fields[21])
            for task in (process / "task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
    return ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE")


def _end(pid: int, pipes: Pipes) -> None:
    """Kill a process not yet waited for, and what it started.

    Of a sandbox only process 1 is killed: the kernel then kills the rest, and bubblewrap, for
    which the caller waits, ends when all of that is gone.
    """
    info = pipes.heard["info"]
    with suppress(ProcessLookupError):
        if not info.endswith(b"}\n"):
            os.killpg(pid, signal.SIGKILL)
        elif pipes.is_open("report"):
            os.kill(json.loads(info)["child-pid"], signal.SIGKILL)
