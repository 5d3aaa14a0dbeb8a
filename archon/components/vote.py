"""The vote: plurality over extracted answers, plain or weighted."""

from typing import ClassVar, Literal

from archon.components.base import Candidate, Component, Context, State, Steps, register
from weaver.plurality import plurality

Weight = Literal["count", "confidence", "score"]


@register
class Vote(Component):
    """Keeps one candidate of the answer with the most votes.

    Reads and writes candidates. Calls: none. A candidate's vote counts 1 (``count``), its
    confidence (``confidence``: how sure the model was of its own tokens; this needs no further
    call) or its judge's score (``score``); an unknown weight is counted as ``vote.unweighted``
    and weighs 0. Ties go to the higher judge's score, then to the answer that came first.
    """

    type: Literal["vote"] = "vote"
    weight: Weight = "count"

    needs_several: ClassVar[bool] = True

    def run(self, state: State, context: Context) -> Steps:
        """See `Component.run`."""
        weights = [self._weight(candidate) for candidate in state.candidates]
        context.counts["vote.unweighted"] += weights.count(None)
        chosen = plurality(
            [candidate.answer for candidate in state.candidates],
            [0.0 if weight is None else weight for weight in weights],
            [candidate.score or 0.0 for candidate in state.candidates],
        )
        return state.candidates[chosen : chosen + 1]
        yield ()  # makes this a generator, as components that call models are

    def _weight(self, candidate: Candidate) -> float | None:
        if self.weight == "count":
            return 1.0
        weight: float | None = getattr(candidate, self.weight)
        return weight

    def most_candidates(self, arriving: int) -> int:  # noqa: ARG002
        """Return 1."""
        return 1
