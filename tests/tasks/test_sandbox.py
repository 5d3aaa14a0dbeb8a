"""What a sandboxed program can do, and what becomes of one that tries more."""

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from archon.errors import UsageError
from archon.tasks.sandbox import Limits, passes, require_sandbox, run_python

SPIN = "while True:\n    pass"
NAMED = """
import ctypes, os, time
def call_myself(name):
    ctypes.CDLL(None).prctl(15, name.encode())
"""


def printed(program, **how):
    """What a script prints that must end well."""
    run = run_python(program, **how)
    assert (run.ended, run.returncode, run.stderr) == ("exited", 0, "")
    return run.stdout.strip()


def processes_called(name):
    found = []
    for comm in Path("/proc").glob("[0-9]*/comm"):
        try:
            found += [comm] if comm.read_text().strip() == name else []
        except OSError:
            continue
    return found


def soon(condition):
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def test_a_script_runs_as_such():
    run = run_python("import sys\nprint(__name__, input())\nsys.exit(3)", stdin="hello\n")
    assert (run.ended, run.returncode) == ("exited", 3)
    assert (run.stdout, run.stderr) == ("__main__ hello\n", "")
    assert 0 < run.cpu_s < 5
    assert 0 < run.seconds < 20


def test_an_error_shows_its_place():
    run = run_python("import json\njson.loads('{')")
    assert run.returncode == 1
    assert 'program.py", line 2' in run.stderr
    assert run.stderr.rstrip().splitlines()[-1].startswith("json.decoder.JSONDecodeError")


def test_a_signal_is_a_negative_status():
    run = run_python("import os\nos.kill(os.getpid(), 9)")
    assert (run.ended, run.returncode) == ("exited", -9)


@pytest.mark.parametrize("program", ["x = 'caf\\xe9 \\udcff'\n", "\ud800", "a\0b", "(" * 9999])
def test_any_text_is_a_program(program):
    assert run_python(program).ended == "exited"


def test_no_more_than_the_start_of_long_input_need_be_read():
    assert printed("print(input())", stdin="first\n" + "x" * (1 << 20)) == "first"
    assert printed("import sys\nprint(len(sys.stdin.read()))", stdin="x" * (1 << 20)) == "1048576"


class TestSurroundings:
    def test_another_user_another_host_another_environment(self, monkeypatch):
        monkeypatch.setenv("API_KEY", "secret")
        answer = printed(
            "import os, socket\nprint(os.getuid() != 0, os.getpid() < 9, socket.gethostname())\n"
            "print(os.environ.get('API_KEY'), os.environ['HOME'])"
        )
        assert answer == "True True sandbox\nNone /tmp"

    def test_only_the_standard_library(self):
        assert run_python("import archon").stderr.endswith("No module named 'archon'\n")
        assert run_python("import pytest").stderr.endswith("No module named 'pytest'\n")

    def test_no_pipe_of_ours_is_open(self):
        program = (
            "import os\n"
            "for fd in range(3000):\n"
            "    try:\n"
            "        os.fstat(fd)\n"
            "        print(fd)\n"
            "    except OSError:\n"
            "        pass\n"
        )
        assert printed(program).split() == ["0", "1", "2"]

    def test_hash_order_is_the_same_in_every_run(self):
        program = "print(list({str(n) for n in range(20)}))"
        assert printed(program) == printed(program)

    @pytest.mark.parametrize(
        "path", ["/etc/shadow", "/etc/passwd", "/proc", "/sys", "/var", "/run"]
    )
    def test_the_system_has_no_such(self, path):
        assert printed(f"import os\nprint(os.path.exists({path!r}))") == "False"

    def test_no_file_of_ours_is_visible(self, tmp_path):
        (tmp_path / "mine").write_text("secret")
        homes = {str(Path.home()), os.getcwd(), str(tmp_path), str(Path(__file__).parent)}
        seen = printed(
            "import os, sys\n"
            f"for home in {sorted(homes)!r}:\n"
            "    for folder, folders, files in os.walk(home):\n"
            "        if folder == sys.base_prefix:\n"
            "            folders.clear()\n"
            "        else:\n"
            "            print(*[os.path.join(folder, file) for file in files])\n"
        )
        assert seen.split() in ([], ["/tmp/program.py"])  # that if we work in /tmp

    def test_only_tmp_can_be_written(self):
        places = ["/", "/usr", "/usr/lib", "/bin", "/root", "/home", "/dev", "/dev/shm", "/tmp"]
        folders = [*places, "/var/tmp", "/etc", sys.base_prefix, os.getcwd(), str(Path.home())]
        program = (
            "import os\n"
            f"for folder in {folders!r}:\n"
            "    try:\n"
            "        open(os.path.join(folder, 'sandbox-was-here'), 'w').close()\n"
            "        print(folder)\n"
            "    except OSError:\n"
            "        pass\n"
        )
        assert printed(program) == "/tmp"
        assert not any(os.path.exists(f"{folder}/sandbox-was-here") for folder in folders)

    def test_tmp_is_of_limited_size(self):
        program = (
            "written = 0\n"
            "try:\n"
            "    for n in range(320):\n"
            "        with open(f'/tmp/{n // 16}', 'ab', buffering=0) as file:\n"
            "            written += file.write(bytes(1 << 16))\n"
            "finally:\n"
            "    print(written)\n"
        )
        size = 4 << 20
        run = run_python(program, limits=Limits(tmp_bytes=size))
        assert run.stderr.endswith("OSError: [Errno 28] No space left on device\n")
        assert size / 2 < int(run.stdout) <= size

    def test_memory_that_no_limit_counts_is_not_to_be_had(self):
        program = (
            "import ctypes, os\n"
            "libc = ctypes.CDLL(None, use_errno=True)\n"
            "print(libc.shmget(0, 4096, 0o1600), ctypes.get_errno())\n"
            "print(libc.unshare(0x10000000), ctypes.get_errno())\n"
            "os.memfd_create('x')"
        )
        run = run_python(program)
        assert run.stdout == "-1 1\n-1 1\n"
        assert run.stderr.endswith("PermissionError: [Errno 1] Operation not permitted\n")

    def test_no_network(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.setblocking(False)
            run = run_python(
                "import socket\n"
                f"socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 5)"
            )
            assert re.search(r"(ConnectionRefused|OS)Error", run.stderr)
            with pytest.raises(BlockingIOError):
                server.accept()
        run = run_python("import socket\nsocket.create_connection(('192.0.2.1', 80), 5)")
        assert "unreachable" in run.stderr
        assert run.seconds < 5

    def test_no_process_outside_can_be_reached(self):
        program = f"import os\nprint(os.getppid())\nos.kill({os.getpid()}, 0)"
        run = run_python(program)
        assert run.stdout == "1\n"
        assert run.stderr.endswith("ProcessLookupError: [Errno 3] No such process\n")


class TestLimits:
    def test_an_endless_loop(self):
        run = run_python(SPIN, limits=Limits(cpu_s=0.5, wall_s=60))
        assert (run.ended, run.returncode) == ("timed_out", None)
        assert 0.5 <= run.cpu_s < 5

    def test_an_endless_sleep(self):
        program = "import time\nprint('going', flush=True)\ntime.sleep(600)"
        run = run_python(program, limits=Limits(wall_s=3))
        assert run.ended == "timed_out"
        assert run.stdout == "going\n"
        assert 3 <= run.seconds < 60

    def test_cpu_time_of_all_processes_counts(self):
        program = (
            "import os, time\n"
            "end = time.monotonic() + 60\n"
            "while time.monotonic() < end:\n"
            "    if os.fork() == 0:\n"
            "        for _ in range(1000000):\n"
            "            pass\n"
            "        os._exit(0)\n"
            "    os.wait()\n"
        )
        assert run_python(program, limits=Limits(cpu_s=0.5, wall_s=60)).ended == "timed_out"

    def test_a_process_that_wants_too_much_memory(self):
        program = "x = []\nwhile True:\n    x.append(b'x' * (1 << 20))"
        run = run_python(program, limits=Limits(memory_bytes=128 << 20))
        assert run.ended == "out_of_memory"
        program = "try:\n    bytes(200 << 20)\nexcept MemoryError:\n    print('no')"
        assert printed(program, limits=Limits(memory_bytes=128 << 20)) == "no"

    def test_processes_that_want_too_much_memory_together(self):
        program = (
            "import os, time\n"
            "for _ in range(8):\n"
            "    if os.fork() == 0:\n"
            "        x = b'x' * (50 << 20)\n"
            "        time.sleep(600)\n"
            "os.wait()\n"
        )
        run = run_python(program, limits=Limits(memory_bytes=128 << 20, wall_s=60))
        assert run.ended == "out_of_memory"

    def test_a_process_that_starts_processes(self):
        program = (
            "import os, time\n"
            "started = 0\n"
            "try:\n"
            "    while True:\n"
            "        if os.fork() == 0:\n"
            "            time.sleep(600)\n"
            "        started += 1\n"
            "except BlockingIOError:\n"
            "    print(started)\n"
        )
        assert printed(program, limits=Limits(processes=12)) == "9"

    def test_threads_count_as_processes(self):
        program = (
            "import threading\n"
            "end = threading.Event()\n"
            "started = 0\n"
            "try:\n"
            "    while True:\n"
            "        threading.Thread(target=end.wait).start()\n"
            "        started += 1\n"
            "except RuntimeError:\n"
            "    print(started)\n"
            "end.set()\n"
        )
        assert printed(program, limits=Limits(processes=12)) == "9"

    def test_a_fork_bomb(self):
        name = f"bomb{os.getpid()}"
        program = (
            f"{NAMED}call_myself({name!r})\n"
            "while True:\n"
            "    try:\n"
            "        os.fork()\n"
            "    except OSError:\n"
            "        pass\n"
        )
        run = run_python(program, limits=Limits(cpu_s=1, wall_s=60))
        assert run.ended == "timed_out"
        assert not processes_called(name)

    @pytest.mark.parametrize("stream", ["stdout", "stderr"])
    def test_output_without_end(self, stream):
        program = f"import sys\nwhile True:\n    sys.{stream}.write('x' * 1000)"
        run = run_python(program, limits=Limits(output_bytes=100_000))
        assert run.ended == "output_too_big"
        assert len(getattr(run, stream)) == 100_000

    def test_output_just_before_the_end(self):
        program = "print('x' * 20_000)"
        assert run_python(program, limits=Limits(output_bytes=20_001)).ended == "exited"
        assert run_python(program, limits=Limits(output_bytes=20_000)).ended == "output_too_big"

    def test_nothing_stays_behind(self):
        name = f"left{os.getpid()}"
        program = (
            f"{NAMED}\n"
            "hear, say = os.pipe()\n"
            "if os.fork() == 0:\n"
            "    os.setsid()\n"
            "    if os.fork() == 0:\n"
            f"        call_myself({name!r})\n"
            "        os.write(say, b'up')\n"
            "        time.sleep(600)\n"
            "    os._exit(0)\n"
            "print(os.read(hear, 2).decode())\n"
        )
        run = run_python(program, limits=Limits(wall_s=60))
        assert (run.ended, run.returncode, run.stdout) == ("exited", 0, "up\n")
        assert not processes_called(name)

    def test_it_ends_with_the_process_that_wanted_it(self):
        name = f"sole{os.getpid()}"
        program = f"{NAMED}call_myself({name!r})\ntime.sleep(600)"
        caller = "import sys\nfrom archon.tasks.sandbox import run_python\nrun_python(sys.argv[1])"
        command = [sys.executable, "-c", caller, program]
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path}) as process:
            assert soon(lambda: processes_called(name))
            process.kill()
        assert soon(lambda: not processes_called(name))


class TestRefusal:
    def test_without_bubblewrap(self, monkeypatch, tmp_path):
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(
            UsageError, match=r"not installed: apt install bubblewrap.*--unsafe-code"
        ):
            run_python("pass")

    def test_with_a_bubblewrap_that_does_not_work(self, monkeypatch, tmp_path):
        fake = tmp_path / "bwrap"
        fake.write_text(
            "#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1"
        )
        fake.chmod(0o755)
        tmp_path.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(UsageError, match=r"\(.*\): it needs .*--unsafe-code") as refusal:
            passes("def f(): pass", "f()", "f")
        assert "\n" not in str(refusal.value)

    def test_where_it_works_nothing_is_refused(self):
        require_sandbox()


class TestUnsafe:
    """A plain process with limits, where the user said so."""

    @pytest.fixture(autouse=True)
    def _no_sandbox(self, monkeypatch):
        monkeypatch.setenv("PATH", "")

    def test_it_runs(self):
        assert printed("print(input())", stdin="hello\n", unsafe=True) == "hello"
        assert passes("def f(x):\n    return 2 * x", "assert f(2) == 4", "f", unsafe=True).passed
        assert not passes("def f(x):\n    return x", "assert f(2) == 4", "f", unsafe=True).passed

    def test_it_works_in_a_folder_that_goes(self):
        folder = printed("import os\nopen('x', 'w').close()\nprint(os.getcwd())", unsafe=True)
        assert folder != os.getcwd()
        assert not Path(folder).exists()

    def test_its_limits(self):
        def ended(program, **limits):
            return run_python(program, limits=Limits(**limits), unsafe=True).ended

        assert ended(SPIN, cpu_s=0.5, wall_s=60) == "timed_out"
        assert ended("import time\ntime.sleep(600)", wall_s=1) == "timed_out"
        assert ended("x = bytes(1 << 40)") == "out_of_memory"
        assert ended("while True:\n    print('x' * 1000)") == "output_too_big"

    def test_its_children_end_with_it(self):
        name = f"kid{os.getpid()}"
        program = f"{NAMED}\nif os.fork() == 0:\n    call_myself({name!r})\n    time.sleep(600)\n"
        assert run_python(program, unsafe=True).ended == "exited"
        assert soon(lambda: not processes_called(name))  # they are killed, not waited for
