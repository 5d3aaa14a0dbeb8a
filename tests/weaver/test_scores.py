"""The score container: what it takes, what it refuses, what is padding."""

import numpy as np
import pytest

from archon.errors import UsageError
from weaver import Scores

VOTES = np.array([[[1.0, 0.0], [np.nan, 1.0]]])


def test_holds_what_it_was_given():
    scores = Scores(
        VOTES,
        ("a", "b"),
        answers=[["x", "y"]],
        labels=[[1, -1]],
        correct=[[1, 0]],
        cost_j=[2.0, np.nan],
        energy="cpu estimated",
    )
    assert scores.energy == "cpu estimated"
    assert scores.scores.shape == (1, 2, 2)
    assert scores.labels.dtype == scores.correct.dtype == np.int8
    assert scores.answers.tolist() == [["x", "y"]]


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("scores", np.ones((2, 2)), "shape"),
        ("scores", np.ones((1, 0, 2)), "at least one"),
        ("scores", np.array([[["yes", "no"]]]), "need numbers"),
        ("scores", [[[1, 2], [1]]], "unequal length"),
        ("scores", np.full((1, 2, 2), np.inf), "infinite"),
        ("scores", np.full((1, 2, 2), None), "need numbers"),
        ("verifiers", ("a",), "1 names for 2"),
        ("verifiers", ("a", "a"), "'a' stands 2 times"),
        ("verifiers", ("a", ""), "not empty"),
        ("verifiers", (1, 2), "must be a string"),
        ("answers", [["x"]], r"shape \(1, 1\)"),
        ("answers", [[1, 2]], "need strings"),
        ("labels", [[1, 2]], "value 2; need 1 correct"),
        ("labels", [[0.5, 1]], "value 0.5"),
        ("labels", [[np.nan, 1]], "value nan"),
        ("labels", [[1]], "shape"),
        ("correct", [[3, 0]], "correct: value 3"),
        ("cost_j", [1.0], "cost_j: shape"),
        ("cost_j", [-1.0, 1.0], "negative"),
        ("cost_j", ["a", "b"], "need numbers"),
        ("energy", "", "one line of text"),
        ("energy", " ", "one line of text"),
        ("energy", "cpu\ngpu", "one line of text"),
        ("energy", 3, "energy: 3; need"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(field, value, says):
    fields = {"scores": VOTES, "verifiers": ("a", "b"), field: value}
    with pytest.raises(UsageError, match=says) as caught:
        Scores(**fields)
    assert "\n" not in str(caught.value)


def test_a_sample_without_score_and_answer_is_padding():
    nothing = [np.nan, np.nan]
    scores = Scores(
        np.array([[[1, 0], nothing], [[1, 0], nothing], [nothing, nothing]]),
        ("a", "b"),
        answers=[["x", ""], ["x", "y"], ["", ""]],
    )
    assert scores.present.tolist() == [[True, False], [True, True], [True, True]]


def test_training_data_have_no_truth():
    scores = Scores(VOTES, ("a", "b"), labels=[[1, -1]], correct=[[1, 0]])
    assert scores.training().correct is None
    assert scores.training().labels.tolist() == [[1, -1]]


def test_verifiers_are_taken_by_name():
    scores = Scores(VOTES, ("a", "b"), cost_j=[1.0, 2.0], energy="gpu").only(("b",))
    assert scores.verifiers == ("b",)
    assert scores.scores[0, :, 0].tolist() == [0.0, 1.0]
    assert scores.cost_j.tolist() == [2.0]
    assert scores.energy == "gpu"
    with pytest.raises(UsageError, match="unknown verifier 'c'"):
        scores.only(("c",))
