import itertools
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playing import MESSAGES, candidate, completion, converse, failed, play
from pydantic import ValidationError

from archon.components import State
from archon.components.ranker import Ranker, parse_ranking
from archon.components.room import tokens_over
from archon.engines.base import Sampling

ABC = [candidate(text) for text in "abc"]


def rank(candidates, reply, **settings):
    return play(Ranker(model="judge", **settings), candidates, [reply])


def test_candidates_leave_in_the_order_the_judge_gives():
    played = rank(ABC, "[2] > [3] > [1]", top_k=3)
    assert played.texts == ["b", "c", "a"]
    assert played.counts == {}


def test_only_the_best_are_kept():
    assert rank(ABC, "[3] > [1] > [2]").texts == ["c"]
    assert rank(ABC, "[3] > [1] > [2]", top_k=2).texts == ["c", "a"]
    assert rank(ABC, "[3] > [1] > [2]", top_k=9).texts == ["c", "a", "b"]
    assert [Ranker(model="m", top_k=3).most_candidates(n) for n in (0, 2, 3, 9)] == [0, 2, 3, 3]


def test_the_judge_is_asked_once_about_the_question_and_all_candidates():
    played = rank(ABC, "[1] > [2] > [3]", max_tokens=20)
    (request,) = played.requests
    assert (request.model, request.samples) == ("identity of judge", 1)
    assert request.sampling == Sampling(0.0, 20)
    assert request.messages[0] == MESSAGES[0]
    assert played.prompt.startswith("What is 2 + 2?\n\n")
    assert "[1] a\n\n[2] b\n\n[3] c" in played.prompt
    assert "[2] > [1] > [3]" in played.prompt  # the form of the reply


def test_critiques_are_shown_to_the_judge():
    candidates = [candidate("a", critique="too short"), candidate("b")]
    assert "[1] a\n\nCritique of [1]: too short\n\n[2] b" in rank(candidates, "[2] > [1]").prompt


def test_equal_texts_are_ranked_as_one_and_stay_together():
    candidates = [candidate(text) for text in "abab"]
    played = rank(candidates, "[2] > [1]", top_k=4)
    assert played.texts == ["b", "b", "a", "a"]
    assert "[3]" not in played.prompt


def test_where_all_texts_are_equal_nobody_is_asked():
    played = play(Ranker(model="judge", top_k=2), [candidate("a")] * 3)
    assert played.texts == ["a", "a"]
    assert played.requests == []
    assert play(Ranker(model="judge"), []).candidates == ()


@pytest.mark.parametrize("reply", ["The second one.", "", failed()])
def test_a_reply_that_is_no_ranking_keeps_the_order_and_is_counted(reply):
    played = rank(ABC, reply, top_k=2)
    assert played.texts == ["a", "b"]
    assert played.counts == {"ranker.unparsed": 1}


def test_ids_left_out_follow_as_they_came_and_are_counted():
    played = rank([candidate(text) for text in "abcd"], "[3] > [2]", top_k=4)
    assert played.texts == ["c", "b", "a", "d"]
    assert played.counts == {"ranker.incomplete": 1}


def test_a_ranker_that_compares_needs_a_model():
    for mode in ("listwise", "pairwise"):
        with pytest.raises(ValidationError, match=f"a {mode} ranker asks a model"):
            Ranker(mode=mode)


# By pairs

STRENGTH = {text: index for index, text in enumerate("abcdefgh")}


def duel(position_bias=0.0, silent=()):
    """A judge of pairs that prefers later letters, and perhaps whatever stands first."""

    def answer(request):
        one, other = re.findall(r"Reply [AB]:\n\n(.*)\n", request.messages[-1].content)
        if one[0] in silent or other[0] in silent:
            return [failed()]
        lead = STRENGTH[one[0]] - STRENGTH[other[0]] + position_bias
        first = 1 / (1 + math.exp(-lead))
        tops = (("A", math.log(first)), ("B", math.log1p(-first)))
        return [completion("A", top_logprobs=(tops,))]

    return answer


def compare(texts, answer, **settings):
    ranker = Ranker(model="judge", mode="pairwise", **{"top_k": 9} | settings)
    return converse(ranker, State("q1", MESSAGES, tuple(map(candidate, texts))), answer)


@pytest.mark.parametrize("texts", ["abcd", "dcba", "bdac"])
def test_pairs_give_the_order_whatever_it_was(texts):
    played = compare(texts, duel())
    assert played.texts == ["d", "c", "b", "a"]
    assert len(played.requests) == 12  # 6 pairs, both ways round
    assert played.counts == {}
    assert compare(texts, duel(), top_k=2).texts == ["d", "c"]


def test_a_judge_that_prefers_a_position_gives_nobody_an_advantage():
    for texts in itertools.permutations("abc"):
        assert compare(texts, duel(position_bias=1.5)).texts == ["c", "b", "a"]


def test_the_budget_bounds_the_calls():
    played = compare("abcdefgh", duel(), pairs=5)
    assert len(played.requests) == 10
    assert sorted(played.texts) == list("abcdefgh")
    assert {request.sampling.max_tokens for request in played.requests} == {1}


def test_a_pair_without_a_verdict_does_not_count_and_its_candidates_stand_in_the_middle():
    played = compare("abcd", duel(silent="b"))
    assert played.texts[0] == "d"
    assert played.texts[-1] == "a"
    assert played.counts == {"ranker.unparsed": 6, "ranker.incomplete": 1}


def test_when_no_pair_has_a_verdict_the_order_stays():
    played = compare("cab", lambda _: [failed()])
    assert played.texts == ["c", "a", "b"]
    assert played.counts == {"ranker.unparsed": 6, "ranker.incomplete": 1}


def test_equal_texts_are_compared_as_one():
    played = compare("abab", duel())
    assert played.texts == ["b", "b", "a", "a"]
    assert len(played.requests) == 2
    assert compare("aa", duel()).requests == []


def test_a_critique_is_shown_with_its_reply():
    both = (candidate("a", critique="too short"), candidate("b"))
    played = converse(
        Ranker(model="judge", mode="pairwise"), State("q1", MESSAGES, both), lambda _: [failed()]
    )
    for request in played.requests:
        assert "a\n\nA critic says: too short\n\n" in request.messages[-1].content
        assert request.messages[0] == MESSAGES[0]


def test_both_replies_of_a_pair_are_shortened_to_fit():
    texts = ["a " * 500, "b " * 500, "c"]
    ranker = Ranker(model="judge", mode="pairwise", top_k=3)
    state = State("q1", MESSAGES, tuple(map(candidate, texts)))
    played = converse(ranker, state, lambda _: [failed()], limits={"judge": 400})
    assert played.counts["ranker.shortened"] == 2
    assert all(tokens_over(request.messages, 1, 400) == 0 for request in played.requests)
    assert sum(len(request.messages[-1].content) > 500 for request in played.requests) == 2
    assert played.texts == texts


# By score


def test_the_highest_score_comes_first_and_ties_stay_as_they_came():
    candidates = [
        candidate(text, score=score) for text, score in zip("abc", (0.2, 0.9, 0.2), strict=True)
    ]
    played = play(Ranker(mode="score", top_k=3), candidates)
    assert played.texts == ["b", "a", "c"]
    assert played.requests == []
    assert played.counts == {}
    assert [one.score for one in played.candidates] == [0.9, 0.2, 0.2]


def test_candidates_without_a_score_come_last_and_are_counted():
    played = play(
        Ranker(mode="score", top_k=3), [candidate("a"), candidate("b", score=0.0), candidate("c")]
    )
    assert played.texts == ["b", "a", "c"]
    assert played.counts == {"ranker.unscored": 2}


def test_a_ranker_by_score_asks_no_model_and_reads_no_critiques():
    with pytest.raises(ValidationError, match="a ranker by score asks no model; leave model out"):
        Ranker(mode="score", model="judge")
    assert Ranker(mode="score").model_aliases() == ()
    assert not Ranker(mode="score").reads_critiques
    assert Ranker(model="m").reads_critiques


# Reading a ranking

rankings = st.integers(2, 12).flatmap(lambda n: st.permutations(range(n)))
separators = st.sampled_from([" > ", ">", "  >  ", " >"])
wrappings = st.sampled_from(["{}", "**{}**", "`{}`", "({})", "{}.", "  {}  ", "- {}", '"{}"'])
prose = st.sampled_from(["", "Here is my ranking:\n", "[1] is wrong.\n\n", "Let me think > [2]\n"])


def printed(order, separator=" > "):
    return separator.join(f"[{index + 1}]" for index in order)


@given(rankings, separators, wrappings, prose, st.sampled_from(["", "\nI hope that helps."]))
def test_a_printed_ranking_reads_back(order, separator, wrapping, before, after):
    text = before + wrapping.format(printed(order, separator)) + after
    assert parse_ranking(text, len(order)) == order


@given(rankings, st.data())
def test_the_beginning_of_a_ranking_reads_back_as_far_as_it_goes(order, data):
    length = data.draw(st.integers(2, len(order)))
    assert parse_ranking(printed(order[:length]), len(order)) == order[:length]


@given(rankings, st.data())
def test_an_id_named_twice_or_out_of_range_makes_a_line_invalid(order, data):
    wrong = data.draw(st.sampled_from([order[0], len(order), len(order) + 7, -1]))
    place = data.draw(st.integers(1, len(order)))
    assert parse_ranking(printed([*order[:place], wrong, *order[place:]]), len(order)) is None


@given(st.text())
def test_text_is_no_ranking(text):
    assert parse_ranking(text, 3) is None or ">" in text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1]",
        "[1], [2], [3]",
        "[1] [2] [3]",
        "1 > 2 > 3",
        "[2] > [1] > [3",
        "[1] > [2] > the rest",
        "I say [1] > [2]",
        "[1] < [2]",
        "[a] > [b]",
        "[1] >\n[2]",
        "[1] > [2] = [3]",
        "[0] > [1]",
        "[1] > [-2]",
    ],
)
def test_only_the_form_asked_for_counts(text):
    assert parse_ranking(text, 3) is None


@pytest.mark.parametrize("text", ["[2] > [1] >", "[2] > [1] > ["])
def test_a_ranking_cut_off_between_ids_reads_as_far_as_it_goes(text):
    assert parse_ranking(text, 3) == [1, 0]


def test_of_several_rankings_the_first_valid_one_counts():
    assert parse_ranking("[1] > [9]\n[2] > [1]\n[1] > [2]", 2) == [1, 0]
