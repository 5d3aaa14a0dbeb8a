import pytest
from hypothesis import given
from hypothesis import strategies as st
from playing import MESSAGES, candidate, failed, play

from archon.components.ranker import Ranker, parse_ranking
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
