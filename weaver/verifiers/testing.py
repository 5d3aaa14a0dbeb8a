"""The suite every verifier must pass: subclass it in a pytest file."""

import json
import math
from collections.abc import Callable, Sequence
from itertools import permutations

import pytest

from archon.engines.base import Completion, Request
from archon.messages import Message
from weaver.verifiers.base import Question, Sample, Verdicts, Verifier
from weaver.verifiers.registry import make, parse

Reply = Callable[[Request], Completion]

QUESTION = (Message("system", "Be brief."), Message("user", "What is 2 + 2?"))
SAMPLES = (
    Sample("2 + 2 = 4", "4", -0.1, ((("4", -0.1), ("5", -2.5)),)),
    Sample("It is 5, I think.", "5", -0.9, ((("5", -0.9), ("4", -0.8)),)),
    Sample("2 + 2 = 4", "4", -0.1, ((("4", -0.1), ("5", -2.5)),)),
    Sample("No idea."),
)
"""Two of them are identical; the last states no answer and tells no log-probabilities."""


def drive(
    verifier: Verifier,
    samples: Sequence[Sample],
    reply: Reply,
    question: Question = QUESTION,
) -> tuple[Verdicts, list[Request]]:
    """Run a verifier on one question, answering its requests; return verdicts and requests."""
    models = {name: f"identity of {name}" for name in verifier.model_names()}
    steps = verifier.score(question, samples, models)
    asked: list[Request] = []
    replies: list[list[Completion]] | None = None
    while True:
        try:
            requests = steps.send(replies)  # type: ignore[arg-type]
        except StopIteration as stop:
            verdicts: Verdicts = stop.value
            return verdicts, asked
        asked += requests
        replies = [[reply(request)] * request.samples for request in requests]


class VerifierTestCase:
    """Contract of ``Verifier``.

    A subclass gives the fixtures ``verifier`` and, for one that asks a model, ``reply`` (returns
    a function from a request to a completion that is a verdict; equal requests get equal ones).

    Example:
        >>> class TestMyJudge(VerifierTestCase):
        ...     @pytest.fixture
        ...     def verifier(self):
        ...         return MyJudge(model="big")
        ...
        ...     @pytest.fixture
        ...     def reply(self):
        ...         return lambda request: Completion("Verdict: Correct", "stop", 9, 3)
    """

    @pytest.fixture
    def verifier(self) -> Verifier:
        """Return the verifier under test."""
        raise NotImplementedError("a subclass gives the fixture verifier")

    @pytest.fixture
    def reply(self) -> Reply:
        """Return what answers the verifier's requests."""

        def refuse(request: Request) -> Completion:
            raise AssertionError(f"asked a model, but the test gives no reply: {request}")

        return refuse

    def test_it_can_be_written_down_and_read_back(self, verifier: Verifier) -> None:
        """Its name is read back as itself, and so are its settings in JSON."""
        assert parse(verifier.name) == verifier
        assert make(json.loads(verifier.model_dump_json())) == verifier

    def test_each_sample_gets_a_finite_score_or_none(
        self, verifier: Verifier, reply: Reply
    ) -> None:
        """There is one score per sample, some are numbers, none is infinite."""
        verdicts, _ = drive(verifier, SAMPLES, reply)
        assert len(verdicts.scores) == len(SAMPLES)
        assert not all(math.isnan(score) for score in verdicts.scores)
        assert not any(math.isinf(score) for score in verdicts.scores)
        assert verdicts.unparsed == verdicts.failed == 0

    def test_scores_follow_their_samples(self, verifier: Verifier, reply: Reply) -> None:
        """Samples in another order get the same scores, in that order."""
        scores = drive(verifier, SAMPLES, reply)[0].scores
        for order in permutations(range(len(SAMPLES))):
            again = drive(verifier, [SAMPLES[index] for index in order], reply)[0].scores
            expected = [scores[index] for index in order]
            assert again == pytest.approx(expected, nan_ok=True)

    def test_identical_samples_are_judged_once(self, verifier: Verifier, reply: Reply) -> None:
        """They share a score, and no request is made twice."""
        verdicts, asked = drive(verifier, SAMPLES, reply)
        assert verdicts.scores[0] == pytest.approx(verdicts.scores[2], nan_ok=True)
        assert len({request.key for request in asked}) == len(asked)
        _, without_copy = drive(verifier, [*SAMPLES[:2], SAMPLES[3]], reply)
        assert {r.key for r in asked} == {r.key for r in without_copy}

    def test_it_asks_its_own_model_reproducibly(self, verifier: Verifier, reply: Reply) -> None:
        """It asks only models it names, and the same questions every time."""
        _, asked = drive(verifier, SAMPLES, reply)
        _, again = drive(verifier, SAMPLES, reply)
        assert [request.key for request in asked] == [request.key for request in again]
        identities = {f"identity of {name}" for name in verifier.model_names()}
        assert {request.model for request in asked} == identities

    @pytest.mark.parametrize("text", ["", "perhaps", "[]", "{}", "null", "NaN", "\0", "9" * 5000])
    def test_a_reply_that_is_no_verdict_is_counted(self, verifier: Verifier, text: str) -> None:
        """It raises nothing, gives no score, and counts as unparsed."""
        verdicts, asked = drive(verifier, SAMPLES, lambda _: Completion(text, "stop", 9, 3))
        if asked:
            assert all(math.isnan(score) for score in verdicts.scores)
            assert (verdicts.unparsed, verdicts.failed) == (len(asked), 0)

    def test_a_call_that_failed_is_counted(self, verifier: Verifier) -> None:
        """It gives no score and counts as failed, not as unparsed."""
        failed = Completion("", "refused", 0, 0, error="HTTP 400: too long")
        verdicts, asked = drive(verifier, SAMPLES, lambda _: failed)
        if asked:
            assert all(math.isnan(score) for score in verdicts.scores)
            assert (verdicts.unparsed, verdicts.failed) == (0, len(asked))

    @pytest.mark.parametrize("count", [0, 1])
    def test_few_samples_are_no_error(self, verifier: Verifier, reply: Reply, count: int) -> None:
        """One sample, or none, gives as many scores."""
        assert len(drive(verifier, SAMPLES[:count], reply)[0].scores) == count
