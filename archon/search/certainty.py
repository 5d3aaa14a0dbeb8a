"""Does P(correct) hold on queries that nothing was fitted to?"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from archon.search.confirm import Block
from weaver.metrics import calibration_error


def certainty(blocks: Sequence[Block]) -> dict[str, Any] | None:
    """Return how confirmed answers' calibrated P(correct) compares with how many were correct.

    Returns:
        ``answers`` that have one, their ``mean`` P(correct), their ``accuracy``, and the expected
        calibration ``error``; None where no answer has one.
    """
    pairs = [
        (chance, score == 1)
        for block in blocks
        for chance, score in zip(block.p_correct, block.score, strict=False)
        if chance is not None
    ]
    if not pairs:
        return None
    chance = np.array([pair[0] for pair in pairs])
    right = np.array([pair[1] for pair in pairs], dtype=np.int8)
    return {
        "answers": len(pairs),
        "mean": float(chance.mean()),
        "accuracy": float(right.mean()),
        "error": calibration_error(chance, right),
    }
