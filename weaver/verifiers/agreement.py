"""Verifiers that ask how many samples say the same."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import ClassVar, Literal

from archon.tasks.math_equivalence import equivalent, require_math_verify
from weaver.verifiers.base import Free, Sample, register, unique


class _Agreement(Free):
    needs: ClassVar[tuple[str, ...]] = ("answer",)

    def rate(self, samples: Sequence[Sample]) -> list[float | None]:
        """See `Free.rate`."""
        answers = [sample.answer for sample in samples]
        stands = self.clusters(unique(answers))
        votes = Counter(stands[answer] for answer in answers if answer is not None)
        return [
            None if answer is None else votes[stands[answer]] / len(samples) for answer in answers
        ]

    @abstractmethod
    def clusters(self, answers: Sequence[str]) -> Mapping[str, str]:
        """Return answer → the one that stands for all answers equal to it."""


@register
class SelfConsistency(_Agreement):
    """The share of the question's samples that have the same answer.

    Wang et al. 2022, "Self-Consistency Improves Chain of Thought Reasoning", arXiv 2203.11171.
    """

    type: Literal["consistency"] = "consistency"

    def clusters(self, answers: Sequence[str]) -> Mapping[str, str]:
        """Return each answer for itself."""
        return {answer: answer for answer in answers}


@register
class MathAgreement(_Agreement):
    """The share of the question's samples whose answers are mathematically equal to its own.

    Needs the package math-verify (extra ``tasks``). Answers are equal when a chain of equal pairs
    connects them, so that the order of the samples does not matter.
    """

    type: Literal["math_agreement"] = "math_agreement"

    def clusters(self, answers: Sequence[str]) -> Mapping[str, str]:
        """Return each answer's first equal in alphabetical order.

        Raises:
            UsageError: math-verify is not installed.
        """
        require_math_verify()
        stands = {answer: answer for answer in answers}
        for one, other in combinations(sorted(answers), 2):
            if stands[one] != stands[other] and (equivalent(one, other) or equivalent(other, one)):
                kept, gone = sorted((stands[one], stands[other]))
                stands |= {answer: kept for answer in answers if stands[answer] == gone}
        return stands
