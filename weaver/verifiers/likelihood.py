"""Verifiers by what the writing model thought of its own tokens."""

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

from weaver.verifiers.base import Free, Sample, register


@register
class Logprob(Free):
    """Mean log-probability of the sample's tokens; NaN where not known."""

    type: Literal["logprob"] = "logprob"

    needs: ClassVar[tuple[str, ...]] = ("mean_logprob",)

    def rate(self, samples: Sequence[Sample]) -> list[float | None]:
        """See `Free.rate`."""
        return [sample.mean_logprob for sample in samples]


@register
class Entropy(Free):
    """Minus the mean entropy (nats) of the distributions the tokens were drawn from.

    Probability outside the stored most likely tokens counts as one more token, so this is a lower
    bound of the entropy. NaN where they are not stored.
    """

    type: Literal["entropy"] = "entropy"

    needs: ClassVar[tuple[str, ...]] = ("top_logprobs",)

    def rate(self, samples: Sequence[Sample]) -> list[float | None]:
        """See `Free.rate`."""
        return [_certainty(sample) for sample in samples]


def _certainty(sample: Sample) -> float | None:
    positions = [position for position in sample.top_logprobs or () if position]
    if not positions:
        return None
    return -sum(_entropy([pair[1] for pair in tops]) for tops in positions) / len(positions)


def _entropy(logprobs: Sequence[float]) -> float:
    listed = [math.exp(logprob) for logprob in logprobs]
    rest = max(0.0, 1.0 - sum(listed))
    return -sum(p * math.log(p) for p in (*listed, rest) if p > 0)
