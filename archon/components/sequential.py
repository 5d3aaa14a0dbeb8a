"""Sequential sampling: stop drawing once the vote is decided."""

from collections import Counter
from collections.abc import Iterable
from typing import ClassVar, Literal

from pydantic import Field, model_validator
from scipy.special import betainc

from archon.components.base import Calls, Steps, register
from archon.components.context import Context, ask_about
from archon.components.generator import Sampled
from archon.components.state import Candidate, State


@register
class Sequential(Sampled):
    """Draws up to `samples` completions, `batch` at a time, until their vote is settled.

    Reads messages, writes candidates. Calls: as many as it takes, at most `samples`; they are the
    same calls that a generator with the same settings makes first. What was not drawn is counted
    as ``sequential.saved``.

    Attributes:
        stop_when: ``decided``: what is left cannot change the plurality. ``sure``: nor is it
            likely to: with at least the probability `sure`, the answer in front is the commoner
            of the first two, however long sampling went on (Aggarwal et al. 2023, "Let's Sample
            Step by Step", arXiv 2305.11860).
    """

    type: Literal["sequential"] = "sequential"
    samples: int = Field(8, ge=2)
    temperature: float = Field(0.7, gt=0)
    batch: int = Field(2, ge=1)
    stop_when: Literal["decided", "sure"] = "decided"
    sure: float = Field(0.95, gt=0.5, lt=1)

    first: ClassVar[bool] = True

    @model_validator(mode="after")
    def _in_steps(self) -> "Sequential":
        if self.batch >= self.samples:
            raise ValueError(
                f"batch {self.batch} is all {self.samples} samples at once; use a generator"
            )
        return self

    def run(self, state: State, context: Context) -> Steps:
        """See `Component.run`."""
        asked = self.asked()
        messages = ask_about(state.messages, asked) if asked else state.messages
        for drawn_so_far in (*range(self.batch, self.samples, self.batch), self.samples):
            request = context.request(self.model, messages, self.sampling, drawn_so_far)
            (drawn,) = yield (request,)
            left = self.samples - drawn_so_far
            if not left or self._settled(context.peek(drawn, drawn_so_far, self.model), left):
                break
        if left:
            context.counts["sequential.saved"] += left
        return context.candidates(drawn, drawn_so_far, self.model)

    def calls(self, arriving: int, tests: int) -> Calls:  # noqa: ARG002
        """See `Component.calls`."""
        return Calls(self.batch, self.samples, self.max_tokens)

    def _settled(self, candidates: Iterable[Candidate], left: int) -> bool:
        votes = Counter(one.answer for one in candidates if one.answer is not None)
        (_, first), (_, second) = (*votes.most_common(2), (None, 0), (None, 0))[:2]
        if first - second > left:
            return True
        return self.stop_when == "sure" and bool(first) and in_front(first, second) >= self.sure


def in_front(first: int, second: int) -> float:
    """Return P(the answer with `first` votes is the likelier of two), from a uniform prior."""
    return float(1 - betainc(first + 1, second + 1, 0.5))
