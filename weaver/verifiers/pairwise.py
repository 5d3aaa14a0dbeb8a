"""The pairwise judge: which of two samples is better, over a schedule of pairs."""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import expit

from archon.engines.base import Request, Sampling
from weaver.verifiers.base import (
    Question,
    Reads,
    Sample,
    Steps,
    Verdicts,
    Verifier,
    ask_about,
    register,
    show,
    spread,
    unique,
)
from weaver.verifiers.reading import TOP_LOGPROBS, first_probability

_PRIOR = 0.1
"""Precision of the Gaussian prior on strengths: who wins all his pairs stays finite."""

Pair = tuple[int, int]


@register
class PairwiseJudge(Verifier):
    """P(better than an average sample of the question), by Bradley-Terry over judged pairs.

    Each pair is judged by the probabilities of A and B at the first token, in both orders, whose
    mean cancels what a judge gives to a position. NaN for a sample that no pair was judged of, so
    also where all samples are the same.

    Attributes:
        model: Name of the model that judges.
        reads: Whether it is shown texts or extracted answers.
        pairs: Most pairs per question, two calls each; with enough every pair is judged, with
            fewer the pairs are spread evenly.
    """

    type: Literal["pairwise"] = "pairwise"
    model: str
    reads: Reads = "text"
    pairs: int = Field(12, ge=1)

    def score(
        self, question: Question, samples: Sequence[Sample], models: Mapping[str, str]
    ) -> Steps:
        """See `Verifier.score`."""
        shown = [show(sample, self.reads) for sample in samples]
        # An order that has nothing to do with quality, or with the order of the samples.
        contents = sorted(unique(shown), key=lambda c: hashlib.sha256(c.encode()).digest())
        pairs = schedule(len(contents), self.pairs)
        if not pairs:
            return Verdicts((math.nan,) * len(samples))
        replies = yield [
            Request(
                models[self.model],
                self._messages(question, contents[one], contents[other]),
                Sampling(0.0, 1, top_logprobs=TOP_LOGPROBS),
            )
            for pair in pairs
            for one, other in (pair, pair[::-1])
        ]
        completions = [reply[0] for reply in replies]
        first = [first_probability(done) if done.ok else None for done in completions]
        won = {
            pair: (there + 1 - back) / 2
            for pair, there, back in zip(pairs, first[::2], first[1::2], strict=True)
            if there is not None and back is not None
        }
        strengths = bradley_terry(len(contents), won)
        met = {index for pair in won for index in pair}
        scores = {
            content: float(expit(strengths[index])) if index in met else None
            for index, content in enumerate(contents)
        }
        failed = sum(not done.ok for done in completions)
        return Verdicts(spread(shown, scores), len(contents), first.count(None) - failed, failed)

    def _messages(self, question: Question, one: str, other: str) -> Question:
        noun = "Reply" if self.reads == "text" else "Answer"
        return ask_about(
            question,
            f"{noun} A:\n\n{one}\n\n{noun} B:\n\n{other}\n\n"
            f"Which {noun.lower()} is correct, or closer to being correct? Answer A or B.",
        )


def schedule(count: int, most: int) -> list[Pair]:
    """Return at most `most` different pairs of `count` things, each thing about equally often."""

    def around() -> Iterator[Pair]:
        for distance in range(1, count // 2 + 1):
            starts = range(count // 2 if 2 * distance == count else count)
            for start in (*starts[::2], *starts[1::2]):
                yield start, (start + distance) % count

    return list(islice(around(), most))


def bradley_terry(count: int, won: Mapping[Pair, float]) -> NDArray[np.float64]:
    """Return [count] strengths s with P(i beats j) = 1 / (1 + exp(s_j - s_i)).

    The maximum of the posterior under a weak Gaussian prior, by Newton's method (Bradley and
    Terry 1952; Caron and Doucet 2012 for priors).

    Args:
        count: How many things are compared.
        won: (i, j) → the share of i's wins over j.
    """
    strengths = np.zeros(count)
    if not won:
        return strengths
    design = np.zeros((len(won), count))
    for row, (one, other) in enumerate(won):
        design[row, [one, other]] = 1.0, -1.0
    share = np.array(list(won.values()))
    for _ in range(50):
        chance = expit(design @ strengths)
        slope = design.T @ (share - chance) - _PRIOR * strengths
        curvature = (design.T * (chance * (1 - chance))) @ design + _PRIOR * np.eye(count)
        step = np.linalg.solve(curvature, slope)
        largest = float(np.abs(step).max())
        strengths += step / max(1.0, largest)  # full steps can overshoot where all is won
        if largest < 1e-10:
            break
    return strengths
