import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archon.tasks.answers import (
    canonical_answer,
    canonical_math,
    canonical_number,
    canonical_text,
    extract_answer,
    parse_number,
)

KINDS = ("number", "choice", "text", "math")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("43", "43"),
        ("12 + 31 = 43.", "43"),
        ("The sum of 12 and 31 is 43, I think.", "43"),
        ("It costs $1,234.50.", "1234.50"),
        ("It is 12,345 of 1,2", "2"),
        ("12-5", "5"),
        ("x = -5", "-5"),
        ("x = −5", "-5"),
        ("$-5", "-5"),
        ("-$5", "-5"),
        ("about 1/2 of it", "1/2"),
        ("so 3 / 4", "3/4"),
        (r"so $\frac{1}{2}$", "1/2"),
        (r"so $\dfrac12$", "1/2"),
        (r"1{,}234", "1234"),
        (r"3.2 \times 10^{-3}", "3.2e-3"),
        ("50%", "50"),
        (".5", ".5"),
        ("version 1.2.3 has 7 parts", "7"),
        ("H2O", None),
        ("no idea", None),
        ("", None),
    ],
)
def test_without_a_statement_the_last_number_is_the_answer(text, number):
    assert extract_answer(text, "number") == number


@pytest.mark.parametrize(
    "text",
    [
        r"It is \boxed{43}, not 44.",
        r"\boxed{1} no, \boxed{43}",
        r"\boxed{\text{43}}",
        r"\boxed {43}",
        "<answer>1</answer> wait <answer> 43 </answer> 9 times",
        "Answer: 43\nI checked it 2 times.",
        "answer: 1\nfinal answer: 43\n2",
        "**Answer:** 43\n2",
        "**Answer**: 43\n2",
        "**Final Answer: 43**\n2",
        "The answer is 43.\n2",
        "The final answer is: 43\n2",
        "So, the answer is $43$.\n2",
        "Therefore the answer is 12 + 31 = 43\n2",
        "Answer:\n\n43\n2",
        "Answer:\n\\[\n43\n\\]\n2",
        "> ### Answer: 43 apples\n2",
        "<think>Answer: 5</think>Answer: 43\n2",
    ],
)
def test_a_statement_goes_before_other_numbers(text):
    assert extract_answer(text, "number") == "43"


def test_a_box_goes_before_tags_and_tags_before_lines():
    line, tag, box = "Answer: 1", "<answer>2</answer>", r"\boxed{3}"
    assert extract_answer(f"{box}\n{tag}\n{line}", "number") == "3"
    assert extract_answer(f"{tag}\n{line}", "number") == "2"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "text",
    [
        "12 + 31 = 43, B\nAnswer:",
        "12 + 31 = 43, B\n**Final answer:** ",
        "12 + 31 = 43, B\nThe answer is",
        r"12 + 31 = 43, B, so \boxed{4",
        r"12 + 31 = 43, B, so \boxed{\frac{4}{",
        "12 + 31 = 43, B, so <answer>4",
        "<think>12 + 31 = 43, B",
        "   \n ",
    ],
)
def test_a_statement_cut_off_gives_no_answer(text, kind):
    assert extract_answer(text, kind) is None


def test_a_statement_without_a_number_is_no_number():
    assert extract_answer("12 apples\nAnswer: unknown", "number") is None


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("b)", "B"),
        ("**(B)**", "B"),
        ("Option B", "B"),
        ("I think A is wrong, so it is B", "B"),
        ("A dog", None),
        ("(A) is a dog", "A"),
        ("I am sure it is (I)", "I"),
        ("The answer is (B).", "B"),
        ("Answer: A", "A"),
        ("Answer: A because C is worse", "A"),
        ("Answer: B. Paris\nC", "B"),
        ("Answer: Paris", None),
        (r"\boxed{\text{B}} C", "B"),
        ("It is K", None),
        ("", None),
    ],
)
def test_choices(text, letter):
    assert extract_answer(text, "choice") == letter


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (" Paris ", "Paris"),
        ("It is **Paris**", "It is **Paris**"),
        ("**Paris** or **Rome**", "**Paris** or **Rome**"),
        ("Answer:\n```text\nParis\n```", "Paris"),
        ("It has a river.\n\nParis\n\n", "Paris"),
        ("The answer is **Paris**.", "Paris"),
        ("The answer is Paris.", "Paris"),
        ("Answer: `Paris`\nSure.", "Paris"),
        ("<answer>1 2\n3 4</answer>", "1 2\n3 4"),
        (r"\boxed{x^{2} + \{1\}}", r"x^{2} + \{1\}"),
    ],
)
def test_text(text, answer):
    assert extract_answer(text, "text") == answer
    assert extract_answer(text, "math") == answer


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("7.0", "7"),
        ("+7", "7"),
        ("007", "7"),
        ("7.", "7"),
        ("1,234", "1234"),
        ("1/2", "1/2"),
        ("0.5", "1/2"),
        ("-2/4", "-1/2"),
        ("-0", "0"),
        ("1e3", "1000"),
        ("$5", "5"),
        ("5 €", "5"),
        ("50 %", "50"),
        (r"\$1{,}234.50", "2469/2"),
        (r"$\frac{3}{6}$", "1/2"),
        ("**7**", "7"),
        ("1/0", "1/0"),
        ("Seven.", "seven"),
    ],
)
def test_canonical_numbers(text, canonical):
    assert canonical_number(text) == canonical


@given(st.fractions())
def test_a_number_survives_its_canonical_form_exactly(value):
    assert parse_number(canonical_number(str(value))) == value


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=6))
def test_thousands_separators_and_trailing_zeros_change_nothing(value):
    assert parse_number(f"{value:,f}") == Fraction(value)
    assert canonical_number(f"{value:f}") == canonical_number(f"{value:,.9f}")


@given(st.integers(min_value=-(10**12), max_value=10**12), st.sampled_from(KINDS))
def test_extraction_finds_a_stated_number_in_every_kind_but_choice(value, kind):
    answer = extract_answer(f"Let me think: 3, 4.\nAnswer: {value}", kind)
    assert answer == (None if kind == "choice" else str(value))


def test_enormous_numbers_cost_nothing():
    assert parse_number("9" * 5000) is None
    assert parse_number("1e999999999") is None
    assert canonical_number("9" * 5000) == "9" * 5000


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "unit", ["-", " ", ".", "1,", "1 ", "(", "{", "*", "$", "`", r"\boxed{", r"\frac{", "<answer>"]
)
def test_a_model_that_repeats_itself_for_pages_costs_milliseconds(unit, kind):
    start = time.process_time()
    extract_answer("Answer: 1" + unit * 5000, kind)
    extract_answer(r"\frac{" + unit * 5000, kind)
    canonical_answer(unit * 5000, kind)
    assert time.process_time() - start < 1.0


def test_canonical_text_ignores_case_blanks_quotes_and_the_final_period():
    assert canonical_text(' "The  Cat." ') == canonical_text("the cat") == "the cat"


def test_canonical_math_ignores_spacing_and_sizes():
    assert canonical_math(r"$\left( x , \dfrac{1}{y} \right)$") == r"(x,\frac{1}{y})"
    assert canonical_math("0.50") == canonical_math(r"\frac12")


@given(st.text(), st.sampled_from(KINDS))
def test_the_canonical_form_is_its_own_canonical_form(text, kind):
    once = canonical_answer(text, kind)
    assert canonical_answer(once, kind) == once


@given(st.text(alphabet="\\boxed{}Answer: <>/12,.-$*\n"), st.sampled_from(KINDS))
def test_any_text_gives_an_answer_or_none(text, kind):
    assert extract_answer(text, kind) != ""
