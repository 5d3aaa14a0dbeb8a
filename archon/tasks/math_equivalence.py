"""Whether two formulas are equal, judged by math-verify in a process that can be killed."""

import atexit
import importlib.util
import json
import signal
import subprocess
import threading
from contextlib import suppress
from functools import cache

from archon.errors import ArchonError, UsageError
from archon.tasks.child import start_module

CPU_LIMIT_S = 5.0


def require_math_verify() -> None:
    """Raise UsageError with the remedy unless math-verify is installed."""
    if importlib.util.find_spec("math_verify") is None:
        raise UsageError(
            "the scorer math needs the package math-verify: pip install 'archon-ipw[tasks]'"
        )


def equivalent(answer: str, reference: str) -> bool:
    """Return whether two LaTeX or plain formulas are equal.

    A comparison that takes more than 5 s of CPU time counts as not equal.

    Raises:
        ArchonError: The comparing process failed.
    """
    return _worker().equivalent(answer, reference)


class MathWorker:
    """One comparing process: started when first needed, and again after it was killed.

    math-verify limits its time by ``signal.alarm``, which only works in a main thread and cannot
    interrupt sympy's C code; a process that the kernel ends at its CPU limit needs neither.
    """

    def __init__(self, cpu_limit_s: float) -> None:
        self._cpu_limit_s = cpu_limit_s
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def equivalent(self, answer: str, reference: str) -> bool:
        """Return whether two formulas are equal; False when the CPU limit is reached."""
        request = json.dumps([reference, answer]).encode() + b"\n"
        with self._lock:
            process = self._process or start_module(
                "archon.tasks.math_worker", str(self._cpu_limit_s)
            )
            self._process = process
            if reply := _ask(process, request):
                return reply == b"1\n"
            status = self._stop()
        if status == -signal.SIGPROF:
            return False
        raise ArchonError(
            f"the process that compares formulas ended with status {status} while comparing "
            f"{answer!r:.80} with {reference!r:.80}: see its last lines above, or use scorer exact"
        )

    def close(self) -> None:
        """End the process; a later comparison starts another."""
        with self._lock:
            self._stop()

    def _stop(self) -> int | None:
        process, self._process = self._process, None
        if process is None:
            return None
        # Leaving the context closes the pipes, which ends the process, and waits for it.
        with suppress(BrokenPipeError), process:
            pass
        return process.returncode


def _ask(process: subprocess.Popen[bytes], request: bytes) -> bytes:
    """Return the reply to a request, ``b""`` when the process has ended."""
    assert process.stdin
    assert process.stdout
    with suppress(BrokenPipeError):
        process.stdin.write(request)
        process.stdin.flush()
        return process.stdout.readline()
    return b""


@cache
def _worker() -> MathWorker:
    worker = MathWorker(CPU_LIMIT_S)
    atexit.register(worker.close)
    return worker
