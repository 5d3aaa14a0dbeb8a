"""From a pipeline spec to a published configuration, for what both languages can say."""

import json
from collections.abc import Mapping
from typing import Any

from archon.components import Component
from archon.engines.zoo import Zoo
from archon.errors import UsageError
from archon.interchange.language import KINDS
from archon.interchange.notes import Notes
from archon.interchange.order import candidates_left
from archon.interchange.providers import published_name
from archon.spec import PipelineSpec


def export_config(spec: PipelineSpec, where: str, *, zoo: Zoo) -> tuple[str, Notes]:
    """Return the published configuration, JSON, that describes a pipeline.

    Args:
        spec: The pipeline.
        where: Named in errors, usually the file.
        zoo: Where the hub ids of local models stand.

    Raises:
        UsageError: The published language cannot say it; names the first place.
    """
    notes = Notes()
    for key in ("measured", "provenance"):
        if getattr(spec, key) is not None:
            notes.add(key, "left out: no part of a configuration")
    used = spec.used_models()
    for alias in spec.models:
        if alias not in used:
            notes.add(f"models.{alias}", "left out: no layer uses it")
    for depth, layer in enumerate(spec.layers):
        for index, component in enumerate(layer):
            _require_said(component, f"{where}: layers[{depth}][{index}]")
    writers = [depth for depth, layer in enumerate(spec.layers) if layer[0].writes_tests]
    if len(writers) > 1:
        raise UsageError(
            f"{where}: layers[{writers[1]}]: in the published program its tests would replace "
            f"those of layers[{writers[0]}]; write them in one layer"
        )
    if writers:
        notes.add(
            f"layers[{writers[0]}]",
            "the published program adds its tests to the question of all that follows",
        )
    names = {
        alias: published_name(spec.models[alias], zoo, f"{where}: models.{alias}") for alias in used
    }
    config = {
        "name": spec.name,
        "layers": [[_said(component, names) for component in layer] for layer in spec.layers],
    }
    if (left := candidates_left(spec)) > 1:
        notes.add(
            "layers",
            f"of the {left} candidates that can be left, the published program "
            "draws one at random; here it is the first",
        )
    return json.dumps(config, indent=4) + "\n", notes


def _require_said(component: Component, place: str) -> None:
    """Raise `UsageError` where the published language has no word for a type or a setting."""
    kind = component.type
    if kind not in KINDS:
        raise UsageError(
            f"{place}: the published language has no {kind}; it has {', '.join(KINDS)}"
        )
    if not component.model_aliases():
        raise UsageError(f"{place}: model: a published {kind} always asks one")
    said = {"type", "model", *KINDS[kind].settings.values()}
    for name, field in type(component).model_fields.items():
        value = getattr(component, name)
        meant = KINDS[kind].fixed.get(name, field.default)
        if name not in said and value != meant:
            raise UsageError(
                f"{place}: {name}: the published language cannot say {_json(value)} of a {kind}, "
                f"only {_json(meant)}"
            )


def _said(component: Component, names: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    settings = component.model_dump(mode="json")
    kind = KINDS[component.type]
    model, provider = names[settings["model"]]
    said = {"type": component.type, "model": model, "model_type": provider, **kind.required}
    for key, setting in kind.settings.items():
        if settings[setting] is not None:
            said[key] = settings[setting]
    return said


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
