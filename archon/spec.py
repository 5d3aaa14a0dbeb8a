"""The pipeline language: a `PipelineSpec` is versioned YAML or JSON that runs as it stands."""

import json
import re
from collections.abc import Mapping
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationError,
    model_validator,
)

from archon.components import COMPONENTS, Component
from archon.errors import UsageError


class ZooModel(BaseModel):
    """A model by its name in the zoo."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    zoo: str


class EndpointModel(BaseModel):
    """A model behind an OpenAI-compatible endpoint that is already running."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    base_url: str
    model: str
    api_key_env: str | None = None


def _model(raw: object) -> object:
    if isinstance(raw, ZooModel | EndpointModel):
        return raw
    if not isinstance(raw, Mapping):
        raise ValueError("a model is a mapping with 'zoo', or with 'base_url' and 'model'")
    # Chosen here, so that an error is about the kind of model that was meant.
    kind = ZooModel if "zoo" in raw else EndpointModel
    return kind.model_validate(dict(raw))


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


AnyModel = Annotated[ZooModel | EndpointModel, BeforeValidator(_model)]
AnyComponent = Annotated[SerializeAsAny[Component], BeforeValidator(_component)]
Layer = tuple[AnyComponent, ...]


class PipelineSpec(BaseModel):
    """A pipeline: models by alias, and layers of components.

    Components of one layer read the same candidates and run concurrently; what they write is
    concatenated in order. The first candidate after the last layer is the answer.

    Attributes:
        measured: What the search and the confirmation saw, for the reader; not part of identity.
        provenance: Where the spec comes from; not part of identity.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    archon: Literal[1] = 1
    name: str = "pipeline"
    models: dict[str, AnyModel]
    layers: tuple[Layer, ...] = Field(min_length=1)
    measured: dict[str, Any] | None = None
    provenance: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _check_order(self) -> "PipelineSpec":
        arriving = 0
        for depth, layer in enumerate(self.layers):
            if not layer:
                raise ValueError(f"layers[{depth}] is empty")
            for index, component in enumerate(layer):
                place = f"layers[{depth}][{index}] ({component.type})"
                self._check_component(place, component, depth, index, arriving)
            arriving = sum(component.most_candidates(arriving) for component in layer)
        return self

    def _check_component(
        self, place: str, component: Component, depth: int, index: int, arriving: int
    ) -> None:
        layer = self.layers[depth]
        for alias in component.model_aliases():
            if alias not in self.models:
                known = ", ".join(self.models) or "none"
                raise ValueError(f"{place}: no model {alias!r} under 'models'; there are: {known}")
        if component.first != (depth == 0):
            rule = "only belongs in the first layer" if component.first else "cannot come first"
            raise ValueError(f"{place}: a {component.type} {rule}")
        if len(layer) > 1 and not component.shares_layer:
            raise ValueError(f"{place}: a {component.type} stands alone in its layer")
        if any(other.type != component.type for other in layer):
            raise ValueError(f"{place}: a layer holds components of one type")
        for before, other in enumerate(layer[:index]):
            if self._draws(other) == self._draws(component):
                raise ValueError(
                    f"{place}: draws the same samples as layers[{depth}][{before}]; one component "
                    "with more samples does what is meant"
                )
        if component.needs_several and arriving < 2:
            raise ValueError(f"{place}: only one candidate can arrive, nothing to choose from")
        if component.type == "critic":
            following = self.layers[depth + 1] if depth + 1 < len(self.layers) else ()
            if not any(reader.reads_critiques for reader in following):
                raise ValueError(f"{place}: the next layer makes no use of critiques")

    @cached_property
    def canonical(self) -> str:
        """The identity of what the pipeline does, as JSON: no name, aliases or provenance."""
        layers = [[self._meaning(component) for component in layer] for layer in self.layers]
        return json.dumps(layers, sort_keys=True)

    def _meaning(self, component: Component) -> tuple[dict[str, Any], list[str]]:
        """Return a component's settings and the models it calls, without their aliases."""
        settings = component.model_dump(mode="json", exclude={"model"})
        models = [self.models[alias].model_dump_json() for alias in component.model_aliases()]
        return settings, models

    def _draws(self, component: Component) -> tuple[dict[str, Any], list[str]]:
        """Return what tells a component's samples from another's; their number does not."""
        settings, models = self._meaning(component)
        settings.pop("samples", None)
        return settings, models

    def used_models(self) -> tuple[str, ...]:
        """Return the aliases the layers call, in the order of `models`."""
        used = {a for layer in self.layers for c in layer for a in c.model_aliases()}
        return tuple(alias for alias in self.models if alias in used)

    def to_yaml(self) -> str:
        """Return the spec as YAML that `load_spec` reads back."""
        data = self.model_dump(mode="json", exclude_none=True)
        for layer in data["layers"]:
            for index, settings in enumerate(layer):
                cls = COMPONENTS[settings["type"]]
                layer[index] = {
                    key: value
                    for key, value in settings.items()
                    if key == "type" or not _is_default(cls, key, value)
                }
        return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=96)


def _is_default(cls: type[Component], field: str, value: object) -> bool:
    default = cls.model_fields[field].default
    return bool(value == default or (default == () and value == []))


def parse_spec(text: str, where: str) -> PipelineSpec:
    """Return the spec written in YAML or JSON.

    Args:
        text: The document.
        where: Named in errors, usually the file.

    Raises:
        UsageError: One line with the place of the first problem.
    """
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}:" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise UsageError(f"{where}:{line} {problem}; a spec is YAML or JSON") from error
    if not isinstance(data, dict):
        raise UsageError(f"{where}: a spec is a mapping with 'archon', 'models' and 'layers'")
    try:
        return PipelineSpec.model_validate(data)
    except ValidationError as error:
        raise UsageError(f"{where}: {first_problem(error)}") from error


def load_spec(path: str | Path) -> PipelineSpec:
    """Read a spec file.

    Raises:
        UsageError: No such file, or not a valid spec.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise UsageError(f"{path}: cannot be read ({reason})") from error
    return parse_spec(text, str(path))


def first_problem(error: ValidationError) -> str:
    """Return the first problem of a validation error as one line with its place."""
    problem = error.errors()[0]
    place = re.sub(r"\.(\d+)", r"[\1]", ".".join(map(str, problem["loc"])))
    message = problem["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message
