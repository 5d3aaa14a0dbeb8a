"""Running a script, and putting a program to a test."""

import json
import math
import os
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

from archon.errors import ArchonError
from archon.tasks.sandbox.bubblewrap import does_not_start, sandbox_command
from archon.tasks.sandbox.process import Ended, supervise
from archon.tasks.sandbox.results import Cut, Limits, Run, Verdict
from archon.tasks.sandbox.seccomp import denied_calls

_READY = b"ready\n"
_OPEN_FILES = 64
_REASON_LENGTH = 300


def run_python(
    program: str, *, stdin: str = "", limits: Limits | None = None, unsafe: bool = False
) -> Run:
    """Run a Python script that nobody has vouched for; it may import the standard library.

    Args:
        program: The script.
        stdin: Its standard input.
        limits: What it may use.
        unsafe: Run it as a plain process, with limits but with all our rights.

    Raises:
        UsageError: The sandbox is missing or does not work here.
    """
    limits = limits or Limits()
    ended, report = _run({"kind": "script", "program": program}, None, stdin, limits, unsafe)
    stdout, stderr = (
        data[: limits.output_bytes].decode("utf-8", "replace")
        for data in (ended.stdout, ended.stderr)
    )
    returncode: int | None = None
    how: Literal["exited"] | Cut
    if ended.cut:
        how = ended.cut[0]
    elif report is None:
        how = "killed"
    elif report["returncode"] == -signal.SIGXCPU:
        how = "timed_out"
    elif report["returncode"] and _last_line(stderr).startswith("MemoryError"):
        how = "out_of_memory"
    else:
        how, returncode = "exited", report["returncode"]
    return Run(how, returncode, stdout, stderr, ended.seconds, ended.cpu_s)


def passes(
    program: str | Sequence[str],
    test: str,
    entry_point: str,
    *,
    prelude: str = "",
    limits: Limits | None = None,
    unsafe: bool = False,
) -> Verdict:
    """Put a function of a program to a test that the program cannot influence.

    The test is a Python script that finds the function under its name and passes when it ends
    without an exception. Program and test run in two processes of one sandbox. The function the
    test calls is a stand-in that passes arguments and results as plain data (None, bool, int,
    float, complex, str, bytes, list, tuple, dict, set, frozenset, and built-in exceptions;
    changes made to a list, dict or set given as an argument are carried over), so:

    * What a program prints, how it exits, what it redefines, and what it does to its own process
      cannot make the test pass: only data equal to what the test expects can.
    * The program never holds the test, only the arguments of the calls made so far.
    * A result that is no plain data (a generator, an object of the program's own class) does not
      reach the test: the call raises TypeError.
    * A test is no better than what it asks: one that passes whatever is returned passes anything,
      one that compares a result with a list it has given sees what the program made of that list,
      and a program may of course return what it has learnt by heart.

    Args:
        program: The program, or several forms of it of which the first that compiles is taken.
        test: The test.
        entry_point: Name of the function under test.
        prelude: Trusted code that the test needs; it runs before the test, beside it.
        limits: What program and test may use together.
        unsafe: Run both as plain processes, with limits but with all our rights.

    Raises:
        UsageError: The sandbox is missing or does not work here.
    """
    variants = [program] if isinstance(program, str) else list(program)
    opening = {"kind": "test", "variants": variants, "entry_point": entry_point}
    closing = {"prelude": prelude, "test": test}
    ended, report = _run(opening, closing, "", limits or Limits(), unsafe)
    if ended.cut:
        outcome, reason = ended.cut
    elif report is None:
        outcome, reason = "killed", "something ended the test"
    else:
        outcome, reason = report["outcome"], _one_line(report["reason"])
    return Verdict(outcome, reason, ended.seconds, ended.cpu_s)


@cache
def require_sandbox() -> None:
    """Run nothing in the sandbox, to learn now rather than later whether that works.

    Raises:
        UsageError: bubblewrap is missing or does not work.
    """
    run = run_python("")
    if run.returncode != 0:
        raise does_not_start(_last_line(run.stderr) or run.ended)


def _run(
    opening: Mapping[str, object],
    closing: Mapping[str, object] | None,
    stdin: str,
    limits: Limits,
    unsafe: bool,
) -> tuple[Ended, dict[str, Any] | None]:
    """Run the driver; return what became of it and its report, None when it gave none."""
    first = json.dumps({**opening, "rlimits": _rlimits(limits, unsafe)}).encode()
    inputs = {
        "job": len(first).to_bytes(4) + first + json.dumps(closing).encode(),
        "stdin": stdin.encode("utf-8", "surrogatepass"),
    }
    ended = _unprotected(inputs, limits) if unsafe else _sandboxed(inputs, limits)
    if ended.report.startswith(_READY):
        report = ended.report.removeprefix(_READY)
        return ended, json.loads(report) if report else None
    if ended.cut:
        return ended, None
    complaint = _last_line(ended.stderr.decode("utf-8", "replace")) or "no message"
    if unsafe:
        raise ArchonError(f"cannot start Python for generated code: {complaint}")
    raise does_not_start(complaint)


def _sandboxed(inputs: dict[str, bytes], limits: Limits) -> Ended:
    def command(fds: Mapping[str, int]) -> list[str]:
        return sandbox_command(
            _driver(fds),
            tmp_bytes=limits.tmp_bytes,
            info_fd=fds["info"],
            seccomp_fd=fds["seccomp"],
        )

    return supervise(
        command,
        inputs=inputs | {"seccomp": denied_calls()},
        limits=limits,
        cwd="/",
        environment=_environment("/tmp"),
    )


def _unprotected(inputs: dict[str, bytes], limits: Limits) -> Ended:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        return supervise(
            _driver, inputs=inputs, limits=limits, cwd=folder, environment=_environment(folder)
        )


def _driver(fds: Mapping[str, int]) -> list[str]:
    # Alone with the standard library: no site-packages, nothing of ours, no bytecode written.
    python = [os.path.realpath(sys.executable), "-P", "-S", "-B", "-X", "utf8"]
    return [*python, "-c", _driver_source(), str(fds["job"]), str(fds["report"])]


@cache
def _driver_source() -> str:
    return Path(__file__).with_name("driver.py").read_text(encoding="utf-8")


def _environment(home: str) -> dict[str, str]:
    # A fixed hash seed, because equal programs should get equal verdicts.
    return {"PATH": os.defpath, "HOME": home, "TMPDIR": home, "PYTHONHASHSEED": "0"}


def _rlimits(limits: Limits, unsafe: bool) -> dict[str, int]:
    found = {
        "RLIMIT_CPU": math.ceil(limits.cpu_s),
        "RLIMIT_AS": limits.memory_bytes,
        "RLIMIT_FSIZE": limits.tmp_bytes,
        "RLIMIT_NOFILE": _OPEN_FILES,
        "RLIMIT_CORE": 0,
    }
    # Outside of a sandbox this would count all processes of the user.
    return found if unsafe else found | {"RLIMIT_NPROC": limits.processes}


def _last_line(text: str) -> str:
    return _one_line(text.rstrip().rpartition("\n")[2])


def _one_line(text: str) -> str:
    """Return a text of the program's making as one printable line."""
    line = "".join(c if c.isprintable() else " " for c in text[: 4 * _REASON_LENGTH])
    return " ".join(line.split())[:_REASON_LENGTH]
