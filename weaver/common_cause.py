"""What verifiers' votes have in common, which without labels must stand for correctness."""

import numpy as np
from scipy.stats import chi2

from weaver.scores import Floats, Mask
from weaver.votes import Votes

CHANCE = 0.01
"""Agreement that chance alone would give this often counts as none."""


def oriented_strengths(covariance: Floats, together: Mask | None = None) -> Floats:
    """Return a [verifiers] with aᵢaⱼ ≈ cov(i, j) between different verifiers, and Σ aᵢ >= 0.

    Args:
        covariance: [verifiers, verifiers].
        together: [verifiers, verifiers] False for pairs not to be read, symmetric.
    """
    size = len(covariance)
    read = ~np.eye(size, dtype=np.bool_) & (True if together is None else together)
    shared = np.where(read, covariance, 0.0)
    if size < 2 or not shared.any():
        return np.zeros(size)
    direction = np.sign(np.linalg.eigh(shared)[1][:, -1])
    direction[direction == 0] = 1.0
    if size == 2:
        squares = np.full(2, abs(shared[0, 1]))
    else:
        fits = np.einsum("ij,jk,ki->i", shared, shared, shared)
        scale = np.einsum("ij,jk,ki->i", read, shared**2, read)
        squares = np.divide(fits, scale, out=np.zeros(size), where=scale > 1e-18)
    strength = direction * np.sqrt(np.clip(squares, 0.0, np.diag(covariance)))
    return np.asarray(strength if strength.sum() >= 0 else -strength)


def agree_beyond_chance(votes: Votes) -> bool:
    """Return whether the verifiers' votes are correlated at all.

    Of a single verifier that cannot be asked; it is believed if it does not always vote the same.

    Independent votes have rows·Σ correlation² ~ χ² over pairs of verifiers. Where that cannot be
    excluded, rates fitted to what little correlation there is would be noise.
    """
    covariance = votes.covariance
    variance = np.diag(covariance)
    size = len(variance)
    if size == 1:
        return bool(variance[0] > 0)
    scale = np.where(variance > 1e-12, variance, np.inf)
    correlation = covariance**2 / np.outer(scale, scale)
    statistic = votes.rows * np.triu(correlation, 1).sum()
    return bool(chi2.sf(statistic, size * (size - 1) / 2) < CHANCE)
