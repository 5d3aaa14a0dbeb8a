"""The command line that puts Python into a sandbox, and whether this machine can run it."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from archon.errors import UsageError

_SYSTEM = ("/usr", "/bin", "/lib", "/lib32", "/lib64", "/nix/store")
_NOBODY = "65534"
_STAGED = "/tmp/python"


def sandbox_command(
    python: Sequence[str], *, tmp_bytes: int, info_fd: int, seccomp_fd: int
) -> list[str]:
    """Return the command that runs ``python`` (a command of this interpreter) in a sandbox.

    The sandbox has no network, no ``/proc``, no home and no ``/etc``; the interpreter and the
    system's libraries are read-only, /tmp is private. Python is its process 1: when it ends, the
    kernel kills whatever it left behind, and nothing inside can signal it against its will.

    Args:
        python: Runs as an ordinary user, also when we are root: root has no limit on processes.
        tmp_bytes: Size of /tmp.
        info_fd: Gets a JSON object with ``child-pid``, the id of process 1 as seen from here.
        seccomp_fd: Holds the filter of system calls.

    Raises:
        UsageError: There is no bubblewrap.
    """
    bwrap = find_bubblewrap()
    prefix = sys.base_prefix
    private = not any(Path(prefix).is_relative_to(folder) for folder in _SYSTEM)
    source = prefix
    command: list[str] = []
    if os.getuid() == 0:
        if private:  # perhaps below /root, where only root may look
            source = _STAGED
            command += [bwrap, "--dev-bind", "/", "/"]
            command += ["--tmpfs", "/tmp", "--ro-bind", prefix, source, "--"]
        command += ["setpriv", "--reuid", _NOBODY, "--regid", _NOBODY, "--clear-groups", "--"]
    command += [bwrap, "--die-with-parent", "--new-session", "--as-pid-1"]
    command += ["--unshare-user", "--disable-userns", "--unshare-pid", "--unshare-net"]
    command += ["--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--hostname", "sandbox"]
    command += ["--perms", "1777", "--size", str(tmp_bytes), "--tmpfs", "/tmp", "--chdir", "/tmp"]
    for folder in _SYSTEM:
        command += ["--ro-bind-try", folder, folder]
    if private:
        command += ["--ro-bind", source, prefix]
    command += ["--dev", "/dev", "--remount-ro", "/dev"]
    command += ["--remount-ro", "/", "--info-fd", str(info_fd)]
    return [*command, "--seccomp", str(seccomp_fd), "--", *python]


def find_bubblewrap() -> str:
    """Return the path of the program; raise UsageError with the remedy when there is none."""
    path = shutil.which("bwrap")
    if path is None:
        raise UsageError(
            "generated code runs in bubblewrap, which is not installed: apt install bubblewrap "
            "(0.8 or newer), or give --unsafe-code to run it unprotected"
        )
    return path


def does_not_start(complaint: str) -> UsageError:
    """Return the error for a bubblewrap that is installed and does not work."""
    return UsageError(
        f"bubblewrap does not work here ({complaint}): it needs version 0.8, Linux 5.14 and user "
        "namespaces for ordinary users (sysctl user.max_user_namespaces, in containers also "
        "their security profile); or give --unsafe-code to run generated code unprotected"
    )
