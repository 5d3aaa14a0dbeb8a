"""Rates and class balance by decomposing second and third moments together.

The off-diagonal covariances are a rank-one matrix aaᵀ and the third central moments of distinct
verifiers a rank-one tensor s·a⊗a⊗a (see `moments`); both are fitted together by least squares.
Unlike a decomposition of raw moments, which gives two components in no particular order, the sign
of s says on which side of 1/2 the class balance lies once Σ aᵢ > 0 is taken for granted.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from weaver.common_cause import oriented_strengths
from weaver.methods.label_model import LabelModel
from weaver.methods.moments import from_moments
from weaver.scores import Floats
from weaver.two_coin import TwoCoin
from weaver.votes import Votes

SWEEPS = 200


@dataclass(eq=False)
class Tensor(LabelModel):
    """Least squares over all pairs and triples of verifiers."""

    name: ClassVar[str] = "tensor"

    def _rates(self, votes: Votes) -> TwoCoin:
        mean = votes.mean
        covariance = votes.covariance
        sigma = np.sqrt(np.diag(covariance))
        if len(mean) < 3 or not oriented_strengths(covariance).any():
            return from_moments(votes, self.class_balance)
        scale = np.where(sigma > 1e-6, sigma, 1.0)
        pairs = covariance / np.outer(scale, scale)
        triples = third_moments(votes, mean, scale)
        strength, skew = decompose(pairs, triples, oriented_strengths(pairs))
        balance = self.class_balance or float((1 - skew / np.sqrt(4 + skew**2)) / 2)
        informed = strength * sigma / np.sqrt(balance * (1 - balance))
        return TwoCoin(balance, mean + (1 - balance) * informed, 1 - mean + balance * informed)


def third_moments(votes: Votes, mean: Floats, scale: Floats) -> Floats:
    """Return [verifiers]³ third central moments in units of ``scale``, 0 where two are the same."""
    normal = np.nan_to_num((votes.matrix - mean) / scale).astype(np.float32)
    seen = (~np.isnan(votes.matrix)).astype(np.float32)
    size = len(mean)
    found = np.zeros((size, size, size))
    for index in range(size):
        sums = (normal * normal[:, index, None]).T @ normal
        counts = votes.rows if votes.complete else (seen * seen[:, index, None]).T @ seen
        found[index] = sums / np.maximum(counts, 1)
    one, two, three = np.ogrid[:size, :size, :size]
    found[(one == two) | (two == three) | (one == three)] = 0
    return found


def decompose(pairs: Floats, triples: Floats, start: Floats) -> tuple[Floats, float]:
    """Return a and s that fit ``pairs`` and ``triples`` best, Σ aᵢ >= 0.

    Args:
        pairs: [verifiers, verifiers] correlations; the diagonal is not read.
        triples: [verifiers]³, 0 where two are the same.
        start: [verifiers] of a.
    """
    shared = pairs - np.diag(np.diag(pairs))
    strength, skew = start, 0.0
    for _ in range(SWEEPS):
        square = strength**2
        pair_norm = square.sum() - square
        # ordered pairs of distinct others: (Σ a²)² - Σ a⁴ without index i
        fourth = (square**2).sum() - square**2
        triple_norm = pair_norm**2 - fourth
        contracted = np.einsum("ijk,j,k->i", triples, strength, strength)
        total = float(strength @ contracted)
        cube = float(square @ triple_norm)
        skew = total / cube if cube > 1e-18 else 0.0
        # three ordered triples hold i per unordered pair of others, two ordered pairs per other
        top = 2 * shared @ strength + 3 * skew * contracted
        bottom = 2 * pair_norm + 3 * skew**2 * triple_norm
        fresh = np.divide(top, bottom, out=np.zeros(len(start)), where=bottom > 1e-18)
        fresh = np.clip((strength + fresh) / 2, -1.0, 1.0)
        done = float(np.abs(fresh - strength).max()) < 1e-9
        strength = fresh
        if done:
            break
    return (strength, skew) if strength.sum() >= 0 else (-strength, -skew)
