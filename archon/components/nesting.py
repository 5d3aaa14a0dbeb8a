"""Layers of components: how they are read, in what order they may stand, how they run."""

import json
from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, SerializeAsAny

from archon.components.base import COMPONENTS, Ask, Component, Steps, next_state
from archon.components.context import Context
from archon.components.lockstep import lockstep
from archon.components.state import Candidate, Drawn, State, Written


def _component(raw: object) -> Component:
    if isinstance(raw, Component):
        return raw
    if not isinstance(raw, Mapping) or not isinstance(raw.get("type"), str):
        raise ValueError("a component is a mapping with a 'type'")
    kind = raw["type"]
    if kind not in COMPONENTS:
        for entry in entry_points(group="archon.components"):
            entry.load()
    if kind not in COMPONENTS:
        raise ValueError(f"unknown component type {kind!r}; known: {', '.join(sorted(COMPONENTS))}")
    return COMPONENTS[kind].model_validate(dict(raw))


AnyComponent = Annotated[SerializeAsAny[Component], BeforeValidator(_component)]
Layer = tuple[AnyComponent, ...]
Layers = tuple[Layer, ...]


def run_layers(
    layers: Sequence[Layer], state: State, context: Context, place: Callable[[str], str] = str
) -> Generator[Sequence[Ask], Sequence[Drawn], State]:
    """Run layers one after the other, the components of each together; return the last state.

    Args:
        place: Gives what calls are accounted under, from such as ``1.0 ranker``.
    """
    for depth, layer in enumerate(layers):
        written = yield from lockstep(
            [
                _placed(place(f"{depth}.{index} {component.type}"), component.run(state, context))
                for index, component in enumerate(layer)
            ]
        )
        state = next_state(state, layer, written)
    return state


def _placed(place: str, steps: Steps) -> Generator[Sequence[Ask], Sequence[Drawn], Written]:
    """Return a component's conversation, its requests marked with its place."""
    drawn: Sequence[Drawn] | None = None
    while True:
        try:
            wanted = steps.send(drawn)  # type: ignore[arg-type]
        except StopIteration as stop:
            written: Written = stop.value
            return written
        drawn = yield [
            Ask(f"{place}, {one.place}", one.request) if isinstance(one, Ask) else Ask(place, one)
            for one in wanted
        ]


def check_order(
    layers: Sequence[Layer], where: str, draws: Callable[[Component], Hashable], arriving: int = 0
) -> int:
    """Return how many candidates can leave the last layer.

    Args:
        where: What the layers are called in errors, such as ``layers``.
        draws: What tells a component's samples from another's.
        arriving: Candidates that come in; a first layer starts from the messages.

    Raises:
        ValueError: A component stands where it cannot; names the place.
    """
    for depth, layer in enumerate(layers):
        if not layer:
            raise ValueError(f"{where}[{depth}] is empty")
        for index in range(len(layer)):
            _check(layers, where, depth, index, draws, arriving)
        if not layer[0].writes_tests:
            arriving = sum(component.most_candidates(arriving) for component in layer)
    return arriving


def _check(
    layers: Sequence[Layer],
    where: str,
    depth: int,
    index: int,
    draws: Callable[[Component], Hashable],
    arriving: int,
) -> None:
    layer = layers[depth]
    component = layer[index]
    place = f"{where}[{depth}][{index}] ({component.type})"
    if not component.writes_tests:
        begins = all(before[0].writes_tests for before in layers[:depth])
        if component.first != begins:
            rule = "only belongs in the first layer" if component.first else "cannot come first"
            raise ValueError(f"{place}: a {component.type} {rule}")
    if len(layer) > 1 and not component.shares_layer:
        raise ValueError(f"{place}: a {component.type} stands alone in its layer")
    if any(other.type != component.type for other in layer):
        raise ValueError(f"{place}: a layer holds components of one type")
    for before, other in enumerate(layer[:index]):
        if draws(other) == draws(component):
            raise ValueError(
                f"{place}: draws the same samples as {where}[{depth}][{before}]; one component "
                "with more samples does what is meant"
            )
    if component.needs_several and arriving < 2:
        raise ValueError(f"{place}: only one candidate can arrive, nothing to choose from")
    if component.type == "critic":
        following = layers[depth + 1] if depth + 1 < len(layers) else ()
        if not any(reader.reads_critiques for reader in following):
            raise ValueError(f"{place}: the next layer makes no use of critiques")
    _check_tests(layers, place, component, depth)


def _check_tests(layers: Sequence[Layer], place: str, component: Component, depth: int) -> None:
    before = [other for layer in layers[:depth] for other in layer]
    after = [other for layer in layers[depth + 1 :] for other in layer]
    kind = component.reads_tests
    if kind and not any(other.writes_tests == kind for other in before):
        raise ValueError(
            f"{place}: no component before it writes unit tests of kind {kind}; an evaluator "
            "with a model judges assertions, one without runs python"
        )
    kind = component.writes_tests
    if kind and not any(other.reads_tests == kind for other in after):
        raise ValueError(f"{place}: no component after it makes use of its {kind}")


class Nested(Component):
    """A component that holds pipelines of its own; they start from the messages.

    Attributes:
        holds: Name of the field with the pipelines, each a tuple of layers.
    """

    holds: ClassVar[str]
    first: ClassVar[bool] = True

    @property
    def inner(self) -> tuple[Layers, ...]:
        """The pipelines."""
        pipelines: tuple[Layers, ...] = getattr(self, self.holds)
        return pipelines

    @property
    def parts(self) -> tuple[Component, ...]:
        """All components of the pipelines, in order."""
        return tuple(part for layers in self.inner for layer in layers for part in layer)

    def check_inner(
        self, where: str = "", draws: Callable[[Component], Hashable] | None = None
    ) -> None:
        """Raise `ValueError` where a component of a pipeline stands where it cannot.

        Args:
            where: Put before each place.
            draws: See `check_order`; by aliases if left out.
        """
        for number, layers in enumerate(self.inner):
            check_order(layers, f"{where}{self.holds}[{number}]", draws or part_draws)
            for depth, layer in enumerate(layers):
                for part in layer:
                    if isinstance(part, Nested):
                        raise ValueError(
                            f"{self.holds}[{number}][{depth}]: a {part.type} in a {self.type}; one "
                            "level of nesting is enough"
                        )

    def leaving(self) -> list[int]:
        """Return how many candidates can leave each pipeline."""
        return [check_order(layers, self.holds, part_draws) for layers in self.inner]

    def run_inner(
        self, number: int, state: State, context: Context, called: str
    ) -> Generator[Sequence[Ask], Sequence[Drawn], tuple[State, bool]]:
        """Run a pipeline from the messages; return its end, and whether that is a whole run.

        It is not where a component is still to be fitted: that is then the last to run.

        Args:
            called: What calls are accounted under, before the component's type.
        """
        layers = self.inner[number]
        begun = State(state.query_id, state.messages)
        upto = _up_to_unfitted(layers)
        end = yield from run_layers(
            upto or layers, begun, context, lambda at: f"{called} {at.partition(' ')[2]}"
        )
        return end, upto is None

    def model_aliases(self) -> tuple[str, ...]:
        """See `Component.model_aliases`."""
        return tuple(alias for part in self.parts for alias in part.model_aliases())

    def meaning(self) -> dict[str, Any]:
        """See `Component.meaning`."""
        settings = self.model_dump(mode="json", exclude={self.holds, "fitted"})
        inner = [[[p.meaning() for p in layer] for layer in layers] for layers in self.inner]
        return settings | {self.holds: inner}

    @property
    def runs_programs(self) -> bool:
        """See `Component.runs_programs`."""
        return any(part.runs_programs for part in self.parts)

    @property
    def needs_fit(self) -> bool:
        """See `Component.needs_fit`."""
        return any(part.needs_fit for part in self.parts)

    def fit(
        self, rows: Sequence[Sequence[Candidate]], correct: Sequence[Sequence[bool]], seed: int
    ) -> Self:
        """Fit the first part that needs it; see `Component.fit`."""
        target = next(part for part in self.parts if part.needs_fit)
        fitted = target.fit(rows, correct, seed)
        inner = tuple(
            tuple(tuple(fitted if part is target else part for part in layer) for layer in layers)
            for layers in self.inner
        )
        return self.with_settings({self.holds: inner})

    def with_settings(self, changes: Mapping[str, Any]) -> Self:
        """Return the same with other settings, checked."""
        settings = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self)(**settings | dict(changes))


def part_draws(component: Component) -> Hashable:
    """Return what tells a component's samples from another's, models by their aliases."""
    drawn = component.draws(component.meaning())
    return json.dumps(drawn, sort_keys=True), component.model_aliases()


def _up_to_unfitted(layers: Layers) -> Layers | None:
    """Return the layers up to the first part that is to be fitted, that one alone in its layer."""
    for depth, layer in enumerate(layers):
        for part in layer:
            if part.needs_fit:
                return (*layers[:depth], (part,))
    return None
