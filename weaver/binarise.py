"""Votes from scores: one threshold per verifier, fitted once and reused at prediction."""

from typing import Literal

import numpy as np

from archon.errors import UsageError
from weaver.normalise import Extent
from weaver.scores import Floats, Labels

Rule = Literal["auto", "median", "balance", "learned"]
Binarize = Rule | float


def thresholds(
    scores: Floats,
    extent: Extent,
    how: Binarize,
    class_balance: float | None,
    labels: Labels | None,
) -> Floats:
    """Return for each verifier the score from which on it votes yes.

    A verifier of two values is always cut between them. Others, by ``how``:

    - a number: that threshold;
    - ``median``: halves (as near as ties allow; so does every quantile here);
    - ``balance``: as many yes votes as the class balance says there are correct samples;
    - ``learned``: where TPR + TNR is highest on the labelled samples, if there are both kinds;
    - ``auto``: ``learned`` with at least 10 correct and 10 wrong labels, else ``balance`` if the
      class balance is known, else ``median``.

    Args:
        scores: [rows, verifiers].
        extent: of these scores.
        how: as above.
        class_balance: the share of correct samples, if known.
        labels: [rows] in {-1, 0, 1}, or None.

    Raises:
        UsageError: ``balance`` without a class balance, ``learned`` without labels of both kinds.
    """
    right = 0 if labels is None else int((labels == 1).sum())
    wrong = 0 if labels is None else int((labels == 0).sum())
    if how == "auto":
        enough = min(right, wrong) >= 10
        how = "learned" if enough else "median" if class_balance is None else "balance"
    if how == "balance" and class_balance is None:
        raise UsageError("binarize 'balance' needs the class balance; give class_balance")
    if how == "learned" and not (right and wrong):
        raise UsageError("binarize 'learned' needs labels, of correct and of wrong samples")
    low, high = extent.low, extent.high
    cuts = np.where(low < high, low + (high - low) / 2, low)
    cuts[np.isnan(cuts)] = 0.0
    for index in np.flatnonzero(~extent.two):
        column = scores[:, index]
        if not isinstance(how, str):
            cuts[index] = how
        elif how == "learned" and labels is not None:
            cuts[index] = _best_cut(column, labels)
        else:
            yes = 0.5 if class_balance is None or how == "median" else class_balance
            cuts[index] = _quantile_cut(column[~np.isnan(column)], yes)
    return cuts


def vote(scores: Floats, cuts: Floats) -> Floats:
    """Return votes [..., verifiers]: 1, 0, and NaN where the score is missing."""
    votes = (scores >= cuts).astype(np.float64)
    votes[np.isnan(scores)] = np.nan
    return votes


def _quantile_cut(column: Floats, yes: float) -> float:
    """Return the midpoint between two values whose yes share comes nearest."""
    values, counts = np.unique(column, return_counts=True)
    above = 1 - np.cumsum(counts)[:-1] / column.size
    return _between(values, int(np.argmin(np.abs(above - yes))))


def _best_cut(column: Floats, labels: Labels) -> float:
    """Return the midpoint between two labelled values of highest TPR - FPR; flat: the median."""
    known = (labels >= 0) & ~np.isnan(column)
    values, place = np.unique(column[known], return_inverse=True)
    if len(values) < 2:
        return _quantile_cut(column[~np.isnan(column)], 0.5)
    right = np.bincount(place, labels[known] == 1)
    wrong = np.bincount(place, labels[known] == 0)
    gain = np.cumsum(wrong) / max(1, wrong.sum()) - np.cumsum(right) / max(1, right.sum())
    # a verifier that is worse than chance is cut where it is most wrong
    return _between(values, int(np.argmax(np.abs(gain[:-1]))))


def _between(values: Floats, index: int) -> float:
    return float(values[index] + (values[index + 1] - values[index]) / 2)
