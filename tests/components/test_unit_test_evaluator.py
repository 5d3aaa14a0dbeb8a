import math
from functools import partial

import pytest
from playing import MESSAGES, candidate, completion, failed, play

from archon.components import Context, State
from archon.components.state import UnitTest
from archon.components.unit_test_evaluator import UnitTestEvaluator, programs
from archon.engines.base import Sampling
from archon.messages import Message
from archon.tasks import FreeTask, sandbox
from archon.tasks.sandbox import Verdict
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


def run(texts, passes, tests=ADD, **settings):
    return play(
        UnitTestEvaluator(**settings), list(map(candidate, texts)), unit_tests=tests, passes=passes
    )


def test_programs_are_ranked_by_the_scripts_they_pass():
    right, doubled, raising = code("return a + b"), code("return a * 2"), code("return a / 0")
    passes = partial(sandbox.passes, unsafe=True)  # nothing here needs a sandbox
    played = run([raising, doubled, right], passes)
    assert played.texts == [right, doubled, raising]
    assert [one.score for one in played.candidates] == [1.0, pytest.approx(1 / 3), 0.0]
    assert played.requests == []
    assert played.counts.pop("unit_test_evaluator.sandbox_cpu_ms") > 0
    assert played.counts == {"unit_test_evaluator.sandbox_runs": 9}


class Runs:
    """Passes programs that say so, and records what it is asked to run."""

    def __init__(self):
        self.made = []

    def __call__(self, forms, test, function):
        self.made.append((forms, test, function))
        passed = "right" in forms[0]
        return Verdict("passed" if passed else "failed", "", seconds=0.5, cpu_s=0.25)


def test_each_program_is_put_to_each_script_once():
    runs = Runs()
    right, wrong = code("return 'right'"), code("return 'no'")
    played = run([wrong, right, wrong], runs, tests=[*ADD[:2], *TWO], top_k=2)
    assert played.texts == [right, wrong]
    assert [(test, function) for _, test, function in runs.made] == [
        (test.text, "add") for test in ADD[:2]
    ] * 2
    assert played.counts == {
        "unit_test_evaluator.sandbox_runs": 4,
        "unit_test_evaluator.sandbox_cpu_ms": 1000,
    }


def test_what_programs_spend_is_noted_for_their_query():
    context = Context(FreeTask(), {}, passes=Runs())
    first = (candidate(code("return 'right'")), candidate(code("return 'no'")))
    for query, candidates in [("q1", first), ("q2", first[:1]), ("q1", first[:1])]:
        steps = UnitTestEvaluator().run(State(query, MESSAGES, candidates, tuple(ADD[:2])), context)
        with pytest.raises(StopIteration):
            next(steps)
    assert context.cpu_s == {"q1": 1.5, "q2": 0.5}


def test_a_reply_without_code_passes_nothing_and_is_not_run():
    runs = Runs()
    played = run(["<think>Hmm", code("return 'right'")], runs)
    assert [one.score for one in played.candidates] == [1.0, 0.0]
    assert len(runs.made) == len(ADD)


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


def test_a_question_in_code_and_its_reply_run():
    question = (
        Message("user", "```python\nfrom math import pi\n\ndef area(r):\n    'Of a circle.'\n```"),
    )
    played = play(
        UnitTestEvaluator(),
        [candidate("return pi * r * r")],
        messages=question,
        unit_tests=[UnitTest("python", "assert 3 < area(1) < 4", "area")],
        passes=partial(sandbox.passes, unsafe=True),
    )
    assert [one.score for one in played.candidates] == [1.0]


def test_a_sandbox_that_is_missing_stops_everything():
    def missing(*_):
        raise LookupError("no bubblewrap")

    with pytest.raises(LookupError):
        run([code("return 1")], missing)


# What it is


def test_a_model_judges_assertions_and_without_one_scripts_run():
    assert UnitTestEvaluator(model="m").reads_tests == "assertions"
    assert UnitTestEvaluator().reads_tests == "python"
    assert UnitTestEvaluator().model_aliases() == ()


def test_without_candidates_nobody_is_asked():
    assert judge([], []).requests == []


def test_all_stay_unless_told_otherwise():
    assert UnitTestEvaluator().most_candidates(7) == 7
    assert [UnitTestEvaluator(top_k=3).most_candidates(n) for n in (2, 9)] == [2, 3]
