"""Label-free rates from moments of the votes, in closed form.

With votes x, means m, π the class balance and dᵢ = TPRᵢ + TNRᵢ - 1, verifiers that vote
independently given correctness have

    cov(xᵢ, xⱼ)       = aᵢ aⱼ                  aᵢ = √(π(1 - π)) dᵢ
    third(xᵢ, xⱼ, xₖ) = s aᵢ aⱼ aₖ             s = (1 - 2π) / √(π(1 - π))

(central moments of distinct verifiers). The covariances give a, by triplets
aᵢ² = cov(i,j) cov(i,k) / cov(j,k) pooled over all pairs (j, k) by least squares; the third moments
give s and with it π = (1 - s / √(4 + s²)) / 2; then TPR = m + (1 - π) d and TNR = 1 - m + π d.
Triplets: Fu et al. 2020 (FlyingSquid); the class balance from third moments: Jaffe et al. 2015.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from weaver.common_cause import oriented_strengths
from weaver.methods.label_model import LabelModel
from weaver.scores import Floats
from weaver.two_coin import TwoCoin
from weaver.votes import Votes

LONE_INFORMEDNESS = 0.5
"""TPR + TNR - 1 of a verifier that has no other to be compared with: nothing can be known."""


@dataclass(eq=False)
class Moments(LabelModel):
    """Triplets of covariances, the class balance from third moments; no iteration to converge."""

    name: ClassVar[str] = "moments"

    def _rates(self, votes: Votes) -> TwoCoin:
        return from_moments(votes, self.class_balance)


def from_moments(votes: Votes, class_balance: float | None) -> TwoCoin:
    """Return the two-coin model with these votes' second and third moments.

    With two verifiers, equally good ones are assumed, with one a verifier of informedness
    `LONE_INFORMEDNESS`; the class balance, if not given, is then the share of yes votes.
    """
    mean = votes.mean
    covariance = votes.covariance
    strength = oriented_strengths(covariance)
    variance = np.diag(covariance)
    if class_balance is not None:
        balance = class_balance
    elif len(mean) < 3:
        balance = float(np.clip(mean.mean(), 0.1, 0.9))
    else:
        skew = skewness(votes, mean, strength, strength / np.maximum(variance, 1e-12))
        balance = float((1 - skew / np.sqrt(4 + skew**2)) / 2)
    informed = strength / np.sqrt(balance * (1 - balance))
    if len(mean) == 1:
        informed = np.array([LONE_INFORMEDNESS])
    return TwoCoin(balance, mean + (1 - balance) * informed, 1 - mean + balance * informed)


def skewness(votes: Votes, mean: Floats, strength: Floats, weights: Floats) -> float:
    """Return s, the least-squares ratio of third moments to aᵢaⱼaₖ over distinct verifiers.

    Sums over distinct triples are elementary symmetric polynomials, which Newton's identities
    give from power sums: no tensor is built.
    """
    yes, no = weights * (1 - mean), -weights * mean
    third = _distinct_triples(*(votes.row_sums(yes**k, no**k) for k in (1, 2, 3)))
    scaled = weights * strength
    if votes.complete:
        expected = _distinct_triples(*(np.array([(scaled**k).sum()]) for k in (1, 2, 3)))
        total = expected[0] * votes.rows
    else:
        total = _distinct_triples(*(votes.row_sums(scaled**k, scaled**k) for k in (1, 2, 3))).sum()
    return 0.0 if abs(total) < 1e-12 * votes.rows else float(third.sum() / total)


def _distinct_triples(first: Floats, second: Floats, third: Floats) -> Floats:
    return first * (first * first - 3 * second) + 2 * third
