"""``archon profile``: a server's profile ends up in a folder, and every wrong input is a line."""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from archon.cli import main
from archon.engines.client import RetryPolicy
from archon.profile import figures, load_profile
from archon.search import calibration_windows

LOCAL = "http://127.0.0.1:9/v1"


class Adder(BaseHTTPRequestHandler):
    """An OpenAI-compatible server that adds, or lists numbers."""

    protocol_version = "HTTP/1.1"
    refuses = False

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        text = body["messages"][-1]["content"]
        said, tokens = "1 " * body["max_tokens"], body["max_tokens"]
        if "+" in text:
            said, tokens = str(sum(map(int, re.findall(r"\d+", text)[:2]))), 3
        reply: dict[str, Any] = {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {"role": "assistant", "content": said},
                }
            ],
            "usage": {
                "prompt_tokens": len(text.split()),
                "completion_tokens": tokens,
                "total_tokens": 0,
            },
        }
        if self.refuses:
            reply = {"error": {"message": "not today"}}
        content = json.dumps(reply).encode()
        self.send_response(500 if self.refuses else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Says nothing when a client hangs up on it."""

    def handle_error(self, *_: object) -> None:
        pass


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(RetryPolicy, "wait_s", lambda *_: 0.0)
    monkeypatch.setattr(calibration_windows, "MIN_WINDOW_S", 0.02)  # real windows, but short ones
    monkeypatch.setattr(calibration_windows, "MIN_TICKS", 1)
    server = Server(("127.0.0.1", 0), Adder)
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task file and its description in the working directory."""
    monkeypatch.chdir(tmp_path)
    lines = [{"prompt": f"What is {n} + 1 ?", "answer": n + 1} for n in range(6)]
    Path("sums.jsonl").write_text("\n".join(map(json.dumps, lines)))
    sizes = {"fit": 0, "select": 6, "test": 0}
    data = {"source": "jsonl", "path": "sums.jsonl", "scorer": "numeric", "sizes": sizes}
    Path("sums.yaml").write_text(yaml.safe_dump(data))
    Path("nothing.yaml").write_text(
        yaml.safe_dump(data | {"sizes": {"fit": 1, "select": 0, "test": 0}})
    )
    Path("broken.yaml").write_text("source: [jsonl")


def profile(*arguments: str) -> int:
    return main(
        ["profile", *arguments, "--task", "sums.yaml", "--idle", "0.05", "--meter", "estimated"]
    )


def refused(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 2) -> str:
    """Run a command that fails; return the one line it said."""
    assert main(["profile", *arguments, "--quiet"]) == status
    out, said = capsys.readouterr()
    assert out == ""
    (line,) = said.splitlines()
    assert line.startswith("archon profile: ")
    return line


def test_a_servers_profile_is_a_folder_and_a_table(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--concurrency", "2,1,2", "--repeats", "2", "--rate", "0.5", "--style", "plain"]
    assert profile(f"{url}#My/Adder", *options, "--queries", "5", "-o", "mine") == 0
    out, said = capsys.readouterr()
    assert "My-Adder" in out
    assert out.split()[-3:] == [f"mine/profile.{kind}" for kind in ("json", "csv", "html")]
    assert "energy: cpu+dram estimated" in said
    assert "J spent" in said
    assert max(map(len, out.splitlines())) <= 100

    made = load_profile(Path("mine"))
    model = made.models["My-Adder"]
    assert tuple(model.loads) == (1, 2)
    assert dict(model.engine) == {
        "identity": json.dumps({"base_url": url, "model": "My/Adder"}, separators=(",", ":")),
        "engine": url,
        "model": "My/Adder",
    }
    assert (made.task, made.rate) == ("sums.jsonl, 5 queries", 0.5)
    for load in (1, 2):
        shown = figures(made, "My-Adder", load)
        assert shown.metrics.accuracy == 1.0
        assert (shown.metrics.energy_j or 0) > 0
        assert len(model.loads[load].counted) == 2
    drawn = Path("mine/profile.html").read_text()
    assert "My-Adder" in drawn

    before = Path("mine/profile.json").read_bytes()
    Path("mine/profile.html").unlink()
    assert main(["report", "mine"]) == 0
    assert capsys.readouterr().out.strip() == "mine/profile.html"
    assert Path("mine/profile.html").read_text() == drawn
    assert Path("mine/profile.json").read_bytes() == before

    again = refused(capsys, f"{url}#My/Adder", "--task", "sums.yaml", "-o", "mine")
    assert "mine holds a profile already; name another folder with -o" in again
    assert Path("mine/profile.json").read_bytes() == before


def test_json_is_the_file(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Without -o it is put under outputs/profiles."""
    assert profile(f"{url}#adder", "--concurrency", "2", "--repeats", "1", "--json") == 0
    (file,) = Path("outputs/profiles").glob("*/profile.json")
    assert json.loads(capsys.readouterr().out) == json.loads(file.read_text())


def test_a_server_that_refuses_everything_is_one_line_and_status_1(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Adder, "refuses", True)
    line = refused(capsys, f"{url}#adder", "--meter", "estimated", "--idle", "0.05", status=1)
    assert "500" in line


def test_a_server_that_is_not_there_is_one_line_and_status_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RetryPolicy, "wait_s", lambda *_: 0.0)
    line = refused(capsys, f"{LOCAL}#adder", "--meter", "estimated", "--idle", "0.05", status=1)
    assert LOCAL in line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["smollm2-135"], "did you mean smollm2-135m?"),
        ([LOCAL], "or URL#NAME such as"),
        ([f"{LOCAL}#"], "or URL#NAME such as"),
        ([f"{LOCAL}#/"], "or URL#NAME such as"),
        (["ftp://127.0.0.1/v1#m"], "or URL#NAME such as"),
        (["smollm2-135m#x"], "or URL#NAME such as"),
        (["https://api.example.com/v1#m"], "is another machine"),
        (["http://[::1/v1#m"], "is no address"),
        ([f"{LOCAL}#m", "http://127.0.0.1:8/v1#m"], "m is named already"),
        ([f"{LOCAL}#m", "--concurrency", "0"], "--concurrency: '0' is not a list"),
        ([f"{LOCAL}#m", "--concurrency", "x"], "--concurrency: 'x' is not a list"),
        ([f"{LOCAL}#m", "--concurrency", "1,,4"], "--concurrency: '1,,4' is not a list"),
        ([f"{LOCAL}#m", "--concurrency", "-1"], "--concurrency: '-1' is not a list"),
        ([f"{LOCAL}#m", "--repeats", "0"], "--repeats: at least 1"),
        ([f"{LOCAL}#m", "--max-tokens", "0"], "--max-tokens: at least 1"),
        ([f"{LOCAL}#m", "--queries", "0"], "--queries: at least 1"),
        ([f"{LOCAL}#m", "--rate", "0"], "--rate: a positive number"),
        ([f"{LOCAL}#m", "--idle", "nan"], "--idle: a positive number"),
        ([f"{LOCAL}#m", "--task", "small_sum"], "no such task; packaged: "),
        ([f"{LOCAL}#m", "--task", "none.yaml"], "no such task"),
        ([f"{LOCAL}#m", "--task", "broken.yaml"], "broken.yaml: not YAML"),
        ([f"{LOCAL}#m", "--task", "nothing.yaml"], "sizes.select is 0"),
        ([f"{LOCAL}#m", "--meter", "moon"], "energy.meter: 'moon' is unknown"),
        ([f"{LOCAL}#m", "--meter", "estimated", "--basis", "gpu"], "energy basis 'gpu'"),
        (["m", "--zoo", "/no/such/folder"], "/no/such/folder"),
        ([f"{LOCAL}#m", "-o", "sums.yaml"], "sums.yaml: cannot write here"),
    ],
)
def test_bad_input_is_one_line_status_2_and_writes_nothing(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    before = sorted(Path().rglob("*"))
    assert said in refused(capsys, *arguments)
    assert sorted(Path().rglob("*")) == before


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["profile", "--help"])
    assert caught.value.code == 0
    assert "archon profile smollm2-135m qwen2.5-coder-0.5b" in capsys.readouterr().out
