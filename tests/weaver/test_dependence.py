"""Verifiers that repeat others, and what is said of them without labels."""

import numpy as np
import pytest

from weaver.dependence import dependence, explained_share, speak_of_one_thing, to_drop
from weaver.doubts import doubts
from weaver.synthetic import two_coin
from weaver.votes import Votes


def votes_of(seed, **changes):
    shape = {"queries": 100, "samples": 20, "verifiers": 8, "tpr": (0.6, 0.85), "tnr": (0.6, 0.85)}
    scores, _ = two_coin(seed, **{**shape, **changes})
    return Votes.pack(scores.scores.reshape(-1, scores.scores.shape[2])), scores.verifiers


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_copies_are_found_and_nothing_else(seed, missing):
    copies, _ = votes_of(seed, copies=0.8, missing=missing)
    assert sorted(dependence(copies).repeats) == [(0, 1), (2, 3), (4, 5), (6, 7)]
    honest, _ = votes_of(seed, missing=missing)
    assert dependence(honest).repeats == ()


@pytest.mark.parametrize("seed", range(3))
def test_good_verifiers_agree_without_repeating(seed):
    good, _ = votes_of(seed, tpr=(0.9, 0.97), tnr=(0.9, 0.97))
    assert dependence(good).repeats == ()


def know(matrix, truth):
    labels = np.where(np.arange(len(truth)) % 4 == 0, truth, -1)
    return dependence(Votes.pack(matrix), labels.astype(np.int8))


def test_labels_show_that_agreement_is_competence_and_copies_are_copies():
    rng = np.random.default_rng(0)
    truth = rng.random(2000) < 0.4
    good = np.where(rng.random((3, 2000)) < 0.92, truth, ~truth)
    junk = rng.random((5, 2000)) < 0.5
    matrix = np.stack([good[0], good[1], good[2], good[2], *junk], axis=1).astype(float)
    found = know(matrix, truth)
    assert found.correlation[0, 1] > 0.6
    assert found.repeats == ((2, 3),)
    assert found.explained[0, 1] == pytest.approx(found.correlation[0, 1], abs=0.05)


def test_too_few_labels_do_not_say_what_correctness_explains():
    votes, _ = votes_of(0)
    labels = np.full(votes.rows, -1, dtype=np.int8)
    labels[:40] = 1
    np.testing.assert_array_equal(dependence(votes, labels).explained, dependence(votes).explained)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("changes", [{}, {"copies": 0.9}, {"missing": 0.3}, {"difficulty": 1.0}])
def test_what_votes_share_is_one_thing(seed, changes):
    votes, _ = votes_of(seed, **changes)
    assert explained_share(votes, dependence(votes)) > 0.9
    assert speak_of_one_thing(votes)


def camps():
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 2, (2, 2000, 1))

    def follow(lead):
        return np.where(rng.random((2000, 4)) < 0.75, lead, 1 - lead)

    return Votes.pack(np.column_stack([follow(one), follow(other)]).astype(float))


def test_camps_do_not_speak_of_one_thing():
    votes = camps()
    assert explained_share(votes, dependence(votes)) < 0.5
    assert not speak_of_one_thing(votes)


def test_of_a_pair_one_stays():
    votes, names = votes_of(0, copies=0.9)
    found = dependence(votes)
    dropped = to_drop(found, None, names)
    assert len(dropped) == 4
    assert {index // 2 for index in dropped} == {0, 1, 2, 3}
    assert all(reason.startswith("repeats v0") for reason in dropped.values())


def test_of_equals_the_cheaper_stays():
    matrix = two_coin(0, verifiers=5, tpr=(0.7, 0.8), tnr=(0.7, 0.8), queries=50, samples=20)[
        0
    ].scores
    matrix = matrix.reshape(-1, 5)
    found = dependence(Votes.pack(np.column_stack([matrix, matrix[:, 0]])))
    names = tuple("abcdef")
    assert to_drop(found, np.array([9.0, 1, 1, 1, 1, 2]), names) == {0: "repeats f"}
    assert to_drop(found, np.array([2.0, 1, 1, 1, 1, 9]), names) == {5: "repeats a"}
    assert to_drop(found, np.array([2.0, 1, 1, 1, 1, np.nan]), names) == {5: "repeats a"}


def test_constants_go():
    matrix = np.column_stack([np.arange(8) % 2, np.ones(8), np.arange(8) // 4]).astype(float)
    assert to_drop(dependence(Votes.pack(matrix)), None, "abc") == {1: "always votes the same"}


def said(votes, names, labelled=False):
    return " | ".join(doubts(votes, dependence(votes), names, labelled))


def test_doubts():
    good, names = votes_of(0)
    assert said(good, names) == ""
    copies, _ = votes_of(0, copies=0.9)
    assert "v00 and v01 repeat each other" in said(copies, names)
    assert "v00 and v01 repeat each other" in said(copies, names, labelled=True)
    two, names = votes_of(0, verifiers=2)
    assert "2 verifier(s) cannot be known without labels" in said(two, names)
    assert said(two, names, labelled=True) == ""


def test_doubts_about_verifiers_that_stand_alone_or_against():
    votes, names = votes_of(0)
    against = votes.matrix.copy()
    against[:, 3] = 1 - against[:, 3]
    against[:, 5:7] = np.random.default_rng(1).integers(0, 2, (len(against), 2))
    text = said(Votes.pack(against), names)
    assert "v03 votes against the others" in text
    assert "v05, v06 agree with no other verifier" in text


def test_doubts_about_camps_and_about_nothing():
    assert "camps" in said(camps(), tuple("abcdefgh"))
    noise = np.random.default_rng(0).integers(0, 2, (500, 5)).astype(float)
    assert said(Votes.pack(noise), tuple("abcde")).endswith("their votes teach nothing")
