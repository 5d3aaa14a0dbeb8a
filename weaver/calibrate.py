"""From the model's P(correct) of a selected candidate to one that holds, and when to abstain."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.special import expit, logit

from archon.errors import UsageError
from weaver.methods.supervised import logistic_regression
from weaver.scores import Floats, Mask

Kind = Literal["none", "platt", "isotonic"]
FEWEST = 20
"""Labelled selections below which nothing is fitted."""
FEWEST_ISOTONIC = 200
_EDGE = 1e-6


@dataclass(frozen=True, slots=True)
class Calibrator:
    """A monotone map of probabilities.

    Attributes:
        kind: ``none`` (identity), ``platt`` (a line in log-odds) or ``isotonic`` (steps, joined).
        x: log-odds of the points of ``isotonic``, rising; intercept and slope of ``platt``.
        y: calibrated probability at each point; empty for ``platt``.
    """

    kind: Kind = "none"
    x: tuple[float, ...] = ()
    y: tuple[float, ...] = ()

    @classmethod
    def fit(cls, probability: Floats, correct: Mask, how: Kind | Literal["auto"]) -> "Calibrator":
        """Fit to selected candidates.

        Args:
            probability: [candidates] from a model that did not see their labels.
            correct: [candidates].
            how: ``auto``: nothing below `FEWEST`, isotonic from `FEWEST_ISOTONIC`, else Platt.
        """
        count = len(correct)
        if how == "auto":
            how = "isotonic" if count >= FEWEST_ISOTONIC else "platt" if count >= FEWEST else "none"
        if how == "none" or not count:
            return cls()
        odds = logit(np.clip(probability, _EDGE, 1 - _EDGE))
        right = int(correct.sum())
        if how == "platt":
            # Platt's targets: a smoothed 0 and 1 keep the line finite where classes separate
            target = np.where(correct, (right + 1) / (right + 2), 1 / (count - right + 2))
            line = logistic_regression(odds[:, None], target, np.ones(count), 100.0)
            if line[0] < 0:
                share = (right + 1) / (count + 2)
                line = np.array([0.0, logit(share)])
            return cls("platt", (float(line[1]), float(line[0])))
        values, place = np.unique(odds, return_inverse=True)
        size = np.bincount(place)
        mean = np.bincount(place, correct) / size
        steps = isotonic_regression(mean, weights=size)
        blocks = np.split(np.arange(len(values)), steps.blocks[1:-1])
        x = [float(np.average(values[block], weights=size[block])) for block in blocks]
        # the rule of succession: a block without an error is not free of risk
        y = [
            (float(mean[block] @ size[block]) + 0.5) / (float(size[block].sum()) + 1)
            for block in blocks
        ]
        return cls("isotonic", tuple(x), tuple(np.maximum.accumulate(y).tolist()))

    def apply(self, probability: Floats) -> Floats:
        """Return calibrated probabilities of the same shape."""
        if self.kind == "none":
            return probability
        odds = logit(np.clip(probability, _EDGE, 1 - _EDGE))
        if self.kind == "platt":
            return np.asarray(expit(self.x[0] + self.x[1] * odds))
        return np.asarray(np.interp(odds, self.x, self.y))

    @classmethod
    def from_record(cls, record: Any) -> "Calibrator":
        """Return the calibrator whose fields these are.

        Raises:
            UsageError: They are not those of a calibrator.
        """
        if not isinstance(record, dict) or set(record) != {"kind", "x", "y"}:
            raise UsageError("model: calibrator must hold kind, x and y")
        kind, x, y = record["kind"], record["x"], record["y"]
        sizes = {"none": (0, 0), "platt": (2, 0)}
        finite = all(
            isinstance(part, list)
            and all(type(value) in (int, float) and np.isfinite(value) for value in part)
            for part in (x, y)
        )
        if kind not in get_args(Kind) or not finite:
            raise UsageError("model: calibrator is not of numbers")
        expected = sizes.get(kind, (max(1, len(x)),) * 2)
        rising = kind != "isotonic" or all(np.all(np.diff(part) >= 0) for part in (x, y))
        inside = all(0 <= value <= 1 for value in y)
        if (len(x), len(y)) != expected or not rising or not inside:
            raise UsageError(f"model: calibrator {kind} has points that do not fit it")
        return cls(kind, tuple(map(float, x)), tuple(map(float, y)))


def threshold_for_risk(probability: Floats, risk: float) -> float:
    """Return the lowest P(correct) from which on answers may be given at this risk.

    Among candidates at or above it, the expected share of errors, mean(1 - P), is at most
    ``risk``; infinity when even the surest exceed it. It holds as far as P is calibrated.

    Args:
        probability: [candidates] P(correct) of selected candidates.
        risk: in [0, 1].
    """
    if not 0 <= risk <= 1:
        raise UsageError(f"risk {risk!r}: need a share between 0 and 1")
    falling = np.sort(probability)[::-1]
    errors = np.cumsum(1 - falling) / np.arange(1, len(falling) + 1)
    # equal probabilities are given or withheld together
    last = np.append(falling[1:] < falling[:-1], True)
    allowed = np.flatnonzero((errors <= risk + 1e-12) & last)
    return float(falling[allowed[-1]]) if allowed.size else float("inf")
