"""The vote over answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weaver import plurality


def vote(answers, weights=None, scores=None):
    n = len(answers)
    return plurality(answers, weights or [1.0] * n, scores or [0.0] * n)


@pytest.mark.parametrize(
    ("answers", "weights", "scores", "chosen"),
    [
        (["a", "b", "b"], [1, 1, 1], [0, 0, 0], 1),
        (["a", "b"], [1, 1], [0, 0], 0),
        (["a", "b"], [1, 1], [0.1, 0.2], 1),
        (["a", "b", "b"], [1, 1, 1], [0.9, 0.1, 0.2], 2),
        (["a", "b", "b"], [3, 1, 1], [0, 0, 0], 0),
        (["a", "b", "b"], [2, 1, 1], [0, 0, 0.5], 2),
        ([None, None, "a"], [9, 9, 1], [1, 1, 0], 2),
        ([None, None], [1, 1], [0, 1], 0),
        (["a", "b"], [0, 0], [0, 0.5], 1),
        (["a", "b"], [0, 0], [-2, -1], 1),
        ([], [], [], 0),
    ],
)
def test_who_wins(answers, weights, scores, chosen):
    assert plurality(answers, weights, scores) == chosen


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="shorter"):
        plurality(["a", "b"], [1.0], [0.0, 0.0])


ballots = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", None]), st.integers(0, 3), st.integers(0, 3)),
    min_size=1,
    max_size=9,
)


@given(ballots)
def test_the_chosen_answer_has_the_most_votes_and_the_best_score_of_these(cast):
    answers, weights, scores = (list(column) for column in zip(*cast, strict=True))
    chosen = plurality(answers, weights, scores)
    voted = {answer for answer in answers if answer is not None}
    if not voted:
        assert chosen == 0
        return
    votes = {a: sum(w for b, w, _ in cast if b == a) for a in voted}
    tied = [i for i, a in enumerate(answers) if a is not None and votes[a] == max(votes.values())]
    assert chosen in tied
    assert scores[chosen] == max(scores[i] for i in tied)
    assert chosen == min(i for i in tied if scores[i] == scores[chosen])


@given(ballots, st.permutations(["a", "b", "c"]))
def test_the_names_of_answers_do_not_matter(cast, names):
    answers, weights, scores = (list(column) for column in zip(*cast, strict=True))
    renamed = [a and dict(zip("abc", names, strict=True))[a] for a in answers]
    assert plurality(renamed, weights, scores) == plurality(answers, weights, scores)


@given(st.lists(st.sampled_from(["a", "b", None]), min_size=1, max_size=7))
def test_equal_weights_are_a_plain_vote(answers):
    assert vote(answers) == vote(answers, weights=[0.25] * len(answers))
