from playing import MESSAGES, candidate, failed, play

from archon.components.fuser import Fuser
from archon.components.styles import STYLES
from archon.engines.base import Sampling

AB = [candidate("first try", critique="too vague", score=0.3), candidate("second try")]


def test_new_candidates_take_the_place_of_the_old():
    played = play(Fuser(model="judge", samples=2), AB, ["It is 4.0", "It is 5"])
    assert played.texts == ["It is 4.0", "It is 5"]
    assert [c.answer for c in played.candidates] == ["4", "5"]
    assert {(c.origin, c.score, c.critique) for c in played.candidates} == {("judge", None, None)}
    assert Fuser(model="m", samples=2).most_candidates(9) == 2


def test_it_is_asked_with_all_candidates_and_critiques():
    played = play(Fuser(model="judge", samples=2, max_tokens=30), AB, ["4", "4"])
    (request,) = played.requests
    assert (request.model, request.samples) == ("identity of judge", 2)
    assert request.sampling == Sampling(0.7, 30, logprobs=True)
    assert "[1] first try\n\nCritique of [1]: too vague\n\n[2] second try" in played.prompt


def test_the_callers_system_message_and_question_stay():
    played = play(Fuser(model="judge"), AB, ["4"])
    assert played.requests[0].messages[0] == MESSAGES[0]
    assert len(played.requests[0].messages) == 2
    assert played.prompt.startswith("What is 2 + 2?\n\n")


def test_the_format_that_is_asked_for_stays_the_last_word():
    styled = play(Fuser(model="judge", style="number_only"), AB, ["4"])
    assert styled.prompt.endswith(f"one best reply to the request. {STYLES['number_only']}")
    told = play(Fuser(model="judge", instruction="In words."), AB, ["4"])
    assert told.prompt.endswith("one best reply to the request. In words.")
    plain = play(Fuser(model="judge"), AB, ["4"])
    assert plain.prompt.endswith("one best reply to the request.")


def test_a_length_to_keep_to_is_asked_for_before_the_format():
    played = play(Fuser(model="judge", max_words=40, instruction="In words."), AB, ["4"])
    assert played.prompt.endswith("reply to the request. Use at most 40 words. In words.")
    plain = play(Fuser(model="judge", max_words=40), AB, ["4"])
    assert plain.prompt.endswith("reply to the request. Use at most 40 words.")


def test_a_failed_call_yields_no_candidate_and_is_counted():
    played = play(Fuser(model="judge", samples=2), AB, [failed(), "4"])
    assert played.texts == ["4"]
    assert played.counts == {"generation.failed": 1}


def test_texts_that_look_like_templates_are_left_alone():
    played = play(Fuser(model="judge"), [candidate("{n} {candidates} %s {")], ["4"])
    assert "[1] {n} {candidates} %s {" in played.prompt


def test_without_candidates_nobody_is_asked():
    played = play(Fuser(model="judge"), [])
    assert played.candidates == ()
    assert played.requests == []
