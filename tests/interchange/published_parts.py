"""Components and configurations as the published program has them, and what becomes of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from archon.errors import UsageError
from archon.interchange import import_config
from archon.interchange.providers import PROVIDERS, whole_zoo
from archon.spec import AnyModel, PipelineSpec, parse_spec

MODEL = "Qwen/Qwen2-72B-Instruct"
ZOO = whole_zoo([])


def part(kind: str, model: str = MODEL, provider: str = "Together_API", **keys: Any) -> Any:
    """Return a component with the keys that the published program requires of its type."""
    found = {"type": kind, "model": model, "model_type": provider}
    found |= {"temperature": 0.7, "max_tokens": 2048}
    if kind in {"critic", "verifier", "unit_test_generator", "unit_test_evaluator"}:
        found["samples"] = 1
    if kind == "ranker":
        found["top_k"] = 5
    if kind == "unit_test_evaluator":
        found["remove_unit_tests_from_prompt"] = True
    return found | keys


def bare(kind: str, model: str = MODEL, provider: str = "Together_API", **keys: Any) -> Any:
    """Return a component that is taken as it stands: without a temperature it does not have."""
    greedy = {"ranker", "verifier", "unit_test_generator", "unit_test_evaluator"}
    return part(kind, model, provider, **({"temperature": 0} if kind in greedy else {}) | keys)


def config(*layers: Any, **keys: Any) -> str:
    return json.dumps({"name": "published", "layers": list(layers), **keys})


def imported(
    *layers: Any, models: dict[str, AnyModel] | None = None, **keys: Any
) -> tuple[PipelineSpec, list[str]]:
    """Return the spec that the layers become, which loads again, and the notes."""
    return read(config(*layers, **keys), models=models)


def read(text: str, models: dict[str, AnyModel] | None = None) -> tuple[PipelineSpec, list[str]]:
    spec, notes = import_config(text, "x.json", models=models or {}, zoo=ZOO)
    assert parse_spec(spec.to_yaml(), "again") == spec
    return spec, notes.lines()


def refused(text: str, models: dict[str, AnyModel] | None = None) -> str:
    """Return why a text is refused, in one line that names the file."""
    with pytest.raises(UsageError) as error:
        import_config(text, "x.json", models=models or {}, zoo=ZOO)
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith("x.json: ")
    return message.removeprefix("x.json: ")


def kinds(spec: PipelineSpec) -> list[list[str]]:
    return [[component.type for component in layer] for layer in spec.layers]


def endpoint(model: str, provider: str = "Together_API") -> dict[str, str]:
    url, key = PROVIDERS[provider]
    return {"base_url": url, "model": model, "api_key_env": key}


def written(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)
