"""Which model stands for a published one: its provider's endpoint, the zoo, or an option."""

import pytest
from published_parts import ZOO, bare, config, endpoint, imported, refused

from archon.engines.zoo import HubSource, ZooEntry
from archon.errors import UsageError
from archon.interchange import import_config
from archon.interchange.providers import PROVIDERS, parse_override
from archon.spec import EndpointModel, ZooModel

HUB = "HuggingFaceTB/SmolLM2-135M-Instruct"


def only_model(name, provider, models=None):
    spec, _ = imported([bare("generator", name, provider)], models=models)
    (model,) = spec.models.values()
    return model


@pytest.mark.parametrize(
    ("provider", "url", "key"),
    [
        ("Together_API", "https://api.together.xyz/v1", "TOGETHER_API_KEY"),
        ("OpenAI_API", "https://api.openai.com/v1", "OPENAI_API_KEY"),
        ("Anthropic_API", "https://api.anthropic.com/v1", "ANTHROPIC_API_KEY"),
        ("Groq_API", "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
        (
            "Google_API",
            "https://generativelanguage.googleapis.com/v1beta/openai",
            "GOOGLE_API_KEY",
        ),
    ],
)
def test_a_provider_is_its_public_endpoint(provider, url, key):
    expected = EndpointModel(base_url=url, model="some/model", api_key_env=key)
    assert only_model("some/model", provider) == expected


def test_a_tgi_model_is_the_url_of_its_server():
    model = only_model("http://10.0.0.7:8080/v1/", "tgi")
    assert model == EndpointModel(base_url="http://10.0.0.7:8080/v1/", model="tgi")


def test_a_vllm_model_is_the_zoo_entry_with_its_weights():
    assert only_model(HUB, "vLLM") == ZooModel(zoo="smollm2-135m")


def test_zoo_entries_that_do_not_chat_do_not_count():
    judge = ZooEntry(name="judge", sources=(HubSource(hub=HUB),), endpoint="classify")
    text = config([bare("generator", HUB, "vLLM")])
    spec, _ = import_config(text, "x.json", models={}, zoo={"judge": judge, **ZOO})
    assert spec.models == {"smollm2-135m": ZooModel(zoo="smollm2-135m")}


def test_of_several_zoo_entries_none_is_guessed():
    twin = ZooEntry(name="twin", sources=(HubSource(hub=HUB),), dtype="float16")
    text = config([bare("generator", HUB, "vLLM")])
    with pytest.raises(UsageError, match="zoo entries of it are smollm2-135m, twin; say what"):
        import_config(text, "x.json", models={}, zoo={**ZOO, "twin": twin})


@pytest.mark.parametrize(
    ("name", "provider", "told"),
    [
        ("facebook/opt-125m", "vLLM", "not in the zoo; say what stands for it: --model "),
        ("bedrock/meta.llama3", "Bedrock_API", "no public endpoint is known for 'Bedrock_API'; "),
        (
            "gpt-5",
            "my_generator",
            "no public endpoint is known for 'my_generator'; say what stands",
        ),
        ("gpt-5", "", "no public endpoint is known for ''; say what stands for it: --mod"),
        ("gpt-5", ["OpenAI_API"], "no public endpoint is known for ['OpenAI_API']; say what"),
        (
            "gpt-5",
            None,
            "model_type is missing; say what stands for it: --model gpt-5=zoo:",
        ),
        (
            "my-server",
            "tgi",
            "the model of a tgi server is its URL; say what stands for it: --mod",
        ),
    ],
)
def test_a_model_that_nothing_serves_is_refused_with_the_option_that_helps(name, provider, told):
    text = config([bare("generator")], {"models": [bare("fuser"), bare("fuser", name, provider)]})
    said = refused(text)
    assert said.startswith(f"layers[1][1]: {told}")
    assert said.endswith(f": --model {name}=zoo:ENTRY or --model {name}=URL#MODEL")


@pytest.mark.parametrize("provider", ["Together_API", "Bedrock_API", "vLLM", "mine", ""])
def test_an_option_says_what_stands_for_a_model(provider):
    here = EndpointModel(base_url="http://127.0.0.1:8000/v1", model="other")
    assert only_model("some/model", provider, {"some/model": here}) == here


def test_models_for_which_one_stands_become_one():
    small = ZooModel(zoo="smollm2-135m")
    spec, notes = imported(
        [bare("generator", "a"), bare("generator", "b")],
        [bare("fuser", "b")],
        models={"a": small, "b": small},
    )
    assert spec.models == {"smollm2-135m": small}
    assert [c.samples for c in spec.layers[0]] == [2]
    assert notes == ["layers[0][1]: left out: layers[0][0] draws its samples too"]


def test_an_option_for_a_model_that_is_not_there_is_refused():
    small = ZooModel(zoo="smollm2-135m")
    with pytest.raises(
        UsageError, match=r"^--model gpt4: x\.json names no such model; it has: gpt-"
    ):
        import_config(
            config([bare("generator", "gpt-4", "OpenAI_API")]),
            "x.json",
            models={"gpt4": small},
            zoo=ZOO,
        )


@pytest.mark.parametrize(
    ("text", "name", "model"),
    [
        ("a/b=zoo:smollm2-135m", "a/b", ZooModel(zoo="smollm2-135m")),
        (
            "gpt-4o=http://127.0.0.1:8000/v1#my/model",
            "gpt-4o",
            EndpointModel(base_url="http://127.0.0.1:8000/v1", model="my/model"),
        ),
        (
            "old=https://api.openai.com/v1#new",
            "old",
            EndpointModel.model_validate(endpoint("new", "OpenAI_API")),
        ),
    ],
)
def test_an_option_names_a_zoo_entry_or_a_server(text, name, model):
    assert parse_override(text, ZOO) == (name, model)


@pytest.mark.parametrize(
    "text",
    ["gpt-4o", "gpt-4o=", "=zoo:smollm2-135m", "a=smollm2-135m", "a=http://x/v1", "a=#b", "a=x#b"],
)
def test_an_option_that_is_neither_is_told(text):
    with pytest.raises(UsageError) as error:
        parse_override(text, ZOO)
    assert str(error.value) == f"--model {text}: give NAME=zoo:ENTRY or NAME=URL#MODEL"


def test_an_option_with_an_unknown_zoo_entry_is_told():
    with pytest.raises(UsageError, match="--model a=zoo:nope: no zoo entry 'nope'; there are: qwe"):
        parse_override("a=zoo:nope", ZOO)


def test_no_two_providers_share_an_endpoint():
    assert len({url for url, _ in PROVIDERS.values()}) == len(PROVIDERS)
