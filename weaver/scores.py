"""What the verifiers said: one score per query, sample and verifier."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archon.errors import UsageError

Floats = NDArray[np.float64]
Labels = NDArray[np.int8]
Strings = NDArray[np.str_]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Scores of verifiers, higher meaning more likely correct, with what else is known.

    Queries may have fewer samples than the widest: pad with samples that have NaN from every
    verifier and the answer "" (see `present`).

    Attributes:
        scores: [queries, samples, verifiers]; NaN is missing (also an unparsed verdict), never 0.
        verifiers: [verifiers] names, each once.
        answers: [queries, samples] canonical answers, "" where a sample has none; or None. Samples
            of a query with the same answer share their correctness.
        labels: [queries, samples] 1 correct, 0 wrong, -1 unknown; what fitting may read.
        correct: [queries, samples] likewise, for evaluation alone: `training` leaves it out, and
            no method takes it.
        cost_j: [verifiers] joules of one verdict, NaN where not measured; or None.
        energy: energy basis of `cost_j`, such as "cpu+dram estimated"; None where not known.

    Raises:
        UsageError: A shape, type or value is not as above.
    """

    scores: Floats
    verifiers: tuple[str, ...]
    answers: Strings | None = None
    labels: Labels | None = None
    correct: Labels | None = None
    cost_j: Floats | None = None
    energy: str | None = None

    def __post_init__(self) -> None:
        scores = check_scores(self.scores)
        cells = scores.shape[:2]
        set_ = object.__setattr__
        set_(self, "scores", scores)
        set_(self, "verifiers", _names(self.verifiers, scores.shape[2]))
        set_(self, "answers", check_answers(self.answers, cells))
        set_(self, "labels", check_labels(self.labels, cells))
        set_(self, "correct", check_labels(self.correct, cells, "correct"))
        set_(self, "cost_j", _costs(self.cost_j, scores.shape[2]))
        _check_energy(self.energy)

    @property
    def present(self) -> Mask:
        """[queries, samples] whether a sample is real; see the function `present`."""
        return present(self.scores, self.answers)

    def training(self) -> "Scores":
        """Return the same without `correct`."""
        return replace(self, correct=None)

    def only(self, verifiers: tuple[str, ...]) -> "Scores":
        """Return these verifiers' scores, in this order.

        Raises:
            UsageError: One of them is not here.
        """
        if unknown := [name for name in verifiers if name not in self.verifiers]:
            raise UsageError(
                f"unknown verifier {unknown[0]!r}: the scores hold {', '.join(self.verifiers)}"
            )
        index = [self.verifiers.index(name) for name in verifiers]
        return replace(
            self,
            scores=self.scores[:, :, index],
            verifiers=tuple(verifiers),
            cost_j=None if self.cost_j is None else self.cost_j[index],
        )


def present(scores: Floats, answers: Strings | None) -> Mask:
    """Return [queries, samples]: whether a sample is real and not padding.

    A sample without any score and without an answer is padding, unless its whole query is so: of
    such a query nothing is known, and all its samples count.
    """
    missing = np.isnan(scores)
    if not missing.any():
        return np.ones(scores.shape[:2], dtype=np.bool_)
    real = ~missing.all(axis=2)
    if answers is not None:
        real |= answers != ""
    nothing = ~np.asarray(real).any(axis=1, keepdims=True)
    return np.asarray(real | nothing)


def check_scores(scores: Any) -> Floats:
    """Return the scores as floats [queries, samples, verifiers], none of these empty.

    Raises:
        UsageError: They are not numbers, not three-dimensional, empty, or infinite.
    """
    found = _numbers(scores, "scores")
    if found.ndim != 3 or 0 in found.shape:
        raise UsageError(
            f"scores: shape {found.shape}; need [queries, samples, verifiers], at least one of each"
        )
    if np.isinf(found).any():
        raise UsageError("scores: infinite values; write NaN where a score is missing")
    return found


def check_answers(answers: Any, cells: tuple[int, ...]) -> Strings | None:
    """Return the answers as strings [queries, samples].

    Raises:
        UsageError: They are not strings, or not of this shape.
    """
    if answers is None:
        return None
    found = np.asarray(answers)
    if found.dtype.kind == "O" and all(isinstance(answer, str) for answer in found.flat):
        found = found.astype(np.str_)
    if found.dtype.kind != "U":
        raise UsageError(f"answers: {found.dtype} values; need strings, '' where there is none")
    _same_shape("answers", found.shape, cells)
    return found


def check_labels(labels: Any, cells: tuple[int, ...], what: str = "labels") -> Labels | None:
    """Return labels as int8 [queries, samples].

    Raises:
        UsageError: A label is none of -1, 0, 1, or the shape is another.
    """
    if labels is None:
        return None
    found = _numbers(labels, what)
    _same_shape(what, found.shape, cells)
    if not np.isin(found, (-1, 0, 1)).all():
        wrong = found[~np.isin(found, (-1, 0, 1))][0]
        raise UsageError(f"{what}: value {wrong:g}; need 1 correct, 0 wrong or -1 unknown")
    return found.astype(np.int8)


def _numbers(values: Any, what: str) -> Floats:
    try:
        found = np.asarray(values)
    except ValueError as error:
        raise UsageError(f"{what}: rows of unequal length; need a full array") from error
    if found.dtype.kind not in "fiub":
        raise UsageError(f"{what}: {found.dtype} values; need numbers")
    return np.ascontiguousarray(found, dtype=np.float64)


def _same_shape(what: str, shape: tuple[int, ...], cells: tuple[int, ...]) -> None:
    if shape != cells:
        raise UsageError(f"{what}: shape {shape}; the scores need {cells}, [queries, samples]")


def _names(names: Any, count: int) -> tuple[str, ...]:
    found = tuple(names)
    if not all(isinstance(name, str) and name for name in found):
        raise UsageError("verifiers: every name must be a string, and not empty")
    found = tuple(str(name) for name in found)
    if len(found) != count:
        raise UsageError(f"verifiers: {len(found)} names for {count} verifiers in the scores")
    name, often = Counter(found).most_common(1)[0]
    if often > 1:
        raise UsageError(f"verifiers: {name!r} stands {often} times; name each verifier once")
    return found


def _costs(cost_j: Any, count: int) -> Floats | None:
    if cost_j is None:
        return None
    found = _numbers(cost_j, "cost_j")
    if found.shape != (count,):
        raise UsageError(f"cost_j: shape {found.shape}; need ({count},), joules of each verifier")
    if np.isinf(found).any() or bool((found < 0).any()):
        raise UsageError("cost_j: negative or infinite joules; write NaN where not measured")
    return found


def _check_energy(energy: Any) -> None:
    if energy is None:
        return
    if not isinstance(energy, str) or not energy.strip() or not energy.isprintable():
        raise UsageError(f"energy: {energy!r:.60}; need one line of text, such as 'cpu estimated'")
