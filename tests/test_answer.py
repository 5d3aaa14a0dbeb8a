"""One question, answered, with the account of its calls."""

import asyncio
import json

import pytest

from archon.answer import answer_one
from archon.energy import Domain, Meter, Reading, Recorder, choose_basis
from archon.engines.base import Completion
from archon.engines.programs import SandboxEngine
from archon.engines.scripted import ScriptedEngine
from archon.errors import EngineError
from archon.messages import Message
from archon.spec import parse_spec
from archon.tasks import FreeTask, Query

MODELS = {"small": {"zoo": "small"}, "judge": {"zoo": "judge"}}
TWO_AND_A_RANKER = [
    [{"type": "generator", "model": "small", "samples": 2}],
    [{"type": "ranker", "model": "judge", "top_k": 2}],
]
QUESTION = Query("question", (Message("user", "What is 12 + 31?"),), None)


class Steady(Meter):
    """12 J more at each reading, or nothing to be had."""

    def __init__(self, broken=False):
        self._broken = broken
        self._joules = 0.0

    @property
    def domains(self):
        return (Domain("cpu:0", "cpu", "estimated", 1e-9),)

    def read(self):
        self._joules += 12.0
        return {"cpu:0": Reading(None, "gone") if self._broken else Reading(self._joules)}


class Clock:
    """A second passes from one look at the meter to the next, each between two looks at it."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 0.5
        return self.now


def small(*_):
    texts = {0: "It is 43.0", 1: "It is 44"}
    index = small.calls = small.calls + 1
    return Completion(
        texts[index % 2],
        "stop",
        20,
        6,
        cached_tokens=16,
        ttft_s=0.5,
        latency_s=1.0 + index % 2,
        attempts=1 + index % 2,
    )


def ranks(*_):
    return Completion("[2] > [1]", "stop", 70, 4, latency_s=3.0)


def ask(layers=TWO_AND_A_RANKER, *, broken=False, scripts=None, **options):
    small.calls = -1
    spec = parse_spec(json.dumps({"models": MODELS, "layers": layers, "name": "try"}), "spec")
    scripts = scripts or {"small": small, "judge": ranks}
    meter = Steady(broken)
    recorder = Recorder(
        meter, choose_basis(meter.domains), clock=Clock(), check_every_s=1e9, own_pids=None
    )
    with asyncio.Runner() as runner:
        return answer_one(
            spec,
            QUESTION,
            FreeTask(),
            engines={
                alias: ScriptedEngine(f"identity of {alias}", script)
                for alias, script in scripts.items()
            },
            recorder=recorder,
            runner=runner,
            concurrency=4,
            **options,
        )


def test_the_answer_is_the_first_candidates():
    answer = ask()
    assert answer.answer == "44"
    assert answer.p_correct is None
    assert answer.candidates == [
        {"text": "It is 44", "answer": "44", "score": None, "model": "small"},
        {"text": "It is 43.0", "answer": "43.0", "score": None, "model": "small"},
    ]


def test_every_call_is_accounted_for():
    calls = ask().calls
    assert [(call.component, call.model) for call in calls] == [
        ("generator", "small"),
        ("generator", "small"),
        ("ranker", "judge"),
    ]
    first, second, ranker = calls
    assert (first.prompt_tokens, first.cached_tokens, first.completion_tokens) == (20, 16, 6)
    assert (first.ttft_s, first.latency_s, first.attempts) == (0.5, 1.0, 1)
    assert (second.latency_s, second.attempts) == (2.0, 2)
    assert (ranker.cached_tokens, ranker.ttft_s, ranker.error) == (None, None, None)


def test_the_windows_joules_are_shared_out_by_time_in_the_server():
    answer = ask()
    assert (answer.energy_j, answer.seconds) == (12.0, 1.0)
    assert [call.energy_j for call in answer.calls] == pytest.approx([2.0, 4.0, 6.0])
    assert (answer.energy_method, answer.basis) == ("estimated", "cpu estimated")


@pytest.mark.parametrize("unknown", [{"broken": True}, {"metered": False}])
def test_joules_that_were_not_measured_are_none(unknown):
    answer = ask(**unknown)
    assert answer.answer == "44"
    assert answer.energy_j is None
    assert [call.energy_j for call in answer.calls] == [None] * 3


def test_a_judged_answer_has_a_probability():
    def says_yes(*_):
        return Completion("Yes", "stop", 9, 1, top_logprobs=((("Yes", -0.0),),))

    layers = [TWO_AND_A_RANKER[0], [{"type": "verifier", "model": "judge"}]]
    assert ask(layers, scripts={"small": small, "judge": says_yes}).p_correct == 1.0


def test_without_a_stated_answer_the_text_is_the_answer():
    scripts = {"small": lambda *_: "<think>I wonder", "judge": ranks}
    assert ask([TWO_AND_A_RANKER[0]], scripts=scripts).answer == "<think>I wonder"


def test_without_a_candidate_there_is_no_answer_but_an_account():
    failed = Completion("", "error", 0, 0, attempts=4, error="HTTP 500: overflow")
    answer = ask(scripts={"small": lambda *_: failed, "judge": ranks})
    assert (answer.answer, answer.p_correct, answer.candidates) == (None, None, [])
    assert [(call.error, call.attempts) for call in answer.calls] == [("HTTP 500: overflow", 4)] * 2
    assert [call.energy_j for call in answer.calls] == [6.0, 6.0]
    assert answer.counts == {"generation.failed": 2}


def test_a_dead_server_is_an_error():
    def gone(*_):
        raise EngineError("small does not answer")

    with pytest.raises(EngineError, match="small does not answer"):
        ask(scripts={"small": gone, "judge": ranks})


def test_a_program_that_is_run_is_a_call_of_the_sandbox():
    def writes(messages, *_):
        if "tests of the Python function" in messages[-1].content:
            return '{"function": "f", "tests": ["assert f() == 43"]}'
        return "```python\ndef f():\n    return 43\n```"

    layers = [
        [{"type": "unit_test_generator", "model": "small", "kind": "python"}],
        [{"type": "generator", "model": "small"}],
        [{"type": "unit_test_evaluator"}],
    ]
    programs = SandboxEngine(unsafe=True)  # nothing here needs a sandbox
    answer = ask(layers, scripts={"small": writes}, programs=programs)
    *_, run = answer.calls
    assert answer.p_correct == 1.0
    assert (run.component, run.model, run.error) == ("unit_test_evaluator", "sandbox", None)
    assert run.energy_j == pytest.approx(12.0)  # the scripted models took no time


def test_the_json_has_what_the_format_says():
    answer = json.loads(json.dumps(ask().to_json()))
    assert answer.keys() == {
        "answer",
        "p_correct",
        "calibrated",
        "candidates",
        "calls",
        "energy_j",
        "energy_method",
        "basis",
        "seconds",
        "counts",
    }
    assert answer["candidates"][0].keys() == {"text", "answer", "score", "model"}
    assert answer["calls"][0].keys() >= {
        "component",
        "model",
        "prompt_tokens",
        "cached_tokens",
        "completion_tokens",
        "ttft_s",
        "latency_s",
        "attempts",
        "energy_j",
    }
