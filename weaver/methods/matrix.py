"""The published matrix loss of label models, minimised until it stops falling.

MeTaL's loss (Ratner et al. 2019) as Weaver uses it: with one-hot votes L [rows, 2·verifiers],
O = LᵀL / rows, P = diag(1 - π, π) and μ[2i + j, y] = P(vote i is j | class y),

    ‖O - μPμᵀ‖² between different verifiers + ‖μP1 - diag O‖² + 10 Σᵢ ‖1 - Σⱼ μ[2i + j]‖²

over μ in [0, 1]. Published settings stop far from the minimum; here L-BFGS-B finds it.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.optimize import minimize

from weaver.methods.label_model import LabelModel
from weaver.methods.moments import from_moments
from weaver.scores import Floats, Mask
from weaver.two_coin import TwoCoin
from weaver.votes import Votes

SUM_PENALTY = 10.0


@dataclass(eq=False)
class Matrix(LabelModel):
    """Second moments by the published loss; the class balance, if not given, by third moments."""

    name: ClassVar[str] = "matrix"

    def _rates(self, votes: Votes) -> TwoCoin:
        start = from_moments(votes, self.class_balance)
        observed, between = overlaps(votes)
        balance = np.array([1 - start.class_balance, start.class_balance])
        mu = np.stack(
            [
                np.stack([start.tnr, 1 - start.tnr], axis=1).ravel(),
                np.stack([1 - start.tpr, start.tpr], axis=1).ravel(),
            ],
            axis=1,
        )
        found = minimize(
            lambda flat: loss(flat.reshape(mu.shape), observed, between, balance),
            mu.ravel(),
            jac=True,
            method="L-BFGS-B",
            bounds=[(0, 1)] * mu.size,
            options={"maxiter": 5000, "maxfun": 20000, "ftol": 1e-14, "gtol": 1e-9},
        )
        return rates(found.x.reshape(mu.shape), start.class_balance)


def overlaps(votes: Votes) -> tuple[Floats, Mask]:
    """Return O [2·verifiers, 2·verifiers] over rows where both voted, and where i and j differ."""
    rows, verifiers = votes.matrix.shape
    one_hot = np.zeros((rows, verifiers, 2))
    one_hot[:, :, 0], one_hot[:, :, 1] = votes.matrix == 0, votes.matrix == 1
    flat = one_hot.reshape(rows, -1)
    seen = one_hot.sum(axis=2)
    together = np.maximum(np.kron(seen.T @ seen, np.ones((2, 2))), 1)
    between = ~np.kron(np.eye(verifiers, dtype=np.bool_), np.ones((2, 2), dtype=np.bool_))
    return flat.T @ flat / together, between


def loss(mu: Floats, observed: Floats, between: Mask, balance: Floats) -> tuple[float, Floats]:
    """Return the loss of the module's formula and its gradient, flat.

    Args:
        mu: [2·verifiers, 2] P(vote | class).
        observed: O, from `overlaps`.
        between: [2·verifiers, 2·verifiers] whether an entry of O is of two verifiers.
        balance: [2] P(wrong), P(correct).
    """
    off = np.where(between, (mu * balance) @ mu.T - observed, 0.0)
    margin = mu @ balance - np.diag(observed)
    sums = mu.reshape(-1, 2, 2).sum(axis=1) - 1
    value = (off**2).sum() + (margin**2).sum() + SUM_PENALTY * (sums**2).sum()
    gradient = 4 * (off @ mu) * balance + 2 * np.outer(margin, balance)
    gradient += 2 * SUM_PENALTY * np.repeat(sums, 2, axis=0)
    return float(value), gradient.ravel()


def rates(mu: Floats, class_balance: float) -> TwoCoin:
    """Return the two-coin model of μ [2·verifiers, 2], each verifier's entries summing to 1."""
    share = mu.reshape(-1, 2, 2)
    share = (share + 1e-9) / (share + 1e-9).sum(axis=1, keepdims=True)
    return TwoCoin(class_balance, share[:, 1, 1], share[:, 0, 0])
