"""Votes, packed: sums over rows and over verifiers cost a few table look-ups per row.

A row's votes (no, yes, missing) of up to ten verifiers are the digits of one number. A sum over
verifiers is then a small table indexed by that number, and a sum over rows one histogram of it,
which is several times faster than products with the whole vote matrix.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from weaver.scores import Floats


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """Verifiers packed together; the tables are [codes, verifiers of the group]."""

    verifiers: slice
    codes: NDArray[np.intp]
    yes: Floats
    seen: Floats


@dataclass(frozen=True, eq=False)
class Votes:
    """Votes of several verifiers on many samples.

    Attributes:
        rows: how many samples.
        matrix: [rows, verifiers] 1, 0, NaN.
        yes: [verifiers] how many yes votes.
        seen: [verifiers] how many votes.
    """

    rows: int
    matrix: Floats
    yes: Floats
    seen: Floats
    complete: bool  # no vote is missing
    _groups: tuple[_Group, ...]

    @classmethod
    def pack(cls, matrix: Floats) -> "Votes":
        """Pack a matrix [rows, verifiers] of 1, 0 and NaN."""
        rows, verifiers = matrix.shape
        missing = np.isnan(matrix)
        complete = not missing.any()
        digits = matrix if complete else np.where(missing, 2.0, matrix)
        base, width = (2, 10) if complete else (3, 6)
        groups = []
        for start in range(0, verifiers, width):
            stop = min(start + width, verifiers)
            powers = base ** np.arange(stop - start)
            codes = (digits[:, start:stop] @ powers.astype(float)).astype(np.intp)
            table = np.arange(base ** (stop - start))[:, None] // powers % base
            groups.append(
                _Group(
                    slice(start, stop),
                    codes,
                    (table == 1).astype(np.float64),
                    (table < 2).astype(np.float64),
                )
            )
        yes = (digits == 1).sum(axis=0).astype(np.float64)
        seen = (rows - missing.sum(axis=0)).astype(np.float64)
        return cls(rows, matrix, yes, seen, complete, tuple(groups))

    @property
    def mean(self) -> Floats:
        """[verifiers] the share of yes votes."""
        return np.asarray(self.yes / np.maximum(self.seen, 1))

    @cached_property
    def covariance(self) -> Floats:
        """[verifiers, verifiers] over the rows where both voted; 0 where there are none."""
        centred = self.matrix.astype(np.float32) - self.mean.astype(np.float32)
        if self.complete:
            return (centred.T @ centred).astype(np.float64) / self.rows
        seen = ~np.isnan(centred)
        centred[~seen] = 0
        together = seen.astype(np.float32)
        counts = (together.T @ together).astype(np.float64)
        products = (centred.T @ centred).astype(np.float64)
        return np.asarray(products / np.maximum(counts, 1))

    def row_sums(self, if_yes: Floats, if_no: Floats) -> Floats:
        """Return [rows]: the sum of ``if_yes`` over yes votes and ``if_no`` over no votes."""
        total = np.zeros(self.rows)
        for group in self._groups:
            part = slice(group.verifiers.start, group.verifiers.stop)
            table = group.yes @ (if_yes[part] - if_no[part]) + group.seen @ if_no[part]
            total += table[group.codes]
        return total

    def counts(self, weight: Floats) -> tuple[Floats, Floats]:
        """Return the weight [rows] of each verifier's yes votes, and of all its votes."""
        yes, seen = [], []
        for group in self._groups:
            histogram = np.bincount(group.codes, weight, len(group.yes))
            yes.append(histogram @ group.yes)
            seen.append(histogram @ group.seen)
        return np.concatenate(yes), np.concatenate(seen)
