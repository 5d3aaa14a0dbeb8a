"""How far predictions are off, and whether they put things in the right order: pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats

from archon.energy import Coef, Load, ModelPrice
from archon.metrics import Array, interval

REPLICATES = 2000
CLEARLY = 1.1
"""Two pipelines are told apart when one spends more than this many times the other's joules."""


@dataclass(frozen=True, slots=True)
class Errors:
    """Relative errors, predicted / measured - 1, over some windows.

    Attributes:
        bias: Their mean: above 0 where the prediction is too high.
        worst: The largest without its sign.
    """

    mean_absolute: float
    worst: float
    bias: float
    count: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """Whether predicted joules put pipelines in the order of measured ones.

    Attributes:
        spearman: Rank correlation; None with fewer than three pipelines or all equal.
        spearman_ci: 95% bootstrap interval over pipelines.
        kendall: Tau-b.
        pairs: Pairs of pipelines whose measured joules clearly differ.
        right: How many of them the prediction puts in the measured order.
    """

    spearman: float | None
    spearman_ci: tuple[float, float] | None
    kendall: float | None
    pairs: int
    right: int


def relative_error(predicted: float, measured: float) -> float:
    """Return predicted / measured - 1."""
    return predicted / measured - 1


def summarise(errors: Sequence[float]) -> Errors:
    """Sum up relative errors, at least one."""
    sizes = np.abs(errors)
    return Errors(float(sizes.mean()), float(sizes.max()), float(np.mean(errors)), len(errors))


def joule_bounds(price: ModelPrice, load: Load) -> tuple[float, float]:
    """Return joules with every coefficient at the low, then at the high end of its interval.

    Wider than a 95% interval of the sum: fitted coefficients err against each other.
    """
    amounts = (load.prefill_tokens, load.decode_tokens, load.calls)
    coefs = (price.prefill_j, price.decode_j, price.call_j)
    return (
        sum(coef.ci_low * amount for coef, amount in zip(coefs, amounts, strict=True)),
        sum(coef.ci_high * amount for coef, amount in zip(coefs, amounts, strict=True)),
    )


def per_token_price(loads: Sequence[Load]) -> ModelPrice:
    """Return the naive price: the windows' mean per token, a prompt's like an answer's."""
    tokens = sum(load.prefill_tokens + load.decode_tokens for load in loads)
    joules, seconds = (_exactly(total / tokens) for total in _totals(loads))
    return ModelPrice(joules, joules, _exactly(0.0), seconds, seconds, _exactly(0.0))


def mean_watts(loads: Sequence[Load]) -> float:
    """Return the windows' joules over their seconds."""
    joules, seconds = _totals(loads)
    return joules / seconds


def agreement(predicted: Sequence[float], measured: Sequence[float], *, seed: int = 0) -> Agreement:
    """Compare the order of pipelines by predicted and by measured joules.

    Args:
        predicted: [pipelines].
        measured: [pipelines].
        seed: Of the bootstrap; replicates that hold one value only are left out.
    """
    pairs = [
        (predicted[a] < predicted[b]) == (measured[a] < measured[b])
        and predicted[a] != predicted[b]
        for a, b in combinations(range(len(measured)), 2)
        if max(measured[a], measured[b]) > CLEARLY * min(measured[a], measured[b])
    ]
    one, other = np.asarray(predicted, dtype=float), np.asarray(measured, dtype=float)
    if len(one) < 3 or not (np.ptp(one) and np.ptp(other)):
        return Agreement(None, None, None, len(pairs), sum(pairs))
    drawn = np.random.default_rng(seed).integers(len(one), size=(REPLICATES, len(one)))
    varied = np.ptp(one[drawn], axis=1).astype(bool) & np.ptp(other[drawn], axis=1).astype(bool)
    return Agreement(
        spearman=float(_spearman(one, other)),
        spearman_ci=interval(_spearman(one[drawn][varied], other[drawn][varied])),
        kendall=float(stats.kendalltau(one, other).statistic),
        pairs=len(pairs),
        right=sum(pairs),
    )


def _spearman(one: Array, other: Array) -> Array:
    """Return the rank correlation along the last axis."""
    ranks = [stats.rankdata(values, axis=-1) for values in (one, other)]
    first, second = (rank - rank.mean(axis=-1, keepdims=True) for rank in ranks)
    correlation: Array = (first * second).sum(axis=-1) / np.sqrt(
        (first**2).sum(axis=-1) * (second**2).sum(axis=-1)
    )
    return correlation


def _totals(loads: Sequence[Load]) -> tuple[float, float]:
    return sum(load.joules for load in loads), sum(load.seconds for load in loads)


def _exactly(value: float) -> Coef:
    return Coef(value, value, value)
