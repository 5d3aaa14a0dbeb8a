"""Label-free model of the scores themselves: no thresholds, so no information thrown away.

Each verifier's scores are put on the scale on which the training scores are standard normal, so
that only their order matters. Given correctness they are Gaussian there, with a mean per class and
one variance: the higher the score, the stronger the evidence, always. Verifiers of two values
remain coins.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import expit, logit, ndtr, ndtri

from weaver.binarise import thresholds, vote
from weaver.dependence import speak_of_one_thing
from weaver.labelled import best_posterior, folds
from weaver.methods.base import Data, Method, Training, fitted
from weaver.methods.em import EM
from weaver.methods.moments import from_moments
from weaver.scores import Floats, Mask
from weaver.squarem import fixed_point
from weaver.two_coin import EDGE, TwoCoin
from weaver.votes import Votes

KNOTS = 65
LEAST_VARIANCE = 0.05


@dataclass(eq=False)
class Continuous(Method):
    """Mixture of two classes of scores, by expectation maximisation; `EM` where all are votes.

    Attributes:
        class_balance: the share of correct samples, if known; else it is estimated.
        class_balance_: the share of correct samples.
        knots_: [verifiers, knots] quantiles of the training scores.
        coins_: [verifiers] 1 where a verifier has two values, which are then 0 and 1.
        means_: [classes, verifiers] of the scores of wrong and of correct samples.
        variance_: [verifiers] of the scores given correctness.
    """

    class_balance: float | None = None

    name: ClassVar[str] = "continuous"
    assumes_independence: ClassVar[bool] = True
    class_balance_: float = fitted()
    knots_: Floats = fitted("verifiers", "knots")
    coins_: Floats = fitted("verifiers")
    means_: Floats = fitted("classes", "verifiers")
    variance_: Floats = fitted("verifiers")

    @property
    def weights_(self) -> Floats:
        """[verifiers] how far the log-odds move per unit (a standard deviation, or no to yes)."""
        return self._model.slopes

    @property
    def tpr_(self) -> Floats:
        """[verifiers] P(yes | correct); of a score, P(above the training median | correct)."""
        return np.where(self.coins_ == 1, self.means_[1], ndtr(self.means_[1] / self._sigma))

    @property
    def tnr_(self) -> Floats:
        """[verifiers] P(no | wrong); of a score, P(below the training median | wrong)."""
        return np.where(self.coins_ == 1, 1 - self.means_[0], ndtr(-self.means_[0] / self._sigma))

    @property
    def _sigma(self) -> Floats:
        return np.sqrt(self.variance_)

    def _fit(self, training: Training) -> Floats:
        rows, extent = training.rows, training.extent
        self.coins_ = (extent.two & (extent.low < extent.high)).astype(np.float64)
        self.knots_ = _knots(rows, extent.low, extent.high)
        units = self._units(rows)
        seen = ~np.isnan(units)
        cells = _Cells(np.nan_to_num(units), seen.astype(np.float64), self.coins_ == 1)
        cuts = thresholds(rows, extent, "auto", self.class_balance, None)
        votes = Votes.pack(vote(rows, cuts))
        hold = self.class_balance is not None or rows.shape[1] < 3
        if not speak_of_one_thing(votes):
            start = TwoCoin.chance(self.class_balance or 0.5, votes.mean)
        elif extent.two.all():
            start = EM(class_balance=self.class_balance)._rates(votes)
        else:
            start = from_moments(votes, self.class_balance)
        if extent.two.all():
            means = np.stack([1 - start.tnr, start.tpr]) * self.coins_
            model = cells.model(start.class_balance, means)
        else:
            model = _maximise(cells, expit(start.log_odds(votes)), start.class_balance, hold)
            model = model if hold else model.upright()
        without = None
        if training.labels is not None:
            model, without = _with_labels(model, cells, training, self.class_balance)
        self.class_balance_, self.means_ = model.class_balance, model.means
        self.variance_ = model.variance
        return training.held_out(model.log_odds(units), without)

    def _log_odds(self, data: Data) -> Floats:
        return data.spread(self._model.log_odds(self._units(data.rows)))

    def _directions(self) -> Floats:
        return self.weights_

    @property
    def _model(self) -> "_Model":
        return _Model(self.class_balance_, self.means_, self.variance_, self.coins_ == 1)

    def _units(self, rows: Floats) -> Floats:
        """Return scores [rows, verifiers] on the fitted scale; NaN stays."""
        units = np.empty(rows.shape)
        probability = (np.arange(self.knots_.shape[1]) + 0.5) / self.knots_.shape[1]
        for index, knots in enumerate(self.knots_):
            values, place = np.unique(knots, return_inverse=True)
            rank = np.bincount(place, probability) / np.bincount(place)
            if self.coins_[index]:
                units[:, index] = rows[:, index] >= knots[0] + (knots[-1] - knots[0]) / 2
            else:
                units[:, index] = ndtri(np.interp(rows[:, index], values, rank))
        units[np.isnan(rows)] = np.nan
        return units


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """Training scores [rows, verifiers]: units, 0 where missing, and whether seen."""

    units: Floats
    seen: Floats
    coins: Mask

    @property
    def mean(self) -> Floats:
        return np.asarray(self.units.sum(axis=0) / np.maximum(self.seen.sum(axis=0), 1))

    @property
    def square(self) -> Floats:
        return np.asarray((self.units**2).sum(axis=0) / np.maximum(self.seen.sum(axis=0), 1))

    def model(self, class_balance: float, means: Floats) -> "_Model":
        """Return the model of these class means whose variance is that of all scores."""
        balance = float(np.clip(class_balance, EDGE, 1 - EDGE))
        held = np.where(self.coins, np.clip(means, EDGE, 1 - EDGE), means)
        explained = (1 - balance) * held[0] ** 2 + balance * held[1] ** 2
        variance = np.maximum(self.square - explained, LEAST_VARIANCE)
        return _Model(balance, held, variance, self.coins)


@dataclass(frozen=True, slots=True, eq=False)
class _Model:
    class_balance: float
    means: Floats
    variance: Floats
    coins: Mask

    @property
    def slopes(self) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            coin = logit(self.means[1]) - logit(self.means[0])
        return np.where(self.coins, coin, (self.means[1] - self.means[0]) / self.variance)

    def log_odds(self, units: Floats) -> Floats:
        """Return [rows] from units [rows, verifiers], NaN where missing."""
        low, high = self.means
        with np.errstate(invalid="ignore", divide="ignore"):
            coin = np.log1p(-high) - np.log1p(-low)
        at_zero = np.where(self.coins, coin, (low**2 - high**2) / (2 * self.variance))
        seen = ~np.isnan(units)
        evidence = np.nan_to_num(units) @ self.slopes + seen @ at_zero
        return np.asarray(evidence + logit(self.class_balance))

    def swapped(self) -> "_Model":
        return _Model(1 - self.class_balance, self.means[::-1], self.variance, self.coins)

    def upright(self) -> "_Model":
        spread = np.where(self.coins, self.means[1] - self.means[0], 0.0)
        spread = spread + np.where(self.coins, 0.0, self.means[1] - self.means[0]) / 2.5
        return self if spread.sum() >= 0 else self.swapped()


def _maximise(cells: _Cells, chance: Floats, balance: float, hold: bool) -> _Model:
    """Climb from probabilities [rows]; `hold` keeps the class balance."""
    verifiers = len(cells.coins)
    total, count = cells.units.sum(axis=0), cells.seen.sum(axis=0)
    units = np.where(cells.seen == 1, cells.units, np.nan)

    def means_of(probability: Floats) -> Floats:
        right, seen = probability @ cells.units, probability @ cells.seen
        parts = np.stack([total - right, right]), np.stack([count - seen, seen])
        held = np.tile(cells.mean, (2, 1))
        return np.asarray(np.divide(*parts, out=held, where=parts[1] > 1e-9))

    def model_at(point: Floats) -> _Model:
        means = point[1:].reshape(2, verifiers)
        with np.errstate(over="ignore"):
            return cells.model(float(expit(point[0])), np.where(cells.coins, expit(means), means))

    def point_of(share: float, means: Floats) -> Floats:
        model = cells.model(share, means)
        with np.errstate(invalid="ignore", divide="ignore"):
            free = np.where(cells.coins, logit(model.means), model.means)
        return np.concatenate([[logit(model.class_balance)], free.ravel()])

    def step(point: Floats) -> Floats:
        probability = expit(model_at(point).log_odds(units))
        return point_of(balance if hold else float(probability.mean()), means_of(probability))

    start = point_of(balance, means_of(chance))
    limit = np.full(len(start), float(logit(1 - EDGE)))
    return model_at(fixed_point(step, start, limit))


def _with_labels(
    free: _Model, cells: _Cells, training: Training, fixed: float | None
) -> tuple[_Model, Floats]:
    """Return the model from the label-free one and labels together; see `best_posterior`."""
    labels = training.labels
    assert labels is not None
    known = labels >= 0
    truth = labels[known] == 1
    part, seen = cells.units[known], cells.seen[known]
    units = np.where(seen == 1, part, np.nan)
    chance = cells.model((truth.sum() + 1) / (truth.size + 2), np.tile(cells.mean, (2, 1)))

    def posterior(prior: _Model, trust: float, use: Mask) -> _Model:
        right = np.stack([~truth & use, truth & use]).astype(np.float64)
        share = (trust * prior.class_balance + right[1].sum()) / (trust + use.sum())
        strength = trust * np.array([[1 - prior.class_balance], [prior.class_balance]])
        means = (strength * prior.means + right @ part) / (strength + right @ seen)
        return cells.model(share if fixed is None else fixed, means)

    return best_posterior(
        (free, free.swapped(), chance),
        posterior,
        lambda model, rows: model.log_odds(units[rows]),
        truth,
        folds(training.query[known]),
    )


def _knots(rows: Floats, low: Floats, high: Floats) -> Floats:
    """Return [verifiers, knots] quantiles; the two values of a verifier that has no others."""
    probability = (np.arange(KNOTS) + 0.5) / KNOTS
    knots = np.zeros((rows.shape[1], KNOTS))
    for index in np.flatnonzero(~np.isnan(low)):
        column = rows[:, index]
        knots[index] = np.quantile(column[~np.isnan(column)], probability)
        knots[index, 0], knots[index, -1] = low[index], high[index]
    return knots
