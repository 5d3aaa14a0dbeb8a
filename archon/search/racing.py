"""Racing: stop measuring a pipeline once it can no longer win.

Queries come in one fixed shuffled order and are looked at in growing rungs. At each rung two
one-sided tests ask whether the candidate can still beat the incumbent; the error is shared over
looks and tests (Bonferroni), so the chance to stop a pipeline that is better on the whole split
stays below `ALPHA` in total.
"""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from archon.metrics import Array

ALPHA = 0.05


def rungs(first: int, total: int) -> list[int]:
    """Return query counts that double from `first` and end with `total`."""
    counts = []
    count = first
    while count < total:
        counts.append(count)
        count *= 2
    return [*counts, total]


def is_worse(score: Array, spent: Array, best_score: Array, best_spent: Array, looks: int) -> bool:
    """Whether a candidate's Σscore/Σspent is surely below the incumbent's on the same queries.

    Tests the mean of s·X* - S*·x against 0 (S*, X* the incumbent's totals), which has the sign
    of the difference of the two ratios, by a one-sided t test.

    Args:
        score: [queries] the candidate's (weighted) scores.
        spent: [queries] what it spent in the objective's unit (joules, or watts at a rate).
        best_score: [queries] the incumbent's scores.
        best_spent: [queries] what the incumbent spent.
        looks: Number of looks the error is shared over.
    """
    lead = score * best_spent.mean() - spent * best_score.mean()
    return _mean_below_zero(lead, ALPHA / (2 * looks))


def misses_floor(score: Array, floor: float, looks: int) -> bool:
    """Whether accuracy is surely below a floor, by the Clopper-Pearson upper bound.

    Args:
        score: [queries] unweighted scores in [0, 1]; for such scores the binomial bound is
            conservative.
    """
    n, right = len(score), float(score.sum())
    if right >= n:
        return False
    upper = stats.beta.ppf(1 - ALPHA / (2 * looks), right + 1, n - right)
    return bool(upper < floor)


def is_dominated(
    score: Array, joules: Array, others: Sequence[tuple[Array, Array]], looks: int
) -> bool:
    """Whether some other pipeline is surely at least as accurate and surely cheaper."""
    alpha = ALPHA / (2 * looks)
    return any(
        _mean_below_zero(score - other_score, alpha)
        and _mean_below_zero(other_joules - joules, alpha)
        for other_score, other_joules in others
    )


def _mean_below_zero(values: Array, alpha: float) -> bool:
    n = len(values)
    spread = values.std(ddof=1) / np.sqrt(n)
    return bool(values.mean() + stats.t.ppf(1 - alpha, n - 1) * spread < 0)
