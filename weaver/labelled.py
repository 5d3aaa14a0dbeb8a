"""A few labels beside a label-free model: how far to believe each.

The label-free parameters act as a prior of κ pseudo-samples on what the labelled samples say. A
label-free model can be wrong in ways that votes cannot show (upside down; captured by verifiers
that repeat each other), so other priors compete with it: its mirror image, and verifiers at
chance. Prior and κ are those under which the labels of some queries are best predicted from the
labels of the others.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_expit

from weaver.scores import Floats, Labels, Mask
from weaver.two_coin import TwoCoin
from weaver.votes import Votes

TRUST = (2.0, 8.0, 32.0, 128.0, 512.0, 1e4, 1e7)
"""κ from which to choose: from "hardly a prior" to "labels change nothing"."""
FOLDS = 40
"""At most; with fewer labelled queries each is held out by itself."""

Model = TypeVar("Model")


def folds(query: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return [rows] the fold of each row, 0 to `FOLDS` - 1; rows of one query share theirs."""
    _, place = np.unique(query, return_inverse=True)
    return np.asarray(place % FOLDS)


def best_posterior(
    priors: Sequence[Model],
    posterior: Callable[[Model, float, Mask], Model],
    log_odds: Callable[[Model, Mask], Floats],
    truth: Mask,
    fold: NDArray[np.intp],
) -> tuple[Model, Floats]:
    """Return the posterior from all labels under the prior and κ that predict held-out labels best.

    With it come the log-odds [rows] that it gives to each row without the labels of its fold.

    Args:
        priors: candidates, the label-free model first. Another is taken only where it predicts
            better by more than two standard errors of the difference over folds: a few labels of
            few queries often favour some other prior by accident.
        posterior: gives a model from a prior, κ and a mask [rows] of the labelled rows to use.
        log_odds: gives the log-odds of the rows [rows] under a mask.
        truth: [rows] whether a labelled row is correct.
        fold: [rows] what is held out together.
    """
    everything = np.ones(len(truth), dtype=np.bool_)
    held = [fold == number for number in np.unique(fold)]

    def held_out(prior: Model, trust: float) -> list[Floats]:
        return [log_odds(posterior(prior, trust, ~out), out) for out in held]

    def scores(prior: Model, trust: float) -> Floats:
        odds = held_out(prior, trust)
        signed = [np.where(truth[out], one, -one) for one, out in zip(odds, held, strict=True)]
        return np.array([log_expit(one).sum() for one in signed])

    tried = [[(scores(prior, trust), prior, trust) for trust in TRUST] for prior in priors]
    best, *others = (max(row, key=lambda one: float(one[0].sum())) for row in tried)
    for other in others:
        gain = other[0] - best[0]
        if gain.sum() > max(1e-9, float(2 * np.sqrt(len(held)) * gain.std())):
            best = other
    without = np.zeros(len(truth))
    for out, odds in zip(held, held_out(best[1], best[2]), strict=True):
        without[out] = odds
    return posterior(best[1], best[2], everything), without


def shrunk(
    prior: TwoCoin, trust: float, votes: Votes, labels: Labels, fixed: float | None
) -> TwoCoin:
    """Return what labels [rows] in {-1, 0, 1} say of verifiers, shrunk to a prior.

    Args:
        prior: what counts as
        trust: samples.
        votes: of the rows.
        labels: -1 is not read.
        fixed: the class balance where it was given.
    """
    right, wrong = (labels == 1).astype(np.float64), (labels == 0).astype(np.float64)
    prior_right, prior_wrong = trust * prior.class_balance, trust * (1 - prior.class_balance)
    share = (prior_right + right.sum()) / (trust + right.sum() + wrong.sum())
    yes_right, seen_right = votes.counts(right)
    yes_wrong, seen_wrong = votes.counts(wrong)
    return TwoCoin(
        float(share) if fixed is None else fixed,
        (prior_right * prior.tpr + yes_right) / (prior_right + seen_right),
        (prior_wrong * prior.tnr + seen_wrong - yes_wrong) / (prior_wrong + seen_wrong),
    )


def with_labels(
    priors: Sequence[TwoCoin],
    votes: Votes,
    labels: Labels,
    query: NDArray[np.intp],
    fixed: float | None,
) -> tuple[TwoCoin, Floats]:
    """Return two-coin rates from priors and labels together; see `best_posterior`.

    Args:
        priors: candidates; verifiers at chance are one more.
        votes: votes of all rows.
        labels: [rows] in {-1, 0, 1}, at least one known.
        query: [rows] the query of each row.
        fixed: the class balance where it was given: labels do not change it.
    """
    known = labels >= 0
    truth = labels[known] == 1
    part = Votes.pack(votes.matrix[known])
    chance = TwoCoin.chance((truth.sum() + 1) / (len(truth) + 2), votes.mean)

    def posterior(prior: TwoCoin, trust: float, use: Mask) -> TwoCoin:
        return shrunk(prior, trust, part, np.where(use, truth, -1), fixed)

    def log_odds(model: TwoCoin, rows: Mask) -> Floats:
        return model.log_odds(part)[rows]

    return best_posterior((*priors, chance), posterior, log_odds, truth, folds(query[known]))
