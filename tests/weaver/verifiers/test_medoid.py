import math

import pytest
from verdict_replies import failed, pooled, said

from archon.engines.pooling import POOLED
from archon.messages import Message
from weaver.verifiers import Medoid, Sample
from weaver.verifiers.testing import drive

NAN = pytest.approx(math.nan, nan_ok=True)


def run(texts, replies, **settings):
    samples = [Sample(text, text.upper()) for text in texts]
    reply = lambda request: replies[request.messages[-1].content]  # noqa: E731
    return drive(Medoid(model="m", **settings), samples, reply)


def test_a_score_is_the_mean_similarity_to_the_other_samples():
    replies = {"a": pooled(2, 0), "b": pooled(1, 1), "c": pooled(0, 3)}
    verdicts, asked = run("abc", replies)
    half = math.sqrt(0.5)
    assert verdicts.scores == pytest.approx((half / 2, half, half / 2))
    assert [request.messages for request in asked] == [(Message("user", text),) for text in "abc"]
    assert {request.sampling for request in asked} == {POOLED}


def test_an_identical_sample_is_embedded_once_and_counts_as_another():
    verdicts, asked = run("aab", {"a": pooled(1, 0), "b": pooled(0, 1)})
    assert len(asked) == verdicts.judged == 2
    assert verdicts.scores == pytest.approx((0.5, 0.5, 0.0))


def test_answers_are_embedded_where_answers_are_read():
    _, asked = run("ab", {"A": pooled(1, 0), "B": pooled(0, 1)}, reads="answer")
    assert [request.messages[0].content for request in asked] == ["A", "B"]


def test_a_sample_alone_has_no_score_and_costs_nothing():
    assert run("a", {})[0].scores == (NAN,)


def test_a_sample_without_a_vector_is_left_out():
    replies = {"a": pooled(1, 0), "b": pooled(1, 0), "c": failed(), "d": said("oops")}
    verdicts, _ = run("abcd", replies)
    assert verdicts.scores == (pytest.approx(1.0), pytest.approx(1.0), NAN, NAN)
    assert (verdicts.judged, verdicts.unparsed, verdicts.failed) == (4, 1, 1)


@pytest.mark.parametrize("other", [pooled(0, 0), pooled(1, 2, 3)], ids=["null", "longer"])
def test_a_vector_that_cannot_be_compared_is_unparsed(other):
    verdicts, _ = run("ab", {"a": pooled(1, 0), "b": other})
    assert (verdicts.unparsed, verdicts.scores) == (1, (NAN, NAN))
