"""One published component as a component of ours."""

import json
from typing import Any

from pydantic import ValidationError

from archon.components import COMPONENTS, Component
from archon.errors import UsageError
from archon.interchange.language import KINDS, LEFT_OUT, WITHOUT_EFFECT
from archon.interchange.notes import Notes
from archon.interchange.providers import PAIRRM, Models
from archon.interchange.published import Published
from archon.spec import first_problem

_HAVE_DEFAULT = ("temperature", "max_tokens", "unit_test_cap")
"""Keys whose absence is noted, with what is taken in their stead."""


def read_component(
    published: Published, models: Models, where: str, notes: Notes, *, criticised: bool
) -> Component:
    """Return the component a published one means.

    Args:
        published: The component as it stands in the file.
        models: Finds the model it names.
        where: The file, named in errors.
        notes: Gets whatever is not taken as it stands.
        criticised: Whether its candidates come with critiques.

    Raises:
        UsageError: A key or a value is wrong; names the place.
    """
    place = f"{where}: {published.place}"
    given = dict(published.settings)
    kind, name = given.pop("type", None), given.pop("model", None)
    if not isinstance(kind, str) or kind not in KINDS:
        problem = "type is missing" if kind is None else f"unknown type {kind!r}"
        raise UsageError(f"{place}: {problem}; the published types are: {', '.join(KINDS)}")
    if not isinstance(name, str) or not name or not name.isprintable():
        raise UsageError(f"{place}: model: a {kind} names a model, on one line")
    alias = models.alias(name, given.pop("model_type", None), place)
    settings = {"type": kind, "model": alias, **KINDS[kind].fixed}
    if kind == "ranker":
        if "top_k" not in given:
            raise UsageError(f"{place}: top_k: a ranker says how many candidates it keeps")
        if name == PAIRRM:
            settings["mode"] = "pairwise"
            given.pop("ranker_batch_size", None)
            notes.add(
                published.place,
                f"{PAIRRM} compared pairs in batches; {alias} does so in its stead, two calls each",
            )
    settings |= {ours: given[key] for key, ours in KINDS[kind].settings.items() if key in given}
    _note_left_out(kind, given, published.place, notes, criticised=criticised)
    _complete(settings, published.place, notes)
    try:
        return COMPONENTS[kind].model_validate(settings, strict=True)
    except ValidationError as error:
        raise UsageError(f"{place}: {first_problem(error)}") from error


def _note_left_out(
    kind: str, given: dict[str, Any], place: str, notes: Notes, *, criticised: bool
) -> None:
    """Note the keys that say something and have no counterpart."""
    idle = {"no_system": False, **KINDS[kind].required, **KINDS[kind].idle}
    if "use_critiques" in idle:
        idle["use_critiques"] = criticised
    for key, value in given.items():
        if key in idle:
            if value != idle[key]:
                why = LEFT_OUT[key].format(type=kind)
                notes.add(place, f"{key}: {json.dumps(value)} left out: {why}")
        elif key not in KINDS[kind].settings:
            known = key in WITHOUT_EFFECT
            why = "without effect in the published program too" if known else "an unknown key"
            notes.add(place, f"{key} left out: {why}")


def _complete(settings: dict[str, Any], place: str, notes: Notes) -> None:
    """Put in what is missing, or could not be meant, with a note."""
    kind = settings["type"]
    for key in _HAVE_DEFAULT:
        ours = KINDS[kind].settings.get(key)
        if ours is not None and settings.get(ours) is None:
            settings[ours] = COMPONENTS[kind].model_fields[ours].default
            notes.add(place, f"{key} is missing; {settings[ours]} taken")
    if settings.get("temperature") == 0 and settings.get("samples", 1) != 1:
        settings["samples"] = 1
        notes.add(place, "samples at temperature 0 are copies; one is drawn")
