"""Scores on disk: what goes in comes out, and files that lie are refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archon.errors import UsageError
from weaver.score_files import load_scores, save_scores
from weaver.scores import Scores

FULL = Scores(
    np.array([[[0.5, 1], [np.nan, 0]], [[2.5, 1], [np.nan, np.nan]]]),
    ("judge", "length"),
    answers=[["x", ""], ["7", ""]],
    labels=[[1, -1], [0, -1]],
    correct=[[1, 0], [0, -1]],
    cost_j=[0.25, np.nan],
    energy="gpu + cpu+dram estimated",
)


def assert_same(one, other):
    assert (one.verifiers, one.energy) == (other.verifiers, other.energy)
    for name in ("scores", "answers", "labels", "correct", "cost_j"):
        first, second = getattr(one, name), getattr(other, name)
        assert (first is None) == (second is None)
        if first is not None:
            np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("ending", ["npz", "parquet"])
@pytest.mark.parametrize("scores", [FULL, Scores(np.ones((2, 1, 1)), ("only",))])
def test_round_trip(tmp_path, ending, scores):
    save_scores(scores, tmp_path / f"scores.{ending}")
    assert_same(load_scores(tmp_path / f"scores.{ending}"), scores)


@given(st.binary(max_size=64), st.sampled_from(["npz", "parquet"]))
@settings(max_examples=40)
def test_any_bytes_are_refused_in_one_line(tmp_path_factory, content, ending):
    path = tmp_path_factory.mktemp("bytes") / f"scores.{ending}"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="not a") as caught:
        load_scores(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def arrays(**changes):
    return {"scores": np.ones((1, 2, 1)), "verifiers": np.array(["a"]), **changes}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (arrays(scores=np.array([[[{}]]], dtype=object)), "pickles are not read"),
        (arrays(verifiers=np.array(["a"], dtype=object)), "pickles are not read"),
        (arrays(scores=np.array([[["one"], ["two"]]])), "need numbers"),
        (arrays(scores=np.ones((2, 2))), "shape"),
        (arrays(verifiers=np.array(["a", "b"])), "2 names for 1"),
        (arrays(verifiers=np.array([1])), "list of names"),
        (arrays(labels=np.array([[1, 5]])), "value 5"),
        (arrays(energy=np.array(["cpu"])), "energy: .* need one line"),
        (arrays(energy=np.array(1.5)), "energy: 1.5; need one line"),
        (arrays(energy=np.array("")), "energy: ''; need one line"),
        (arrays(truth=np.ones(1)), "unknown array 'truth'"),
        ({"verifiers": np.array(["a"])}, "no array 'scores'"),
    ],
)
def test_npz_that_lies(tmp_path, content, says):
    path = tmp_path / "scores.npz"
    np.savez(path, **content)
    with pytest.raises(UsageError, match=says):
        load_scores(path)


def test_one_array_is_no_scores_file(tmp_path):
    with (tmp_path / "one.npz").open("wb") as file:
        np.save(file, np.ones(3))
    with pytest.raises(UsageError, match="not an NPZ file"):
        load_scores(tmp_path / "one.npz")


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"query": [0], "a": [1.0]}, "no column 'sample'"),
        ({"query": [0], "sample": [0]}, "no verifier column"),
        ({"query": [0, 0], "sample": [0, 0], "a": [1.0, 0.0]}, "two rows"),
        ({"query": [-1], "sample": [0], "a": [1.0]}, "integers from 0"),
        ({"query": [10**9], "sample": [0], "a": [1.0]}, "number from 0"),
        ({"query": [0], "sample": [0], "a": ["yes"]}, "'a': need numbers"),
        ({"query": [0], "sample": [0], "a": [1.0], "label": [7]}, "value 7"),
        ({"query": [0], "sample": [0], "a": [1.0], "answer": [7]}, "need strings"),
    ],
)
def test_parquet_that_lies(tmp_path, columns, says):
    import pyarrow as pa
    from pyarrow import parquet

    path = tmp_path / "scores.parquet"
    parquet.write_table(pa.table(columns), path)
    with pytest.raises(UsageError, match=says):
        load_scores(path)


@pytest.mark.parametrize(
    ("written", "says"), [(b"\xe9", "is not UTF-8 text"), (b"cpu\ngpu", "need one line")]
)
def test_a_basis_that_is_no_line_of_text(tmp_path, written, says):
    import pyarrow as pa
    from pyarrow import parquet

    path = tmp_path / "scores.parquet"
    table = pa.table({"query": [0], "sample": [0], "a": [1.0]})
    parquet.write_table(table.replace_schema_metadata({"energy": written}), path)
    with pytest.raises(UsageError, match=says):
        load_scores(path)


def test_a_basis_in_an_npz_file_has_no_axes(tmp_path):
    save_scores(FULL, tmp_path / "scores.npz")
    with np.load(tmp_path / "scores.npz", allow_pickle=False) as file:
        assert file["energy"].shape == ()
        assert str(file["energy"]) == FULL.energy


def test_other_files_are_named(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        load_scores(tmp_path / "none.npz")
    with pytest.raises(UsageError, match=r"name a \.npz"):
        load_scores(tmp_path / "scores.csv")
    with pytest.raises(UsageError, match=r"name a \.npz"):
        save_scores(FULL, tmp_path / "scores.csv")


def test_a_verifier_may_not_be_named_like_a_column(tmp_path):
    with pytest.raises(UsageError, match="'answer' has the name of a column"):
        save_scores(Scores(np.ones((1, 1, 1)), ("answer",)), tmp_path / "scores.parquet")
