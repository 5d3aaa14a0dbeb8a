import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playing import MESSAGES, MODELS, candidate, completion, failed, play

from archon.components import Context, Drawn, State
from archon.components.verifier import TOP_LOGPROBS, Verifier, verdict, yes_probability
from archon.engines.base import Sampling
from archon.tasks import FreeTask

ABC = [candidate(text) for text in "abc"]


def tops(**probabilities):
    pairs = tuple((token, math.log(p)) for token, p in probabilities.items())
    return completion("Yes", top_logprobs=(pairs,))


def judge(candidates, replies, **settings):
    return play(Verifier(model="judge", **settings), candidates, replies)


# By log-probability


def test_candidates_held_to_be_correct_are_kept_with_their_probability():
    replies = [tops(Yes=0.6, No=0.2), tops(Yes=0.1, No=0.3), tops(Yes=0.4, No=0.4)]
    played = judge(ABC, replies)
    assert played.texts == ["a", "c"]
    assert [c.score for c in played.candidates] == pytest.approx([0.75, 0.5])
    assert played.counts == {}


def test_the_threshold_decides_what_passes():
    replies = [tops(Yes=0.6, No=0.2), tops(Yes=0.1, No=0.3), tops(Yes=0.4, No=0.4)]
    assert judge(ABC, replies, threshold=0.74).texts == ["a"]
    assert judge(ABC, replies, threshold=0.2).texts == ["a", "b", "c"]


def test_when_none_passes_all_are_kept_with_their_scores():
    played = judge(ABC[:2], [tops(Yes=0.1, No=0.9), tops(Yes=0.2, No=0.8)])
    assert played.texts == ["a", "b"]
    assert [c.score for c in played.candidates] == pytest.approx([0.1, 0.2])


def test_each_text_is_judged_alone_by_one_token():
    played = judge(ABC[:2], [tops(Yes=1.0), tops(Yes=1.0)], max_tokens=99)
    assert [request.sampling for request in played.requests] == [
        Sampling(0.0, 1, top_logprobs=TOP_LOGPROBS)
    ] * 2
    for request, text in zip(played.requests, "ab", strict=True):
        assert (request.model, request.samples) == ("identity of judge", 1)
        assert request.messages[0] == MESSAGES[0]
        assert request.messages[-1].content == (
            f"What is 2 + 2?\n\nProposed reply:\n\n{text}\n\n"
            "Is the proposed reply correct? Answer Yes or No."
        )


def test_equal_texts_are_judged_once():
    played = judge([candidate(text) for text in "aba"], [tops(Yes=1.0), tops(No=1.0)])
    assert len(played.requests) == 2
    assert played.texts == ["a", "a"]


def test_a_critique_is_shown_to_the_judge():
    played = judge([candidate("a", critique="too short")], [tops(Yes=1.0)])
    assert "Proposed reply:\n\na\n\nA critic says: too short\n\n" in played.prompt
    assert played.candidates[0].critique == "too short"


@pytest.mark.parametrize("reply", [completion("Yes"), tops(Maybe=0.9), failed()])
def test_a_verdict_that_is_none_is_no_pass_and_is_counted(reply):
    played = judge(ABC[:2], [reply, tops(Yes=1.0)])
    assert played.texts == ["b"]
    assert played.counts == {"verifier.unparsed": 1}
    assert judge(ABC[:2], [reply, tops(Yes=1.0)], threshold=0.0).texts == ["b"]


def test_when_no_verdict_can_be_read_all_are_kept_unscored():
    played = judge(ABC[:2], [failed(), failed()])
    assert played.candidates == tuple(ABC[:2])
    assert played.counts == {"verifier.unparsed": 2}


def test_an_old_score_does_not_outlive_a_judgement():
    played = judge([candidate("a", score=0.9)], [failed()])
    assert played.candidates[0].score is None


def test_all_spellings_of_yes_and_no_are_summed():
    spelled = {"Yes": 0.2, " yes": 0.1, "YES\n": 0.1, "No": 0.05, " NO": 0.15, "Yesterday": 0.3}
    assert yes_probability(tops(**spelled)) == pytest.approx(0.4 / 0.6)


def test_only_the_first_token_counts():
    two = completion("", top_logprobs=((("No", 0.0),), (("Yes", 0.0),)))
    assert yes_probability(two) == 0.0
    assert yes_probability(completion("Yes", top_logprobs=())) is None
    assert yes_probability(completion("Yes", top_logprobs=((), (("Yes", 0.0),)))) is None
    assert yes_probability(completion("", top_logprobs=((("Yes", -9999.0),),))) is None


@given(st.floats(-50, 0), st.floats(-50, 0))
def test_the_probability_is_the_share_of_yes(yes, no):
    found = yes_probability(completion("", top_logprobs=((("Yes", yes), ("No", no)),)))
    assert found == pytest.approx(1 / (1 + math.exp(no - yes)), abs=1e-12)


# By reasoning


def test_a_reasoned_verdict_is_the_last_line():
    replies = ["2 + 2 is 4.\nVerdict: Correct", "No.\nVerdict: Incorrect"]
    played = judge(ABC[:2], replies, mode="reason", max_tokens=50)
    assert [(c.text, c.score) for c in played.candidates] == [("a", 1.0)]
    assert {request.sampling for request in played.requests} == {Sampling(0.0, 50)}
    for request in played.requests:
        assert "'Verdict: Correct' or 'Verdict: Incorrect'" in request.messages[-1].content


def test_reasoning_without_a_verdict_is_counted():
    played = judge(ABC[:2], ["I think so", "Verdict: Correct"], mode="reason")
    assert played.texts == ["b"]
    assert played.counts == {"verifier.unparsed": 1}


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Verdict: Correct", 1.0),
        ("so\nverdict: INCORRECT.\n\n", 0.0),
        ("**Verdict: Correct**", 1.0),
        ("**Verdict:** Incorrect", 0.0),
        ("- Verdict - correct!", 1.0),
        ("", None),
        ("\n \n", None),
        ("Correct", None),
        ("Verdict: Correct or Incorrect", None),
        ("Verdict: not correct", None),
        ("The verdict: correct", None),
        ("Verdict: Correct\nBut I am not sure.", None),
        ("Verdict: 'Correct' or 'Incorrect'", None),
        ("Verdict: Incorrectly put", None),
    ],
)
def test_a_verdict_is_a_last_line_and_nothing_else(text, read):
    assert verdict(text) == read


def test_without_candidates_nobody_is_asked():
    assert judge([], []).requests == []


# Until enough have passed

PASS, FAIL = tops(Yes=0.9, No=0.1), tops(Yes=0.1, No=0.9)


def rounds(verdicts, first_k, texts=None):
    """Who is judged in which round, and what is kept."""
    texts = texts or "abcdefgh"[: len(verdicts)]
    said = dict(zip(dict.fromkeys(texts), verdicts, strict=False))
    asked = []

    def answer(request):
        text = re.search(r"reply:\n\n(.*)\n", request.messages[-1].content)[1]
        asked.append(text)
        return [said[text]]

    verifier = Verifier(model="judge", first_k=first_k)
    steps = verifier.run(
        State("q1", MESSAGES, tuple(map(candidate, texts))), context := Context(FreeTask(), MODELS)
    )
    sent, each = None, []
    while True:
        try:
            requests = steps.send(sent)
        except StopIteration as stop:
            kept = "".join(one.text for one in stop.value)
            return each, kept, context.counts["verifier.unjudged"]
        sent = [Drawn(request, answer(request)) for request in requests]
        each.append("".join(asked[-len(requests) :]))


def test_it_stops_when_enough_have_passed():
    assert rounds([PASS, FAIL, PASS], 1) == (["a"], "a", 2)
    assert rounds([FAIL, FAIL, PASS, PASS], 1) == (["a", "b", "c"], "c", 1)


def test_as_many_are_asked_about_at_a_time_as_are_still_lacking():
    assert rounds([PASS, FAIL, FAIL, PASS, PASS, PASS], 3) == (["abc", "de"], "ade", 1)
    assert rounds([PASS, PASS], 5) == (["ab"], "ab", 0)


def test_too_few_passes_are_kept_and_none_keeps_all():
    assert rounds([FAIL, PASS, FAIL], 2) == (["ab", "c"], "b", 0)
    assert rounds([FAIL, FAIL, FAIL], 2) == (["ab", "c"], "abc", 0)


def test_equal_texts_pass_together_and_count_each():
    assert rounds([PASS, PASS], 2, texts="aabb") == (["a"], "aa", 2)
    assert rounds([PASS, PASS], 3, texts="aabb") == (["ab"], "aab", 0)


@given(st.lists(st.booleans(), max_size=8), st.integers(1, 8))
def test_no_call_is_made_that_one_after_another_would_not_make(passing, first_k):
    each, kept, _ = rounds([PASS if one else FAIL for one in passing], first_k)
    places = [index for index, one in enumerate(passing) if one]
    needed = len(passing) if len(places) < first_k else places[first_k - 1] + 1
    assert len("".join(each)) == needed
    passed = [index for index in places if index < needed]
    assert kept == "".join("abcdefgh"[index] for index in passed or range(len(passing)))


def test_all_may_pass():
    assert Verifier(model="m").most_candidates(7) == 7
