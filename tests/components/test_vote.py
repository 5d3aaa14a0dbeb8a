import pytest
from playing import candidate, play

from archon.components import Candidate
from archon.components.vote import Vote


def chosen(candidates, **settings):
    """Indices of what is left."""
    played = play(Vote(**settings), candidates)
    assert played.requests == []
    return [list(map(id, candidates)).index(id(one)) for one in played.candidates]


def test_the_answer_with_most_votes_wins_by_its_first_candidate():
    assert chosen([candidate(text) for text in ("5", "4", "6", "4")]) == [1]


def test_answers_are_compared_not_texts():
    candidates = [
        Candidate("it is 5", "5", "5", "m"),
        Candidate("four", "4", "four", "m"),
        Candidate("4.", "4", "4", "m"),
    ]
    assert chosen(candidates) == [1]


def test_a_tie_goes_to_the_higher_score_then_to_the_first():
    assert chosen([candidate(text) for text in ("5", "4", "4", "5")]) == [0]
    scored = [
        candidate("5", score=0.2),
        candidate("4", score=0.1),
        candidate("4", score=0.9),
        candidate("5", score=0.3),
    ]
    assert chosen(scored) == [2]


def test_a_candidate_without_an_answer_has_no_vote():
    silent = Candidate("hmm", None, None, "m")
    assert chosen([silent, silent, candidate("4")]) == [2]
    assert chosen([silent, silent]) == [0]
    assert chosen([]) == []


@pytest.mark.parametrize("weight", ["confidence", "score"])
def test_weighted_votes_add_up(weight):
    candidates = [
        candidate("5", **{weight: 0.5}),
        candidate("4", **{weight: 0.25}),
        candidate("4", **{weight: 0.5}),
    ]
    assert chosen(candidates, weight=weight) == [2 if weight == "score" else 1]
    heavier = [candidate("5", **{weight: 0.9}), *candidates[1:]]
    assert chosen(heavier, weight=weight) == [0]


def test_unknown_weights_weigh_nothing_and_are_counted():
    candidates = [candidate("5"), candidate("5"), candidate("4", confidence=0.1)]
    played = play(Vote(weight="confidence"), candidates)
    assert played.texts == ["4"]
    assert played.counts == {"vote.unweighted": 2}
    assert play(Vote(), candidates).counts == {}
    assert play(Vote(weight="confidence"), candidates[:2]).texts == ["5"]


def test_one_candidate_leaves():
    assert Vote().most_candidates(9) == 1
