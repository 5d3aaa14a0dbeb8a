"""What the published language can say comes back the same."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from published_parts import ZOO, endpoint

from archon.interchange import export_config, import_config
from archon.spec import PipelineSpec

MODELS = {
    "a": endpoint("Qwen/Qwen2-72B-Instruct"),
    "b": endpoint("gpt-4o", "OpenAI_API"),
    "c": endpoint("claude-3-5-sonnet-20240620", "Anthropic_API"),
    "d": {"base_url": "http://127.0.0.1:8080/v1", "model": "tgi"},
    "e": {"zoo": "qwen2.5-coder-0.5b"},
    "f": endpoint("gpt-4o"),
}
aliases = st.sampled_from(sorted(MODELS))
tokens = st.integers(16, 10**6)
counts = st.integers(1, 5)


def samplers(kind: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Return layers of components that write candidates, no two of which draw the same."""
    settings = st.fixed_dictionaries(
        {
            "type": st.just(kind),
            "model": aliases,
            "temperature": st.floats(0.01, 2.0),
            "max_tokens": tokens,
            "samples": counts,
        }
    )
    greedy = st.fixed_dictionaries(
        {
            "type": st.just(kind),
            "model": aliases,
            "temperature": st.just(0.0),
            "max_tokens": tokens,
        }
    )
    return st.lists(
        settings | greedy,
        min_size=1,
        max_size=4,
        unique_by=lambda one: (one["model"], one["temperature"], one["max_tokens"]),
    )


@st.composite
def specs(draw: st.DrawFn) -> PipelineSpec:
    """Return pipelines of everything that has a published name."""
    tests = draw(st.booleans())
    layers = [draw(samplers("generator"))]
    arriving = sum(one.get("samples", 1) for one in layers[0])
    critic_before = False
    for _ in range(draw(st.integers(0, 4))):
        kinds = ["fuser", "verifier"] + ["ranker"] * (arriving > 1)
        if not critic_before:
            kinds += ["critic"] + ["unit_test_evaluator"] * tests
        kind = draw(st.sampled_from(kinds))
        layer: list[dict[str, Any]] = [{"type": kind, "model": draw(aliases)}]
        if kind == "fuser":
            layer = draw(samplers("fuser"))
            arriving = sum(one.get("samples", 1) for one in layer)
        elif kind == "verifier":
            first_k = draw(st.none() | counts)
            layer[0] |= {"mode": "reason", "max_tokens": draw(tokens), "first_k": first_k}
        elif kind == "ranker":
            layer[0] |= {"top_k": draw(counts), "max_tokens": draw(tokens)}
            arriving = min(arriving, layer[0]["top_k"])
        elif kind == "critic":
            layer[0] |= {"temperature": draw(st.floats(0, 2)), "max_tokens": draw(tokens)}
        else:
            layer[0] |= {"top_k": draw(st.none() | counts)}
            arriving = min(arriving, layer[0]["top_k"] or arriving)
        critic_before = kind == "critic"
        layers.append(layer)
    if critic_before:
        layers.append([{"type": "fuser", "model": draw(aliases)}])
    readers = [i for i, (one, *_) in enumerate(layers) if one["type"] == "unit_test_evaluator"]
    places = [
        i for i in range(readers[0] + 1 if readers else 0) if layers[i - 1][0]["type"] != "critic"
    ]
    if places:
        writer = {"type": "unit_test_generator", "model": draw(aliases), "tests": draw(counts)}
        layers.insert(draw(st.sampled_from(places)), [writer | {"max_tokens": draw(tokens)}])
    data = {
        "name": draw(st.text(st.characters(exclude_categories=["Cs"]))),
        "models": MODELS,
        "layers": layers,
    }
    return PipelineSpec.model_validate(data)


@given(specs())
def test_a_pipeline_comes_back_the_same(spec: PipelineSpec) -> None:
    text, _ = export_config(spec, "spec.yaml", zoo=ZOO)
    again, _ = import_config(text, "spec.json", models={}, zoo=ZOO)
    assert again.canonical == spec.canonical
    assert again.name == spec.name
    assert set(again.models.values()) == {spec.models[alias] for alias in spec.used_models()}
    assert export_config(again, "spec.yaml", zoo=ZOO)[0] == text
    assert import_config(text, "spec.json", models={}, zoo=ZOO)[0] == again
