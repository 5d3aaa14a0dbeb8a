"""What judges ask, what they make of the replies, and what they count."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from verdict_replies import failed, opinion, pooled, said, shown, tops

from archon.engines.base import Sampling
from archon.engines.pooling import POOLED
from archon.messages import Message
from weaver.verifiers import (
    Classifier,
    PairwiseJudge,
    ReasonedJudge,
    Reward,
    RubricJudge,
    Sample,
    YesNoJudge,
)
from weaver.verifiers.reading import TOP_LOGPROBS
from weaver.verifiers.testing import QUESTION, drive

NAN = pytest.approx(math.nan, nan_ok=True)
ABA = [Sample(text, text.upper()) for text in "aba"]


def only_request(verifier, reply, samples=ABA[:1]):
    _, (request,) = drive(verifier, samples, lambda _: reply)
    return request


def last_turn(verifier, reply):
    return only_request(verifier, reply).messages[-1].content


# Every judge


def test_the_question_comes_first_and_its_system_message_stays():
    request = only_request(YesNoJudge(model="m"), tops(Yes=1.0))
    assert request.messages == (
        QUESTION[0],
        Message(
            "user",
            "What is 2 + 2?\n\nProposed reply:\n\na\n\n"
            "Is the proposed reply correct? Answer Yes or No.",
        ),
    )
    assert (request.model, request.samples) == ("identity of m", 1)


def test_identical_texts_are_judged_once():
    verdicts, asked = drive(YesNoJudge(model="m"), ABA, lambda _: tops(Yes=0.8, No=0.2))
    assert [shown(request) for request in asked] == ["a", "b"]
    assert (verdicts.judged, verdicts.scores) == (2, pytest.approx((0.8, 0.8, 0.8)))


def test_identical_answers_are_judged_once_where_answers_are_read():
    samples = [Sample("so 4", "4"), Sample("it is 4", "4"), Sample("5?", "5"), Sample("dunno")]
    verdicts, asked = drive(
        YesNoJudge(model="m", reads="answer"),
        samples,
        lambda request: tops(Yes=0.9, No=0.1) if shown(request) == "4" else tops(No=1.0),
    )
    assert [shown(request) for request in asked] == ["4", "5"]
    assert "Proposed answer:\n\n4\n\n" in asked[0].messages[-1].content
    assert verdicts.scores == (pytest.approx(0.9), pytest.approx(0.9), 0.0, NAN)
    assert (verdicts.judged, verdicts.unparsed, verdicts.failed) == (2, 0, 0)


def test_what_is_no_verdict_and_what_did_not_come_are_counted_apart():
    samples = [Sample(text) for text in "abcd"]
    replies = {"a": tops(Yes=1.0), "b": tops(Maybe=1.0), "c": failed(), "d": tops(No=1.0)}
    verdicts, _ = drive(YesNoJudge(model="m"), samples, lambda request: replies[shown(request)])
    assert verdicts.scores == (1.0, NAN, NAN, 0.0)
    assert (verdicts.judged, verdicts.unparsed, verdicts.failed) == (4, 1, 1)


words = st.lists(st.sampled_from(["4", "5", "two", "2+2=4", ""]), max_size=6)


@given(words, st.permutations(range(6)))
def test_scores_depend_on_the_samples_not_on_their_order_or_number(texts, order):
    def score(some):
        reply = lambda r: tops(Yes=opinion(r), No=1 - opinion(r))  # noqa: E731
        verdicts, asked = drive(YesNoJudge(model="m"), [Sample(text) for text in some], reply)
        assert len(asked) == len(set(some)) == verdicts.judged
        return verdicts.scores

    of_text = dict(zip(texts, score(texts), strict=True))
    again = [texts[index] for index in order if index < len(texts)]
    assert score(again * 2) == tuple(of_text[text] for text in again * 2)


# Each judge


def test_a_yes_no_judge_draws_one_token():
    request = only_request(YesNoJudge(model="m"), tops(Yes=1.0))
    assert request.sampling == Sampling(0.0, 1, top_logprobs=TOP_LOGPROBS)


def test_a_reasoned_judge_ends_with_a_verdict_line():
    judge = ReasonedJudge(model="m", max_tokens=50)
    request = only_request(judge, said("Fine.\nVerdict: Correct"))
    assert request.sampling == Sampling(0.0, 50)
    assert request.messages[-1].content.endswith(
        "Check the proposed reply step by step. End with one line, either 'Verdict: Correct' or "
        "'Verdict: Incorrect'."
    )
    verdicts, _ = drive(judge, ABA[:1], lambda _: said("It is INCORRECT.\nVerdict: INCORRECT"))
    assert verdicts.scores == (0.0,)


@pytest.mark.parametrize(("marks", "score"), [((5, 5), 1.0), ((1, 1), 0.0), ((5, 2), 0.625)])
def test_a_rubric_judge_gives_the_mean_mark(marks, score):
    judge = RubricJudge(model="m", criteria=("right", "clear"))
    reply = said('{{"c1": {}, "c2": {}}}'.format(*marks))
    assert drive(judge, ABA[:1], lambda _: reply)[0].scores == (score,)
    prompt = last_turn(judge, reply)
    assert "\nc1: right\nc2: clear\n" in prompt
    assert prompt.endswith('Reply with JSON only: {"c1": …, "c2": …}')
    schema = json.loads(only_request(judge, reply).sampling.json_schema)
    assert schema["required"] == list(schema["properties"]) == ["c1", "c2"]


@pytest.mark.parametrize("criteria", [(), ("right", " ")])
def test_a_rubric_has_criteria(criteria):
    with pytest.raises(ValidationError):
        RubricJudge(model="m", criteria=criteria)


def test_a_classifier_is_asked_as_the_judge_is_and_generates_nothing():
    request = only_request(Classifier(model="m"), pooled(0.7))
    assert request.messages == only_request(YesNoJudge(model="m"), tops(Yes=1.0)).messages
    assert request.sampling == POOLED
    assert POOLED.max_tokens == 0


@pytest.mark.parametrize(
    ("label", "numbers", "score"),
    [(-1, (0.7,), 0.7), (-1, (0.1, 0.9), 0.9), (0, (0.1, 0.9), 0.1), (2, (0.1, 0.9), NAN)],
)
def test_a_classifiers_label_is_chosen(label, numbers, score):
    judge = Classifier(model="m", label=label)
    assert drive(judge, ABA[:1], lambda _: pooled(*numbers))[0].scores == (score,)


def test_a_reward_model_is_shown_the_conversation():
    judge = Reward(model="m")
    assert only_request(judge, pooled(-3.5)).messages == (*QUESTION, Message("assistant", "a"))
    assert drive(judge, ABA[:1], lambda _: pooled(-3.5))[0].scores == (-3.5,)


# Pairs


def better(request):
    """Prefers later letters by a margin, and the first position always."""
    prompt = request.messages[-1].content
    one, other = prompt.split("Reply A:\n\n")[1][0], prompt.split("Reply B:\n\n")[1][0]
    chance = 1 / (1 + math.exp(-(ord(one) - ord(other)) - 0.5))
    return tops(A=chance, B=1 - chance)


def test_a_pair_is_judged_in_both_orders():
    _, asked = drive(PairwiseJudge(model="m"), [Sample("a"), Sample("b")], better)
    there, back = (request.messages[-1].content for request in asked)
    assert there != back
    for prompt, (one, other) in zip(sorted([there, back]), ["ab", "ba"], strict=True):
        assert prompt == (
            f"What is 2 + 2?\n\nReply A:\n\n{one}\n\nReply B:\n\n{other}\n\n"
            "Which reply is correct, or closer to being correct? Answer A or B."
        )


def test_a_judge_that_only_likes_a_position_ranks_nobody():
    samples = [Sample(text) for text in "abc"]
    verdicts, _ = drive(PairwiseJudge(model="m"), samples, lambda _: tops(A=0.9, B=0.1))
    assert verdicts.scores == pytest.approx((0.5, 0.5, 0.5))


@pytest.mark.parametrize("pairs", [6, 12, 45])
def test_the_better_of_many_is_found_within_the_budget(pairs):
    samples = [Sample(text) for text in "gjacbdfhei"]
    verdicts, asked = drive(PairwiseJudge(model="m", pairs=pairs), samples, better)
    assert len(asked) == 2 * pairs
    ranked = sorted(samples, key=lambda sample: verdicts.scores[samples.index(sample)])
    if pairs == 45:
        assert "".join(sample.text for sample in ranked) == "abcdefghij"
    assert ranked[0].text < ranked[-1].text
    assert all(0 < score < 1 for score in verdicts.scores)


def test_a_pair_with_one_order_unread_counts_for_nothing():
    samples = [Sample(text) for text in "ab"]
    replies = iter([tops(A=0.9, B=0.1), tops(The=1.0)])
    verdicts, _ = drive(PairwiseJudge(model="m"), samples, lambda _: next(replies))
    assert verdicts.scores == (NAN, NAN)
    assert (verdicts.judged, verdicts.unparsed, verdicts.failed) == (2, 1, 0)


def test_samples_that_are_all_the_same_are_not_compared():
    verdicts, asked = drive(PairwiseJudge(model="m"), [Sample("a"), Sample("a")], better)
    assert (asked, verdicts.scores) == ([], (NAN, NAN))
