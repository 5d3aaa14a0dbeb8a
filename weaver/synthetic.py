"""Made-up verifiers with known truth, for tests and experiments."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from weaver.scores import Floats, Labels, Scores, Strings

Answers = Literal["each", "once"]


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What the scores were made with.

    Attributes:
        correct: [queries, samples] 1 or 0.
        tpr: [verifiers] P(yes | correct).
        tnr: [verifiers] P(no | wrong).
        class_balance: P(correct).
    """

    correct: Labels
    tpr: Floats
    tnr: Floats
    class_balance: float


def two_coin(
    seed: int,
    *,
    queries: int = 500,
    samples: int = 100,
    verifiers: int = 20,
    class_balance: float = 0.25,
    tpr: tuple[float, float] = (0.45, 0.72),
    tnr: tuple[float, float] = (0.45, 0.70),
    copies: float = 0.0,
    difficulty: float = 0.0,
    missing: float = 0.0,
    continuous: bool = False,
    answers: Answers | None = None,
) -> tuple[Scores, Truth]:
    """Draw verifiers' votes, or scores, by the two-coin model or with one of its faults.

    Args:
        seed: of everything drawn.
        queries: how many queries.
        samples: per query.
        verifiers: how many.
        class_balance: P(correct), over all queries.
        tpr: range of P(yes | correct), uniform over verifiers.
        tnr: range of P(no | wrong).
        copies: every second verifier repeats the one before it, with this probability per vote.
        difficulty: spread of a query's difficulty, in log-odds: hard queries have fewer correct
            samples, and verifiers say yes to easy queries more often whether correct or not.
        missing: the share of scores that are missing, at random.
        continuous: instead of votes, scores whose thresholds would give these rates; each
            verifier has a scale, an offset and a tail of its own.
        answers: give samples answers: one correct answer per query, wrong ones of falling
            frequency. Each sample is judged (``each``), or each distinct answer (``once``).

    Returns:
        The scores, with `correct` set, and the truth.
    """
    rng = np.random.default_rng(seed)
    rates = rng.uniform(*tpr, verifiers), rng.uniform(*tnr, verifiers)
    ease = difficulty * rng.standard_normal((queries, 1))
    chance = 1 / (1 + (1 / class_balance - 1) * np.exp(-ease))
    correct = (rng.random((queries, samples)) < chance).astype(np.int8)
    text = None if answers is None else _answers(rng, correct)
    # a yes vote is a logistic variable above 0; its location gives the rate
    right, wrong = (np.log(p) - np.log1p(-p) for p in (rates[0], 1 - rates[1]))
    location = np.where(correct[..., None] == 1, right, wrong) + 0.5 * ease[..., None]
    scores = location + rng.logistic(size=(queries, samples, verifiers))
    if copies:
        again = rng.random((queries, samples, verifiers // 2)) < copies
        odd = scores[:, :, 1::2]
        odd[again] = scores[:, :, 0 : 2 * (verifiers // 2) : 2][again]
    if continuous:
        power = rng.uniform(0.6, 1.4, verifiers)
        scores = np.sign(scores) * np.abs(scores) ** power
        scores = scores * 10 ** rng.uniform(-2, 2, verifiers) + rng.normal(0, 50, verifiers)
    else:
        scores = (scores > 0).astype(np.float64)
    if missing:
        scores[rng.random(scores.shape) < missing] = np.nan
    if text is not None and answers == "once":
        first = (text[:, :, None] == text[:, None, :]).argmax(axis=2)
        scores = np.take_along_axis(scores, first[:, :, None], axis=1)
    names = tuple(f"v{index:02d}" for index in range(verifiers))
    truth = Truth(correct, rates[0], rates[1], class_balance)
    return Scores(scores, names, answers=text, correct=correct), truth


def _answers(rng: np.random.Generator, correct: Labels) -> Strings:
    """Return [queries, samples] answers: "0" where correct, else "1", "2", … by Zipf's law."""
    wrong = 1 / np.arange(1, 9)
    drawn = rng.choice(np.arange(1, 9), size=correct.shape, p=wrong / wrong.sum())
    return np.where(correct == 1, 0, drawn).astype(np.str_)
