"""How a program ends: every kind of failure as one line and an exit status."""

import os
import signal
import sys
from collections.abc import Callable

from archon.errors import ArchonError


def exit_status(name: str, act: Callable[[], int]) -> int:
    """Run a command; returns its exit status: 1 failed, 2 bad input, 130 Ctrl-C, 141 closed pipe.

    Args:
        name: Program and command, before each message.
    """
    try:
        status = act()
        sys.stdout.flush()
    except ArchonError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print(f"{name}: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read our output has enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:  # such as a full disk
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    return status
