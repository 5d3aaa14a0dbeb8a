"""A run of a program as a call: what is asked of the sandbox, and the engine that answers."""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import cache, partial

from pydantic import BaseModel, ConfigDict

from archon.engines.base import Completion, Engine, Request, Sampling
from archon.messages import Message
from archon.tasks import sandbox
from archon.tasks.sandbox import Limits, Outcome

SANDBOX = "sandbox"
"""What the engine of programs is called where models go by their names."""
_NEUTRAL = Sampling(0.0, 0)


class _Judged(BaseModel):
    """The text of a run; see `archon.tasks.sandbox.Verdict`."""

    model_config = ConfigDict(extra="forbid", strict=True)
    outcome: Outcome
    reason: str


@cache
def sandbox_identity(*, unsafe: bool = False) -> str:
    """Return what decides the verdicts on programs here, in the place of a model's identity."""
    facts = {
        "sandbox": "none" if unsafe else "bubblewrap",
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "limits": asdict(Limits()),
    }
    return json.dumps(facts, sort_keys=True)


def program_request(forms: Sequence[str], test: str, entry_point: str, identity: str) -> Request:
    """Return the request that puts a program to a test; see `archon.tasks.sandbox.passes`.

    Args:
        forms: What may be meant as the program, the likeliest first.
        test: A script that calls the function.
        entry_point: Name of the function.
        identity: Of the engine that is to run it.
    """
    messages = (
        *(Message("program", form) for form in forms),
        Message("test", test),
        Message("function", entry_point),
    )
    return Request(identity, messages, _NEUTRAL)


def read_verdict(completion: Completion) -> bool | None:
    """Return whether a program passed its test; None where that is not told."""
    if not completion.ok:
        return None
    try:
        return _Judged.model_validate_json(completion.text).outcome == "passed"
    except ValueError:
        return None


class SandboxEngine(Engine):
    """Runs programs, at most as many at once as there are processors for this process.

    The text of a completion is the verdict as JSON, ``latency_s`` the wall time of the run and
    ``cpu_s`` its CPU time; it has no tokens. Seeds and salts mean nothing to it.

    Args:
        unsafe: Run programs as plain processes, with limits but with all our rights.
    """

    prefix_block = 0

    def __init__(self, *, unsafe: bool = False) -> None:
        self.identity = sandbox_identity(unsafe=unsafe)
        self._unsafe = unsafe
        self._threads = ThreadPoolExecutor(len(os.sched_getaffinity(0)), "sandbox")

    def require(self) -> None:
        """Check that programs can run here.

        Raises:
            UsageError: The sandbox is missing or does not work.
        """
        if not self._unsafe:
            sandbox.require_sandbox()

    async def complete(
        self,
        messages: tuple[Message, ...],
        sampling: Sampling,  # noqa: ARG002
        seed: int,  # noqa: ARG002
        salt: str,  # noqa: ARG002
    ) -> Completion:
        """Run the program of a `program_request`.

        Raises:
            UsageError: The sandbox is missing or does not work.
        """
        *forms, test, function = (message.content for message in messages)
        run = partial(sandbox.passes, forms, test, function, unsafe=self._unsafe)
        verdict = await asyncio.get_running_loop().run_in_executor(self._threads, run)
        return Completion(
            text=_Judged(outcome=verdict.outcome, reason=verdict.reason).model_dump_json(),
            finish_reason="stop",
            prompt_tokens=0,
            completion_tokens=0,
            latency_s=verdict.seconds,
            cpu_s=verdict.cpu_s,
        )
