"""What fits a model's context, and how texts are shortened to fit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playing import MESSAGES, candidate, play

from archon.components.fuser import Fuser
from archon.components.room import CUT, shortened, tokens_in, tokens_over
from archon.messages import Message

# Tokens that the tokenizers of SmolLM2 and Qwen2.5-Coder make of these, the larger of the two.
MEASURED = {
    "The quick brown fox jumps over the lazy dog.": 10,
    "127 + 358 - 49 = 436": 17,
    "def add(a, b):\n    return a + b\n": 13,
    "So \\frac{12}{7} + \\sqrt{x^2} is the answer.": 21,
    '{"tests": ["It lies between 3 and 17."]}': 15,
}


@pytest.mark.parametrize(("text", "tokens"), MEASURED.items())
def test_the_estimate_is_rather_too_high(text, tokens):
    assert tokens <= tokens_in(text) <= 2 * tokens


def test_what_is_sure_to_fit_is_not_over():
    message = Message("user", "a " * 40)
    assert tokens_over([message], 20, 200) == 0
    assert tokens_over([message], 20, 92) == 0
    assert tokens_over([message], 21, 92) == 1
    assert tokens_over([message], 20, 50) == 42


def test_the_middle_of_the_longest_is_cut():
    long = " ".join(f"word{letter}" for letter in "abcdefghijklmnopqrst")
    kept, same = shortened([long, "short"], 26)
    assert same == "short"
    assert kept.startswith("worda wordb")
    assert kept.endswith("words wordt")
    assert CUT in kept


texts = st.lists(st.text(max_size=60), max_size=5)


@given(texts, st.integers(-5, 120))
def test_shortened_texts_take_no_more_than_they_may(given_texts, most):
    kept = shortened(given_texts, most)
    assert len(kept) == len(given_texts)
    lengths = list(map(tokens_in, kept))
    if sum(map(tokens_in, given_texts)) <= most:
        assert kept == given_texts
    else:
        # What is cut down to the mark that stands for it cannot be cut further.
        assert sum(max(0, length - tokens_in(CUT)) for length in lengths) <= max(most, 0)
        cut = [new for new, old in zip(kept, given_texts, strict=True) if new != old]
        assert all("[… cut …]" in text for text in cut)
        if most >= tokens_in(CUT) * max(1, len(given_texts)):
            assert sum(lengths) <= most


@given(texts, st.integers(0, 120))
def test_a_shorter_text_is_never_cut_before_a_longer_one(given_texts, most):
    kept = shortened(given_texts, most)
    whole = [tokens_in(old) for new, old in zip(kept, given_texts, strict=True) if new == old]
    cut = [tokens_in(old) for new, old in zip(kept, given_texts, strict=True) if new != old]
    assert not whole or not cut or max(whole) <= min(cut)


LONG = candidate("so " * 300 + "4", critique="no " * 100)


def test_a_prompt_that_fits_is_not_touched():
    played = play(Fuser(model="m", max_tokens=20), [LONG], ["4"], limits={"m": 2000, "judge": 9})
    assert LONG.text in played.prompt
    assert played.counts == {}


def test_texts_and_critiques_are_shortened_to_what_the_model_takes_and_counted():
    short = candidate("It is 4.")
    played = play(Fuser(model="m", max_tokens=20), [LONG, short], ["4"], limits={"m": 300})
    assert tokens_over(played.requests[0].messages, 20, 300) == 0
    assert "[1] so so so" in played.prompt
    assert "so so 4\n\nCritique of [1]: no no" in played.prompt
    assert "[2] It is 4." in played.prompt
    assert played.prompt.count(CUT) == 2
    assert played.counts == {"fuser.shortened": 2}


def test_without_a_known_limit_nothing_is_shortened():
    played = play(Fuser(model="m", max_tokens=20), [LONG], ["4"])
    assert LONG.text in played.prompt


def test_the_question_is_never_shortened():
    played = play(Fuser(model="m", max_tokens=20), [LONG], ["4"], limits={"m": 10})
    assert played.prompt.startswith(MESSAGES[-1].content)
    assert "[1] [… cut …]\n\nCritique of [1]: [… cut …]" in played.prompt
