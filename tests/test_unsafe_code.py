"""Programs without a sandbox: every command refuses before anything starts, unless told not to."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from archon.cli import main
from archon.engines.client import RetryPolicy
from archon.search.command import search_command
from archon.tasks.sandbox import require_sandbox

NOBODY = "http://127.0.0.1:9/v1"
Command = Callable[..., int]


@pytest.fixture(autouse=True)
def _no_sandbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(RetryPolicy, "wait_s", lambda *_: 0.0)
    monkeypatch.chdir(tmp_path)
    require_sandbox.cache_clear()
    yield
    require_sandbox.cache_clear()


def run(*options: str) -> int:
    layers = [
        [{"type": "unit_test_generator", "model": "m", "kind": "python"}],
        [{"type": "generator", "model": "m"}],
        [{"type": "unit_test_evaluator"}],
    ]
    spec = {"models": {"m": {"base_url": NOBODY, "model": "coder"}}, "layers": layers}
    Path("spec.yaml").write_text(yaml.safe_dump(spec))
    return main(["run", "spec.yaml", "Write f.", *options])


def search(*options: str) -> int:
    Path("zoo").mkdir(exist_ok=True)
    Path("zoo/coder.yaml").write_text(yaml.safe_dump({"name": "coder", "base_url": NOBODY}))
    study = {
        "study": {"name": "programs", "dir": "out"},
        "task": {"source": "human_eval", "sizes": {"fit": 0, "select": 8, "test": 8}},
        "models": ["coder"],
        "zoo": ["zoo"],
        "space": "single",
    }
    Path("study.yaml").write_text(yaml.safe_dump(study))
    return search_command(["conf=study.yaml", "--quiet", *options])


def profile(*options: str) -> int:
    return main(["profile", f"{NOBODY}#coder", "--task", "human_eval", "--quiet", *options])


@pytest.mark.parametrize("command", [run, search, profile])
def test_it_is_refused_in_one_line_and_goes_on_only_if_told(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command() == 2
    refusal = capsys.readouterr().err.splitlines()[-1]
    assert "apt install bubblewrap" in refusal
    assert "--unsafe-code" in refusal
    assert command("--unsafe-code") == 1  # it gets as far as the model, which nobody serves
    said = capsys.readouterr().err
    assert "does not answer" in said
    assert "bubblewrap" not in said
