"""Runs a server so that nothing of it outlives its owner, however either of them dies.

``python -I -S _supervisor.py OWNER_PID GRACE_S COMMAND...`` with the reading end of a pipe of the
owner as standard input. It writes the server's process id to standard output; the server's own
output goes to standard error. The server is stopped when the pipe closes (the owner died, or
asked for it) and on SIGTERM; when the server dies, what is left of its processes is stopped.
Exits with the server's status.

Standard library only and run by its path: it starts in milliseconds and imports nothing of the
package. Linux only: prctl(2) and /proc.
"""

import contextlib
import ctypes
import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
OWNER_CHECK_S = 1.0


def die_with_parent(signum: int) -> None:
    """Have the kernel send `signum` to this process when the thread that started it ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signum, 0, 0, 0)


def descendants(pid: int) -> list[int]:
    """Return the process ids below `pid`, parents before children."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        child = int(folder.name)
        if stat := _stat(child):
            children.setdefault(int(stat[1]), []).append(child)
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found[1:]


def is_running(pid: int) -> bool:
    """Whether a process exists and is not just waiting to be reaped."""
    stat = _stat(pid)
    return bool(stat) and stat[0] not in "ZX"


def _stat(pid: int) -> list[str]:
    """Return proc(5)'s stat fields from the state on; [] when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return []
    # The name before them stands in parentheses and may hold anything.
    return text.rpartition(")")[2].split()


class _Supervisor:
    def __init__(self, owner: int, grace_s: float, command: Sequence[str]) -> None:
        self._owner = owner
        self._grace_s = grace_s
        self._wakeup, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer)
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(signum, lambda *_: None)
        # Orphans of the server become our children instead of init's, so we can reap them all.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.server = self._spawn(command)
        self.status: int | None = None

    @staticmethod
    def _spawn(command: Sequence[str]) -> int:
        supervisor = os.getpid()
        server = os.fork()
        if server:
            return server
        os.setsid()
        die_with_parent(signal.SIGTERM)
        if os.getppid() != supervisor:
            os._exit(1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        try:
            os.execvp(command[0], list(command))
        except OSError as error:
            os.write(2, f"cannot start {command[0]}: {error}\n".encode())
            os._exit(127)

    def watch(self) -> None:
        """Return when the server has exited or has to be stopped."""
        while self._reap() and self.status is None:
            ready, _, _ = select.select([0, self._wakeup], [], [], OWNER_CHECK_S)
            if self._wakeup in ready and set(os.read(self._wakeup, 512)) - {signal.SIGCHLD}:
                return
            if 0 in ready and not os.read(0, 1):
                return
            # A child the owner forked may hold our pipe open after the owner's death.
            if os.getppid() != self._owner:
                return

    def end(self) -> None:
        """Stop every process that is left: politely first, then by force."""
        polite_until = time.monotonic() + self._grace_s
        signum = signal.SIGTERM
        self._signal(signum)
        while self._reap():
            wait_s = polite_until - time.monotonic()
            if wait_s <= 0:
                signum, wait_s = signal.SIGKILL, 0.05
                self._signal(signum)
            if select.select([self._wakeup], [], [], wait_s)[0]:
                os.read(self._wakeup, 512)

    def _reap(self) -> bool:
        """Collect the dead; return whether a process is left."""
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return True
                if pid == self.server:
                    self.status = status
        except ChildProcessError:
            return False

    @staticmethod
    def _signal(signum: int) -> None:
        for pid in descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signum)


def main(arguments: Sequence[str]) -> int:
    """Run the command to its end; return its exit status, 128 + N for signal N."""
    supervisor = _Supervisor(int(arguments[0]), float(arguments[1]), arguments[2:])
    os.write(1, f"{supervisor.server}\n".encode())
    os.close(1)
    supervisor.watch()
    supervisor.end()
    code = os.waitstatus_to_exitcode(supervisor.status or 0)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
