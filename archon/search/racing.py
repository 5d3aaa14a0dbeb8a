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

    Tests S·X* - S*·X against 0 (means of score and spent, starred the incumbent's), which has the
    sign of the difference of the two ratios, by a one-sided t test. Its error comes from all four
    means (delta method), paired by query. For the error alone two right and two wrong answers of
    the candidate are added (Agresti and Coull, *The American Statistician* 52, 1998): the first
    few answers of a rarely right pipeline are all wrong, which is no proof that it always is.

    Args:
        score: [queries] the candidate's (weighted) scores.
        spent: [queries] what it spent in the objective's unit (joules, or watts at a rate).
        best_score: [queries] the incumbent's scores.
        best_spent: [queries] what the incumbent spent.
        looks: Number of looks the error is shared over.
    """
    n = len(score)
    lead = score.mean() * best_spent.mean() - spent.mean() * best_score.mean()
    right = max(score.max(), best_score.max())
    s = np.append(score, [0.0, 0.0, right, right])
    x, best_s, best_x = (
        np.append(one, np.full(4, one.mean())) for one in (spent, best_score, best_spent)
    )
    influence = s * best_x.mean() + s.mean() * best_x - x * best_s.mean() - x.mean() * best_s
    error = influence.std(ddof=1) / np.sqrt(n)
    return bool(lead + stats.t.ppf(1 - ALPHA / (2 * looks), n - 1) * error < 0)


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
