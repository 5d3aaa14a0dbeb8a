"""Rates that depend on how hard a query looks.

Queries are ordered by a difficulty that needs no label: how scattered their answers are (where
answers are given) and how low their scores. They are cut into bins, and each bin gets a two-coin
model of its own, shrunk to the common one: by expectation maximisation, or from its labels where
there are any.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from archon.errors import UsageError
from weaver.binarise import vote
from weaver.labelled import shrunk
from weaver.methods.base import Data, Training, fitted
from weaver.methods.em import EM, maximise
from weaver.scores import Floats
from weaver.two_coin import TwoCoin
from weaver.votes import Votes


@dataclass(eq=False)
class Clusters(EM):
    """Expectation maximisation per bin of difficulty, shrunk to `EM` over all.

    Attributes:
        bins: how many.
        shrinkage: samples that the common model counts in each bin.
        edges_: [edges] difficulties between the bins.
        bin_class_balance_: [bins] the share of correct samples.
        bin_tpr_, bin_tnr_: [bins, verifiers] P(yes | correct), P(no | wrong).
    """

    bins: int = 3
    shrinkage: float = 100.0

    name: ClassVar[str] = "clusters"
    edges_: Floats = fitted("edges")
    bin_class_balance_: Floats = fitted("bins")
    bin_tpr_: Floats = fitted("bins", "verifiers")
    bin_tnr_: Floats = fitted("bins", "verifiers")

    def _fit(self, training: Training) -> Floats:
        odds = super()._fit(training)
        common = self._model
        matrix = vote(training.rows, self.cuts_)
        difficulty = self._difficulty(training.data)
        self.edges_ = np.unique(np.quantile(difficulty, np.arange(1, self.bins) / self.bins))
        bins = np.searchsorted(self.edges_, difficulty)[training.query]
        labels = training.labels
        models = []
        for number in range(len(self.edges_) + 1):
            inside = bins == number
            part = Votes.pack(matrix[inside])
            if labels is None:
                model = maximise(part, common, toward=common, strength=self.shrinkage)
            else:
                # a bin may have no label of one kind: the common model counts a sample at least
                strength = max(self.shrinkage, 1.0)
                model = shrunk(common, strength, part, labels[inside], self.class_balance)
            models.append(model)
        self.bin_class_balance_ = np.array([model.class_balance for model in models])
        self.bin_tpr_ = np.stack([model.tpr for model in models])
        self.bin_tnr_ = np.stack([model.tnr for model in models])
        return odds if labels is not None else training.of_rows(self._log_odds(training.data))

    def _log_odds(self, data: Data) -> Floats:
        matrix = vote(data.rows, self.cuts_)
        number = np.searchsorted(self.edges_, self._difficulty(data))[np.nonzero(data.real)[0]]
        odds = np.zeros(len(matrix))
        for index, model in enumerate(self._models):
            inside = number == index
            if inside.any():
                odds[inside] = model.log_odds(Votes.pack(matrix[inside]))
        return data.spread(odds)

    def _difficulty(self, data: Data) -> Floats:
        """Return [queries]: minus the mean normalised score, minus the share of the top answer."""
        normal = self._normalised(data.scores)
        count = (~np.isnan(normal)).sum(axis=(1, 2))
        difficulty = -np.nan_to_num(normal).sum(axis=(1, 2)) / np.maximum(count, 1)
        if data.groups is not None:
            share = data.groups.share[data.groups.of]
            difficulty = difficulty - np.where(data.real, share, 0).max(axis=1)
        return np.asarray(difficulty)

    def _check_params(self) -> None:
        super()._check_params()
        if type(self.bins) is not int or self.bins < 1:
            raise UsageError(f"bins {self.bins!r}: need a whole number, 1 or more")
        if type(self.shrinkage) not in (int, float) or not self.shrinkage >= 0:
            raise UsageError(f"shrinkage {self.shrinkage!r}: need a number, 0 or more")

    @property
    def _models(self) -> list[TwoCoin]:
        return [
            TwoCoin(float(balance), tpr, tnr)
            for balance, tpr, tnr in zip(
                self.bin_class_balance_, self.bin_tpr_, self.bin_tnr_, strict=True
            )
        ]
