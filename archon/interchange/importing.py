"""From a published configuration to a pipeline spec, with a note on whatever had to change."""

import re
from collections.abc import Mapping

from pydantic import ValidationError

from archon.engines.zoo import Zoo
from archon.errors import UsageError
from archon.interchange.component import read_component
from archon.interchange.notes import Notes
from archon.interchange.order import Part, candidates_left, in_order
from archon.interchange.providers import Models
from archon.interchange.published import read_published
from archon.spec import AnyModel, PipelineSpec, first_problem

WRITERS = {"generator", "fuser"}
"""Types that put new candidates in the place of those that were criticised."""
READERS = {"ranker", "fuser", "verifier"}
"""Types whose published prompts show critiques wherever there are some."""
STALE = (
    "the published program shows it critiques of earlier candidates beside the new ones; here "
    "critiques go with what they are about"
)


def import_config(
    text: str, where: str, *, models: Mapping[str, AnyModel], zoo: Zoo
) -> tuple[PipelineSpec, Notes]:
    """Return the pipeline a published configuration describes.

    Args:
        text: The configuration, JSON.
        where: Named in errors, usually the file.
        models: Published model name → what stands for it, in place of its provider.
        zoo: Where models that the configuration serves itself are looked up.

    Returns:
        The spec, and a note per difference.

    Raises:
        UsageError: One line with the place of the first problem.
    """
    notes = Notes()
    name, layers = read_published(text, where, notes)
    found = Models(models, zoo)
    parts: list[list[Part]] = []
    criticised = stale = False
    for layer in layers:
        read = [
            Part(one.place, read_component(one, found, where, notes, criticised=criticised))
            for one in layer
        ]
        parts.append(read)
        kinds = {part.component.type for part in read}
        if stale and kinds & READERS:
            for part in read:
                notes.add(part.place, STALE)
        criticised, stale = (
            "critic" in kinds or (criticised and not kinds & WRITERS),
            "critic" not in kinds and (stale or (criticised and bool(kinds & WRITERS))),
        )
    found.require_used(where)
    try:
        parts = in_order(parts, notes)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error
    used = {alias for layer in parts for part in layer for alias in part.component.model_aliases()}
    try:
        spec = PipelineSpec(
            name=name,
            models={alias: model for alias, model in found.found.items() if alias in used},
            layers=tuple(tuple(part.component for part in layer) for layer in parts),
        )
    except ValidationError as error:
        raise UsageError(f"{where}: {_at_source(first_problem(error), parts)}") from error
    if (left := candidates_left(spec)) > 1:
        notes.add(
            "layers",
            f"of the {left} candidates that can be left, the first is the answer; "
            "the published program drew one at random",
        )
    return spec, notes


def _at_source(problem: str, parts: list[list[Part]]) -> str:
    """Return a problem with the places it has in the file, which reordering may have changed."""

    def source(match: re.Match[str]) -> str:
        return parts[int(match[1])][int(match[2])].place

    return re.sub(r"layers\[(\d+)\]\[(\d+)\]", source, problem)
