"""Verifiers without a model: agreement, likelihood, form."""

import math

import pytest
from pydantic import ValidationError

from weaver.verifiers import (
    Entropy,
    Format,
    Length,
    Logprob,
    MathAgreement,
    Sample,
    SelfConsistency,
)
from weaver.verifiers.testing import drive

NAN = pytest.approx(math.nan, nan_ok=True)


def scores(verifier, samples):
    def asked(request):
        raise AssertionError(request)

    verdicts, _ = drive(verifier, samples, asked)
    assert (verdicts.judged, verdicts.unparsed, verdicts.failed) == (0, 0, 0)
    return verdicts.scores


def answering(*answers):
    return [Sample(f"sample {index}", answer) for index, answer in enumerate(answers)]


def test_self_consistency_is_the_share_of_samples_with_the_answer():
    assert scores(SelfConsistency(), answering("4", "5", "4", None)) == (0.5, 0.25, 0.5, NAN)


def test_equal_formulas_agree_however_they_are_written():
    samples = answering(r"\frac{1}{2}", "0.5", "2", "x+1", "1+x", None)
    third = pytest.approx(1 / 3)
    assert scores(MathAgreement(), samples) == (
        third,
        third,
        pytest.approx(1 / 6),
        third,
        third,
        NAN,
    )


def test_log_probability_is_the_samples_own():
    assert scores(Logprob(), [Sample("a", mean_logprob=-0.5), Sample("b")]) == (-0.5, NAN)


def test_entropy_is_lowest_where_the_model_was_sure():
    half = (("a", math.log(0.5)), ("b", math.log(0.5)))
    sure = (("a", 0.0),)
    samples = [Sample("a", top_logprobs=tops) for tops in [(sure, sure), (half, sure), (half,)]]
    expected = (0.0, -math.log(2) / 2, -math.log(2))
    assert scores(Entropy(), samples) == pytest.approx(expected)


def test_probability_that_is_not_listed_counts_as_one_more_token():
    listed = ((("a", math.log(0.5)),),)
    assert scores(Entropy(), [Sample("a", top_logprobs=listed)]) == pytest.approx([-math.log(2)])


@pytest.mark.parametrize("tops", [None, (), ((),)])
def test_without_stored_tokens_there_is_no_entropy(tops):
    assert scores(Entropy(), [Sample("a", top_logprobs=tops)]) == (NAN,)


def test_a_format_is_kept_or_not():
    samples = [Sample("Answer: 4", "4"), Sample("the answer is", None)]
    assert scores(Format(), samples) == (1.0, 0.0)
    assert scores(Format(pattern=r"answer is$"), samples) == (0.0, 1.0)


def test_a_pattern_that_is_no_regular_expression_is_refused():
    with pytest.raises(ValidationError, match=r"pattern\n.*no regular expression: missing"):
        Format(pattern="(")


def test_shorter_samples_score_higher_unless_told_otherwise():
    samples = [Sample("four"), Sample("it is four"), Sample("")]
    one, three, none = scores(Length(), samples)
    assert none > one > three
    assert scores(Length(longer=True), samples) == (-one, -three, -none)
