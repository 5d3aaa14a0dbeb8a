"""The methods that learn from labels alone: logistic regression and naive Bayes."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from archon.errors import UsageError
from weaver.labelled import folds
from weaver.methods.base import Data, Method, Training, fitted
from weaver.methods.label_model import VoteMethod
from weaver.scores import Floats, Labels
from weaver.two_coin import TwoCoin
from weaver.votes import Votes

NEWTON_STEPS = 100


@dataclass(eq=False)
class Logistic(Method):
    """Logistic regression on normalised scores, L2-penalised, classes weighted equally.

    A missing score counts as the verifier's median, and that it is missing as a feature. The
    intercept is moved back to the labelled share of correct samples, so that probabilities mean
    what they say.

    Attributes:
        c: inverse strength of the penalty ½‖w‖² (the intercept is free), as in scikit-learn.
        weights_: [verifiers] of the normalised scores.
        missing_: [verifiers] of missing scores.
        intercept_: log-odds of a sample at all medians.
    """

    c: float = 1.0

    name: ClassVar[str] = "logistic"
    needs_labels: ClassVar[bool] = True
    weights_: Floats = fitted("verifiers")
    missing_: Floats = fitted("verifiers")
    intercept_: float = fitted()

    def _fit(self, training: Training) -> Floats:
        assert training.labels is not None
        normal = self._normalised(training.rows)
        features = np.concatenate([np.nan_to_num(normal), np.isnan(normal)], axis=1)
        known = training.labels >= 0
        right = training.labels[known] == 1
        balance = (right.sum() + 1) / (right.size + 2)
        solution, without = np.zeros(features.shape[1] + 1), np.zeros(right.size)
        if 0 < right.sum() < right.size:
            weight = 0.5 / np.where(right, right.mean(), 1 - right.mean())
            solution = logistic_regression(features[known], right, weight, self.c)
            fold = folds(training.query[known])
            without = held_out(features[known], right, weight, self.c, solution, fold)
        shift = logit(balance)
        self.intercept_ = float(solution[-1] + shift)
        self.weights_, self.missing_ = np.split(solution[:-1], 2)
        odds = training.of_rows(self._log_odds(training.data))
        return training.held_out(odds, without + shift)

    def _log_odds(self, data: Data) -> Floats:
        normal = self._normalised(data.scores)
        missing = np.isnan(normal).astype(np.float64)
        return np.nan_to_num(normal) @ self.weights_ + missing @ self.missing_ + self.intercept_

    def _directions(self) -> Floats:
        return self.weights_

    def _check_params(self) -> None:
        if isinstance(self.c, bool) or not isinstance(self.c, (int, float)) or not self.c > 0:
            raise UsageError(f"c {self.c!r}: need a number above 0")


def logistic_regression(features: Floats, right: Floats, weight: Floats, c: float) -> Floats:
    """Return weights and intercept minimising ½‖w‖² + c Σ weight·log-loss, by Newton's method.

    Args:
        features: [rows, features].
        right: [rows] 1 or 0.
        weight: [rows].
        c: as above.
    """
    design = np.concatenate([features, np.ones((len(features), 1))], axis=1)
    penalty = np.ones(design.shape[1])
    penalty[-1] = 0.0
    solution = np.zeros(design.shape[1])

    def loss(at: Floats) -> float:
        odds = design @ at
        losses = np.logaddexp(0, odds) - right * odds
        return float(0.5 * (penalty * at) @ at + c * (weight @ losses))

    for _ in range(NEWTON_STEPS):
        chance = expit(design @ solution)
        gradient = penalty * solution + c * design.T @ (weight * (chance - right))
        curvature = c * (design.T * (weight * chance * (1 - chance))) @ design + np.diag(penalty)
        curvature[-1, -1] += 1e-10
        step = np.linalg.solve(curvature, gradient)
        size, before = 1.0, loss(solution)
        while loss(solution - size * step) > before and size > 1e-6:
            size /= 2
        solution = solution - size * step
        if np.abs(step).max() * size < 1e-8:
            break
    return solution


def held_out(
    features: Floats,
    right: Floats,
    weight: Floats,
    c: float,
    solution: Floats,
    fold: NDArray[np.intp],
) -> Floats:
    """Return log-odds [rows], each by a regression without its fold, one Newton step away.

    Args:
        features: as for `logistic_regression`, and the next three.
        right: [rows].
        weight: [rows].
        c: as above.
        solution: of all rows.
        fold: [rows] what is held out together.
    """
    design = np.concatenate([features, np.ones((len(features), 1))], axis=1)
    chance = expit(design @ solution)
    penalty = np.ones(design.shape[1])
    penalty[-1] = 1e-10
    whole = c * (design.T * (weight * chance * (1 - chance))) @ design + np.diag(penalty)
    without = np.zeros(len(design))
    for number in np.unique(fold):
        out = fold == number
        part, given = design[out], weight[out]
        curvature = whole - c * (part.T * (given * (chance * (1 - chance))[out])) @ part
        gradient = c * part.T @ (given * (chance - right)[out])
        without[out] = part @ (solution + np.linalg.solve(curvature, gradient))
    return without


@dataclass(eq=False)
class NaiveBayes(VoteMethod):
    """TPR and TNR counted on the labelled samples, by the rule of succession."""

    name: ClassVar[str] = "naive_bayes"
    needs_labels: ClassVar[bool] = True

    def _model_of(self, votes: Votes, training: Training) -> tuple[TwoCoin, Floats]:
        assert training.labels is not None
        known = training.labels >= 0
        part, query = Votes.pack(votes.matrix[known]), folds(training.query[known])
        without = np.zeros(part.rows)
        for number in np.unique(query):
            out = query == number
            model = self._counted(part, np.where(out, -1, training.labels[known]))
            without[out] = model.log_odds(part)[out]
        return self._counted(votes, training.labels), without

    def _counted(self, votes: Votes, labels: Labels) -> TwoCoin:
        right = (labels == 1).astype(np.float64)
        wrong = (labels == 0).astype(np.float64)
        yes_right, seen_right = votes.counts(right)
        yes_wrong, seen_wrong = votes.counts(wrong)
        share = (right.sum() + 1) / (right.sum() + wrong.sum() + 2)
        return TwoCoin(
            share if self.class_balance is None else self.class_balance,
            (yes_right + 1) / (seen_right + 2),
            (seen_wrong - yes_wrong + 1) / (seen_wrong + 2),
        )
