"""Weaver: many weak verifiers' scores in, one answer per query with P(correct) out."""

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from archon.errors import UsageError
from weaver import methods
from weaver.binarise import Binarize, thresholds, vote
from weaver.calibrate import FEWEST, Calibrator, Kind, threshold_for_risk
from weaver.dependence import dependence, to_drop
from weaver.doubts import doubts
from weaver.methods.base import FORMAT, Method
from weaver.metrics import calibration_error
from weaver.normalise import Extent
from weaver.report import VerifierReport, list_of, number, optional, report_of, texts
from weaver.scores import Floats, Labels, Mask, Scores
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
        report_: per verifier, in that order.
        doubts_: sentences on what the votes leave open.
        calibrator_: of the selected candidates' probability.
        calibration_error_: expected calibration error of the selected candidates that are labelled,
            by models that did not see their labels; None with fewer than 20 of them.
        selected_probability_: [queries] of training, from which `threshold` is read.
    """

    method_: Method
    verifiers_: tuple[str, ...]
    report_: tuple[VerifierReport, ...]
    doubts_: tuple[str, ...]
    calibrator_: Calibrator
    calibration_error_: float | None
    selected_probability_: Floats

    def __init__(
        self,
        method: str = "continuous",
        *,
        class_balance: float | None = None,
        binarize: Binarize = "auto",
        drop: Literal["auto", "none"] = "auto",
        calibrate: Literal["auto"] | Kind = "auto",
        seed: int = 0,
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
        """
        self.method = method
        self.class_balance = class_balance
        self.binarize = binarize
        self.drop = drop
        self.calibrate = calibrate
        self.seed = seed

    def get_params(self) -> dict[str, Any]:
        """Return the parameters as given."""
        names = ("method", "class_balance", "binarize", "drop", "calibrate", "seed")
        return {name: getattr(self, name) for name in names}

    def fit(self, scores: Any, answers: Any = None, labels: Any = None) -> Self:
        """Fit to `Scores`, or to arrays as `Method.fit` takes them; `correct` is never read.

        Raises:
            UsageError: The data or a parameter is not as said.
        """
        given = _scores(scores, answers, labels).training()
        self._check_params()
        rows = given.scores[given.present]
        cuts = thresholds(rows, Extent.of(rows), "auto", None, None)
        votes = Votes.pack(vote(rows, cuts))
        found = dependence(votes)
        known = given.labels is not None and bool((given.labels[given.present] >= 0).any())
        dropped: dict[int, str] = {}
        if self.drop == "auto" and self._method().assumes_independence:
            dropped = to_drop(found, given.cost_j, given.verifiers)
        if len(dropped) == len(given.verifiers):
            dropped.pop(0)
        self.verifiers_ = given.verifiers
        self._kept = tuple(i for i in range(len(given.verifiers)) if i not in dropped)
        self.method_ = self._fit_method(given, given.labels)
        self.doubts_ = tuple(doubts(votes, found, given.verifiers, known))
        self.report_ = self._report(given, dropped)
        self.calibrator_, self.calibration_error_ = Calibrator(), None
        if known:
            self._calibrate(given)
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

    def to_json(self) -> str:
        """Return everything fitted as JSON."""
        record = {
            "weaver": FORMAT,
            "params": self.get_params(),
            "verifiers": list(self.verifiers_),
            "report": [asdict(report) for report in self.report_],
            "doubts": list(self.doubts_),
            "calibrator": asdict(self.calibrator_),
            "calibration_error": self.calibration_error_,
            "selected_probability": self.selected_probability_.tolist(),
            "model": json.loads(self.method_.to_json()),
        }
        return json.dumps(record, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Weaver":
        """Return the fitted weaver that `to_json` wrote.

        Raises:
            UsageError: It is not such a text.
        """
        try:
            record = json.loads(text)
        except ValueError as error:
            raise UsageError(f"model: not JSON ({error})") from error
        keys = {"weaver", "params", "verifiers", "report", "doubts", "calibrator"}
        keys |= {"calibration_error", "selected_probability", "model"}
        if not isinstance(record, dict) or set(record) != keys or record["weaver"] != FORMAT:
            raise UsageError(f"model: not a fitted weaver of format {FORMAT}")
        params = record["params"]
        if not isinstance(params, dict) or set(params) != set(cls().get_params()):
            raise UsageError("model: params are not those of a weaver")
        weaver = cls(**params)
        weaver._check_params()
        weaver.method_ = methods.from_record(record["model"])
        weaver.verifiers_ = texts(record["verifiers"], "verifiers")
        weaver.doubts_ = texts(record["doubts"], "doubts")
        weaver.report_ = tuple(report_of(entry) for entry in list_of(record["report"], "report"))
        weaver._kept = tuple(
            index for index, entry in enumerate(weaver.report_) if entry.dropped is None
        )
        if tuple(entry.name for entry in weaver.report_) != weaver.verifiers_ or len(
            weaver._kept
        ) != len(weaver.method_.centre_):
            raise UsageError("model: verifiers, report and method do not agree")
        weaver.calibrator_ = Calibrator.from_record(record["calibrator"])
        weaver.calibration_error_ = optional(record["calibration_error"], "calibration_error")
        chances = [
            number(value, "selected_probability")
            for value in list_of(record["selected_probability"], "selected_probability")
        ]
        weaver.selected_probability_ = np.array(chances, dtype=np.float64)
        return weaver

    def _method(self) -> Method:
        kind = methods.class_of(self.method)
        takes = {f.name for f in fields(kind) if f.init}
        offered = {name: getattr(self, name) for name in ("class_balance", "binarize", "seed")}
        return kind(**{name: value for name, value in offered.items() if name in takes})

    def _fit_method(self, given: Scores, labels: Labels | None) -> Method:
        return self._method().fit(given.scores[:, :, self._kept], given.answers, labels)

    def _calibrate(self, given: Scores) -> None:
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
            method = self._fit_method(given, labels)
            part = given.scores[held][:, :, self._kept]
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
            self.calibration_error_ = calibration_error(self.calibrator_.apply(chance), truth)

    def _report(self, given: Scores, dropped: dict[int, str]) -> tuple[VerifierReport, ...]:
        columns = {name: getattr(self.method_, name, None) for name in ("tpr_", "tnr_", "weights_")}

        def value(name: str, index: int) -> float | None:
            column = columns[name]
            if index in dropped:
                return 0.0 if name == "weights_" and column is not None else None
            return None if column is None else float(column[self._kept.index(index)])

        return tuple(
            VerifierReport(
                name,
                value("tpr_", index),
                value("tnr_", index),
                value("weights_", index),
                None
                if given.cost_j is None or np.isnan(given.cost_j[index])
                else float(given.cost_j[index]),
                dropped.get(index),
            )
            for index, name in enumerate(given.verifiers)
        )

    def _inputs(self, scores: Any, answers: Any) -> tuple[Floats, Any]:
        if not hasattr(self, "method_"):
            raise UsageError("weaver: not fitted; call fit first")
        if isinstance(scores, Scores):
            scores, answers = scores.only(self.verifiers_).scores, scores.answers
        found = np.asarray(scores)
        if found.ndim != 3 or found.shape[2] != len(self.verifiers_):
            raise UsageError(
                f"scores: shape {found.shape}; fitted with {len(self.verifiers_)} verifiers, need "
                "[queries, samples, verifiers]"
            )
        return found[:, :, self._kept], answers

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


def _scores(scores: Any, answers: Any, labels: Any) -> Scores:
    if not isinstance(scores, Scores):
        count = np.shape(scores)[2] if np.ndim(scores) == 3 else 0
        names = tuple(f"v{index}" for index in range(count))
        return Scores(scores, names, answers=answers, labels=labels)
    if answers is not None or labels is not None:
        raise UsageError("answers and labels belong in the Scores; give them there")
    return scores
