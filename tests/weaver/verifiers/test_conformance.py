"""Every verifier of the library passes the suite it ships."""

import json
from typing import Literal

import pytest
from verdict_replies import opinion, pooled, said, tops

from archon.engines.base import Request
from archon.errors import UsageError
from weaver.verifiers import (
    VERIFIERS,
    Classifier,
    Entropy,
    Format,
    Free,
    Length,
    Logprob,
    MathAgreement,
    Medoid,
    PairwiseJudge,
    ReasonedJudge,
    Reward,
    RubricJudge,
    SelfConsistency,
    Verdicts,
    YesNoJudge,
)
from weaver.verifiers.reading import yes_probability
from weaver.verifiers.testing import VerifierTestCase


def yes_or_no(request):
    return tops(Yes=opinion(request), No=1 - opinion(request))


def a_or_b(request):
    return tops(A=opinion(request), B=1 - opinion(request))


def checked(request):
    word = "Correct" if opinion(request) > 0.5 else "Incorrect"
    return said(f"2 + 2 is 4.\nVerdict: {word}")


def marked(request):
    prompt = request.messages[-1].content
    names = [f"c{n}" for n in range(1, 9) if f"\nc{n}: " in prompt]
    return said(json.dumps({name: 1 + round(4 * opinion(request)) for name in names}))


def probability(request):
    return pooled(opinion(request))


def vector(request):
    return pooled(1.0, opinion(request), -opinion(request) / 2)


MODEL_FREE = [
    SelfConsistency(),
    MathAgreement(),
    Logprob(),
    Entropy(),
    Format(),
    Format(pattern=r'(\d+) = "?\d, \[4\]|='),
    Length(),
    Length(longer=True),
]
ASKING = [
    (YesNoJudge(model="m"), yes_or_no),
    (YesNoJudge(model="m-1.5b", reads="answer"), yes_or_no),
    (ReasonedJudge(model="m", max_tokens=64), checked),
    (RubricJudge(model="m"), marked),
    (RubricJudge(model="m", criteria=('says "why", briefly', "is [not] rude")), marked),
    (PairwiseJudge(model="m"), a_or_b),
    (PairwiseJudge(model="m", reads="answer", pairs=2), a_or_b),
    (Classifier(model="m"), probability),
    (Classifier(model="m", reads="answer", label=0), probability),
    (Reward(model="m"), probability),
    (Medoid(model="m"), vector),
    (Medoid(model="m", reads="answer"), vector),
]


class TestModelFree(VerifierTestCase):
    @pytest.fixture(params=MODEL_FREE, ids=lambda verifier: verifier.name)
    def verifier(self, request):
        return request.param


class TestAsking(VerifierTestCase):
    @pytest.fixture(params=ASKING, ids=lambda case: case[0].name)
    def case(self, request):
        return request.param

    @pytest.fixture
    def verifier(self, case):
        return case[0]

    @pytest.fixture
    def reply(self, case):
        return case[1]


def test_every_registered_verifier_is_tried_here():
    tried = {verifier.type for verifier in [*MODEL_FREE, *(v for v, _ in ASKING)]}
    assert tried == set(VERIFIERS)


# The suite finds what is wrong


class ByPosition(Free):
    type: Literal["by_position"] = "by_position"

    def rate(self, samples):
        return range(len(samples))


class Careless(YesNoJudge):
    type: Literal["careless"] = "careless"

    def score(self, question, samples, models):  # noqa: ARG002
        scores = []
        for sample in samples:
            request = Request("any model", self.messages(question, sample.text), self.sampling())
            ((done,),) = yield [request]
            scores.append(yes_probability(done) or 0.0)
        return Verdicts(tuple(scores))


@pytest.mark.parametrize(
    ("verifier", "check"),
    [
        (ByPosition(), lambda suite, v: suite.test_scores_follow_their_samples(v, yes_or_no)),
        (Careless(model="m"), lambda suite, v: suite.test_it_can_be_written_down_and_read_back(v)),
        (
            Careless(model="m"),
            lambda suite, v: suite.test_identical_samples_are_judged_once(v, yes_or_no),
        ),
        (
            Careless(model="m"),
            lambda suite, v: suite.test_it_asks_its_own_model_reproducibly(v, yes_or_no),
        ),
        (
            Careless(model="m"),
            lambda suite, v: suite.test_a_reply_that_is_no_verdict_is_counted(v, "perhaps"),
        ),
        (Careless(model="m"), lambda suite, v: suite.test_a_call_that_failed_is_counted(v)),
    ],
)
def test_a_verifier_that_breaks_the_contract_fails(verifier, check):
    with pytest.raises((AssertionError, UsageError)):
        check(VerifierTestCase(), verifier)
