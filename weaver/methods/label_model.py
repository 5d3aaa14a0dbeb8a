"""What label models of votes share: votes in, two-coin rates, a few labels, log-odds out."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from weaver.binarise import Binarize, thresholds, vote
from weaver.dependence import speak_of_one_thing
from weaver.labelled import with_labels
from weaver.methods.base import Data, Method, Training, fitted
from weaver.scores import Floats
from weaver.two_coin import TwoCoin
from weaver.votes import Votes


@dataclass(eq=False)
class VoteMethod(Method):
    """Gives P(correct) by a two-coin model of votes.

    Attributes:
        class_balance: the share of correct samples, if known; else it is estimated.
        binarize: how scores become votes; see `thresholds`.
        class_balance_: the share of correct samples.
        cuts_: [verifiers] the score from which on a verifier votes yes.
        tpr_, tnr_: [verifiers] P(yes | correct), P(no | wrong).
    """

    class_balance: float | None = None
    binarize: Binarize = "auto"

    assumes_independence: ClassVar[bool] = True
    class_balance_: float = fitted()
    cuts_: Floats = fitted("verifiers")
    tpr_: Floats = fitted("verifiers")
    tnr_: Floats = fitted("verifiers")

    @property
    def weights_(self) -> Floats:
        """[verifiers] how far the log-odds move between a no vote and a yes vote."""
        return self._model.weights

    @abstractmethod
    def _model_of(self, votes: Votes, training: Training) -> tuple[TwoCoin, Floats | None]:
        """Return the model of these votes, which are the training rows'.

        And the log-odds [labelled rows] by models without the labels of their query, if any.
        """

    def _fit(self, training: Training) -> Floats:
        self.cuts_ = thresholds(
            training.rows, training.extent, self.binarize, self.class_balance, training.labels
        )
        votes = Votes.pack(vote(training.rows, self.cuts_))
        model, without = self._model_of(votes, training)
        self.class_balance_, self.tpr_, self.tnr_ = model.class_balance, model.tpr, model.tnr
        return training.held_out(model.log_odds(votes), without)

    def _log_odds(self, data: Data) -> Floats:
        votes = Votes.pack(vote(data.rows, self.cuts_))
        return data.spread(self._model.log_odds(votes))

    def _directions(self) -> Floats:
        return self.weights_

    @property
    def _model(self) -> TwoCoin:
        return TwoCoin(self.class_balance_, self.tpr_, self.tnr_)


@dataclass(eq=False)
class LabelModel(VoteMethod):
    """Finds the rates of verifiers without labels; uses labels where there are some.

    Votes that do not speak of one thing teach nothing (see `speak_of_one_thing`): all verifiers are
    then taken to be at chance, unless labels say otherwise.
    """

    @abstractmethod
    def _rates(self, votes: Votes) -> TwoCoin:
        """Return rates from votes alone, better than chance on average."""

    def _model_of(self, votes: Votes, training: Training) -> tuple[TwoCoin, Floats | None]:
        if speak_of_one_thing(votes):
            free = self._rates(votes)
        else:
            free = TwoCoin.chance(self.class_balance or 0.5, votes.mean)
        if training.labels is None:
            return free, None
        priors = free, free.swapped()
        return with_labels(priors, votes, training.labels, training.query, self.class_balance)
