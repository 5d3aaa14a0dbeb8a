"""The walk of a query through the layers: one for replay, phases and live alike."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from archon.components import Candidate, Context, Drawn, State
from archon.components.base import Ask
from archon.components.nesting import run_layers
from archon.engines.base import Completion
from archon.spec import PipelineSpec
from archon.tasks.task import Query


class Spend(NamedTuple):
    """Samples one query's pipeline took of one request; each call is counted once."""

    place: str
    drawn: Drawn
    samples: int

    def completions(self) -> Sequence[Completion]:
        """Return the calls this spend stands for."""
        return self.drawn.completions[: self.samples]


@dataclass(slots=True)
class QueryResult:
    """What a pipeline made of one query.

    Attributes:
        candidates: What the last layer left; the first is the answer.
        spent: Request key → what was taken of it.
    """

    query: Query
    candidates: tuple[Candidate, ...] = ()
    spent: dict[bytes, Spend] = field(default_factory=dict)

    @property
    def answer(self) -> str | None:
        """The extracted answer as written, None when there is none."""
        return self.candidates[0].raw_answer if self.candidates else None

    def note(self, ask: Ask, drawn: Drawn) -> None:
        """Count the samples of an ask; asking again for the same ones costs nothing."""
        request = ask.request
        known = self.spent.get(request.key)
        if known is None or known.samples < request.samples:
            self.spent[request.key] = Spend(ask.place, drawn, request.samples)


Walk = Generator[Sequence[Ask], Sequence[Drawn], tuple[Candidate, ...]]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A spec bound to model identities, ready to walk queries through its layers.

    Attributes:
        context: Task, identities and counters shared by the components.
    """

    spec: PipelineSpec
    context: Context

    def walk(self, query: Query) -> Walk:
        """Yield the asks of each step, be sent what was drawn, return the final candidates."""
        begun = State(query.id, query.messages)
        state = yield from run_layers(self.spec.layers, begun, self.context)
        return state.candidates
