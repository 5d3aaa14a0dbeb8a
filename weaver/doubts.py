"""What cannot be known: where verifiers disagree, and labels would be needed to decide."""

from collections.abc import Sequence

import numpy as np

from weaver.common_cause import agree_beyond_chance
from weaver.dependence import ONE_CAUSE, Dependence, explained_share
from weaver.votes import Votes

_ALONE = 2.0


def doubts(votes: Votes, found: Dependence, names: Sequence[str], labelled: bool) -> list[str]:
    """Return sentences, each one thing that votes alone leave open; empty if nothing stands out.

    Args:
        votes: of the training samples.
        found: the dependence between these verifiers.
        names: [verifiers].
        labelled: whether labels were there to decide; then only repetition is told.
    """
    if not labelled and len(names) >= 3 and agree_beyond_chance(votes):
        share = explained_share(votes, found)
        if share < ONE_CAUSE:
            return [
                f"one common cause explains {100 * share:.0f}% of the agreement: the verifiers "
                "fall into camps, and which is right cannot be known without labels; label models "
                "believe none, and the commonest answer wins (without answers, the mean score)"
            ]
    said = []
    if found.repeats:
        pairs: list[str] = []
        for pair in sorted(found.repeats):
            verb = "" if pairs else " repeat each other"
            pairs.append(
                f"{names[pair[0]]} and {names[pair[1]]}{verb} (correlation "
                f"{found.correlation[pair]:.2f}, of which a common cause explains "
                f"{found.explained[pair]:.2f})"
            )
        said.append(f"{', '.join(pairs)}: of a pair one counts")
    if labelled:
        return said
    size = len(names)
    if size < 3:
        return [
            *said,
            f"the rates of {size} verifier(s) cannot be known without labels: they are assumed",
        ]
    if not agree_beyond_chance(votes):
        return [*said, "the verifiers agree no more than chance: their votes teach nothing"]
    strength = np.sqrt(np.diag(found.explained))
    side = np.sign(found.explained[int(strength.argmax())])
    side = side if (side * strength).sum() >= 0 else -side
    reach = strength * np.sqrt(float(strength @ strength))
    silent = reach < _ALONE / np.sqrt(votes.rows)
    moving = ~np.array(found.constant)
    alone = [names[index] for index in np.flatnonzero(moving & silent)]
    against = [names[index] for index in np.flatnonzero(moving & ~silent & (side < 0))]
    if alone:
        said.append(
            f"{_listed(alone, 'agree')} with no other verifier: each says nothing, or alone knows"
        )
    if against:
        said.append(
            f"{_listed(against, 'vote')} against the others: each is worse than chance, or they are"
        )
    if abs((side * strength).sum()) < 0.25 * strength.sum():
        said.append(
            "about as many verifiers vote against the rest as with it: which side is right "
            "is an assumption"
        )
    return said


def _listed(names: Sequence[str], verb: str) -> str:
    return f"{', '.join(names)} {verb}{'s' if len(names) == 1 else ''}"
