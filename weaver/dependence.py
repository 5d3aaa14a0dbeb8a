"""Which verifiers repeat each other, and which say nothing, without labels.

Verifiers that vote independently given correctness have covariances aᵢaⱼ (see
`weaver.methods.moments`). Two that share more than that repeat each other: a label model counts
their word twice, and may take what they share for correctness itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from weaver.common_cause import oriented_strengths
from weaver.scores import Floats, Mask
from weaver.votes import Votes

REPEATED = 0.3
"""A correlation this far above what correctness explains makes two verifiers one."""


@dataclass(frozen=True, slots=True, eq=False)
class Dependence:
    """How verifiers' votes hang together.

    Attributes:
        correlation: [verifiers, verifiers] of the votes; 0 for a constant verifier.
        explained: [verifiers, verifiers] what one common cause explains of it.
        repeats: pairs (i, j), i < j, whose correlation exceeds that by `REPEATED`.
        constant: [verifiers] True for a verifier that always votes the same.
    """

    correlation: Floats
    explained: Floats
    repeats: tuple[tuple[int, int], ...]
    constant: tuple[bool, ...]


def dependence(votes: Votes) -> Dependence:
    """Return how the verifiers of these votes hang together.

    A pair is judged by the common cause of all pairs but itself and those already found, worst
    first: copies would otherwise explain themselves. Fewer than four verifiers leave no room to
    tell.
    """
    covariance = votes.covariance
    variance = np.diag(covariance)
    constant = variance < 1e-12
    sigma = np.where(constant, 1.0, np.sqrt(variance))
    correlation = np.asarray(covariance / np.outer(sigma, sigma))
    np.fill_diagonal(correlation, 1.0)
    size = len(sigma)
    together = ~np.eye(size, dtype=np.bool_)
    repeats: list[tuple[int, int]] = []
    while size >= 4:
        excess = {
            (one, other): _excess(correlation, together, one, other)
            for one, other in np.argwhere(
                np.triu(together & (np.abs(correlation) >= REPEATED))
            ).tolist()
        }
        worst = max(excess, key=excess.__getitem__, default=None)
        if worst is None or excess[worst] < REPEATED:
            break
        one, other = worst
        together[one, other] = together[other, one] = False
        repeats.append((one, other))
    strength = oriented_strengths(correlation, together)
    return Dependence(
        correlation,
        np.asarray(np.outer(strength, strength), dtype=np.float64),
        tuple(repeats),
        tuple(constant.tolist()),
    )


def _excess(correlation: Floats, together: Mask, one: int, other: int) -> float:
    """Return how far a pair's correlation exceeds what all other pairs make of the common cause."""
    rest = together.copy()
    rest[one, other] = rest[other, one] = False
    strength = oriented_strengths(correlation, rest)
    return abs(float(correlation[one, other] - strength[one] * strength[other]))


def to_drop(found: Dependence, cost_j: Floats | None, names: Sequence[str]) -> dict[int, str]:
    """Return verifiers to leave out, and why: constants, and all but one of those that repeat.

    Of a pair the one is kept that the common cause explains better; within a hundredth the one
    that costs fewer joules, then the first.
    """
    dropped = {index: "always votes the same" for index, same in enumerate(found.constant) if same}
    worth = np.sqrt(np.diag(found.explained)).round(2)
    cost = np.zeros(len(worth)) if cost_j is None else np.nan_to_num(cost_j, nan=np.inf)
    for one, other in found.repeats:
        if one in dropped or other in dropped:
            continue
        keep = min((one, other), key=lambda index: (-worth[index], cost[index], index))
        dropped[other if keep == one else one] = f"repeats {names[keep]}"
    return dropped
