"""The two-coin model of votes (Dawid & Skene 1979): what the vote-based methods fit.

A sample is correct with probability π. Given that, each verifier votes by itself: yes with
probability TPR if the sample is correct, no with probability TNR if it is wrong. A missing vote
says nothing.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import logit

from weaver.scores import Floats
from weaver.votes import Votes

EDGE = 0.005
"""Probabilities stay this far from 0 and 1: no single vote is taken for certain."""


@dataclass(frozen=True, slots=True, eq=False)
class TwoCoin:
    """Parameters, held within [`EDGE`, 1 - `EDGE`].

    Attributes:
        class_balance: π, the share of correct samples.
        tpr: [verifiers] P(yes | correct).
        tnr: [verifiers] P(no | wrong).
    """

    class_balance: float
    tpr: Floats
    tnr: Floats

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "class_balance", float(np.clip(self.class_balance, EDGE, 1 - EDGE)))
        set_(self, "tpr", np.clip(self.tpr, EDGE, 1 - EDGE))
        set_(self, "tnr", np.clip(self.tnr, EDGE, 1 - EDGE))

    @classmethod
    def chance(cls, class_balance: float, yes: Floats) -> "TwoCoin":
        """Return the model of verifiers [verifiers] that say yes as often to right as to wrong."""
        return cls(class_balance, yes, 1 - yes)

    @property
    def informedness(self) -> Floats:
        """[verifiers] Youden's J = TPR + TNR - 1: 0 is chance, below 0 is worse than chance."""
        return self.tpr + self.tnr - 1

    @property
    def weights(self) -> Floats:
        """[verifiers] how far the log-odds move between a no vote and a yes vote."""
        return np.asarray(logit(self.tpr) + logit(self.tnr))

    def log_odds(self, votes: Votes) -> Floats:
        """Return [rows]: log P(correct | votes) / P(wrong | votes)."""
        if_yes = np.log(self.tpr) - np.log1p(-self.tnr)
        if_no = np.log1p(-self.tpr) - np.log(self.tnr)
        return np.asarray(votes.row_sums(if_yes, if_no) + logit(self.class_balance))

    def swapped(self) -> "TwoCoin":
        """Return the same distribution of votes with correct and wrong exchanged."""
        return TwoCoin(1 - self.class_balance, 1 - self.tnr, 1 - self.tpr)

    def upright(self) -> "TwoCoin":
        """Return this or the swapped model, whichever calls verifiers better than chance.

        Votes alone cannot tell the two apart. The assumption is that verifiers are better than
        chance on average: Σ (TPR + TNR - 1) > 0.
        """
        return self if self.informedness.sum() >= 0 else self.swapped()
