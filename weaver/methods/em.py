"""Two-coin Dawid & Skene by expectation maximisation, started well and accelerated."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import expit, logit

from weaver.methods.label_model import LabelModel
from weaver.methods.moments import from_moments
from weaver.scores import Floats
from weaver.squarem import fixed_point
from weaver.two_coin import EDGE, TwoCoin
from weaver.votes import Votes


@dataclass(eq=False)
class EM(LabelModel):
    """Maximum likelihood of the votes under the two-coin model."""

    name: ClassVar[str] = "em"

    def _rates(self, votes: Votes) -> TwoCoin:
        start = from_moments(votes, self.class_balance)
        # two coins of two verifiers are not identified: hold the class balance
        hold = self.class_balance is not None or len(votes.yes) < 3
        found = maximise(votes, start, hold_balance=hold)
        return found if hold else found.upright()


def maximise(
    votes: Votes,
    start: TwoCoin,
    *,
    hold_balance: bool = False,
    toward: TwoCoin | None = None,
    strength: float = 0.0,
) -> TwoCoin:
    """Climb from a start to a maximum of the likelihood.

    Steps are taken in the parameters' log-odds, and accelerated.

    Args:
        votes: the votes.
        start: where to start.
        hold_balance: keep the start's class balance.
        toward: a model to shrink to (a Beta prior on every parameter), with
        strength: the number of samples that the prior counts.
    """
    verifiers = len(votes.yes)
    limit = float(logit(1 - EDGE))
    prior = toward if toward is not None else start

    def step(point: Floats) -> Floats:
        model = _model(point)
        chance = expit(model.log_odds(votes))
        right = float(chance.sum())
        yes, seen = votes.counts(chance)
        extra, balance = strength, prior.class_balance
        tpr = _share(yes + extra * balance * prior.tpr, seen + extra * balance)
        fpr = _share(
            votes.yes - yes + extra * (1 - balance) * (1 - prior.tnr),
            votes.seen - seen + extra * (1 - balance),
        )
        share = (
            start.class_balance
            if hold_balance
            else (right + extra * balance) / (votes.rows + extra)
        )
        fresh = logit(np.concatenate([[share], tpr, 1 - fpr]))
        return np.asarray(np.clip(fresh, -limit, limit))

    def _model(point: Floats) -> TwoCoin:
        value = expit(point)
        return TwoCoin(float(value[0]), value[1 : 1 + verifiers], value[1 + verifiers :])

    point = logit(np.concatenate([[start.class_balance], start.tpr, start.tnr]))
    return _model(fixed_point(step, point, np.full(len(point), limit)))


def _share(part: Floats, whole: Floats) -> Floats:
    """Return part / whole within the edges; 1/2 where there is nothing."""
    share = np.divide(part, whole, out=np.full(len(part), 0.5), where=whole > 1e-9)
    return np.asarray(np.clip(share, EDGE, 1 - EDGE))
