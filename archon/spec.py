"""The pipeline language: a `PipelineSpec` is versioned YAML or JSON that runs as it stands."""

import json
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from archon.components import COMPONENTS, Component
from archon.components.nesting import Layer, Nested, check_order
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


AnyModel = Annotated[ZooModel | EndpointModel, BeforeValidator(_model)]


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
    def _check(self) -> "PipelineSpec":
        for depth, layer in enumerate(self.layers):
            for index, component in enumerate(layer):
                for alias in component.model_aliases():
                    if alias not in self.models:
                        known = ", ".join(self.models) or "none"
                        raise ValueError(
                            f"layers[{depth}][{index}] ({component.type}): no model {alias!r} "
                            f"under 'models'; there are: {known}"
                        )
        check_order(self.layers, "layers", self._draws)
        for depth, layer in enumerate(self.layers):
            for index, component in enumerate(layer):
                if isinstance(component, Nested):
                    component.check_inner(f"layers[{depth}][{index}].", self._draws)
        return self

    @cached_property
    def canonical(self) -> str:
        """The identity of what the pipeline does, as JSON: no name, aliases or provenance.

        Nor fitted numbers: in one study they follow from the rest.
        """
        layers = [[self._meaning(component) for component in layer] for layer in self.layers]
        return json.dumps(layers, sort_keys=True)

    def _meaning(self, component: Component) -> tuple[dict[str, Any], list[str]]:
        """Return a component's settings and the models it calls, without their aliases."""
        settings = component.meaning()
        models = [self.models[alias].model_dump_json() for alias in component.model_aliases()]
        return settings, models

    def _draws(self, component: Component) -> str:
        """Return what tells a component's samples from another's; their number does not."""
        settings, models = self._meaning(component)
        return json.dumps([component.draws(settings), models], sort_keys=True)

    def used_models(self) -> tuple[str, ...]:
        """Return the aliases the layers call, in the order of `models`."""
        used = {a for layer in self.layers for c in layer for a in c.model_aliases()}
        return tuple(alias for alias in self.models if alias in used)

    @property
    def runs_programs(self) -> bool:
        """Whether some component has programs run."""
        return any(component.runs_programs for layer in self.layers for component in layer)

    def unfitted(self) -> tuple[int, int] | None:
        """Return layer and index of the first component with numbers to be fitted, if any."""
        for depth, layer in enumerate(self.layers):
            for index, component in enumerate(layer):
                if component.needs_fit:
                    return depth, index
        return None

    def require_fitted(self) -> None:
        """Raise `UsageError` where a component's numbers are still to be fitted."""
        place = self.unfitted()
        if place is not None:
            depth, index = place
            raise UsageError(
                f"{self.name}: layers[{depth}][{index}] ({self.layers[depth][index].type}): has no "
                "fitted numbers; a search fits them on its fit split and exports them"
            )

    def require_room(self, limits: Mapping[str, int]) -> None:
        """Raise `UsageError` where a reply alone may take all that a model's context holds.

        Args:
            limits: Alias → tokens, prompt and reply together; of models where that is known.
        """
        for depth, layer in enumerate(self.layers):
            for index, component in enumerate(layer):
                for part in component.parts:
                    reply = getattr(part, "max_tokens", 0)
                    for alias in part.model_aliases():
                        if alias in limits and reply >= limits[alias]:
                            raise UsageError(
                                f"{self.name}: layers[{depth}][{index}] ({component.type}): "
                                f"max_tokens {reply} leaves no room for a prompt in the "
                                f"{limits[alias]} tokens of {alias}; lower it"
                            )

    def with_layers(self, layers: tuple[Layer, ...]) -> "PipelineSpec":
        """Return these layers with the same name and models; what follows them may be missing."""
        return PipelineSpec.model_construct(name=self.name, models=self.models, layers=layers)

    def to_yaml(self) -> str:
        """Return the spec as YAML that `load_spec` reads back."""
        data = self.model_dump(mode="json", exclude_none=True)
        data["layers"] = _without_defaults(data["layers"])
        return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=96)


class _Dumper(yaml.SafeDumper):
    """Quotes what PyYAML otherwise reads back changed; keeps lists of numbers together."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if set(text) & set("\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _list(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.SequenceNode:
    numbers = all(isinstance(item, int | float) for item in items)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=numbers)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)


def _without_defaults(value: Any) -> Any:
    """Return components, also nested ones, without settings that are as they would be anyway."""
    if isinstance(value, list):
        return [_without_defaults(item) for item in value]
    if not isinstance(value, dict) or value.get("type") not in COMPONENTS:
        return value
    cls = COMPONENTS[value["type"]]
    return {
        key: _without_defaults(item)
        for key, item in value.items()
        if key == "type" or not _is_default(cls, key, item)
    }


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
    except RecursionError as error:
        raise UsageError(f"{where}: nested too deeply; a spec is YAML or JSON") from error
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
    except RecursionError as error:
        raise UsageError(f"{where}: a part of it contains itself") from error


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
