"""The process inside the sandbox that starts the program under test and judges it.

It runs as a script of its own (``python -c``), with nothing but the standard library. A program
that is put to a test is a forked child: it gets arguments and gives back results as JSON over two
pipes. The test runs here. Its text is read only after the fork, so the program never holds it,
and of what the program says only plain data comes back, made anew from built-in types. The
report leaves by a pipe that the program does not have.

    python -c DRIVER JOB_FD REPORT_FD

The job is the length of its first part (4 bytes), that part, and the test, all JSON. The report
is the line ``ready`` and a JSON object.
"""

import _thread
import builtins
import ctypes
import json
import os
import resource
import select
import signal
import sys
import traceback
from typing import IO, Any, NoReturn

_PR_SET_DUMPABLE = 4
_REASON_LENGTH = 1000


def main() -> None:
    """Do the one job."""
    job_fd, report_fd = int(sys.argv[1]), int(sys.argv[2])
    _keep_to_ourselves(job_fd, report_fd)
    sys.set_int_max_str_digits(0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # which process 1 ignores
    if sys.platform == "linux":
        # No process of the same user may look into this one.
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    length = int.from_bytes(_read_exactly(job_fd, 4))
    job = json.loads(_read_exactly(job_fd, length))
    for name, limit in job["rlimits"].items():
        _limit(getattr(resource, name), limit)
    os.write(report_fd, b"ready\n")
    if job["kind"] == "script":
        report = _run_script(job["program"], report_fd)
    else:
        report = _put_to_test(job["variants"], job["entry_point"], job_fd, report_fd)
    os.write(report_fd, json.dumps(report).encode())
    os._exit(0)


def _keep_to_ourselves(*fds: int) -> None:
    """Keep these descriptors from programs we start, and close all others but the first three."""
    start = 3
    for fd in sorted(fds):
        os.set_inheritable(fd, False)
        os.closerange(start, fd)
        start = fd + 1
    os.closerange(start, 1 << 16)


def _end_with_the_reader_of(fd: int) -> None:
    """Wait until nobody can read the report any more, then end all our processes."""
    poll = select.poll()
    poll.register(fd, 0)
    poll.poll()
    os.killpg(0, signal.SIGKILL)
    os._exit(1)  # process 1 of a sandbox survives the above, and takes the rest along


def _limit(kind: int, limit: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    # The kernel says SIGXCPU at the soft limit, and SIGKILL, as after anything, at the hard one.
    hard = limit + 1 if kind == resource.RLIMIT_CPU else limit
    resource.setrlimit(kind, (limit, hard))


def _read_exactly(fd: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += os.read(fd, size - len(data)) or sys.exit("the job is cut off")
    return data


def _run_script(program: str, report_fd: int) -> dict[str, object]:
    with open("program.py", "w", encoding="utf-8", errors="surrogatepass") as file:
        file.write(program)
    _thread.start_new_thread(_end_with_the_reader_of, (report_fd,))
    command = [sys.executable, *sys.orig_argv[1 : sys.orig_argv.index("-c")], "program.py"]
    _, status = os.waitpid(os.posix_spawn(sys.executable, command, os.environ), 0)
    return {"returncode": os.waitstatus_to_exitcode(status)}


def _put_to_test(
    variants: list[str], entry_point: str, job_fd: int, report_fd: int
) -> dict[str, object]:
    calls_out, calls_in = os.pipe()
    replies_out, replies_in = os.pipe()
    pid = os.fork()
    if pid == 0:
        for fd in (job_fd, report_fd, calls_in, replies_out):
            os.close(fd)
        with os.fdopen(calls_out, "rb") as calls, os.fdopen(replies_in, "wb") as replies:
            _serve(variants, entry_point, calls, replies)
        os._exit(0)
    _thread.start_new_thread(_end_with_the_reader_of, (report_fd,))
    os.close(calls_out)
    os.close(replies_in)
    with os.fdopen(job_fd, "rb") as job:
        test = json.load(job)
    with os.fdopen(calls_in, "wb", buffering=0) as calls, os.fdopen(replies_out, "rb") as replies:
        candidate = Candidate(entry_point, calls, replies)
        try:
            candidate.loaded()
            names: dict[str, Any] = {"__name__": "test"}
            exec(compile(test["prelude"], "<prelude>", "exec"), names)
            names[entry_point] = candidate
            exec(compile(test["test"], "<test>", "exec"), names)
        except Gone:
            pass  # the test may have caught it, too
        except BaseException as error:
            outcome = "out_of_memory" if isinstance(error, MemoryError) else "failed"
            return {"outcome": outcome, "reason": _reason(error, test["test"])}
        if candidate.gone is None:
            return {"outcome": "passed", "reason": ""}
    if candidate.gone:
        return {"outcome": "failed", "reason": candidate.gone}
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code == -signal.SIGXCPU:
        return {"outcome": "timed_out", "reason": "used up its CPU time"}
    if code < 0:
        return {"outcome": "killed", "reason": f"ended by {signal.Signals(-code).name}"}
    return {"outcome": "failed", "reason": f"exited with status {code} before the test was over"}


def _reason(error: BaseException, test: str) -> str:
    text = str(error)[:_REASON_LENGTH]
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == "<test>"
    ]
    if not text and lines and lines[-1]:
        text = test.splitlines()[lines[-1] - 1].strip()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class Gone(BaseException):
    """The program ended, or does not speak as it must; no ``except Exception`` catches this."""


class ProgramError(Exception):
    """An exception of the program that is no built-in one."""


class Candidate:
    """The function under test, as the test sees it: calls go to the program's process."""

    def __init__(self, name: str, calls: IO[bytes], replies: IO[bytes]) -> None:
        self.__name__ = name
        self.gone: str | None = None
        self._calls = calls
        self._replies = replies

    def loaded(self) -> None:
        """Wait until the program is loaded; raise what loading it raised."""
        self._receive()

    def __call__(self, *args: object, **kwargs: object) -> object:
        """Call the program's function; raise what it raised."""
        request = json.dumps([encode(list(args)), encode(kwargs)]).encode()
        try:
            self._calls.write(request + b"\n")
        except OSError:
            self._lose("")
        result, changed = self._receive()
        for index, now in changed.items():
            argument = args[index]
            if isinstance(argument, list):
                argument[:] = now
            elif isinstance(argument, dict | set):
                argument.clear()
                argument.update(now)
        return result

    def _receive(self) -> tuple[Any, Any]:
        line = self._replies.readline()
        if not line.endswith(b"\n"):
            self._lose("")
        try:
            kind, value = json.loads(line)
            if kind == "ok":
                result, changed = decode(value)
                return result, changed
            name, text = (str(part) for part in value)
        except (ValueError, TypeError, RecursionError):
            self._lose("its replies are not those of a function")
        raise _exception(name, text)

    def _lose(self, reason: str) -> NoReturn:
        self.gone = reason
        raise Gone(reason)


def _exception(name: str, text: str) -> Exception:
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            return kind(text)
        except TypeError:  # some take more than a text
            pass
    return ProgramError(f"{name}: {text}")


def _serve(variants: list[str], entry_point: str, calls: IO[bytes], replies: IO[bytes]) -> None:
    """Be the program: load it, then answer calls. Nothing said from here on is trusted."""

    def reply(kind: str, value: object) -> bytes:
        return json.dumps([kind, value]).encode() + b"\n"

    def complaint(error: BaseException) -> bytes:
        kinds = (kind for kind in type(error).__mro__ if kind.__module__ == "builtins")
        return reply("error", [next(kinds).__name__, str(error)])

    def load() -> Any:
        names: dict[str, Any] = {"__name__": "program"}
        exec(_first_that_compiles(variants), names)
        if not callable(names.get(entry_point)):
            raise NameError(f"the program defines no function {entry_point}")
        return names[entry_point]

    def call(line: bytes) -> bytes:
        given, keywords = json.loads(line)
        args, kwargs = decode(given), decode(keywords)
        result = encode(function(*args, **kwargs))
        both = enumerate(zip(given["list"], encode(args)["list"], strict=True))
        changed = [[index, after] for index, (before, after) in both if after != before]
        return reply("ok", {"tuple": [result, {"dict": changed}]})

    try:
        function = load()
        said = reply("ok", {"tuple": [None, {"dict": []}]})
    except Exception as error:
        function = None
        said = complaint(error)
    while True:
        replies.write(said)
        replies.flush()
        line = calls.readline()
        if not line:
            return
        try:
            said = call(line)
        except Exception as error:
            said = complaint(error)


def _first_that_compiles(variants: list[str]) -> Any:
    for variant in variants[:-1]:
        try:
            return compile(variant, "program.py", "exec")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return compile(variants[-1], "program.py", "exec")


def encode(value: object) -> Any:
    """Return a value as JSON can hold it: what is no JSON scalar becomes ``{kind: parts}``."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    for kind in (list, tuple, set, frozenset):
        if isinstance(value, kind):
            return {kind.__name__: [encode(part) for part in value]}
    if isinstance(value, dict):
        return {"dict": [[encode(key), encode(part)] for key, part in value.items()]}
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if isinstance(value, bytes | bytearray):
        return {type(value).__name__: list(value)}
    raise TypeError(f"{type(value).__name__} objects cannot pass between a program and its test")


def decode(data: Any) -> Any:
    """Return the value that was encoded, of built-in types alone.

    Raises:
        ValueError, TypeError: The data did not come from ``encode``.
    """
    if not isinstance(data, dict | list):
        return data
    if isinstance(data, list):
        raise ValueError("a bare list")
    ((kind, parts),) = data.items()
    match kind:
        case "list" | "tuple" | "set" | "frozenset":
            return getattr(builtins, kind)(decode(part) for part in parts)
        case "dict":
            return {decode(key): decode(part) for key, part in parts}
        case "complex":
            return complex(*parts)
        case "bytes" | "bytearray":
            return getattr(builtins, kind)(parts)
    raise ValueError(f"no such kind: {kind}")


if __name__ == "__main__":
    main()
