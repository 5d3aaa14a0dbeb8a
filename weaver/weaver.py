"""Weaver: many weak verifiers' scores in, one answer per query with P(correct) out."""

import json
import math
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from archon.errors import UsageError
from weaver import methods
from weaver.binarise import Binarize, thresholds, vote
from weaver.budget import Ladder, ladder, reasons
from weaver.calibrate import FEWEST, Calibrator, Kind, threshold_for_risk
from weaver.dependence import Dependence, dependence, speak_of_one_thing
from weaver.doubts import doubts
from weaver.methods.base import Method
from weaver.methods.em import EM
from weaver.metrics import calibration_error
from weaver.normalise import Extent
from weaver.record import checked, record_of, restore
from weaver.report import VerifierReport, reports_on
from weaver.scores import Floats, Labels, Mask, Scores
from weaver.subsets import SubsetFits, left_out
from weaver.votes import Votes

FOLDS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Decisions:
    """One sample per query.

    Attributes:
        selected: [queries] sample indices.
        probability: [queries] calibrated P(the selected sample is correct).
        abstain: [queries] True where that is too low for the risk asked for.
    """

    selected: NDArray[np.intp]
    probability: Floats
    abstain: Mask


class Weaver:
    """Combines verifiers by a method, without those that repeat others, and calibrates the result.

    Example:
        >>> import numpy as np
        >>> from weaver import Weaver
        >>> from weaver.synthetic import two_coin
        >>> scores, truth = two_coin(0, queries=50, samples=10)
        >>> weaver = Weaver().fit(scores)
        >>> decisions = weaver.decide(scores, risk=0.2)

    Attributes:
        method_: the fitted method.
        verifiers_: names, in the order of training.
        used_: names of those that were not left out: the only ones that predictions need.
        report_: per verifier, in the order of training.
        energy_: energy basis of the joules in it, as `Scores.energy`.
        doubts_: sentences on what the votes leave open.
        calibrator_: of the selected candidates' probability.
        calibration_error_: expected calibration error of the selected candidates that are labelled,
            by models that did not see their labels; None with fewer than 20 of them.
        selected_probability_: [queries] of training, from which `threshold` is read.
        ladder_: what the budget was spent by; None without a budget, and where read from a record.
    """

    method_: Method
    verifiers_: tuple[str, ...]
    used_: tuple[str, ...]
    report_: tuple[VerifierReport, ...]
    energy_: str | None
    doubts_: tuple[str, ...]
    calibrator_: Calibrator
    calibration_error_: float | None
    selected_probability_: Floats
    ladder_: Ladder | None

    def __init__(
        self,
        method: str = "continuous",
        *,
        class_balance: float | None = None,
        binarize: Binarize = "auto",
        drop: Literal["auto", "none"] = "auto",
        calibrate: Literal["auto"] | Kind = "auto",
        seed: int = 0,
        budget_j: float | None = None,
    ) -> None:
        """Choose how to combine.

        Args:
            method: name of a method; see `weaver.methods`. The default is two-coin expectation
                maximisation (``em``) where all verifiers vote, and loses nothing of scores.
            class_balance: the share of correct samples, if known.
            binarize: how scores become votes; see `weaver.binarise.thresholds`.
            drop: ``auto`` leaves out constant verifiers and those that repeat others, for methods
                that take verifiers to be independent.
            calibrate: how the selected candidates' probability is calibrated where there are
                labels; see `weaver.calibrate`.
            seed: for methods that draw random numbers.
            budget_j: joules per query that verifiers may cost; the most accurate choice within is
                used (see `weaver.budget`), with rates learned beside the others where the method
                can. None uses all.
        """
        self.method = method
        self.class_balance = class_balance
        self.binarize = binarize
        self.drop = drop
        self.calibrate = calibrate
        self.seed = seed
        self.budget_j = budget_j

    def get_params(self) -> dict[str, Any]:
        """Return the parameters as given."""
        names = ("method", "class_balance", "binarize", "drop", "calibrate", "seed", "budget_j")
        return {name: getattr(self, name) for name in names}

    def fit(self, scores: Any, answers: Any = None, labels: Any = None) -> Self:
        """Fit to `Scores`, or to arrays as `Method.fit` takes them; `correct` is never read.

        Raises:
            UsageError: The data or a parameter is not as said.
        """
        given = _scores(scores, answers, labels).training()
        self._check_params()
        votes, found = _dependence(given)
        known = given.labels is not None and bool((given.labels[given.present] >= 0).any())
        # where label models believe no verifier, all of them decide ties
        heard = known or speak_of_one_thing(votes)
        alike = found if heard else replace(found, repeats=())
        repeats = alike if self._drops() else None
        self.ladder_ = None
        if self.budget_j is None:
            dropped = left_out(range(len(given.verifiers)), given, repeats)
        else:
            self.ladder_ = self._ladder(given, repeats)
            dropped = reasons(given, self.ladder_.within(self.budget_j), self.budget_j, repeats)
        self.verifiers_ = given.verifiers
        self.used_ = tuple(n for i, n in enumerate(given.verifiers) if i not in dropped)
        self.method_ = self._fit_method(given, given.labels, repeats)
        self.doubts_ = tuple(doubts(votes, found, given.verifiers, known))
        self.report_ = reports_on(self.method_, given, dropped)
        self.energy_ = given.energy
        self.calibrator_, self.calibration_error_ = Calibrator(), None
        if known:
            self._calibrate(given, repeats)
        self.selected_probability_ = self.decide(given).probability
        return self

    def predict_proba(self, scores: Any, answers: Any = None) -> Floats:
        """Return the method's P(correct) [queries, samples]."""
        x, a = self._inputs(scores, answers)
        return self.method_.predict_proba(x, a)

    def select(self, scores: Any, answers: Any = None) -> NDArray[np.intp]:
        """Return [queries]: which sample to give."""
        x, a = self._inputs(scores, answers)
        return self.method_.select(x, a)

    def decide(self, scores: Any, answers: Any = None, *, risk: float | None = None) -> Decisions:
        """Return the selected samples, their calibrated P(correct), and where to abstain.

        Args:
            scores: as for `fit`.
            answers: as for `fit`.
            risk: the share of errors allowed among given answers; None never abstains.
        """
        x, a = self._inputs(scores, answers)
        selected = self.method_.select(x, a)
        raw = self.method_.predict_proba(x, a)[np.arange(len(selected)), selected]
        probability = self.calibrator_.apply(raw)
        low = -np.inf if risk is None else self.threshold(risk)
        return Decisions(selected, probability, probability < low)

    def threshold(self, risk: float) -> float:
        """Return the P(correct) below which to abstain; see `threshold_for_risk`."""
        return threshold_for_risk(self.selected_probability_, risk)

    def ladder(self, scores: Any, answers: Any = None, labels: Any = None) -> Ladder:
        """Return what accuracy each number of joules per query would buy; fits nothing for good.

        Raises:
            UsageError: As `fit`, and where joules are missing.
        """
        given = _scores(scores, answers, labels).training()
        self._check_params()
        _, found = _dependence(given)
        return self._ladder(given, found if self._drops() else None)

    def to_record(self) -> dict[str, Any]:
        """Return everything fitted but `ladder_` as plain data, such as JSON and YAML hold."""
        self._require_fitted()
        return record_of(self)

    @classmethod
    def from_record(cls, record: Any) -> "Weaver":
        """Return the fitted weaver whose `to_record` this is; it may come from anyone.

        Raises:
            UsageError: It is not such a record.
        """
        found = checked(record, set(cls().get_params()))
        weaver = cls(**found["params"])
        weaver._check_params()
        restore(weaver, weaver._method(), found)
        return weaver

    def to_json(self) -> str:
        """Return `to_record` as JSON."""
        return json.dumps(self.to_record(), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Weaver":
        """Return the fitted weaver that `to_json` wrote.

        Raises:
            UsageError: It is not such a text.
        """
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"model: not JSON ({error})") from error
        return cls.from_record(record)

    def _method(self) -> Method:
        kind = methods.class_of(self.method)
        takes = {f.name for f in fields(kind) if f.init}
        offered = {name: getattr(self, name) for name in ("class_balance", "binarize", "seed")}
        return kind(**{name: value for name, value in offered.items() if name in takes})

    def _drops(self) -> bool:
        return self.drop == "auto" and self._method().assumes_independence

    def _ladder(self, given: Scores, repeats: Dependence | None) -> Ladder:
        return ladder(given, self._method(), found=repeats, budget_j=self.budget_j)

    def _fit_method(
        self, given: Scores, labels: Labels | None, repeats: Dependence | None
    ) -> Method:
        kept = tuple(map(given.verifiers.index, self.used_))
        if self.budget_j is None:
            return self._method().fit(given.scores[:, :, kept], given.answers, labels)
        return SubsetFits(given, self._method(), labels, repeats).of(kept)

    def _calibrate(self, given: Scores, repeats: Dependence | None) -> None:
        """Calibrate on labelled selections, each by a model that did not see its query's labels."""
        assert given.labels is not None
        queries = np.flatnonzero((given.labels >= 0).any(axis=1))
        chances, truths = [], []
        for fold in range(min(FOLDS, len(queries))):
            held = queries[fold::FOLDS]
            labels = given.labels.copy()
            labels[held] = -1
            if not (labels >= 0).any() and self.method_.needs_labels:
                continue
            method = self._fit_method(given, labels, repeats)
            part = given.only(self.used_).scores[held]
            answers = None if given.answers is None else given.answers[held]
            selected = method.select(part, answers)
            truth = given.labels[held, selected]
            chance = method.predict_proba(part, answers)[np.arange(len(held)), selected]
            chances.append(chance[truth >= 0])
            truths.append(truth[truth >= 0])
        if not chances:
            return
        chance, truth = np.concatenate(chances), np.concatenate(truths)
        self.calibrator_ = Calibrator.fit(chance, truth == 1, self.calibrate)
        if len(truth) >= FEWEST:
            held_out = np.empty_like(chance)
            for fold in range(FOLDS):
                seen = np.arange(len(truth)) % FOLDS != fold
                others = Calibrator.fit(chance[seen], truth[seen] == 1, self.calibrator_.kind)
                held_out[~seen] = others.apply(chance[~seen])
            self.calibration_error_ = calibration_error(held_out, truth)

    def _inputs(self, scores: Any, answers: Any) -> tuple[Floats, Any]:
        self._require_fitted()
        if isinstance(scores, Scores):
            return scores.only(self.used_).scores, scores.answers
        found = np.asarray(scores)
        if found.ndim != 3 or found.shape[2] != len(self.verifiers_):
            raise UsageError(
                f"scores: shape {found.shape}; fitted with {len(self.verifiers_)} verifiers, need "
                "[queries, samples, verifiers]"
            )
        return found[:, :, [self.verifiers_.index(name) for name in self.used_]], answers

    def _require_fitted(self) -> None:
        if not hasattr(self, "method_"):
            raise UsageError("weaver: not fitted; call fit first")

    def _check_params(self) -> None:
        methods.class_of(self.method)
        if self.drop not in ("auto", "none"):
            raise UsageError(f"drop {self.drop!r}: need 'auto' or 'none'")
        if self.calibrate not in ("auto", "none", "platt", "isotonic"):
            raise UsageError(
                f"calibrate {self.calibrate!r}: need 'auto', 'none', 'platt' or 'isotonic'"
            )
        if type(self.seed) is not int or self.seed < 0:
            raise UsageError(f"seed {self.seed!r}: need a whole number, 0 or more")
        # also where this method takes neither
        EM(class_balance=self.class_balance, binarize=self.binarize)._check_params()
        budget = self.budget_j
        number = isinstance(budget, (int, float)) and not isinstance(budget, bool)
        if budget is not None and not (number and 0 <= budget < math.inf):
            raise UsageError(f"budget_j {budget!r}: need joules per query, 0 or more, or None")


def _dependence(given: Scores) -> tuple[Votes, Dependence]:
    rows = given.scores[given.present]
    votes = Votes.pack(vote(rows, thresholds(rows, Extent.of(rows), "auto", None, None)))
    labels = None if given.labels is None else given.labels[given.present]
    return votes, dependence(votes, labels)


def _scores(scores: Any, answers: Any, labels: Any) -> Scores:
    if not isinstance(scores, Scores):
        count = np.shape(scores)[2] if np.ndim(scores) == 3 else 0
        names = tuple(f"v{index}" for index in range(count))
        return Scores(scores, names, answers=answers, labels=labels)
    if answers is not None or labels is not None:
        raise UsageError("answers and labels belong in the Scores; give them there")
    return scores
