"""Samples to be scored, on disk: JSON Lines, one question with its samples per line."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from archon.errors import UsageError
from archon.jsonlines import at_line, numbered_rows
from archon.messages import Message
from weaver.scores import Labels
from weaver.verifiers import Sample, SampledQuestion

_Known = list[Literal[-1, 0, 1]]


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """What a samples file holds.

    Attributes:
        questions: In the order of the lines.
        labels: [questions, samples] in {-1, 0, 1}, what fitting may read; None if no line has any.
        correct: [questions, samples] likewise, for evaluation alone.
    """

    questions: tuple[SampledQuestion, ...]
    labels: Labels | None
    correct: Labels | None


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    id: str | int
    prompt: str
    samples: list[str] = Field(min_length=1)
    answers: list[str | None] | None = None
    labels: _Known | None = None
    correct: _Known | None = None


def load_samples(path: Path) -> Samples:
    """Read a samples file.

    Every line is an object with ``id``, ``prompt`` and ``samples`` (texts), and optionally, one
    per sample, ``answers`` (null or "" where a sample states none), ``labels`` and ``correct`` (1
    correct, 0 wrong, -1 unknown). Blank lines are skipped.

    Raises:
        UsageError: The file cannot be read, is empty, or holds a bad line; the message then begins
            with FILE:LINE.
    """
    rows: list[_Row] = []
    line_of: dict[str | int, int] = {}
    for number, row in numbered_rows(path, _Row, f"{path}: cannot be read"):
        with at_line(path, number):
            _check(row)
            if row.id in line_of:
                raise UsageError(f'"id": {row.id!r} is taken by line {line_of[row.id]}')
        line_of[row.id] = number
        rows.append(row)
    if not rows:
        raise UsageError(f"{path}: the samples file is empty: write one JSON object per line")
    return Samples(
        tuple(map(_question, rows)),
        _padded(rows, [row.labels for row in rows]),
        _padded(rows, [row.correct for row in rows]),
    )


def _check(row: _Row) -> None:
    if not row.prompt.strip():
        raise UsageError('"prompt": is blank: write the question')
    for name in ("answers", "labels", "correct"):
        given = getattr(row, name)
        if given is not None and len(given) != len(row.samples):
            raise UsageError(f'"{name}": {len(given)} for {len(row.samples)} samples: one for each')


def _question(row: _Row) -> SampledQuestion:
    answers = row.answers or [None] * len(row.samples)
    samples = [Sample(text, said or None) for text, said in zip(row.samples, answers, strict=True)]
    return SampledQuestion((Message("user", row.prompt),), samples)


def _padded(rows: Sequence[_Row], known: Sequence[Sequence[int] | None]) -> Labels | None:
    """Return [rows, most samples], -1 where nothing is known; None where no row has any."""
    if all(one is None for one in known):
        return None
    full = np.full((len(rows), max(len(row.samples) for row in rows)), -1, dtype=np.int8)
    for index, one in enumerate(known):
        if one is not None:
            full[index, : len(one)] = one
    return full
