import pytest
from hypothesis import given
from hypothesis import strategies as st
from playing import MESSAGES, candidate, failed, play

from archon.components.critic import Critic, parse_critiques
from archon.engines.base import Sampling


def criticise(candidates, reply, **settings):
    return play(Critic(model="judge", **settings), candidates, [reply])


def test_each_candidate_gets_what_was_said_of_it():
    played = criticise([candidate("a"), candidate("b", score=0.5)], "[2] Good.\n[1] Too short.")
    assert played.candidates == (
        candidate("a", critique="Too short."),
        candidate("b", critique="Good.", score=0.5),
    )
    assert played.counts == {}


def test_the_critic_is_asked_once_about_all_candidates():
    played = criticise(
        [candidate("a"), candidate("b")], "[1] x\n[2] y", temperature=0.3, max_tokens=99
    )
    (request,) = played.requests
    assert (request.model, request.samples) == ("identity of judge", 1)
    assert request.sampling == Sampling(0.3, 99)
    assert request.messages[0] == MESSAGES[0]
    assert played.prompt.startswith("What is 2 + 2?\n\n")
    assert "[1] a\n\n[2] b" in played.prompt


def test_equal_texts_are_criticised_once_and_share_the_critique():
    played = criticise([candidate(text) for text in "aba"], "[1] of a\n[2] of b")
    assert [c.critique for c in played.candidates] == ["of a", "of b", "of a"]
    assert played.texts == ["a", "b", "a"]
    assert "[3]" not in played.prompt


def test_an_earlier_critique_is_neither_shown_nor_kept():
    played = criticise([candidate("a", critique="old"), candidate("b", critique="old")], "[1] new")
    assert "old" not in played.prompt
    assert [c.critique for c in played.candidates] == ["new", None]
    assert played.counts == {"critic.missing": 1}


@pytest.mark.parametrize("reply", ["Both are fine.", "", "[3] What?", "[0] What?", failed()])
def test_a_candidate_nothing_was_said_of_has_no_critique_and_is_counted(reply):
    played = criticise([candidate("a"), candidate("b")], reply)
    assert played.candidates == (candidate("a"), candidate("b"))
    assert played.counts == {"critic.missing": 2}


def test_without_candidates_nobody_is_asked():
    assert play(Critic(model="judge"), []).requests == []


def test_candidates_may_be_criticised_one_by_one():
    played = play(
        Critic(model="judge", mode="pointwise", max_tokens=50),
        [candidate(text) for text in "aba"],
        [" Too short.\n", "[1] Good."],
    )
    assert [c.critique for c in played.candidates] == ["Too short.", "[1] Good.", "Too short."]
    assert played.counts == {}
    for request, text in zip(played.requests, "ab", strict=True):
        assert request.sampling == Sampling(0.0, 50)
        assert request.messages[0] == MESSAGES[0]
        assert request.messages[-1].content.startswith(
            f"What is 2 + 2?\n\nProposed reply:\n\n{text}\n\nCriticise the proposed reply"
        )


@pytest.mark.parametrize("reply", ["", " \n", failed()])
def test_one_by_one_a_reply_that_says_nothing_is_counted(reply):
    played = play(
        Critic(model="judge", mode="pointwise"),
        [candidate("a", critique="old"), candidate("b")],
        [reply, "Good."],
    )
    assert [c.critique for c in played.candidates] == [None, "Good."]
    assert played.counts == {"critic.missing": 1}


def test_nothing_is_dropped():
    assert Critic(model="m").most_candidates(7) == 7


# Reading sections


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("[1] Right.\n[2] Wrong.", {0: "Right.", 1: "Wrong."}),
        ("[2] Wrong.\n\n[1] Right.", {0: "Right.", 1: "Wrong."}),
        ("Here they are:\n[1]: Right.", {0: "Right."}),
        ("- [1] Right.\n* [2] Wrong.", {0: "Right.", 1: "Wrong."}),
        ("**[1]** Right.\n**[2]** Wrong.", {0: "Right.", 1: "Wrong."}),
        ("[1] Right, in\ntwo lines.\n[2] Wrong.", {0: "Right, in\ntwo lines.", 1: "Wrong."}),
        ("[1] Better than [2] is.\n[2] Wrong.", {0: "Better than [2] is.", 1: "Wrong."}),
        ("[1] First.\n[1] Second.", {0: "First."}),
        ("[1]\n[2] Wrong.", {1: "Wrong."}),
        ("[1] Right.\n[9] Nobody.", {0: "Right."}),
        ("1. Right.\n2. Wrong.", {}),
        ("Reply [1] is right.", {}),
    ],
)
def test_sections_begin_with_a_number_in_brackets(text, read):
    assert parse_critiques(text, 2) == read


said = st.text(st.characters(categories=["L"]), min_size=1, max_size=20)


@given(st.lists(said, min_size=1, max_size=9), st.randoms())
def test_printed_critiques_read_back_in_any_order(critiques, random):
    lines = [f"[{index}] {text}" for index, text in enumerate(critiques, start=1)]
    random.shuffle(lines)
    assert parse_critiques("\n".join(lines), len(critiques)) == dict(enumerate(critiques))


@given(st.text())
def test_any_text_can_be_read(text):
    assert all(index in (0, 1) and found for index, found in parse_critiques(text, 2).items())
