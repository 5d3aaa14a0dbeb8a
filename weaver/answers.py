"""What samples with equal answers tell of each other: they share their correctness.

Three things turn evidence per sample into P(answer is correct), fitted without labels:

- how far samples with one answer repeat each other's evidence (a verdict per answer, or a fresh
  look at each sample's reasoning): a correlation ρ; n samples count as n / (1 + (n - 1)ρ);
- how much the answer's mass (its share of the query's samples) counts: the prior log-odds of an
  answer are α + β·logit(share). β is 0 where popular answers are no better, never below 0;
- at most one of a query's distinct answers is correct, so their probabilities compete.

With labels, α, β and a share γ in [0, 1] of the evidence that is to be believed are those under
which the labels are likeliest: evidence that says nothing is not heard, and mass counts for what it
is worth.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from weaver.scores import Floats, Labels, Mask, Strings

ROUNDS = 50
MOST_SLOPE = 5.0
PLURALITY = (0.0, 0.0, 1.0)
"""γ, α and β to which labels' are shrunk: the vote, until labels show that evidence helps."""
SPREADS = (0.5, 2.0, 1.0)
"""Standard deviations of γ, α and β around that, before any label."""
_FLOOR = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """The distinct answers of queries. A sample without an answer is a group of its own.

    Attributes:
        of: [queries, samples] number of the sample's group.
        query: [groups].
        mass: [groups] how many samples.
        share: [groups] mass over the query's real samples, kept off 0 and 1.
    """

    of: NDArray[np.intp]
    query: NDArray[np.intp]
    mass: Floats
    share: Floats

    @classmethod
    def find(cls, answers: Strings, real: Mask) -> "Groups":
        """Group samples by answer; padding [where not ``real``] is in groups of mass 0.

        Args:
            answers: [queries, samples], "" for none.
            real: [queries, samples].
        """
        queries, samples = answers.shape
        _, number = np.unique(answers, return_inverse=True)
        number = number.reshape(answers.shape).astype(np.intp)
        alone = (answers == "") | ~real
        number[alone] = (number.max() + 1 + np.arange(samples))[np.nonzero(alone)[1]]
        cell = np.arange(queries)[:, None] * (int(number.max()) + 1) + number
        _, first, of = np.unique(cell, return_index=True, return_inverse=True)
        of = of.reshape(answers.shape).astype(np.intp)
        mass = np.bincount(of.ravel(), real.ravel().astype(np.float64))
        query = first // samples
        share = (mass + 0.5) / (real.sum(axis=1)[query] + 1)
        return cls(of, query.astype(np.intp), np.asarray(mass, dtype=np.float64), share)

    @property
    def mass_of(self) -> Floats:
        """[queries, samples] mass of each sample's answer."""
        return np.asarray(self.mass[self.of])


@dataclass(frozen=True, slots=True, eq=False)
class AnswerModel:
    """Fitted numbers of the module's description: ρ, α, β, γ, and the prior of the evidence.

    Attributes:
        prior: log-odds that every sample's own log-odds contain; evidence is what exceeds them.
        correlation: ρ, in [0, 1].
        intercept: α.
        slope: β.
        trust: γ.
    """

    prior: float
    correlation: float
    intercept: float
    slope: float
    trust: float = 1.0

    @classmethod
    def without_answers(cls, log_odds: Floats) -> "AnswerModel":
        """Return what to assume where training showed no answers: mass breaks ties, no more.

        Args:
            log_odds: [rows] of the training samples.
        """
        prior = _mean_odds(log_odds)
        return cls(prior, 1.0, prior, 0.0)

    @classmethod
    def fit(
        cls, log_odds: Floats, groups: Groups, real: Mask, labels: Labels | None = None
    ) -> "AnswerModel":
        """Fit to each sample's own log-odds.

        Args:
            log_odds: [queries, samples]; of labelled ones, by a model that did not see the labels
                of their query.
            groups: of the samples.
            real: [queries, samples] False for padding.
            labels: [queries, samples] in {-1, 0, 1}; None where none is known.
        """
        prior = _mean_odds(log_odds[real])
        correlation = _correlation(log_odds[real], groups.of[real], groups.mass)
        evidence = _evidence(log_odds - prior, groups, correlation)
        if labels is not None:
            trust, intercept, slope = _likeliest(evidence, groups, labels)
            return cls(prior, correlation, intercept, slope, trust)
        if float(np.ptp(evidence[groups.mass > 0])) < _FLOOR:
            return cls(prior, correlation, 0.0, 1.0)
        design = np.stack([np.ones(len(groups.mass)), logit(groups.share)], axis=1)
        weight = (groups.mass > 0).astype(np.float64)
        line = np.array([prior, 1.0])
        for _ in range(ROUNDS):
            target = expit(_compete(evidence + design @ line, groups))
            fresh = _logistic_line(design, target, weight, line)
            moved = float(np.abs(fresh - line).max())
            line = fresh
            if moved < 1e-4:
                break
        return cls(prior, correlation, float(line[0]), float(line[1]))

    def log_odds(self, log_odds: Floats, groups: Groups) -> Floats:
        """Return [queries, samples] the log-odds that a sample's answer is correct.

        Args:
            log_odds: [queries, samples] of each sample by itself.
            groups: of these samples.
        """
        evidence = _evidence(log_odds - self.prior, groups, self.correlation)
        standing = self.intercept + self.slope * logit(groups.share)
        return np.asarray(_compete(self.trust * evidence + standing, groups)[groups.of])


def _mean_odds(log_odds: Floats) -> float:
    return float(logit(np.clip(expit(log_odds).mean(), 1e-6, 1 - 1e-6)))


def _correlation(odds: Floats, of: NDArray[np.intp], mass: Floats) -> float:
    """Return 1 - variance within answers / variance within the classes the log-odds imply.

    It is 1 too where no two samples have one answer.
    """
    several = mass[of] > 1
    if not several.any():
        return 1.0
    odds = odds[several]
    _, place = np.unique(of[several], return_inverse=True)
    size = np.bincount(place)
    mean = np.bincount(place, odds) / size
    within = float(((odds - mean[place]) ** 2).sum() / (odds.size - size.size))
    total = 0.0
    for weight in (expit(odds), expit(-odds)):
        centre = (weight @ odds) / max(float(weight.sum()), _FLOOR)
        total += float(weight @ (odds - centre) ** 2) / odds.size
    return 1.0 if total <= _FLOOR else float(np.clip(1 - within / total, 0.0, 1.0))


def _evidence(beyond: Floats, groups: Groups, correlation: float) -> Floats:
    """Return [groups] evidence of all samples together."""
    total = np.bincount(groups.of.ravel(), beyond.ravel(), len(groups.mass))
    return np.asarray(total / (1 + np.maximum(groups.mass - 1, 0) * correlation))


def _compete(odds: Floats, groups: Groups) -> Floats:
    """Return [groups] log-odds when at most one group of a query is correct."""
    held = np.where(groups.mass > 0, np.clip(odds, -50, 50), -np.inf)
    weight = np.exp(held)
    total = np.bincount(groups.query, weight)[groups.query]
    return np.asarray(np.where(groups.mass > 0, held - np.log1p(total - weight), -50.0))


def _likeliest(evidence: Floats, groups: Groups, labels: Labels) -> list[float]:
    """Return γ, α and β under which the labels [queries, samples] are likeliest, shrunk.

    Of a query's answers one is correct, or none; labels leave some of these possible.
    """
    size = len(groups.mass)
    right = np.bincount(groups.of.ravel(), (labels == 1).ravel(), size) > 0
    wrong = np.bincount(groups.of.ravel(), (labels == 0).ravel(), size) > 0
    found = np.bincount(groups.query, right) > 0
    held = (groups.mass > 0) & (np.bincount(groups.query, right | wrong) > 0)[groups.query]
    _, query = np.unique(groups.query[held], return_inverse=True)
    found = found[np.unique(groups.query[held])]
    possible = np.where(found[query], right[held], ~wrong[held])
    design = np.stack([evidence[held], np.ones(len(query)), logit(groups.share[held])], axis=1)

    def loss(at: Floats) -> tuple[float, Floats]:
        weight = np.exp(np.clip(design @ at, -50, 50))
        whole = 1 + np.bincount(query, weight)
        kept = ~found + np.bincount(query, weight * possible)
        pull = weight * (1 / whole[query] - possible / kept[query])
        off = (at - PLURALITY) / SPREADS
        value = np.log(whole / kept).sum() + 0.5 * (off**2).sum()
        return float(value), np.asarray(pull @ design + off / SPREADS)

    bounds = [(0.0, 1.0), (-20.0, 20.0), (0.0, MOST_SLOPE)]
    best = minimize(loss, np.array(PLURALITY), jac=True, method="L-BFGS-B", bounds=bounds)
    return [float(value) for value in best.x]


def _logistic_line(design: Floats, target: Floats, weight: Floats, line: Floats) -> Floats:
    """Return α, β after a few Newton steps of a logistic regression; β within its bounds."""
    for _ in range(3):
        chance = expit(design @ line)
        curvature = (design.T * (weight * chance * (1 - chance))) @ design + 1e-6 * np.eye(2)
        line = line + np.linalg.solve(curvature, design.T @ (weight * (target - chance)))
        line = np.clip(line, [-20.0, 0.0], [20.0, MOST_SLOPE])
    return line
