"""Bringing published pipelines that break the order rules into an order that says the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

from archon.components import Component
from archon.components.generator import MOST_SAMPLES, Sampled
from archon.errors import UsageError
from archon.interchange.notes import Notes
from archon.spec import PipelineSpec


@dataclass(frozen=True, slots=True)
class Part:
    """A component of the pipeline.

    Attributes:
        place: Where it stands in the file.
    """

    place: str
    component: Component


Layers = list[list[Part]]

_ADDED = "the published program added its tests to the question of all that follows"


def in_order(layers: Layers, notes: Notes) -> Layers:
    """Return the layers in an order that follows the rules, as far as one says the same.

    What the published program computes and then never uses is left out; what nothing here can
    say is left as it stands, for the spec's own check to refuse.

    Raises:
        UsageError: Components that have to be one would draw too many samples.
    """
    layers = _from_last_generators(layers, notes)
    layers = _with_evaluators(layers, notes)
    layers = [_merged(layer, notes) for layer in layers]
    layers = _with_a_choice(layers, notes)
    return _with_readers(layers, notes)


def _kinds(layer: Sequence[Part]) -> set[str]:
    return {part.component.type for part in layer}


def _writes_tests(layer: Sequence[Part]) -> bool:
    return all(part.component.writes_tests for part in layer)


def _leave_out(layer: Sequence[Part], why: str, notes: Notes) -> None:
    for part in layer:
        notes.add(part.place, f"{part.component.type} left out: {why}")


def _from_last_generators(layers: Layers, notes: Notes) -> Layers:
    """Drop what is made for nothing: a later layer of generators replaces all candidates."""
    last = max(
        (depth for depth, layer in enumerate(layers) if _kinds(layer) == {"generator"}), default=0
    )
    kept: Layers = []
    for depth, layer in enumerate(layers):
        if depth < last and not _writes_tests(layer):
            _leave_out(layer, "generators further on replace its candidates", notes)
        else:
            kept.append(layer)
    return kept


def _with_evaluators(layers: Layers, notes: Notes) -> Layers:
    """Drop unit tests that nothing evaluates before later ones replace them."""
    kept: Layers = []
    read = False
    for layer in reversed(layers):
        if not _writes_tests(layer):
            read = read or any(part.component.reads_tests for part in layer)
            kept.append(layer)
        elif not read:
            _leave_out(layer, f"nothing evaluates its tests ({_ADDED})", notes)
        else:
            for part in layer:
                notes.add(part.place, f"{_ADDED}; here only their evaluator sees them")
            kept.append(layer)
            read = False
    return kept[::-1]


def _merged(layer: list[Part], notes: Notes) -> list[Part]:
    """Join components that draw the same samples into one that draws as many."""
    merged: list[Part] = []
    for part in layer:
        for index, before in enumerate(merged):
            joined = _joined(before, part)
            if joined is not None:
                merged[index] = Part(before.place, joined)
                notes.add(part.place, f"left out: {before.place} draws its samples too")
                break
        else:
            merged.append(part)
    return merged


def _joined(before: Part, part: Part) -> Component | None:
    """Return what draws the samples of both, None where they differ in more than number."""
    one, other = before.component, part.component
    if not isinstance(one, Sampled) or not isinstance(other, Sampled):
        return None
    settings = one.model_dump(exclude={"samples"})
    if settings != other.model_dump(exclude={"samples"}):
        return None
    samples = one.samples + other.samples if one.temperature else 1
    if samples > MOST_SAMPLES:
        raise UsageError(
            f"{part.place}: draws the same samples as {before.place}, {samples} together; one "
            f"component draws {MOST_SAMPLES} at most"
        )
    return type(one).model_validate(settings | {"samples": samples})


def _with_a_choice(layers: Layers, notes: Notes) -> Layers:
    """Drop what chooses among candidates where only one arrives."""
    kept: Layers = []
    arriving = 0
    for layer in layers:
        if arriving == 1 and all(part.component.needs_several for part in layer):
            _leave_out(layer, "only one candidate arrives", notes)
        else:
            kept.append(layer)
            arriving = _leaving([part.component for part in layer], arriving)
    return kept


def _with_readers(layers: Layers, notes: Notes) -> Layers:
    """Drop critics whose critiques nothing reads."""
    kept: Layers = []
    for layer, following in pairwise([*layers, []]):
        read = any(part.component.reads_critiques for part in following)
        if _kinds(layer) == {"critic"} and not read:
            _leave_out(layer, "what follows makes no use of critiques", notes)
        else:
            kept.append(layer)
    return kept


def candidates_left(spec: PipelineSpec) -> int:
    """Return how many candidates can leave the last layer."""
    return reduce(lambda arriving, layer: _leaving(layer, arriving), spec.layers, 0)


def _leaving(layer: Sequence[Component], arriving: int) -> int:
    if layer[0].writes_tests:
        return arriving
    return sum(component.most_candidates(arriving) for component in layer)
