"""What cannot be known: where verifiers disagree, and labels would be needed to decide."""

from collections.abc import Sequence

import numpy as np

from weaver.common_cause import agree_beyond_chance
from weaver.dependence import Dependence
from weaver.votes import Votes

_EXPLAINED = 0.5
_ALONE = 2.0


def doubts(votes: Votes, found: Dependence, names: Sequence[str], labelled: bool) -> list[str]:
    """Return sentences, each one thing that votes alone leave open; empty if nothing stands out.

    Args:
        votes: of the training samples.
        found: the dependence between these verifiers.
        names: [verifiers].
        labelled: whether labels were there to decide; then only repetition is told.
    """
    said = [
        f"{names[one]} and {names[other]} repeat each other (correlation "
        f"{found.correlation[one, other]:.2f}, of which a common cause explains "
        f"{found.explained[one, other]:.2f}): they count once"
        for one, other in found.repeats
    ]
    if labelled:
        return said
    size = len(names)
    if size < 3:
        return [
            *said,
            f"the rates of {size} verifier(s) cannot be known without labels: they are assumed",
        ]
    if not agree_beyond_chance(votes):
        said.append("the verifiers agree no more than chance: their votes teach nothing")
        return said
    between = ~np.eye(size, dtype=np.bool_)
    for one, other in found.repeats:
        between[one, other] = between[other, one] = False
    total = float((found.correlation[between] ** 2).sum())
    left = float(((found.correlation - found.explained)[between] ** 2).sum())
    # what sampling alone leaves unexplained
    left = max(0.0, left - between.sum() / votes.rows)
    if total > 0 and left / total > 1 - _EXPLAINED:
        said.append(
            f"one common cause explains {100 * (1 - left / total):.0f}% of the agreement: the "
            "verifiers fall into camps, and which camp is right cannot be known without labels"
        )
    strength = np.sqrt(np.diag(found.explained))
    side = np.sign(found.explained[int(strength.argmax())])
    side = side if (side * strength).sum() >= 0 else -side
    noise = _ALONE / np.sqrt(votes.rows)
    for index in np.flatnonzero(~np.array(found.constant)):
        reach = strength[index] * np.sqrt(max(0.0, float(strength @ strength)))
        if reach < noise:
            said.append(
                f"{names[index]} agrees with no other verifier: it says nothing, or alone knows"
            )
        elif side[index] < 0:
            said.append(
                f"{names[index]} votes against the others: it is worse than chance, or they are"
            )
    if abs((side * strength).sum()) < 0.25 * strength.sum():
        said.append(
            "about as many verifiers vote against the rest as with it: which side is right "
            "is an assumption"
        )
    return said
