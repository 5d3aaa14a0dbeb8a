"""Reading a published configuration file: JSON, and the forms its layers have had."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from archon.errors import UsageError
from archon.interchange.notes import Notes

UNNAMED = "pipeline"
"""Name of a configuration that has none."""

_ITAS = "models_available"
"""A key that only the configuration of the published search has."""


@dataclass(frozen=True, slots=True)
class Published:
    """One component as it stands in the file.

    Attributes:
        place: Where it stands, such as ``layers[1][0]``.
        settings: All its keys.
    """

    place: str
    settings: Mapping[str, Any]


def read_published(text: str, where: str, notes: Notes) -> tuple[str, list[list[Published]]]:
    """Return the name and the layers of a configuration.

    Args:
        text: The document.
        where: Named in errors, usually the file.
        notes: Gets what was read otherwise than it is written.

    Raises:
        UsageError: Not JSON (with line and column), or not a configuration (with the place).
    """
    data = _parsed(text, where)
    if not isinstance(data, dict):
        raise UsageError(f"{where}: a configuration is an object with 'name' and 'layers'")
    if "archon" in data:
        raise UsageError(f"{where}: is a pipeline spec already; it loads as it stands")
    if _ITAS in data:
        raise UsageError(
            f"{where}: configures a search, not a pipeline; import what the search wrote"
        )
    if not isinstance(data.get("layers"), list):
        problem = "is missing" if "layers" not in data else "is not a list"
        raise UsageError(f"{where}: layers: {problem}; a configuration has a list of layers")
    name = data.get("name", UNNAMED)
    if not isinstance(name, str):
        raise UsageError(f"{where}: name: {name!r} is not a string")
    if "name" not in data:
        notes.add("name", f"missing; called {UNNAMED!r}")
    for key, value in data.items():
        if key not in {"name", "layers"} and (key, value) != ("custom", False):
            notes.add(key, "left out: says nothing about the pipeline")
    layers = [
        _layer(layer, f"layers[{depth}]", where, notes)
        for depth, layer in enumerate(data["layers"])
    ]
    return name, [layer for layer in layers if layer]


def _parsed(text: str, where: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise UsageError(f"{where}: {place}: {error.msg}; a configuration is JSON") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: {error}; a configuration is JSON") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key {twice!r} stands twice in one object: {json.dumps(found)[:60]}")
    return found


def _layer(raw: object, place: str, where: str, notes: Notes) -> list[Published]:
    components = raw
    if isinstance(raw, dict) and "models" in raw:
        notes.add(place, "read as the list of its 'models' (legacy form)")
        components = raw["models"]
        if raw.get("branches", 1) != 1:
            notes.add(place, f"branches: {raw['branches']} left out: never had an effect")
        for key in raw:
            if key not in {"models", "branches"}:
                notes.add(place, f"{key} left out: an unknown key")
    elif isinstance(raw, dict) and "type" in raw:
        notes.add(place, "a component without a list around it, read as a layer of one")
        components = [raw]
    if not isinstance(components, list):
        raise UsageError(f"{where}: {place}: a layer is a list of components")
    if not components:
        notes.add(place, "left out: is empty")
    found = []
    for index, settings in enumerate(components):
        if not isinstance(settings, dict):
            raise UsageError(
                f"{where}: {place}[{index}]: a component is an object with 'type' and 'model'"
            )
        found.append(Published(f"{place}[{index}]", settings))
    return found
