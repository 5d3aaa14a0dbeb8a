"""A server process that never outlives us; see `_supervisor` for how."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from archon.engines import _supervisor
from archon.errors import EngineError

GRACE_S = 5.0


class SupervisedProcess:
    """A running command with all processes it starts, in a session of its own.

    Args:
        command: Program and arguments.
        env: Its whole environment.
        cwd: Its working folder.
        log: File its output is appended to.
        grace_s: Seconds between asking its processes to end and killing them.

    Attributes:
        pid: The command's process id; it leads the process group.

    Raises:
        EngineError: The supervisor did not start.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        log: Path,
        grace_s: float = GRACE_S,
    ) -> None:
        self._grace_s = grace_s
        own = [sys.executable, "-I", "-S", _supervisor.__file__, str(os.getpid()), str(grace_s)]
        with log.open("ab") as output:
            # A session of its own keeps the terminal's Ctrl-C from it: the owner decides.
            self._supervisor = subprocess.Popen(
                [*own, *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env=env,
                cwd=cwd,
                start_new_session=True,
            )
        assert self._supervisor.stdout is not None
        with self._supervisor.stdout as told:
            pid = told.readline()
        if not pid:
            raise EngineError(f"the supervisor of {command[0]} did not start; see {log}")
        self.pid = int(pid)
        threading.Thread(target=self._clean_up_after_supervisor, daemon=True).start()

    def _clean_up_after_supervisor(self) -> None:
        if self._supervisor.wait() < 0:  # killed, so it could not clean up itself
            self._kill_group()

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    @property
    def supervisor_pid(self) -> int:
        """Process id of the supervisor."""
        return self._supervisor.pid

    @property
    def exit_status(self) -> int | None:
        """None while running; then the command's exit status, 128 + N after signal N."""
        return self._supervisor.poll()

    def running(self) -> bool:
        """Whether the command itself still runs; what it started may take a little longer."""
        return self.exit_status is None and _supervisor.is_running(self.pid)

    def pids(self) -> tuple[int, ...]:
        """Return the ids of the command and all processes below it, () when it has ended."""
        if self.exit_status is not None:
            return ()
        return tuple(_supervisor.descendants(self._supervisor.pid))

    def wait(self, timeout_s: float) -> bool:
        """Wait until the command and its processes have ended; return whether they have."""
        try:
            self._supervisor.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self) -> None:
        """End the command and its processes, and wait for it."""
        assert self._supervisor.stdin is not None
        self._supervisor.stdin.close()
        if not self.wait(2 * self._grace_s + 5):
            self._supervisor.kill()
            self._supervisor.wait()
            self._kill_group()
