"""Plurality: the answer with the most votes, plain or weighted."""

from collections.abc import Sequence


def plurality(
    answers: Sequence[str | None], weights: Sequence[float], scores: Sequence[float]
) -> int:
    """Return the index of the sample that a weighted vote over answers selects.

    Args:
        answers: [samples] canonical answers; None has no vote.
        weights: [samples] what each vote counts.
        scores: [samples] decide between answers with equal votes; then the first wins.

    Returns:
        The sample of highest score (the first of them) among those with the most-voted answer; 0
        when no sample has an answer.
    """
    votes: dict[str, float] = {}
    for answer, weight in zip(answers, weights, strict=True):
        if answer is not None:
            votes[answer] = votes.get(answer, 0.0) + weight
    if not votes:
        return 0
    most = max(votes.values())
    winning = [
        index
        for index, answer in enumerate(answers)
        if answer is not None and votes[answer] == most
    ]
    return max(winning, key=scores.__getitem__)
