"""Scores on disk: NPZ, and Parquet with one row per sample.

The NPZ arrays are the fields of `Scores` by name, ``energy`` with no axes; none is a pickle. A
Parquet file has the columns ``query`` and ``sample`` (integers from 0), one column of numbers per
verifier (null is missing), and ``answer``, ``label`` and ``correct`` where these are known; joules
per verifier stand in the column's metadata as ``cost_j``, their basis in the table's as
``energy``. Padding has no row.
"""

from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from archon.errors import UsageError
from weaver.scores import Scores

_OPTIONAL = ("answers", "labels", "correct", "cost_j", "energy")
_NPZ = {"scores", "verifiers", *_OPTIONAL}
_OWN = ("query", "sample", "answer", "label", "correct")


def load_scores(path: Path) -> Scores:
    """Read scores from a ``.npz`` or ``.parquet`` file.

    Raises:
        UsageError: There is no such file, or it does not hold scores.
    """
    if path.suffix not in (".npz", ".parquet"):
        raise UsageError(f"{path}: not a scores file; name a .npz or .parquet file")
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    try:
        return _load_parquet(path) if path.suffix == ".parquet" else _load_npz(path)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def save_scores(scores: Scores, path: Path) -> None:
    """Write scores to a ``.npz`` or ``.parquet`` file.

    Raises:
        UsageError: The file's name ends otherwise, or Parquet cannot be written here.
    """
    if path.suffix == ".parquet":
        _save_parquet(scores, path)
    elif path.suffix == ".npz":
        optional = {
            name: getattr(scores, name) for name in _OPTIONAL if getattr(scores, name) is not None
        }
        with path.open("wb") as file:
            np.savez_compressed(
                file, scores=scores.scores, verifiers=np.array(scores.verifiers), **optional
            )
    else:
        raise UsageError(f"{path}: name a .npz or .parquet file")


def _load_npz(path: Path) -> Scores:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, OSError, BadZipFile, EOFError, AttributeError, TypeError) as error:
        raise UsageError("not an NPZ file of plain arrays; pickles are not read") from error
    if unknown := sorted(set(arrays) - _NPZ):
        raise UsageError(f"unknown array {unknown[0]!r}; known: {', '.join(sorted(_NPZ))}")
    if missing := sorted({"scores", "verifiers"} - set(arrays)):
        raise UsageError(f"no array {missing[0]!r}")
    if arrays["verifiers"].ndim != 1 or arrays["verifiers"].dtype.kind != "U":
        raise UsageError("verifiers: need a list of names")
    given: dict[str, Any] = {**arrays, "verifiers": tuple(arrays["verifiers"].tolist())}
    if "energy" in arrays:
        given["energy"] = arrays["energy"].tolist()
    return Scores(**given)


def _pyarrow() -> Any:
    try:
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise UsageError(
            "Parquet needs pyarrow, which is not installed; pip install 'archon-ipw[parquet]'"
        ) from error
    return pyarrow


def _save_parquet(scores: Scores, path: Path) -> None:
    pa = _pyarrow()
    if clash := sorted(set(scores.verifiers) & set(_OWN)):
        raise UsageError(f"verifier {clash[0]!r} has the name of a column; rename it")
    query, sample = np.nonzero(scores.present)
    optional = {
        name: pa.array(values[query, sample].tolist())
        for name, values in (
            ("answer", scores.answers),
            ("label", scores.labels),
            ("correct", scores.correct),
        )
        if values is not None
    }
    columns = {"query": pa.array(query), "sample": pa.array(sample), **optional}
    fields = [pa.field(name, column.type) for name, column in columns.items()]
    for index, name in enumerate(scores.verifiers):
        cost = None if scores.cost_j is None else {"cost_j": repr(float(scores.cost_j[index]))}
        columns[name] = pa.array(scores.scores[query, sample, index], from_pandas=True)
        fields.append(pa.field(name, pa.float64(), metadata=cost))
    energy = None if scores.energy is None else {"energy": scores.energy}
    schema = pa.schema(fields, metadata=energy)
    pa.parquet.write_table(pa.table(list(columns.values()), schema=schema), path)


def _load_parquet(path: Path) -> Scores:
    pa = _pyarrow()
    try:
        table = pa.parquet.read_table(path, partitioning=None)
    except (pa.ArrowException, OSError) as error:
        raise UsageError("not a Parquet file") from error
    verifiers = [name for name in table.column_names if name not in _OWN]
    query, sample = (_index(table, name) for name in ("query", "sample"))
    if not verifiers or not len(query):
        raise UsageError("no verifier column, or no rows")
    shape = (int(query.max()) + 1, int(sample.max()) + 1)
    if shape[0] * shape[1] > 1000 * len(query):
        raise UsageError(f"{len(query)} rows for {shape} [queries, samples]; number from 0")
    if len(set(zip(query.tolist(), sample.tolist(), strict=True))) < len(query):
        raise UsageError("a sample has two rows; number the samples of each query from 0")

    def spread(name: str, empty: float | str) -> Any:
        values = table[name].to_pylist()
        kind = str if isinstance(empty, str) else (int, float)
        if not all(value is None or isinstance(value, kind) for value in values):
            what = "strings" if isinstance(empty, str) else "numbers"
            raise UsageError(f"column {name!r}: need {what}")
        cells = [empty if value is None else value for value in values]
        full = np.full(shape, empty, dtype=np.array([empty, *cells]).dtype)
        full[query, sample] = cells
        return full

    optional = {
        field: spread(column, empty)
        for field, column, empty in (
            ("answers", "answer", ""),
            ("labels", "label", -1),
            ("correct", "correct", -1),
        )
        if column in table.column_names
    }
    scores = np.stack([spread(name, np.nan) for name in verifiers], axis=2)
    return Scores(
        scores,
        tuple(verifiers),
        cost_j=_column_costs(table, verifiers),
        energy=_energy(table),
        **optional,
    )


def _index(table: Any, name: str) -> Any:
    if name not in table.column_names:
        raise UsageError(f"no column {name!r}; need query and sample, integers from 0")
    values = table[name].to_pylist()
    if not all(isinstance(value, int) and value >= 0 for value in values):
        raise UsageError(f"column {name!r}: need integers from 0")
    return np.array(values, dtype=np.intp)


def _column_costs(table: Any, verifiers: list[str]) -> Any:
    written = [(table.schema.field(name).metadata or {}).get(b"cost_j") for name in verifiers]
    if all(cost is None for cost in written):
        return None
    try:
        return np.array([np.nan if cost is None else float(cost) for cost in written])
    except ValueError as error:
        raise UsageError("cost_j in a column's metadata is not a number") from error


def _energy(table: Any) -> str | None:
    written: bytes | None = (table.schema.metadata or {}).get(b"energy")
    try:
        return None if written is None else written.decode()
    except UnicodeDecodeError as error:
        raise UsageError("energy in the table's metadata is not UTF-8 text") from error
