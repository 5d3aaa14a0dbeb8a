"""How good verifiers and selections are, against the truth."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from weaver.scores import Floats, Labels


def selection_accuracy(selected: NDArray[np.intp], correct: Labels) -> float | None:
    """Return the share of correct among the selected samples whose truth is known; None if none.

    Args:
        selected: [queries] sample indices.
        correct: [queries, samples] in {-1, 0, 1}.
    """
    chosen = correct[np.arange(len(correct)), selected]
    return float((chosen[chosen >= 0] == 1).mean()) if (chosen >= 0).any() else None


def pass_at_k(correct: Labels, k: int) -> float | None:
    """Return the unbiased estimate of P(some of k samples is correct), a mean over queries.

    1 - C(n - c, k) / C(n, k) for c of n known samples correct (Chen et al. 2021); queries with
    fewer than k known samples are left out. None if none is left. With k the number of samples it
    is the ceiling of any selection.

    Args:
        correct: [queries, samples] in {-1, 0, 1}.
        k: 1 or more.
    """
    known = (correct >= 0).sum(axis=1)
    right = (correct == 1).sum(axis=1)[known >= k]
    known = known[known >= k]
    if not known.size:
        return None
    # C(n - c, k) / C(n, k) = Π over i < k of (n - c - i) / (n - i), which stays in range
    steps = np.arange(k)
    left = np.maximum(known[:, None] - right[:, None] - steps, 0) / (known[:, None] - steps)
    return float(np.mean(1 - left.prod(axis=1)))


def auc(score: Floats, correct: Labels) -> float | None:
    """Return P(a correct sample scores above a wrong one), ties half; None without both kinds.

    Args:
        score: any shape; NaN left out.
        correct: of the same shape, in {-1, 0, 1}.
    """
    known = (correct >= 0) & ~np.isnan(score)
    truth = correct[known] == 1
    right, wrong = int(truth.sum()), int((~truth).sum())
    if not right or not wrong:
        return None
    ranks = rankdata(score[known])
    return float((ranks[truth].sum() - right * (right + 1) / 2) / (right * wrong))


def calibration_error(probability: Floats, correct: Labels, bins: int = 10) -> float | None:
    """Return the expected calibration error over bins of equally many; None if nothing is known.

    The mean over bins, by size, of |mean probability - share correct|.

    Args:
        probability: any shape.
        correct: of the same shape, in {-1, 0, 1}.
        bins: at most this many, fewer where there are fewer samples.
    """
    known = correct >= 0
    if not known.any():
        return None
    order = np.argsort(probability[known], kind="stable")
    gaps = (correct[known] == 1)[order] - probability[known][order]
    parts = np.array_split(gaps, min(bins, gaps.size))
    return float(sum(abs(part.sum()) for part in parts) / gaps.size)
