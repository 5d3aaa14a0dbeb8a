"""All methods on the same scores, side by side."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import binom

from archon.errors import UsageError
from weaver import methods
from weaver.metrics import calibration_error, selection_accuracy
from weaver.scores import Labels, Mask, Scores
from weaver.weaver import Weaver

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Standing:
    """How one method did.

    Attributes:
        method: its name.
        accuracy: of the selected samples whose truth is known.
        interval: 95%, bootstrap over queries.
        calibration_error: expected calibration error of the selected samples' P(correct).
        fit_s: seconds to fit, with the choice of verifiers and the calibration.
        cost_j: joules of one verdict by each verifier it uses; None if one was not measured.
        reason: why it could not run, and all else is None; None if it ran.
    """

    method: str
    accuracy: float | None = None
    interval: Interval | None = None
    calibration_error: float | None = None
    fit_s: float | None = None
    cost_j: float | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """How all methods did.

    Attributes:
        queries: what the methods were fitted to.
        judged: how many queries' truth the accuracies rest on: those without labels where there
            are such, else all whose truth is known.
        labels_seen: whether the queries judged are labelled, so that methods that read labels are
            judged by what they were told.
        oracle: share of the judged queries with a correct sample: no selection can do better.
        oracle_interval: 95%.
        standings: of the methods, in the order asked for.
        energy: basis of their joules; None where not known.
    """

    queries: int
    judged: int
    labels_seen: bool
    oracle: float
    oracle_interval: Interval
    standings: tuple[Standing, ...]
    energy: str | None


def compare(
    scores: Scores,
    names: Sequence[str],
    seed: int = 0,
    on_method: Callable[[str], None] = lambda _: None,
) -> Comparison:
    """Fit every method to all queries and judge its selections by `Scores.correct`.

    Args:
        scores: with `correct`; methods are fitted without it.
        names: of methods.
        seed: for methods that draw random numbers.
        on_method: told each method's name before it is fitted.

    Raises:
        UsageError: No sample's truth is known, or a method is unknown.
    """
    if scores.correct is None or not (scores.correct >= 0).any():
        raise UsageError("no array 'correct' that says which samples are: compare judges by it")
    for name in names:
        methods.class_of(name)
    truth_known = _any(scores.correct >= 0)
    unseen = truth_known if scores.labels is None else truth_known & ~_any(scores.labels >= 0)
    labels_seen = not unseen.any()
    judged = truth_known if labels_seen else unseen
    standings = []
    for name in names:
        on_method(name)
        standings.append(_standing(scores, scores.correct, name, seed, judged))
    found = _any(scores.correct[judged] == 1)
    oracle, count = float(found.mean()), int(judged.sum())
    return Comparison(
        len(judged),
        count,
        labels_seen,
        oracle,
        _interval(oracle, count),
        tuple(standings),
        scores.energy,
    )


def _standing(scores: Scores, correct: Labels, name: str, seed: int, judged: Mask) -> Standing:
    if methods.class_of(name).needs_labels and not _labelled(scores):
        return Standing(name, reason="needs labels")
    free = name == "first" or (name == "plurality" and scores.answers is not None)
    if free:
        # Such a method is used where no verifier ran, so their scores may not break its ties.
        scores = replace(scores, scores=np.where(np.isnan(scores.scores), np.nan, 0.0))
    weaver = Weaver(name, seed=seed)
    began = time.perf_counter()
    try:
        weaver.fit(scores)
    except UsageError as error:
        return Standing(name, reason=str(error))
    fit_s = time.perf_counter() - began
    decisions = weaver.decide(scores)
    truth = correct[np.arange(len(judged)), decisions.selected]
    known = judged & (truth >= 0)
    accuracy = selection_accuracy(decisions.selected[judged], correct[judged])
    costs = [entry.cost_j for entry in weaver.report_ if entry.dropped is None]
    measured = [cost for cost in costs if cost is not None]
    return Standing(
        name,
        accuracy,
        None if accuracy is None else _interval(accuracy, int(known.sum())),
        calibration_error(decisions.probability[known], truth[known]),
        fit_s,
        0.0 if free else sum(measured) if len(measured) == len(costs) else None,
    )


def _any(samples: Mask) -> Mask:
    """Return [queries]: whether it holds for any sample."""
    return np.asarray(samples.any(axis=1))


def _labelled(scores: Scores) -> bool:
    return scores.labels is not None and bool((scores.labels[scores.present] >= 0).any())


def _interval(share: float, count: int) -> Interval:
    """Return the 95% bootstrap interval of a share of `count` queries.

    Of queries that are right or wrong, a resample's number of right ones is binomial: its
    quantiles are the interval, and nothing need be drawn.
    """
    low, high = binom.ppf([0.025, 0.975], count, share) / count
    return float(low), float(high)
