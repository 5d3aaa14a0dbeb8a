"""Programs as calls: put to their tests in the real sandbox, without holding anything up."""

import asyncio
import json
import os
import threading

import pytest

from archon.engines.base import Completion
from archon.engines.programs import (
    SandboxEngine,
    program_request,
    read_verdict,
    sandbox_identity,
)
from archon.errors import UsageError
from archon.tasks import sandbox
from archon.tasks.sandbox import Verdict, require_sandbox

ADD = "def add(a, b):\n    return a + b"


async def put_to(engine: SandboxEngine, forms: list[str], test: str) -> Completion:
    request = program_request(forms, test, "add", engine.identity)
    return await engine.complete(request.messages, request.sampling, 1, "salt")


@pytest.mark.parametrize(
    ("forms", "test", "outcome"),
    [
        ([ADD], "assert add(1, 2) == 3", "passed"),
        ([ADD], "assert add(1, 2) == 4", "failed"),
        (["def add(a, b", ADD], "assert add(1, 2) == 3", "passed"),
        (["import os\nos._exit(0)"], "add(1, 2)", "failed"),
    ],
)
def test_a_verdict_comes_back_as_json_with_what_the_run_took(
    forms: list[str], test: str, outcome: str
) -> None:
    call = asyncio.run(put_to(SandboxEngine(), forms, test))
    assert json.loads(call.text)["outcome"] == outcome
    assert read_verdict(call) == (outcome == "passed")
    assert (call.finish_reason, call.prompt_tokens, call.completion_tokens) == ("stop", 0, 0)
    assert (call.cpu_s or 0) > 0
    assert call.latency_s > 0


NO_VERDICTS = [
    *("", "passed", "[]", '{"outcome": "passed"}', '{"outcome": "fine", "reason": ""}'),
    '{"outcome": "passed", "reason": "", "more": 1}',
]


@pytest.mark.parametrize("text", NO_VERDICTS)
def test_what_is_no_verdict_is_none(text: str) -> None:
    assert read_verdict(Completion(text, "stop", 0, 0)) is None
    assert read_verdict(Completion(text, "error", 0, 0, error="gone")) is None


def test_a_run_is_known_by_program_test_function_and_what_decides() -> None:
    here, elsewhere = sandbox_identity(), sandbox_identity(unsafe=True)
    keys = {
        program_request(*run).key
        for run in [
            ([ADD], "t", "add", here),
            ([ADD], "t", "add", elsewhere),
            ([ADD, ADD], "t", "add", here),
            ([ADD], "u", "add", here),
            ([ADD], "t", "sub", here),
        ]
    }
    assert len(keys) == 5
    assert program_request([ADD], "t", "add", here).key in keys


def test_as_many_run_at_once_as_there_are_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    lock, running, most = threading.Lock(), 0, 0
    cores = len(os.sched_getaffinity(0))
    together = threading.Barrier(cores)

    def passes(*_: object, **__: object) -> Verdict:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(20)
        with lock:
            running -= 1
        return Verdict("passed", "", 0.0, 0.0)

    monkeypatch.setattr(sandbox, "passes", passes)

    async def run() -> None:
        engine = SandboxEngine()
        await asyncio.gather(*(put_to(engine, [ADD], "t") for _ in range(3 * cores)))

    asyncio.run(run())
    assert most == cores


def test_where_there_is_no_sandbox_that_is_told_unless_none_is_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    require_sandbox.cache_clear()
    with pytest.raises(UsageError, match=r"apt install bubblewrap.*--unsafe-code"):
        SandboxEngine().require()
    with pytest.raises(UsageError, match="apt install bubblewrap"):
        asyncio.run(put_to(SandboxEngine(), [ADD], "t"))
    unsafe = SandboxEngine(unsafe=True)
    unsafe.require()
    assert read_verdict(asyncio.run(put_to(unsafe, [ADD], "assert add(1, 2) == 3")))
