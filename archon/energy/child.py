"""Running a command as if it were started directly: our streams, our signals, its exit status."""

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from types import FrameType

from archon.errors import UsageError


def find(command: str) -> str:
    """Return the path of a program.

    Raises:
        UsageError: There is no such program.
    """
    path = shutil.which(command)
    if path is None:
        raise UsageError(
            f"command not found or not executable: {command}; give a program on the PATH or its "
            "path"
        )
    return path


def run(argv: Sequence[str]) -> int:
    """Run a command to its end, passing SIGINT and SIGTERM on to it.

    Returns:
        Its exit status, 128 + n if signal n ended it.

    Raises:
        UsageError: The system refuses to run it.
    """
    child: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def pass_on(number: int, _: FrameType | None) -> None:
        if child is None:
            early.append(number)
        elif number != signal.SIGINT or not _in_foreground():
            child.send_signal(number)

    # what is ignored now (a job in the background) the command must ignore too
    passed_on = [
        n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) != signal.SIG_IGN
    ]
    before = {number: signal.signal(number, pass_on) for number in passed_on}
    try:
        child = subprocess.Popen(list(argv), executable=find(argv[0]))
        for number in early:
            child.send_signal(number)
        status = child.wait()
    except OSError as error:
        raise UsageError(f"{argv[0]} cannot be run: {error.strerror}") from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return status if status >= 0 else 128 - status


def _in_foreground() -> bool:
    """Return whether the terminal's Ctrl-C reaches our whole process group, the command too."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    finally:
        os.close(terminal)
