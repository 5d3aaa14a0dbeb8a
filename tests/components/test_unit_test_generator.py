import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playing import MESSAGES, candidate, failed, play
from pydantic import ValidationError

from archon.components.state import UnitTest
from archon.components.unit_test_generator import UnitTestGenerator, parse_tests


def write(replies, **settings):
    return play(UnitTestGenerator(model="m", **settings), replies=replies)


def said(*tests, **fields):
    return json.dumps({**fields, "tests": list(tests)})


def sentences(played):
    return [test.text for test in played.candidates]


def test_the_statements_of_a_reply_are_tests():
    played = write([said("It is a number.", " It is even. ")])
    assert played.candidates == (
        UnitTest("assertions", "It is a number."),
        UnitTest("assertions", "It is even."),
    )
    assert played.counts == {}


def test_it_asks_about_the_question_alone_and_for_json():
    played = play(
        UnitTestGenerator(model="m", samples=2, temperature=0.8, tests=3, max_tokens=99),
        [candidate("an earlier reply")],
        [said("x"), said("y")],
    )
    (request,) = played.requests
    assert (request.model, request.samples) == ("identity of m", 2)
    assert (request.sampling.temperature, request.sampling.max_tokens) == (0.8, 99)
    assert request.messages[0] == MESSAGES[0]
    assert played.prompt.startswith("What is 2 + 2?\n\nWrite 3 statements")
    assert "an earlier reply" not in played.prompt
    schema = json.loads(request.sampling.json_schema)
    assert schema["required"] == ["tests"]
    assert schema["properties"]["tests"]["maxItems"] == 3


def test_equal_tests_of_several_samples_are_kept_once():
    played = write([said("x", "y"), said("y", "z", "z")], samples=2, temperature=0.5)
    assert sentences(played) == ["x", "y", "z"]


def test_no_more_tests_are_taken_than_were_asked_for():
    assert sentences(write([said("a", "b", "c")], tests=2)) == ["a", "b"]


def test_a_script_calls_the_function_that_the_reply_names():
    played = write([said("assert add(2, 2) == 4", function="add")], kind="python")
    assert played.candidates == (UnitTest("python", "assert add(2, 2) == 4", "add"),)
    schema = json.loads(played.requests[0].sampling.json_schema)
    assert schema["required"] == ["function", "tests"]
    assert "tests of the Python function" in played.prompt


POINTLESS = [
    *("assert 1 + 1 == 2", "assert address(1)", "# add", "assert True  # add(1, 1)", "'add(1, 1)'"),
    *("x = add", "assert add", "assert mine.add(1, 1) == 2", "assert add(1,"),
    "def add(a, b):\n    return 2\nassert add(1, 1) == 2",
    "add = lambda a, b: 2\nassert add(1, 1) == 2",
    "from operator import add\nassert add(1, 1) == 2",
    "import operator as add\nassert add(1, 1)",
    "class add:\n    pass\nassert add()",
    "for add in (max,):\n    assert add(1, 1)",
    "assert (add := max)(1, 1) and add(1, 1)",
    "def f(add):\n    assert add(1, 1)\nf(max)",
    "del add\nassert add(1, 1)",
    "with open('x') as add:\n    add(1)",
    "try:\n    add(1)\nexcept Exception as add:\n    pass",
    "match max:\n    case add:\n        add(1, 1)",
]


@pytest.mark.parametrize("script", POINTLESS)
def test_a_script_that_does_not_call_the_function_as_it_is_is_dropped_and_counted(script):
    played = write([said("assert add(1, 1) == 2", script, function="add")], kind="python")
    assert sentences(played) == ["assert add(1, 1) == 2"]
    assert played.counts == {"unit_test_generator.pointless": 1}


def test_a_script_may_do_more_than_one_assertion():
    script = "for a in range(3):\n    total = add(a, a)\n    assert total == 2 * a"
    played = write([said(script, function="add")], kind="python")
    assert sentences(played) == [script]


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "1. It is a number.",
        '["It is a number."]',
        '{"tests": []}',
        '{"tests": [" "]}',
        '{"tests": [1]}',
        '{"tests": "It is a number."}',
        '{"tests": ["cut o',
        '{"tests": ["x"], "note": "y"}',
        'Here: {"tests": ["x"]}',
        said("x", function="add"),
        failed(),
    ],
)
def test_what_is_not_the_object_asked_for_gives_no_test_and_is_counted(reply):
    played = write([reply, said("x")], samples=2, temperature=0.5)
    assert sentences(played) == ["x"]
    assert played.counts == {"unit_test_generator.unparsed": 1}


@pytest.mark.parametrize("name", ["", "2add", "add; import os", "a.b", "add\n"])
def test_a_function_has_a_name(name):
    assert parse_tests(said("assert add(1)", function=name), "python") is None


@given(st.text(), st.sampled_from(["assertions", "python"]))
def test_any_text_can_be_read(text, kind):
    assert parse_tests(text, kind) is None or '"tests"' in text


sentence = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])).filter(str.strip)


@given(st.lists(sentence, min_size=1, max_size=5))
def test_written_tests_read_back(tests):
    assert [test.text for test in parse_tests(said(*tests), "assertions")] == [
        test.strip() for test in tests
    ]


def test_samples_at_temperature_0_are_copies():
    with pytest.raises(ValidationError, match="samples at temperature 0 are copies"):
        UnitTestGenerator(model="m", samples=2)


def test_candidates_stay():
    assert UnitTestGenerator(model="m").most_candidates(7) == 7
