import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from verdict_replies import said, tops

from weaver.verifiers.reading import (
    first_probability,
    marks,
    numbers,
    verdict,
    yes_probability,
)

# Probabilities of the first token


def test_all_spellings_of_yes_and_of_no_are_summed():
    completion = tops(**{"Yes": 0.3, " yes": 0.2, "YES": 0.1, "No": 0.15, " no": 0.05, "It": 0.2})
    assert yes_probability(completion) == pytest.approx(0.75)


def test_only_the_first_token_counts():
    first = (("Yes", math.log(0.9)), ("No", math.log(0.1)))
    second = (("No", math.log(1.0)),)
    assert yes_probability(said("Yes", top_logprobs=(first, second))) == pytest.approx(0.9)


@pytest.mark.parametrize(
    "completion",
    [
        said("Yes"),
        tops(Maybe=0.6, The=0.4),
        tops(Yesterday=0.5, Not=0.3, None_=0.1, yep=0.1),
        said("", top_logprobs=()),
    ],
    ids=["no log-probabilities", "neither", "words that only begin alike", "no token"],
)
def test_without_yes_and_no_there_is_no_probability(completion):
    assert yes_probability(completion) is None


def test_one_of_yes_and_no_is_enough():
    assert yes_probability(tops(Yes=0.4, The=0.6)) == 1.0
    assert yes_probability(tops(No=0.4, The=0.6)) == 0.0


def test_the_article_a_is_no_vote_for_a():
    assert first_probability(tops(**{"A": 0.3, " A": 0.1, "B": 0.1, "a": 0.5})) == pytest.approx(
        0.8
    )
    assert first_probability(tops(a=0.6, b=0.4)) is None


# The last line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Verdict: Correct", 1.0),
        ("Verdict: Incorrect", 0.0),
        ("verdict: INCORRECT", 0.0),
        ("2 + 2 = 4.\n\n**Verdict: Correct.**\n", 1.0),
        ("Verdict: Correct\nOn second thought:\nVerdict: Incorrect", 0.0),
        ("Verdict - correct", 1.0),
        ("Verdict: Not correct", None),
        ("Verdict: not incorrect", None),
        ("Verdict: Correct or Incorrect", None),
        ("Verdict: Correctly done", None),
        ("Verdict: Correct\nI hope this helps.", None),
        ("The verdict: Correct", None),
        ("Correct", None),
        ("Yes", None),
        ("Verdict:", None),
        ("Verdict: Corr", None),
        ("", None),
        ("\n\n", None),
    ],
)
def test_only_a_last_line_that_is_a_verdict_is_one(text, expected):
    assert verdict(text) == expected


@given(st.text(), st.sampled_from(["Correct", "Incorrect"]))
def test_what_stands_before_the_last_line_does_not_matter(before, word):
    assert verdict(f"{before}\nVerdict: {word}") == (word == "Correct")


# Marks in JSON


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"c1": 5, "c2": 1}', [5, 1]),
        ('{"c2": 1, "c1": 5}', [5, 1]),
        ('\n {"c1": 3,\n "c2": 3}\n', [3, 3]),
        ('```json\n{"c1": 4, "c2": 2}\n```', [4, 2]),
        ('```\n{"c1": 4, "c2": 2}\n```', [4, 2]),
        ('Here you are: {"c1": 4, "c2": 2}', None),
        ('{"c1": 4, "c2": 2} Anything else?', None),
        ('{"c1": 4}', None),
        ('{"c1": 4, "c2": 2, "c3": 5}', None),
        ('{"c1": 4, "c1": 2}', None),
        ('{"c1": 4, "c2": 2, "c2": 5}', None),
        ('{"c1": 0, "c2": 2}', None),
        ('{"c1": 6, "c2": 2}', None),
        ('{"c1": 4.0, "c2": 2}', None),
        ('{"c1": true, "c2": 2}', None),
        ('{"c1": "4", "c2": 2}', None),
        ('{"c1": {"c1": 4}, "c2": 2}', None),
        ('[["c1", 4], ["c2", 2]]', None),
        ('{"c1": 4, "c2": 2', None),
        ("4, 2", None),
        ("[" * 100_000, None),
    ],
)
def test_only_one_object_with_a_mark_for_each_is_one(text, expected):
    assert marks(text, ["c1", "c2"]) == expected


# Numbers of a pooling model


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_an_array_of_numbers_is_read(given_numbers):
    assert numbers(json.dumps(given_numbers)) == given_numbers


@pytest.mark.parametrize(
    "text",
    ["", "0.5", "[]", "[NaN]", "[1e999]", f"[{'9' * 400}]", '["0.5"]', "[true]", "[[0.5]]", "{}"],
)
def test_anything_else_is_no_numbers(text):
    assert numbers(text) is None


def test_whole_numbers_are_numbers():
    assert numbers("[1, -2]") == [1.0, -2.0]
