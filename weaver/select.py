"""From log-odds per sample to one sample per query."""

import numpy as np
from numpy.typing import NDArray

from weaver.scores import Floats, Mask

_SAME = 1e-9
"""Keys that differ by less are tied: sums in another order differ by rounding."""


def choose(
    log_odds: Floats, real: Mask, mass: Floats | None, tie_score: Floats
) -> NDArray[np.intp]:
    """Return for each query the sample of highest log-odds.

    Equal log-odds are decided by the number of samples with the same answer, then by the tie
    score; the first sample wins only where all three are equal. Padding is never chosen.

    Args:
        log_odds: [queries, samples].
        real: [queries, samples] False for padding.
        mass: [queries, samples] how many samples of the query have the same answer, or None.
        tie_score: [queries, samples] continuous.
    """
    left = real.copy()
    for key in (log_odds, tie_score) if mass is None else (log_odds, mass, tie_score):
        held = np.where(left, key, -np.inf)
        left &= held >= held.max(axis=1, keepdims=True) - _SAME
    return np.asarray(left.argmax(axis=1))
