"""The published training of the matrix loss: gradient descent with momentum and clamping."""

import numpy as np

from weaver.methods.matrix import loss, overlaps, rates
from weaver.two_coin import TwoCoin
from weaver.votes import Votes

MOMENTUM = 0.9


def published(
    votes: Votes, class_balance: float, *, rate: float, steps: int, scale: float
) -> TwoCoin:
    """Return the rates after so many steps.

    Args:
        votes: the votes.
        class_balance: P(correct), which the published system takes from labels.
        rate: learning rate; the published configurations have 1e-5.
        steps: how many; the published configurations have 1,000.
        scale: the random scalar of the published start.
    """
    observed, between = overlaps(votes)
    balance = np.array([1 - class_balance, class_balance])
    mu = np.zeros((len(observed), 2))
    for vote in (0, 1):
        own = np.clip(np.diag(observed)[vote::2] * 0.7 / balance[vote], 0, 1)
        mu[vote::2, vote] = own * scale
    speed = np.zeros_like(mu)
    for _ in range(steps):
        gradient = loss(mu, observed, between, balance)[1].reshape(mu.shape)
        speed = MOMENTUM * speed - rate * gradient
        mu = np.clip(mu + speed, 0, 1)
    return rates(mu, class_balance)
