"""Snorkel's LabelModel behind the common interface (extra ``snorkel``)."""

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from archon.errors import UsageError
from weaver.methods.label_model import LabelModel
from weaver.methods.moments import from_moments
from weaver.two_coin import TwoCoin
from weaver.votes import Votes


@dataclass(eq=False)
class Snorkel(LabelModel):
    """Rates from Snorkel's LabelModel, turned upright where it comes out upside down.

    LabelModel cannot find the class balance: if not given, it is the one of `moments`. With fewer
    than three verifiers, for which it is not defined, the rates are those of `moments` too.

    Attributes:
        epochs: of training; Snorkel's default of 100 stops early.
        learning_rate: of SGD.
        seed: of the initialisation.
    """

    epochs: int = 500
    learning_rate: float = 0.01
    seed: int = 0

    name: ClassVar[str] = "snorkel"

    def _rates(self, votes: Votes) -> TwoCoin:
        start = from_moments(votes, self.class_balance)
        if len(votes.yes) < 3:
            return start
        model = _label_model()(cardinality=2, verbose=False)
        matrix = np.where(np.isnan(votes.matrix), -1, votes.matrix).astype(np.int64)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(
                matrix,
                class_balance=[1 - start.class_balance, start.class_balance],
                n_epochs=self.epochs,
                lr=self.learning_rate,
                seed=self.seed,
                progress_bar=False,
            )
        # [verifiers, vote + 1 (0 is missing), class]
        table = np.clip(model.get_conditional_probs()[:, 1:, :], 1e-6, 1.0)
        share = table / table.sum(axis=1, keepdims=True)
        found = TwoCoin(start.class_balance, share[:, 1, 1], share[:, 0, 0])
        if found.informedness.sum() < 0:
            # the class balance was given to it: only the rates are exchanged
            return TwoCoin(start.class_balance, 1 - found.tnr, 1 - found.tpr)
        return found

    def _check_params(self) -> None:
        super()._check_params()
        if type(self.epochs) is not int or self.epochs < 1:
            raise UsageError(f"epochs {self.epochs!r}: need a whole number, 1 or more")
        if type(self.learning_rate) not in (int, float) or not 0 < self.learning_rate < 1:
            raise UsageError(f"learning_rate {self.learning_rate!r}: need a number between 0 and 1")


def _label_model() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from snorkel.labeling.model import LabelModel as SnorkelLabelModel
    except ModuleNotFoundError as error:
        raise UsageError(
            "method snorkel: snorkel is not installed; pip install 'archon-ipw[snorkel]'"
        ) from error
    return SnorkelLabelModel
