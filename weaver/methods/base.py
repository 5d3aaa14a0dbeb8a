"""The interface of a method, and what every method has in common."""

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Self, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from archon.errors import UsageError
from weaver.answers import AnswerModel, Groups
from weaver.binarise import Rule
from weaver.normalise import Extent, Normaliser
from weaver.scores import (
    Floats,
    Labels,
    Mask,
    Strings,
    check_answers,
    check_labels,
    check_scores,
    present,
)
from weaver.select import choose

FORMAT = 1


def fitted(*axes: str) -> Any:
    """Declare a fitted attribute: an array with these axes, or a number if none are given.

    Axes of one name have one length; ``verifiers`` is the number of verifiers.
    """
    return field(init=False, repr=False, metadata={"axes": axes})


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """What a method predicts from.

    Attributes:
        scores: [queries, samples, verifiers], NaN where missing.
        real: [queries, samples] False for padding.
        groups: the distinct answers, or None.
    """

    scores: Floats
    real: Mask
    groups: Groups | None

    @property
    def rows(self) -> Floats:
        """[rows, verifiers] scores of the real samples."""
        whole = self.scores.reshape(-1, self.scores.shape[2])
        return whole if self.real.all() else whole[self.real.ravel()]

    @property
    def distinct(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """[distinct] rows left when samples of one answer with the same scores count once.

        Such samples were judged once: their scores are one observation, however often the answer
        was given. And [rows] which of those each row is. All rows when there are no answers.
        """
        if self.groups is None:
            every = np.arange(int(self.real.sum()))
            return every, every
        # equal rows have equal projections, and others almost surely do not
        weights = np.random.default_rng(0).standard_normal(self.scores.shape[2])
        mark = np.nan_to_num(self.rows, nan=np.pi) @ weights
        group = self.groups.of[self.real]
        order = np.lexsort((mark, group))
        same = (np.diff(group[order]) == 0) & (np.diff(mark[order]) == 0)
        fresh = np.concatenate([[True], ~same])
        first = order[fresh]
        left = np.sort(first)
        place = np.empty(len(order), dtype=np.intp)
        place[order] = np.searchsorted(left, first)[np.cumsum(fresh) - 1]
        return left, place

    def spread(self, values: Floats) -> Floats:
        """Return [queries, samples] from values [rows]; 0 for padding."""
        cells = np.zeros(self.real.shape)
        cells[self.real] = values
        return cells


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """What a method fits to: one row per real sample, judged-once ones once (`Data.distinct`).

    Attributes:
        data: the same as at prediction.
        rows: [rows, verifiers] scores.
        extent: of the scores.
        query: [rows] the query of each row.
        labels: [rows] in {-1, 0, 1}; None where no row is labelled.
        first: [rows] the first real sample that each row stands for.
    """

    data: Data
    rows: Floats
    extent: Extent
    query: NDArray[np.intp]
    labels: Labels | None
    first: NDArray[np.intp]

    def of_rows(self, cells: Floats) -> Floats:
        """Return [rows] from values [queries, samples]."""
        return np.asarray(cells[self.data.real][self.first])

    def held_out(self, odds: Floats, known: Floats | None) -> Floats:
        """Return log-odds [rows], with those [labelled rows] of models that saw no such label."""
        if self.labels is not None and known is not None:
            odds = odds.copy()
            odds[self.labels >= 0] = known
        return odds


@dataclass(eq=False)
class Method(ABC):
    """Fits scores, then gives P(correct) per sample and chooses a sample per query.

    A method is a dataclass: its parameters are the fields of ``__init__`` and stay as given; what
    was fitted are fields declared by `fitted`, whose names end in an underscore. Higher scores are
    taken to mean "more likely correct", but only on average over the verifiers.

    Attributes:
        answer_prior_, answer_correlation_, answer_intercept_, answer_slope_, answer_trust_: how
            samples with equal answers tell of each other (see `AnswerModel`).
        centre_, spread_: [verifiers] the scale of each verifier (see `Normaliser`).
    """

    answer_prior_: float = fitted()
    answer_correlation_: float = fitted()
    answer_intercept_: float = fitted()
    answer_slope_: float = fitted()
    answer_trust_: float = fitted()
    centre_: Floats = fitted("verifiers")
    spread_: Floats = fitted("verifiers")

    name: ClassVar[str]
    needs_labels: ClassVar[bool] = False
    assumes_independence: ClassVar[bool] = False

    def fit(self, scores: Any, answers: Any = None, labels: Any = None) -> Self:
        """Fit to scores [queries, samples, verifiers].

        Args:
            scores: floats, NaN where missing.
            answers: [queries, samples] strings, "" where there is none.
            labels: [queries, samples] in {-1, 0, 1}, -1 unknown.

        Raises:
            UsageError: The data or a parameter is not as said, or labels are needed.
        """
        self._check_params()
        found = check_scores(scores)
        given = check_answers(answers, found.shape[:2])
        known = check_labels(labels, found.shape[:2])
        data = _data_of(found, given)
        row_labels = None if known is None else known[data.real]
        if row_labels is None or not (row_labels >= 0).any():
            row_labels = None
            if self.needs_labels:
                raise UsageError(f"method {self.name}: needs labels; label some samples 0 or 1")
        first, place = data.distinct
        rows, query = data.rows, np.nonzero(data.real)[0]
        if len(first) < len(rows):
            rows, query = rows[first], query[first]
            row_labels = None if row_labels is None else row_labels[first]
        extent = Extent.of(rows)
        scale = Normaliser.fit(rows, extent)
        self.centre_, self.spread_ = scale.centre, scale.spread
        training = Training(data, rows, extent, query, row_labels, first)
        odds = self._fit(training)
        if data.groups is None:
            shared = AnswerModel.without_answers(odds)
        else:
            known = None if row_labels is None else known
            shared = AnswerModel.fit(data.spread(odds[place]), data.groups, data.real, known)
        self.answer_prior_, self.answer_correlation_ = shared.prior, shared.correlation
        self.answer_intercept_, self.answer_slope_ = shared.intercept, shared.slope
        self.answer_trust_ = shared.trust
        return self

    def predict_proba(self, scores: Any, answers: Any = None) -> Floats:
        """Return P(correct) [queries, samples]; 0 for padding.

        Raises:
            UsageError: The data are not as for `fit`, or the method is not fitted.
        """
        data = self._data(scores, answers)
        return np.where(data.real, expit(self._shared(data)), 0.0)

    def select(self, scores: Any, answers: Any = None) -> NDArray[np.intp]:
        """Return [queries]: which sample to give; ties go by answer mass, then by the scores."""
        data = self._data(scores, answers)
        mass = None if data.groups is None else data.groups.mass_of
        return choose(self._shared(data), data.real, mass, self._tie_score(data))

    def get_params(self) -> dict[str, Any]:
        """Return the parameters as given."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.init}

    def to_json(self) -> str:
        """Return parameters and fitted numbers as JSON; `methods.from_json` reads it."""
        self._require_fitted()
        numbers = {
            f.name: np.asarray(getattr(self, f.name)).tolist() for f in fields(self) if not f.init
        }
        return json.dumps(
            {
                "weaver": FORMAT,
                "method": self.name,
                "params": self.get_params(),
                "fitted": numbers,
            },
            allow_nan=False,
        )

    @classmethod
    def from_record(cls, params: Any, numbers: Any) -> Self:
        """Return the fitted method whose parameters and fitted numbers these are.

        Raises:
            UsageError: Something is missing, unknown, of another shape, or not finite.
        """
        where = f"model of method {cls.name}"
        own = {f.name for f in fields(cls) if f.init}
        if not isinstance(params, dict) or set(params) - own:
            raise UsageError(f"{where}: params may hold {', '.join(sorted(own)) or 'nothing'}")
        method = cls(**params)
        method._check_params()
        declared = {f.name: f.metadata["axes"] for f in fields(cls) if not f.init}
        if not isinstance(numbers, dict) or set(numbers) != set(declared):
            raise UsageError(f"{where}: fitted must hold {', '.join(sorted(declared))}")
        sizes: dict[str, int] = {}
        for name, axes in declared.items():
            value = _numbers(numbers[name], f"{where}: {name}")
            if value.ndim != len(axes) or any(
                sizes.setdefault(axis, size) != size
                for axis, size in zip(axes, value.shape, strict=True)
            ):
                raise UsageError(f"{where}: {name} has shape {value.shape}; sizes do not agree")
            setattr(method, name, value if axes else float(value))
        return method

    @abstractmethod
    def _fit(self, training: Training) -> Floats:
        """Set the fitted attributes; return log-odds [rows] (see `Training.held_out`)."""

    @abstractmethod
    def _log_odds(self, data: Data) -> Floats:
        """Return finite log-odds [queries, samples] of each sample by itself."""

    def _directions(self) -> Floats:
        """Return [verifiers]: how much each verifier's score counts in deciding ties."""
        return np.ones(len(self.centre_))

    def _normalised(self, scores: Floats) -> Floats:
        return Normaliser(self.centre_, self.spread_).apply(scores)

    def _shared(self, data: Data) -> Floats:
        """Return [queries, samples] log-odds in view of the samples that have the same answer."""
        log_odds = self._log_odds(data)
        if data.groups is None:
            return log_odds
        shared = AnswerModel(
            self.answer_prior_,
            self.answer_correlation_,
            self.answer_intercept_,
            self.answer_slope_,
            self.answer_trust_,
        )
        return shared.log_odds(log_odds, data.groups)

    def _tie_score(self, data: Data) -> Floats:
        scores = Normaliser(self.centre_, self.spread_).squash(data.scores)
        directions = self._directions()
        if float(np.abs(directions).max()) < 1e-9:
            directions = np.ones(len(directions))
        return np.asarray(np.nan_to_num(scores) @ directions)

    def _data(self, scores: Any, answers: Any) -> Data:
        self._require_fitted()
        found = check_scores(scores)
        if found.shape[2] != len(self.centre_):
            raise UsageError(
                f"method {self.name}: scores of {found.shape[2]} verifiers, fitted with "
                f"{len(self.centre_)}"
            )
        given = check_answers(answers, found.shape[:2])
        return _data_of(found, given)

    def _require_fitted(self) -> None:
        if not hasattr(self, "answer_slope_"):
            raise UsageError(f"method {self.name}: not fitted; call fit first")

    def _check_params(self) -> None:
        """Raise `UsageError` where a parameter has no meaning."""
        params = self.get_params()
        balance = params.get("class_balance")
        if balance is not None and not (_is_number(balance) and 0 < balance < 1):
            raise UsageError(f"class_balance {balance!r}: need a share between 0 and 1, or None")
        how = params.get("binarize", "auto")
        if not _is_number(how) and how not in get_args(Rule):
            raise UsageError(f"binarize {how!r}: need a number, or of {', '.join(get_args(Rule))}")


def _data_of(scores: Floats, answers: Strings | None) -> Data:
    real = present(scores, answers)
    return Data(scores, real, None if answers is None else Groups.find(answers, real))


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, (int, float)) and not isinstance(value, bool) and bool(np.isfinite(value))
    )


def _numbers(value: Any, where: str) -> Floats:
    try:
        found = np.asarray(value)
    except ValueError as error:
        raise UsageError(f"{where}: rows of unequal length") from error
    if found.dtype.kind not in "fi" or not np.isfinite(found).all():
        raise UsageError(f"{where}: not all finite numbers")
    return found.astype(np.float64)
