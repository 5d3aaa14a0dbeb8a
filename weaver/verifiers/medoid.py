"""The embedding medoid: samples close in meaning to the others are likelier correct."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from archon.engines.base import Request
from archon.engines.pooling import POOLED
from archon.messages import Message
from weaver.verifiers.base import (
    Question,
    Reads,
    Sample,
    Steps,
    Verdicts,
    Verifier,
    register,
    show,
    spread,
    unique,
)
from weaver.verifiers.reading import numbers


@register
class Medoid(Verifier):
    """Mean cosine similarity of a sample's embedding to those of the question's other samples.

    NaN for a sample that is alone.

    Attributes:
        model: Name of the model that embeds.
        reads: Whether the text of a sample or its extracted answer is embedded.
    """

    type: Literal["medoid"] = "medoid"
    model: str
    reads: Reads = "text"

    def score(
        self,
        question: Question,  # noqa: ARG002
        samples: Sequence[Sample],
        models: Mapping[str, str],
    ) -> Steps:
        """See `Verifier.score`."""
        shown = [show(sample, self.reads) for sample in samples]
        distinct = unique(shown)
        if len(shown) - shown.count(None) < 2:
            return Verdicts((math.nan,) * len(samples))
        replies = yield [
            Request(models[self.model], (Message("user", content),), POOLED) for content in distinct
        ]
        completions = [reply[0] for reply in replies]
        vectors = [_unit(done.text) if done.ok else None for done in completions]
        size = next((len(vector) for vector in vectors if vector is not None), 0)
        placed = {
            content: vector
            for content, vector in zip(distinct, vectors, strict=True)
            if vector is not None and len(vector) == size
        }
        failed = sum(not done.ok for done in completions)
        return Verdicts(
            spread(shown, dict.fromkeys(distinct) | _closeness(placed, Counter(shown))),
            len(distinct),
            len(distinct) - len(placed) - failed,
            failed,
        )


def _unit(text: str) -> NDArray[np.float64] | None:
    found = numbers(text)
    norm = 0.0 if found is None else float(np.linalg.norm(found))
    return np.asarray(found) / norm if norm > 0 else None


def _closeness(
    placed: Mapping[str, NDArray[np.float64]], times: Mapping[str | None, int]
) -> dict[str, float | None]:
    """Return content → mean cosine similarity to the other samples, identical ones included."""
    often = np.array([times[content] for content in placed])
    if often.sum() < 2:
        return {}
    vectors = np.stack(list(placed.values()))
    others = (vectors @ (often @ vectors) - 1) / (often.sum() - 1)
    return dict(zip(placed, others.tolist(), strict=True))
