"""Which verifiers repeat each other, which say nothing, and whether all speak of one thing.

Verifiers that vote independently given correctness have covariances aᵢaⱼ (see
`weaver.methods.moments`). Two that share more than that repeat each other: a label model counts
their word twice, and may take what they share for correctness itself. Where most of what verifiers
share is of this kind, there is no one cause that a label model could take for correctness.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from weaver.common_cause import agree_beyond_chance, oriented_strengths
from weaver.scores import Floats, Labels, Mask
from weaver.votes import Votes

REPEATED = 0.5
"""Verifiers whose votes correlate this far given the common cause are taken for one.

Without labels, two that are good agree more than the rest explains; copies agree far more.
"""
ONE_CAUSE = 0.5
"""The share of the agreement that one cause must explain to be taken for correctness."""
FEWEST = 30
"""Correct and wrong labels each, from which on they say what correctness explains."""


_LEAST_OWN = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Dependence:
    """How verifiers' votes hang together.

    Attributes:
        correlation: [verifiers, verifiers] of the votes; 0 for a constant verifier.
        explained: [verifiers, verifiers] what one common cause explains of it: correctness where
            there are labels.
        repeats: pairs (i, j), i < j, whose correlation given the cause is `REPEATED` or more.
        constant: [verifiers] True for a verifier that always votes the same.
    """

    correlation: Floats
    explained: Floats
    repeats: tuple[tuple[int, int], ...]
    constant: tuple[bool, ...]


def dependence(votes: Votes, labels: Labels | None = None) -> Dependence:
    """Return how the verifiers of these votes hang together.

    With enough labels [rows], correctness is the common cause. Without, a pair is judged by the
    common cause of all pairs but itself and those already found, worst first: copies would
    otherwise explain themselves. Fewer than four verifiers leave no room to tell then.
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
    knowledge = _with_correctness(votes.matrix, labels)
    if knowledge is not None:
        explained = np.asarray(np.outer(knowledge, knowledge))
        beyond = np.triu(_beyond(correlation, knowledge) * together, 1)
        worst_first = np.argsort(-beyond, axis=None, kind="stable")[: (beyond >= REPEATED).sum()]
        repeats.extend(divmod(flat, size) for flat in worst_first.tolist())
        return Dependence(correlation, explained, tuple(repeats), tuple(constant.tolist()))
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


def explained_share(votes: Votes, found: Dependence) -> float:
    """Return how much of the agreement, repeats aside, the common cause explains: 0 to 1.

    Agreement is the sum of squared correlations; what sampling alone gives is not held against
    the cause.
    """
    between = ~np.eye(len(found.constant), dtype=np.bool_)
    for one, other in found.repeats:
        between[one, other] = between[other, one] = False
    seen = (~np.isnan(votes.matrix)).astype(np.float64)
    together = np.maximum(seen.T @ seen, 1)
    total = float((found.correlation[between] ** 2).sum())
    left = float(
        ((found.correlation - found.explained)[between] ** 2 - 1 / together[between]).sum()
    )
    return 1.0 if total <= 0 else float(np.clip(1 - left / total, 0.0, 1.0))


def speak_of_one_thing(votes: Votes) -> bool:
    """Return whether votes agree beyond chance, and one cause explains `ONE_CAUSE` of that.

    Only then can they teach rates without labels. One or two verifiers cannot contradict it.
    """
    if not agree_beyond_chance(votes):
        return False
    return len(votes.yes) < 3 or explained_share(votes, dependence(votes)) >= ONE_CAUSE


def _with_correctness(matrix: Floats, labels: Labels | None) -> Floats | None:
    """Return [verifiers] the correlation of votes with labels; None where labels are too few."""
    if labels is None or min((labels == 1).sum(), (labels == 0).sum()) < FEWEST:
        return None
    known = labels >= 0
    seen = ~np.isnan(matrix[known])
    count = np.maximum(seen.sum(axis=0), 1)
    part, truth = np.nan_to_num(matrix[known]), (labels[known] == 1).astype(np.float64)[:, None]
    mean, base = part.sum(axis=0) / count, (truth * seen).sum(axis=0) / count
    spread = np.sqrt(mean * (1 - mean) * base * (1 - base))
    shared = (part * truth).sum(axis=0) / count - mean * base
    return np.asarray(np.divide(shared, spread, out=np.zeros(len(mean)), where=spread > 1e-12))


def _excess(correlation: Floats, together: Mask, one: int, other: int) -> float:
    """Return the correlation of a pair given the common cause as all other pairs make it."""
    rest = together.copy()
    rest[one, other] = rest[other, one] = False
    strength = oriented_strengths(correlation, rest)
    return float(_beyond(correlation, strength)[one, other])


def _beyond(correlation: Floats, strength: Floats) -> Floats:
    """Return [verifiers, verifiers] the partial correlations given a cause, without sign."""
    left = np.sqrt(np.maximum(1 - strength**2, _LEAST_OWN))
    return np.asarray(np.abs(correlation - np.outer(strength, strength)) / np.outer(left, left))


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
