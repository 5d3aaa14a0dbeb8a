"""``archon energy``, as people and scripts run it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from archon.errors import UsageError

ROOT = Path(__file__).parents[2]
# A test run started in the background of a shell ignores SIGINT, and so would the command.
PROGRAM = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from archon.cli import main; sys.exit(main(sys.argv[1:]))"
)


def start(*arguments, library=None, session=True, **options):
    """Start ``archon energy`` as a process, by default away from the terminal of the test run."""
    environ = {name: text for name, text in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    path = {} if library is None else {"LD_LIBRARY_PATH": str(library)}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "energy", *map(str, arguments)],
        env=environ | {"PYTHONPATH": str(ROOT)} | path | options.pop("environ", {}),
        start_new_session=session,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options,
    )


def names(result):
    return [domain["name"] for domain in result["domains"]]


SETTINGS = {
    "20 ms ticks": {"FAKE_NVML_TICK_S": "0.02"},
    "100 ms ticks": {"FAKE_NVML_TICK_S": "0.1"},
    "no counter": {"FAKE_NVML_NO_COUNTER": "1"},
    "30 s": {"FAKE_NVML_TICK_S": "0.1"},
}


@pytest.fixture(scope="module")
def windows(build_fake_nvml):
    """Windows of 100 W, all at once; the last one is waited for at the end of this file."""
    library = build_fake_nvml()
    started = {
        name: start(
            *("--json", "--seconds", 30 if name == "30 s" else 3),
            library=library,
            environ=settings,
        )
        for name, settings in SETTINGS.items()
    }
    yield started
    for process in started.values():
        process.kill()
        process.communicate()


def gpu_of(process):
    """Wait for a window; returns its seconds and its GPU, all else checked."""
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    result = json.loads(out)
    gpu = result["domains"][0]
    assert (gpu["kind"], gpu["valid"], gpu["reason"]) == ("gpu", True, None)
    assert gpu["mean_watts"] == pytest.approx(gpu["joules"] / result["seconds"])
    assert (result["total_joules"], result["flags"]) == (gpu["joules"], [])
    return result["seconds"], gpu


@pytest.mark.parametrize("name", ["20 ms ticks", "100 ms ticks"])
def test_counted_joules_are_right_to_a_hundredth_or_the_stated_bound(windows, name):
    seconds, gpu = gpu_of(windows[name])
    assert seconds == pytest.approx(3, abs=1)
    assert gpu["method"] == "counter"
    assert gpu["error_j"] == pytest.approx(300 * gpu["tick_s"])
    bound = max(0.01 * 100 * seconds, gpu["error_j"])
    assert gpu["joules"] == pytest.approx(100 * seconds, abs=bound)


def test_polled_joules_are_right_to_a_fiftieth(windows):
    seconds, gpu = gpu_of(windows["no counter"])
    assert gpu["method"] == "polled"
    assert gpu["joules"] == pytest.approx(100 * seconds, rel=0.02)


def test_cases_on_a_stand_in_library(build_fake_nvml):
    # a process of its own, because the binding keeps the library it first loaded
    path = Path(__file__).with_name("energy_command_cases.py")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(path)],
        env=os.environ | {"LD_LIBRARY_PATH": str(build_fake_nvml())},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


class TestRapl:
    """Two sockets, each with package, core, uncore and dram; psys and a second way in beside."""

    ZONES = ("intel-rapl:0", "intel-rapl:1", "intel-rapl:0:2", "intel-rapl:1:2")
    NAMES = ("cpu:0", "cpu:1", "dram:0", "dram:1")

    @pytest.fixture
    def spending(self, powercap, metered, monkeypatch):
        """Meter a command that turns every counter of the tree by 30 J."""
        monkeypatch.setenv("ARCHON_POWERCAP", str(powercap.root))

        def run(*arguments):
            turns = ["sleep 0.1"]
            for zone in powercap.root.glob("*:*"):
                try:
                    turned = (powercap.energy_uj(zone.name) + 30_000_000) % powercap.range_uj
                except OSError:
                    continue
                turns.append(f"echo {turned} > {powercap.file(zone.name)}")
            return metered("--idle", 0, *arguments, "--", "sh", "-c", "; ".join(turns))

        return run

    def test_packages_and_dram_count_once(self, spending):
        status, result = spending("--meter", "rapl")
        assert status == 0
        assert {d["name"]: d["joules"] for d in result["domains"]} == dict.fromkeys(self.NAMES, 30)
        assert {d["method"] for d in result["domains"]} == {"counter"}
        assert (result["basis"], result["total_joules"]) == ("cpu+dram", 120)

    def test_a_wrap_inside_the_window_is_no_loss(self, powercap, spending):
        powercap.put("intel-rapl:1", powercap.range_uj - 12_000_000)
        _, result = spending("--meter", "rapl")
        assert [d["joules"] for d in result["domains"]] == pytest.approx([30] * 4)

    def test_a_measured_cpu_is_not_estimated_too(self, spending, monkeypatch):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
        _, result = spending()
        assert sorted(names(result)) == sorted(self.NAMES)

    def test_a_counter_that_cannot_be_read_has_a_reason(self, powercap, spending, monkeypatch):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
        for zone in self.ZONES:
            powercap.file(zone).unlink()
            powercap.file(zone).mkdir()
        status, result = spending("--meter", "rapl")
        assert status == 1
        assert all(d["joules"] is None and d["reason"] for d in result["domains"])
        status, result = spending()
        assert (status, result["basis"]) == (0, "cpu+dram estimated")
        assert all(d["reason"] for d in result["domains"] if d["name"] in self.NAMES)
        assert any("left out: cpu:0" in flag for flag in result["flags"])


def test_one_object_with_everything_in_it(metered):
    status, result = metered("--meter", "estimated", "--seconds", 0.3)
    assert status == 0
    assert set(result) == {"seconds", "total_joules", "net_joules", "basis", "domains", "flags"}
    for domain in result["domains"]:
        assert set(domain) == {
            *("name", "kind", "method", "valid", "reason", "counted", "tick_s"),
            *("joules", "net_joules", "error_j", "mean_watts", "peak_watts", "idle_watts"),
            *("temperature_c", "others"),
        }
        assert (domain["idle_watts"], domain["net_joules"]) == (None, None)
    assert result["total_joules"] == pytest.approx(sum(d["joules"] for d in result["domains"]))
    assert result["basis"] == "cpu+dram estimated"


def test_a_short_window_says_so(metered):
    _, result = metered("--meter", "estimated", "--seconds", 0.02)
    assert [flag.partition(":")[0] for flag in result["flags"]] == ["short"]


def test_a_machine_without_any_meter_is_a_failure(energy, monkeypatch):
    def nothing(_):
        raise UsageError("auto is not available here: no such thing")

    monkeypatch.setattr("archon.energy.command.open_meter", nothing)
    status, out, err = energy("--json")
    assert status == 1
    assert (json.loads(out)["domains"], json.loads(out)["total_joules"]) == ([], None)
    assert err == "archon energy: auto is not available here: no such thing\n"


def test_people_get_a_table_that_says_estimated(energy):
    status, out, err = energy("--meter", "estimated", "--seconds", 0.2, "--idle", 0.2)
    assert (status, err) == (0, "")
    title, *_ = out.splitlines()
    assert "(energy: cpu+dram estimated)" in title
    assert "idle W" in out
    assert "cpu:all" in out


def test_no_driver_is_said_and_no_domain(energy, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    _, out, _ = energy("--seconds", 0.1)
    assert "gpu:" not in out
    assert "no GPU: no NVIDIA" in out


def test_the_streams_and_the_status_of_a_command_are_its_own():
    script = "read word; echo $word; echo careful >&2; exit 3"
    process = start("--meter", "estimated", "--idle", 0, "--", "sh", "-c", script, stdin=-1)
    out, err = process.communicate("hello\n", timeout=60)
    assert (process.returncode, out) == (3, "hello\n")
    assert err.startswith("careful\n")
    assert "cpu:all" in err


def test_json_of_a_command_is_the_last_line(energy):
    status, out, err = energy("--meter", "estimated", "--idle", 0, "--json", "--", "echo", "--x")
    first, last = out.splitlines()
    assert (status, first, err) == (0, "--x", "")
    result = json.loads(last)
    assert (result["command"], result["exit_status"]) == (["echo", "--x"], 0)


def test_json_goes_to_a_file_if_one_is_named(energy, tmp_path):
    file = tmp_path / "joules.json"
    arguments = ["--meter", "estimated", "--idle", 0, "-o", file, "--", "echo", "hello"]
    assert energy("--json", *arguments) == (0, "hello\n", "")
    assert json.loads(file.read_text())["total_joules"] > 0
    _, out, err = energy(*arguments)
    assert out == "hello\n"
    assert "cpu:all" in err


def test_before_a_command_the_idle_machine_is_measured(metered):
    began = time.monotonic()
    _, result = metered("--meter", "estimated", "--", "true")
    assert time.monotonic() - began > 3
    assert all(domain["idle_watts"] > 0 for domain in result["domains"])
    assert result["net_joules"] is not None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seconds", "0"], "give more than 0"),
        (["--seconds", "-1"], "not a length of time"),
        (["--seconds", "nan"], "not a length of time"),
        (["--seconds", "inf"], "not a length of time"),
        (["--seconds", "soon"], "not a length of time"),
        (["--idle", "-1"], "not a length of time"),
        (["--seconds", "1", "--", "true"], "give one of the two"),
        (["--", "no-such-program"], "command not found or not executable: no-such-program"),
        (["--meter", "solar"], "'solar' is unknown"),
        (["--basis", "colour"], "energy basis 'colour'"),
        (["-o", "/no/such/folder/x"], "no file can be written there"),
        (["-o", "/"], "no file can be written there"),
    ],
)
def test_bad_input_is_one_line(energy, arguments, message):
    status, out, err = energy(*arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_a_file_that_no_system_runs_is_bad_input(energy, tmp_path):
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF")
    broken.chmod(0o755)
    status, _, err = energy("--meter", "estimated", "--idle", 0, "--", broken)
    assert status == 2
    assert "cannot be run: Exec format error" in err


WAITS = """
import signal, sys, time
def count(number, _):
    print(f"got {number}", flush=True)
    counted.append(number)
counted = []
signal.signal(signal.SIGINT, count)
signal.signal(signal.SIGTERM, count)
print("ready", flush=True)
while not counted:
    time.sleep(0.01)
time.sleep(0.5)
sys.exit(len(counted) + 6)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_goes_to_the_command_and_the_numbers_are_kept(number):
    process = start(
        *("--meter", "estimated", "--idle", 0, "--json", "--", sys.executable, "-c", WAITS)
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    told, result = out.splitlines()
    assert (told, err) == (f"got {number}", "")
    assert process.returncode == json.loads(result)["exit_status"] == 7
    assert json.loads(result)["total_joules"] > 0


def test_a_command_ended_by_a_signal_has_the_shells_status(energy):
    status, _, _ = energy("--meter", "estimated", "--idle", 0, "--", "sh", "-c", "kill -9 $$")
    assert status == 128 + 9


class Terminal:
    """``archon energy`` in the foreground of a terminal of its own."""

    def __init__(self, *arguments):
        self.master, slave = os.openpty()
        self.process = start(
            *("--meter", "estimated", *arguments),
            session=False,
            preexec_fn=lambda: os.login_tty(slave),
            environ={"TERM": "xterm", "COLUMNS": "100", "LINES": "30"},
        )
        os.close(slave)
        self.seen = ""

    def until(self, text=None):
        """Read until a text shows, or to the end."""
        while text is None or text not in self.seen:
            try:
                chunk = os.read(self.master, 4096)
            except OSError:  # Linux tells the end of a terminal so
                break
            if not chunk:
                break
            self.seen += chunk.decode()
        return self.seen

    def press_ctrl_c(self):
        os.write(self.master, b"\x03")

    def close(self):
        self.process.kill()
        self.process.communicate()
        os.close(self.master)


@pytest.fixture
def terminal():
    opened = []

    def open_(*arguments):
        opened.append(Terminal(*arguments))
        return opened[-1]

    yield open_
    for each in opened:
        each.close()


def test_ctrl_c_reaches_a_command_once(terminal):
    metering = terminal("--idle", 0, "--", sys.executable, "-c", WAITS)
    metering.until("ready")
    metering.press_ctrl_c()
    seen = metering.until()
    assert metering.process.wait(60) == 7, seen
    assert seen.count("got 2") == 1
    assert "cpu:all" in seen


def test_a_terminal_shows_the_window_live(terminal):
    watching = terminal("--seconds", 1.0)
    seen = watching.until()
    assert watching.process.wait(60) == 0
    frames = seen.count("s left")
    assert 3 <= frames <= 12
    assert "energy: cpu+dram estimated" in seen[seen.rindex("s left") :]


def test_ctrl_c_cuts_a_window_short(terminal):
    watching = terminal("--seconds", 1000)
    watching.until("999")
    watching.press_ctrl_c()
    seen = watching.until()
    assert watching.process.wait(60) == 130, seen
    assert "interrupted" in seen
    assert "energy: cpu+dram estimated" in seen


def test_counted_joules_of_30_s_are_right_to_a_hundredth(windows):
    seconds, gpu = gpu_of(windows["30 s"])
    assert seconds == pytest.approx(30, abs=1)
    assert gpu["joules"] == pytest.approx(100 * seconds, rel=0.01)
