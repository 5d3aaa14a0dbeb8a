import asyncio
import math

import pytest
from playing import MESSAGES, candidate, completion, converse, failed, play

from archon.components import State
from archon.components.state import UnitTest
from archon.components.unit_test_evaluator import UnitTestEvaluator, programs
from archon.engines.base import Completion, Sampling
from archon.engines.programs import SandboxEngine, program_request, sandbox_identity
from archon.messages import Message
from weaver.verifiers.reading import TOP_LOGPROBS

ABC = [candidate(text) for text in "abc"]
TWO = [UnitTest("assertions", "It is a number."), UnitTest("assertions", "It is even.")]


def says(yes):
    tops = (("Yes", math.log(yes)), ("No", math.log1p(-yes)))
    return completion("Yes", top_logprobs=(tops,))


YES, NO = says(0.8), says(0.3)


def judge(candidates, replies, tests=TWO, **settings):
    evaluator = UnitTestEvaluator(model="judge", **settings)
    return play(evaluator, candidates, replies, unit_tests=tests)


# Assertions


def test_candidates_leave_in_the_order_of_the_tests_they_pass():
    played = judge(ABC, [NO, NO, YES, YES, NO, YES])
    assert played.texts == ["b", "c", "a"]
    assert [one.score for one in played.candidates] == [1.0, 0.5, 0.0]
    assert played.counts == {}
    assert judge(ABC, [NO, NO, YES, YES, NO, YES], top_k=1).texts == ["b"]


def test_ties_go_to_the_higher_score_then_to_the_first():
    scored = [candidate("a"), candidate("b", score=0.1), candidate("c", score=0.6), candidate("d")]
    played = judge(scored, [YES] * 4, tests=TWO[:1])
    assert played.texts == ["c", "b", "a", "d"]
    assert {one.score for one in played.candidates} == {1.0}


def test_each_text_is_judged_by_each_test_in_one_token():
    played = judge([candidate(text) for text in "aba"], [YES, NO, YES, YES])
    assert played.texts == ["b", "a", "a"]
    assert {request.sampling for request in played.requests} == {
        Sampling(0.0, 1, top_logprobs=TOP_LOGPROBS)
    }
    assert [request.messages[-1].content for request in played.requests] == [
        f"What is 2 + 2?\n\nProposed reply:\n\n{text}\n\nStatement: {test.text}\n\n"
        "Is the statement true of the proposed reply? Answer Yes or No."
        for text in "ab"
        for test in TWO
    ]
    assert {request.messages[0] for request in played.requests} == {MESSAGES[0]}


@pytest.mark.parametrize("reply", [completion("Yes"), failed()])
def test_a_judgement_that_is_none_is_no_pass_and_is_counted(reply):
    played = judge(ABC[:2], [reply, YES, YES, YES])
    assert played.texts == ["b", "a"]
    assert played.counts == {"unit_test_evaluator.unparsed": 1}


def test_without_tests_candidates_stay_as_they_are_and_the_query_is_counted():
    scored = [candidate("a", score=0.2), candidate("b", score=0.9)]
    scripts = [UnitTest("python", "assert f() == 1", "f")]
    for tests in ([], scripts):
        played = judge(scored, [], tests=tests)
        assert played.candidates == tuple(scored)
        assert played.counts == {"unit_test_evaluator.untested": 1}
    assert judge(scored, [], tests=[], top_k=1).texts == ["a"]


# Python

ADD = [
    UnitTest("python", "assert add(2, 2) == 4", "add"),
    UnitTest("python", "assert add(2, 3) == 5", "add"),
    UnitTest("python", "assert add('a', 'b') == 'ab'", "add"),
]


def code(body):
    return f"Here it is:\n\n```python\ndef add(a, b):\n    {body}\n```\nIt adds."


PASSED = Completion('{"outcome": "passed", "reason": ""}', "stop", 0, 0, cpu_s=0.25)
FAILED = Completion('{"outcome": "failed", "reason": "no"}', "stop", 0, 0, cpu_s=0.25)


def run(texts, verdicts, tests=ADD, **settings):
    evaluator = UnitTestEvaluator(**settings)
    return play(evaluator, list(map(candidate, texts)), verdicts, unit_tests=tests)


def test_programs_are_ranked_by_the_scripts_they_pass():
    right, doubled, raising = code("return a + b"), code("return a * 2"), code("return a / 0")
    engine = SandboxEngine(unsafe=True)  # nothing here needs a sandbox

    def answer(request):
        return [asyncio.run(engine.complete(request.messages, request.sampling, 0, ""))]

    state = State("q1", MESSAGES, tuple(map(candidate, [raising, doubled, right])), tuple(ADD))
    played = converse(UnitTestEvaluator(), state, answer, sandbox=engine.identity)
    assert played.texts == [right, doubled, raising]
    assert [one.score for one in played.candidates] == [1.0, pytest.approx(1 / 3), 0.0]
    assert {request.model for request in played.requests} == {engine.identity}
    assert played.counts.pop("unit_test_evaluator.sandbox_cpu_ms") > 0
    assert played.counts == {"unit_test_evaluator.sandbox_runs": 9}


def test_each_program_is_put_to_each_script_once_all_at_once():
    right, wrong = code("return 'right'"), code("return 'no'")
    verdicts = [FAILED, FAILED, PASSED, PASSED]
    played = run([wrong, right, wrong], verdicts, tests=[*ADD[:2], *TWO], top_k=2)
    assert played.texts == [right, wrong]
    expected = [
        program_request(programs("", text, "add"), test.text, "add", sandbox_identity())
        for text in (wrong, right)
        for test in ADD[:2]
    ]
    assert [one.key for one in played.requests] == [one.key for one in expected]
    assert played.counts == {
        "unit_test_evaluator.sandbox_runs": 4,
        "unit_test_evaluator.sandbox_cpu_ms": 1000,
    }


@pytest.mark.parametrize("ended", [failed(), completion("passed"), completion('{"outcome": 1}')])
def test_a_verdict_that_is_none_is_no_pass_and_is_counted(ended):
    played = run([code("return 1"), code("return 2")], [ended, PASSED], tests=ADD[:1])
    assert [one.score for one in played.candidates] == [1.0, 0.0]
    assert played.counts["unit_test_evaluator.unparsed"] == 1


def test_a_reply_without_code_passes_nothing_and_is_not_run():
    played = run(["<think>Hmm", code("return 'right'")], [PASSED] * len(ADD))
    assert [one.score for one in played.candidates] == [1.0, 0.0]
    assert run(["<think>Hmm"], []).requests == []


def test_a_program_is_the_code_of_the_reply():
    assert programs("Write add.", code("return 1"), "add") == ("def add(a, b):\n    return 1",)
    assert programs("Write add.", "```\nx = 1\n```", "add") == ("x = 1",)
    assert programs("Write add.", "", "add") == ()


def test_what_the_question_shows_of_the_function_is_part_of_the_program():
    question = "Go on:\n\n```python\nfrom math import pi\n\ndef area(r):\n    'Of a circle.'\n```"
    shown = "from math import pi\n\ndef area(r):\n    'Of a circle.'"
    body = programs(question, "    return pi * r * r", "area")
    assert body[0] == f"{shown}\n    return pi * r * r\n"
    whole = programs(question, "def area(r):\n    return pi * r * r", "area")
    assert whole[0] == f"{shown}\n\ndef area(r):\n    return pi * r * r\n"
    assert programs(question, "def other(r):\n    return 1", "other") == (
        "def other(r):\n    return 1",
    )


def test_what_the_question_shows_is_run_with_the_reply():
    shown = "from math import pi\n\ndef area(r):\n    'Of a circle.'"
    question = (Message("user", f"```python\n{shown}\n```"),)
    test = UnitTest("python", "assert 3 < area(1) < 4", "area")
    reply = candidate("return pi * r * r")
    played = play(UnitTestEvaluator(), [reply], [PASSED], messages=question, unit_tests=[test])
    first, *_ = played.requests[0].messages
    assert first == Message("program", f"{shown}\nreturn pi * r * r\n")


# What it is


def test_a_model_judges_assertions_and_without_one_scripts_run():
    assert UnitTestEvaluator(model="m").reads_tests == "assertions"
    assert UnitTestEvaluator().reads_tests == "python"
    assert UnitTestEvaluator().model_aliases() == ()
    assert [UnitTestEvaluator(model=m).runs_programs for m in ("m", None)] == [False, True]


def test_without_candidates_nobody_is_asked():
    assert judge([], []).requests == []


def test_all_stay_unless_told_otherwise():
    assert UnitTestEvaluator().most_candidates(7) == 7
    assert [UnitTestEvaluator(top_k=3).most_candidates(n) for n in (2, 9)] == [2, 3]
