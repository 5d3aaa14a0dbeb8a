"""What is no configuration, or says what cannot be: one line with its place."""

import pytest
from published_parts import bare, config, refused

from archon.errors import UsageError
from archon.interchange import import_config

WHOLE = config([bare("generator")])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1, column 1: Expecting value; a configuration is JSON"),
        (WHOLE[:-1], f"line 1, column {len(WHOLE)}: Expecting ',' delimiter; a configuration is"),
        ('{\n  "name": "a"\n  "layers": []\n}', "line 3, column 3: Expecting ',' delimiter"),
        ('{\n  "name": "a",\n  "layers": [],\n}', "line 3, column 15: Illegal trailing comma"),
        (WHOLE + "\n" + WHOLE, "line 2, column 1: Extra data; a configuration is JSON"),
        ("{'name': 'a'}", "line 1, column 2: Expecting property name enclosed in double quotes"),
        ("9" * 5000, "Exceeds the limit (4300 digits) for integer string conversion"),
        ("[" * 100_000, "maximum recursion depth exceeded"),
    ],
)
def test_what_is_no_json_is_told_with_line_and_column(text, told):
    said = refused(text)
    if "trailing comma" in told and "trailing comma" not in said:  # Python before 3.13
        told = "line 4, column 1: Expecting property name enclosed in double quotes"
    assert said.startswith(told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "a configuration is an object with 'name' and 'layers'"),
        ("null", "a configuration is an object with 'name' and 'layers'"),
        ('{"name": "a"}', "layers: is missing; a configuration has a list of layers"),
        ('{"OPENAI_API_KEY": ["a"]}', "layers: is missing; a configuration has a list of layers"),
        ('{"name": "a", "layers": {}}', "layers: is not a list; a configuration has a list"),
        ('{"name": 7, "layers": []}', "name: 7 is not a string"),
        ('{"name": "a", "layers": []}', "layers: Tuple should have at least 1 item"),
        ('{"archon": 1, "models": {}, "layers": []}', "is a pipeline spec already; it loads as"),
        ('{"models_available": []}', "configures a search, not a pipeline; import what the search"),
        ('{"name": "a", "layers": ["b"]}', "layers[0]: a layer is a list of components"),
        ('{"name": "a", "layers": [{}]}', "layers[0]: a layer is a list of components"),
        ('{"name": "a", "layers": [{"models": 1}]}', "layers[0]: a layer is a list of components"),
        ('{"name": "a", "layers": [[], [1]]}', "layers[1][0]: a component is an object with"),
    ],
)
def test_what_is_no_configuration_is_told_with_its_place(text, told):
    assert refused(text).startswith(told)


@pytest.mark.parametrize(
    ("component", "told"),
    [
        ({}, "type is missing; the published types are: generator, fuser, critic, ranker, veri"),
        (bare("vote"), "unknown type 'vote'; the published types are: generator, fuser"),
        (bare("generator") | {"type": ["generator"]}, "unknown type ['generator']; the published"),
        ({"type": "generator"}, "model: a generator names a model"),
        (bare("generator", model=""), "model: a generator names a model"),
        (bare("generator", model="a\nb"), "model: a generator names a model, on one line"),
        (bare("generator", model=["a"]), "model: a generator names a model"),
        (bare("generator", samples=0), "samples: Input should be greater than or equal to 1"),
        (bare("generator", samples="3"), "samples: Input should be a valid integer"),
        (bare("generator", samples=None), "samples: Input should be a valid integer"),
        (bare("generator", temperature=-1), "temperature: Input should be greater than or equal"),
        (bare("generator", temperature=float("nan")), "temperature: Input should be"),
        (bare("generator", max_tokens=1.5), "max_tokens: Input should be a valid integer"),
        (bare("critic", max_tokens=1), "max_tokens: Input should be greater than or equal to 8"),
        (bare("verifier", first_k=0), "first_k: Input should be greater than or equal to 1"),
        (bare("ranker", top_k=0), "top_k: Input should be greater than or equal to 1"),
        (
            {key: value for key, value in bare("ranker").items() if key != "top_k"},
            "top_k: a ranker says how many candidates it keeps",
        ),
    ],
)
def test_a_wrong_component_is_told_with_its_place(component, told):
    first = [bare("generator", samples=5)]
    assert refused(config(first, [component])).startswith(f"layers[1][0]: {told}")


def test_the_file_is_named_first():
    with pytest.raises(UsageError, match=r"^some/file\.json: line 1, column 2: "):
        import_config("{", "some/file.json", models={}, zoo={})
