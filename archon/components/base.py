"""What a component is: typed settings plus a conversation with the executor.

A component never talks to a model itself. Its `run` is a generator that yields the requests it
needs and is sent what was drawn for them, so one implementation serves a live pipeline, a phase
that batches all queries by model, and a replay from the ledger.
"""

from abc import abstractmethod
from collections.abc import Generator, Sequence
from functools import cached_property
from itertools import chain
from typing import Any, ClassVar, NamedTuple, Self, TypeVar, cast, get_args

from pydantic import BaseModel, ConfigDict

from archon.components.context import Context
from archon.components.state import Candidate, Drawn, State, TestKind, UnitTest, Written
from archon.engines.base import Request


class Ask(NamedTuple):
    """A request and the component that makes it, such as ``1.0 ranker``."""

    place: str
    request: Request


Steps = Generator[Sequence[Request] | Sequence[Ask], Sequence[Drawn], Written]
"""A conversation; components that hold others say which of them asks."""


class Calls(NamedTuple):
    """How many calls one query takes, as long as none fails.

    Attributes:
        tokens: The most that one of them writes.
    """

    least: int
    most: int
    tokens: int


class Component(BaseModel):
    """Settings and behaviour of one component type.

    Subclasses set ``type`` to a literal, declare their settings as fields and implement `run`.

    Attributes:
        first: Whether it writes candidates from the messages alone, and so goes before all that
            read some.
        shares_layer: Whether several of its kind may stand in one layer: those that write
            something new. Several that choose among the same candidates would only double them.
        needs_several: Whether it is pointless with one candidate.
        gives_scores: Whether it says of candidates how likely they are correct.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    type: str

    first: ClassVar[bool] = False
    shares_layer: ClassVar[bool] = False
    needs_several: ClassVar[bool] = False
    gives_scores: ClassVar[bool] = False

    @cached_property
    def key(self) -> str:
        """The settings as JSON: equal for equal components."""
        return self.model_dump_json()

    @property
    def reads_critiques(self) -> bool:
        """Whether it makes use of critiques."""
        return False

    @property
    def writes_tests(self) -> TestKind | None:
        """The kind of unit tests it writes; it then leaves candidates as they are."""
        return None

    @property
    def reads_tests(self) -> TestKind | None:
        """The kind of unit tests it makes use of."""
        return None

    @abstractmethod
    def run(self, state: State, context: Context) -> Steps:
        """Yield the requests needed, be sent what was drawn, return what is new.

        These are the candidates that take the place of the old, or unit tests.
        """

    @abstractmethod
    def most_candidates(self, arriving: int) -> int:
        """Return how many candidates can leave when at most `arriving` come in."""

    @property
    def parts(self) -> Sequence["Component"]:
        """The components it holds, itself where it holds none."""
        return (self,)

    def calls(self, arriving: int, tests: int) -> Calls | None:  # noqa: ARG002
        """Return the calls it makes where it asks one model; None where that is not known.

        Args:
            arriving: The most candidates that come in, at least 1 unless it writes the first.
            tests: The most unit tests there are for it.
        """
        if not self.model_aliases():
            return Calls(0, 0, 0)
        samples, tokens = getattr(self, "samples", None), getattr(self, "max_tokens", None)
        return None if samples is None or tokens is None else Calls(samples, samples, tokens)

    @property
    def runs_programs(self) -> bool:
        """Whether it has programs run."""
        return False

    @property
    def needs_fit(self) -> bool:
        """Whether numbers have to be fitted before it can be of use."""
        return False

    def fit(
        self,
        rows: Sequence[Sequence[Candidate]],  # noqa: ARG002 - for those that need it
        correct: Sequence[Sequence[bool]],  # noqa: ARG002
        seed: int,  # noqa: ARG002
    ) -> Self:
        """Return the same with its numbers fitted.

        Args:
            rows: Per query what it returned unfitted.
            correct: Likewise, whether each candidate is.
            seed: Of methods that draw.

        Raises:
            UsageError: The candidates do not allow it.
        """
        raise TypeError(f"a {self.type} has nothing to fit")

    def meaning(self) -> dict[str, Any]:
        """Return the settings that make up what it does, without model aliases, as plain JSON."""
        return self.model_dump(mode="json", exclude={"model"})

    def draws(self, settings: dict[str, Any]) -> object:
        """Return what of its `meaning` decides which samples are drawn; their number does not."""
        return {name: value for name, value in settings.items() if name != "samples"}

    def model_aliases(self) -> tuple[str, ...]:
        """Return the model aliases the component calls."""
        alias = getattr(self, "model", None)
        return () if alias is None else (alias,)


def next_state(state: State, layer: Sequence[Component], written: Sequence[Written]) -> State:
    """Return the state after a layer.

    Args:
        layer: Components of one type.
        written: What each of them returned.
    """
    if layer[0].writes_tests:
        tests = cast("list[tuple[UnitTest, ...]]", written)
        known = dict.fromkeys(chain(state.unit_tests, *tests))
        return State(state.query_id, state.messages, state.candidates, tuple(known))
    candidates = tuple(chain.from_iterable(cast("list[tuple[Candidate, ...]]", written)))
    return State(state.query_id, state.messages, candidates, state.unit_tests)


COMPONENTS: dict[str, type[Component]] = {}
C = TypeVar("C", bound=Component)


def register(cls: type[C]) -> type[C]:
    """Register a component class under the literal of its ``type`` field (class decorator)."""
    kind = cls.model_fields["type"].annotation
    (name,) = get_args(kind)
    COMPONENTS[name] = cls
    return cls
