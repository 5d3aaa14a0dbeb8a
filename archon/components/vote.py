"""The vote: plurality over extracted answers, plain or weighted."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from archon.components.base import Component, Steps, register
from archon.components.context import Context
from archon.components.state import Candidate, State
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
        known = self._weights(state.candidates)
        weights = [weight for weight in known if weight is not None]
        if unweighted := len(known) - len(weights):
            context.counts["vote.unweighted"] += unweighted
            weights = [weight or 0.0 for weight in known]
        chosen = plurality(
            [candidate.answer for candidate in state.candidates],
            weights,
            [candidate.score or 0.0 for candidate in state.candidates],
        )
        return state.candidates[chosen : chosen + 1]
        yield ()  # makes this a generator, as components that call models are

    def _weights(self, candidates: Sequence[Candidate]) -> list[float | None]:
        if self.weight == "count":
            return [1.0] * len(candidates)
        if self.weight == "confidence":
            return [candidate.confidence for candidate in candidates]
        return [candidate.score for candidate in candidates]

    def most_candidates(self, arriving: int) -> int:  # noqa: ARG002
        """Return 1."""
        return 1
