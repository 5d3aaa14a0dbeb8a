"""The methods that fit nothing but a share: the first sample, the vote, the mean score."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from weaver.methods.base import Data, Method, Training, fitted
from weaver.scores import Floats

_LOGISTIC = 1.702
"""A logistic function of this steepness is close to the Gaussian distribution function."""


@dataclass(eq=False)
class First(Method):
    """The first sample of each query; all are equally likely correct.

    Attributes:
        class_balance_: the share of correct among labelled samples, by the rule of succession.
    """

    name: ClassVar[str] = "first"
    class_balance_: float = fitted()

    def _fit(self, training: Training) -> Floats:
        labels = training.labels
        right, known = (0, 0) if labels is None else ((labels == 1).sum(), (labels >= 0).sum())
        self.class_balance_ = float((right + 1) / (known + 2))
        return np.full(len(training.rows), logit(self.class_balance_))

    def _log_odds(self, data: Data) -> Floats:
        return np.full(data.real.shape, logit(self.class_balance_))

    def select(self, scores: Any, answers: Any = None) -> NDArray[np.intp]:
        """See `Method.select`."""
        return np.asarray(self._data(scores, answers).real.argmax(axis=1))


@dataclass(eq=False)
class Plurality(Method):
    """The most frequent answer; P(correct) is its share of the query's samples.

    Without answers all samples of a query are equal, and the mean score decides.
    """

    name: ClassVar[str] = "plurality"

    def _fit(self, training: Training) -> Floats:
        return training.of_rows(self._log_odds(training.data))

    def _log_odds(self, data: Data) -> Floats:
        mass = np.ones(data.real.shape) if data.groups is None else data.groups.mass_of
        return np.asarray(logit((mass + 0.5) / (data.real.sum(axis=1, keepdims=True) + 1)))

    def _shared(self, data: Data) -> Floats:
        return self._log_odds(data)


@dataclass(eq=False)
class Mean(Method):
    """The mean of the normalised scores, read as if Gaussian; missing ones are left out."""

    name: ClassVar[str] = "mean"

    def _fit(self, training: Training) -> Floats:
        return training.of_rows(self._log_odds(training.data))

    def _log_odds(self, data: Data) -> Floats:
        normal = self._normalised(data.scores)
        count = (~np.isnan(normal)).sum(axis=2)
        return np.asarray(_LOGISTIC * np.nan_to_num(normal).sum(axis=2) / np.maximum(count, 1))
