"""The pipeline language: what loads, what is refused and where, what counts as the same."""

import json
from typing import ClassVar, Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from archon.components import COMPONENTS, Component
from archon.components.base import register
from archon.components.styles import STYLES
from archon.errors import UsageError
from archon.spec import EndpointModel, PipelineSpec, ZooModel, load_spec, parse_spec

COMPLETE = """
archon: 1
name: vote-4x-0.5b
models:
  small: {zoo: smollm2-135m}
  big: {base_url: "http://127.0.0.1:8102/v1", model: qcoder, api_key_env: MY_KEY}
layers:
  - - {type: generator, model: small, samples: 4, temperature: 0.8, max_tokens: 48}
    - {type: generator, model: big, samples: 1, temperature: 0.0, max_tokens: 48}
  - - {type: ranker, model: big, top_k: 3}
  - - {type: vote}
measured: {accuracy: 0.61, energy_j: 3.2, ipw: 0.19, basis: cpu estimated, latency_s: null}
provenance: {study: quickstart, versions: {archon: 0.1.0}, seed: 0, config_sha256: ab12}
"""

ONE = {"type": "generator", "model": "m"}
FOUR = ONE | {"samples": 4}
VOTE = {"type": "vote"}
RANKER = {"type": "ranker", "model": "m"}
VERIFIER = {"type": "verifier", "model": "m"}
CRITIC = {"type": "critic", "model": "m"}
FUSER = {"type": "fuser", "model": "m"}
BY_SCORE = {"type": "ranker", "mode": "score"}
TESTS = {"type": "unit_test_generator", "model": "m"}
SCRIPTS = TESTS | {"kind": "python"}
JUDGED = {"type": "unit_test_evaluator", "model": "m"}
RUN = {"type": "unit_test_evaluator"}


def spec(*layers, models=None, **fields):
    data = {"models": models or {"m": {"zoo": "tiny"}}, "layers": list(layers), **fields}
    return parse_spec(json.dumps(data), "spec.yaml")


def problem(*layers, **fields):
    with pytest.raises(UsageError) as error:
        spec(*layers, **fields)
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith("spec.yaml: ")
    return message.removeprefix("spec.yaml: ")


# Loading and saving


def test_a_complete_spec_loads(tmp_path):
    path = tmp_path / "best.yaml"
    path.write_text(COMPLETE)
    loaded = load_spec(path)
    assert loaded.name == "vote-4x-0.5b"
    assert loaded.models["small"] == ZooModel(zoo="smollm2-135m")
    assert loaded.models["big"] == EndpointModel(
        base_url="http://127.0.0.1:8102/v1", model="qcoder", api_key_env="MY_KEY"
    )
    assert [[c.type for c in layer] for layer in loaded.layers] == [
        ["generator", "generator"],
        ["ranker"],
        ["vote"],
    ]
    assert loaded.layers[0][0].samples == 4
    assert loaded.layers[1][0].top_k == 3
    assert loaded.measured["basis"] == "cpu estimated"


def test_a_spec_may_be_json():
    as_json = json.dumps(yaml.safe_load(COMPLETE))
    assert parse_spec(as_json, "x") == parse_spec(COMPLETE, "x")


def test_what_is_written_reads_back_equal():
    loaded = parse_spec(COMPLETE, "x")
    again = parse_spec(loaded.to_yaml(), "x")
    assert again == loaded
    assert again.canonical == loaded.canonical
    assert again.measured["latency_s"] is None


@pytest.mark.parametrize("name", ["\x85", "a\u2028b", "\ufeff", "é", "a\nb", "yes", ""])
def test_any_name_reads_back(name):
    assert parse_spec(spec([ONE], name=name).to_yaml(), "x").name == name


def test_defaults_are_not_written():
    data = yaml.safe_load(spec([ONE | {"samples": 1, "style": "plain", "stop": []}]).to_yaml())
    assert data["layers"] == [[ONE]]


aliases = st.sampled_from(["m", "Big", "other"])
sampled = st.fixed_dictionaries(
    {"model": aliases, "temperature": st.sampled_from([0.1, 0.5, 2.0])},
    optional={
        "samples": st.integers(1, 1024),
        "top_p": st.floats(0.01, 1.0),
        "max_tokens": st.integers(1, 10**6),
        "stop": st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=2),
        "style": st.sampled_from(sorted(STYLES)),
        "instruction": st.text(st.characters(exclude_categories=["Cs"])),
    },
)


@given(generator=sampled, fuser=sampled, name=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_settings_survive_being_written(generator, fuser, name):
    written = spec(
        [{"type": "generator", **generator}],
        [{"type": "fuser", **fuser}],
        models={alias: {"zoo": alias} for alias in ("m", "Big", "other")},
        name=name,
    )
    again = parse_spec(written.to_yaml(), "x")
    assert again == written
    assert again.canonical == written.canonical


def test_a_spec_names_the_models_it_uses():
    models = {"unused": {"zoo": "a"}, "judge": {"zoo": "b"}, "m": {"zoo": "c"}}
    loaded = spec([FOUR], [RANKER | {"model": "judge"}], models=models)
    assert loaded.used_models() == ("judge", "m")


# The same pipeline


def test_names_aliases_and_provenance_are_not_part_of_what_a_pipeline_does():
    one = spec([FOUR], [RANKER], models={"m": {"zoo": "tiny"}})
    other = spec(
        [FOUR | {"model": "writer"}],
        [RANKER | {"model": "judge"}],
        models={"judge": {"zoo": "tiny"}, "unused": {"zoo": "big"}, "writer": {"zoo": "tiny"}},
        name="another name",
        measured={"accuracy": 1.0},
        provenance={"seed": 3},
    )
    assert one.canonical == other.canonical


def test_settings_at_their_defaults_may_be_written_or_left_out():
    written = FOUR | {"temperature": 0.7, "max_tokens": 512, "stop": [], "instruction": None}
    assert spec([FOUR]).canonical == spec([written]).canonical
    assert (
        spec([ONE | {"temperature": 1}]).canonical == spec([ONE | {"temperature": 1.0}]).canonical
    )


@pytest.mark.parametrize(
    "layers",
    [
        [[FOUR | {"samples": 5}]],
        [[FOUR | {"temperature": 0.8}]],
        [[FOUR | {"style": "steps"}]],
        [[FOUR | {"instruction": "Be brief."}]],
        [[FOUR | {"model": "n"}]],
        [[FOUR], [VOTE]],
    ],
)
def test_everything_else_is(layers):
    models = {"m": {"zoo": "tiny"}, "n": {"zoo": "big"}}
    assert spec(*layers, models=models).canonical != spec([FOUR], models=models).canonical


def test_the_order_in_a_layer_is_part_of_it():
    hot = ONE | {"temperature": 1.5}
    assert spec([ONE, hot]).canonical != spec([hot, ONE]).canonical


def test_the_same_alias_for_another_model_is_another_pipeline():
    tiny, far = {"zoo": "tiny"}, {"base_url": "http://host/v1", "model": "tiny"}
    assert spec([ONE], models={"m": tiny}).canonical != spec([ONE], models={"m": far}).canonical


# What is refused, and where


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        ([[VOTE]], "layers[0][0] (vote): a vote cannot come first"),
        ([[FUSER]], "layers[0][0] (fuser): a fuser cannot come first"),
        ([[ONE], [ONE]], "layers[1][0] (generator): a generator only belongs in the first layer"),
        ([[FOUR], []], "layers[1] is empty"),
        ([[FOUR, VOTE]], "layers[0][0] (generator): a layer holds components of one type"),
        ([[FOUR], [FUSER, CRITIC]], "layers[1][0] (fuser): a layer holds components of one type"),
        ([[FOUR], [RANKER, RANKER]], "layers[1][0] (ranker): a ranker stands alone in its layer"),
        ([[FOUR], [VERIFIER, VOTE]], "layers[1][0] (verifier): a verifier stands alone"),
        ([[ONE], [VOTE]], "layers[1][0] (vote): only one candidate can arrive"),
        ([[ONE], [RANKER]], "layers[1][0] (ranker): only one candidate can arrive"),
        ([[FOUR], [RANKER], [VOTE]], "layers[2][0] (vote): only one candidate can arrive"),
        ([[FOUR], [FUSER], [VOTE]], "layers[2][0] (vote): only one candidate can arrive"),
        ([[FOUR], [VOTE], [VOTE]], "layers[2][0] (vote): only one candidate can arrive"),
        ([[ONE], [VERIFIER], [VOTE]], "layers[2][0] (vote): only one candidate can arrive"),
        ([[FOUR], [CRITIC]], "layers[1][0] (critic): the next layer makes no use of critiques"),
        ([[FOUR], [CRITIC], [VOTE]], "layers[1][0] (critic): the next layer makes no use of"),
        ([[FOUR], [CRITIC], [CRITIC]], "layers[1][0] (critic): the next layer makes no use of"),
        ([[ONE, ONE]], "layers[0][1] (generator): draws the same samples as layers[0][0]"),
        ([[ONE, FOUR]], "layers[0][1] (generator): draws the same samples as layers[0][0]"),
        (
            [[FOUR], [FUSER, FUSER | {"temperature": 0.1}, FUSER]],
            "layers[1][2] (fuser): draws the same samples as layers[1][0]",
        ),
        ([[FOUR], [CRITIC], [BY_SCORE]], "layers[1][0] (critic): the next layer makes no use of"),
        ([[FOUR], [CRITIC, CRITIC], [FUSER]], "layers[1][0] (critic): a critic stands alone in"),
        ([[FOUR], [VOTE], [BY_SCORE]], "layers[2][0] (ranker): only one candidate can arrive"),
        (
            [[FOUR], [JUDGED]],
            "layers[1][0] (unit_test_evaluator): no component before it writes unit tests of kind "
            "assertions; an evaluator with a model judges assertions, one without runs python",
        ),
        ([[FOUR], [JUDGED], [TESTS]], "layers[1][0] (unit_test_evaluator): no component before it"),
        (
            [[SCRIPTS], [FOUR], [JUDGED]],
            "layers[0][0] (unit_test_generator): no component after it makes use of its python",
        ),
        ([[TESTS], [JUDGED]], "layers[1][0] (unit_test_evaluator): a unit_test_evaluator cannot"),
        ([[TESTS], [VOTE]], "layers[0][0] (unit_test_generator): no component after it makes use"),
        ([[TESTS], [FOUR]], "layers[0][0] (unit_test_generator): no component after it makes use"),
        ([[FOUR, TESTS], [JUDGED]], "layers[0][0] (generator): a layer holds components of one"),
        ([[ONE], [TESTS, TESTS | {"temperature": 1}], [RANKER], [JUDGED]], "layers[2][0] (ranker)"),
        ([[FOUR], [TESTS], [FOUR], [JUDGED]], "layers[2][0] (generator): a generator only belongs"),
        ([[TESTS, TESTS], [FOUR], [JUDGED]], "layers[0][1] (unit_test_generator): draws the same"),
        (
            [[TESTS], [FOUR], [JUDGED, JUDGED]],
            "layers[2][0] (unit_test_evaluator): a unit_test_evaluator stands alone in its layer",
        ),
        ([[ONE | {"model": "x"}]], "layers[0][0] (generator): no model 'x' under 'models'; there"),
        ([[FOUR], [RANKER | {"model": "x"}]], "layers[1][0] (ranker): no model 'x' under 'models'"),
    ],
)
def test_a_broken_order_rule_is_told_with_its_place(layers, told):
    assert problem(*layers).startswith(told)


def test_one_model_under_two_aliases_draws_the_same_samples_too():
    models = {"m": {"zoo": "tiny"}, "n": {"zoo": "tiny"}}
    told = problem([ONE, ONE | {"model": "n"}], models=models)
    assert told.startswith("layers[0][1] (generator): draws the same samples")


def test_a_spec_that_contains_itself_is_told_in_one_line():
    itself = "&c {type: cascade, thresholds: [0.5], stages: [[[*c]], [[*c]]]}"
    text = f"models: {{m: {{zoo: a}}}}\nlayers: [[{itself}]]"
    with pytest.raises(UsageError, match="here: a part of it contains itself"):
        parse_spec(text, "here")
    with pytest.raises(UsageError, match="here: nested too deeply"):
        parse_spec("[" * 3000, "here")


def test_two_aliases_of_a_model_draw_the_same_samples_inside_a_stage_too():
    a = {"type": "generator", "model": "a", "temperature": 0.5, "samples": 2}
    stages = [[[a, a | {"model": "b"}]], [[a | {"model": "c"}]]]
    cascade = {"type": "cascade", "stages": stages, "thresholds": [0.5], "accept": "agreement"}
    models = {"a": {"zoo": "x"}, "b": {"zoo": "x"}, "c": {"zoo": "y"}}
    with pytest.raises(ValueError, match=r"layers\[0\]\[0\]\.stages\[0\]\[0\]\[1\]"):
        PipelineSpec.model_validate({"models": models, "layers": [[cascade]]})


@pytest.mark.parametrize(
    "layers",
    [
        [[ONE]],
        [[FOUR]],
        [[ONE], [FUSER]],
        [[ONE], [VERIFIER]],
        [[ONE, ONE | {"style": "steps"}], [VOTE]],
        [[FOUR], [RANKER | {"top_k": 2}], [VOTE]],
        [[FOUR], [VERIFIER], [VOTE]],
        [[FOUR], [CRITIC], [RANKER]],
        [[FOUR], [CRITIC], [VERIFIER]],
        [[ONE], [CRITIC], [FUSER, FUSER | {"temperature": 0.1}], [VOTE]],
        [[FOUR], [FUSER | {"samples": 2}], [FUSER | {"samples": 2}], [RANKER]],
        [[FOUR], [VERIFIER], [BY_SCORE | {"top_k": 3}], [VOTE]],
        [[FOUR], [CRITIC], [RANKER | {"mode": "pairwise", "top_k": 2}], [FUSER]],
        [[TESTS], [FOUR], [JUDGED], [VOTE]],
        [[FOUR], [TESTS, TESTS | {"temperature": 1, "samples": 2}], [JUDGED | {"top_k": 1}]],
        [[SCRIPTS, TESTS], [FOUR], [RUN | {"top_k": 2}], [JUDGED]],
        [[ONE], [TESTS], [JUDGED]],
    ],
)
def test_an_order_that_makes_sense_loads(layers):
    assert len(spec(*layers).layers) == len(layers)


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        ([[ONE | {"type": "oracle"}]], "layers[0][0]: unknown component type 'oracle'; known: cas"),
        ([[{"model": "m"}]], "layers[0][0]: a component is a mapping with a 'type'"),
        ([["vote"]], "layers[0][0]: a component is a mapping with a 'type'"),
        ([[ONE | {"type": ["generator"]}]], "layers[0][0]: a component is a mapping with a 'type'"),
        ([[ONE | {"smaples": 3}]], "layers[0][0].smaples: Extra inputs are not permitted"),
        ([[{"type": "generator"}]], "layers[0][0].model: Field required"),
        ([[ONE | {"samples": 0}]], "layers[0][0].samples: Input should be greater than or equal"),
        ([[FOUR], [RANKER | {"top_k": "all"}]], "layers[1][0].top_k: Input should be a valid int"),
        ([[ONE | {"style": "loud"}]], "layers[0][0]: unknown style 'loud'; known: plain, number"),
        ([[FOUR | {"temperature": 0}]], "layers[0][0]: samples at temperature 0 are copies"),
        ([[FOUR], [VERIFIER | {"mode": "guess"}]], "layers[1][0].mode: Input should be 'logprob'"),
        ([[FOUR], [VOTE | {"weight": "x"}]], "layers[1][0].weight: Input should be 'count'"),
        ([[FOUR], [{"type": "ranker"}]], "layers[1][0]: a listwise ranker asks a model; set model"),
        ([[FOUR], [RANKER | {"mode": "score"}]], "layers[1][0]: a ranker by score asks no model"),
        ([[FOUR], [VERIFIER | {"first_k": 0}]], "layers[1][0].first_k: Input should be greater"),
        ([[TESTS | {"samples": 2}], [FOUR], [JUDGED]], "layers[0][0]: samples at temperature 0"),
        ([], "layers: Tuple should have at least 1 item"),
    ],
)
def test_a_wrong_component_is_told_with_its_place(layers, told):
    assert problem(*layers).startswith(told)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"archon": 2}, "archon: Input should be 1"),
        ({"layrs": []}, "layrs: Extra inputs are not permitted"),
        ({"models": {"Big": "tiny"}}, "models.Big: a model is a mapping with 'zoo', or with 'base"),
        ({"models": {"m": {"zoo": 1}}}, "models.m.zoo: Input should be a valid string"),
        ({"models": {"m": {"zoo": "a", "model": "b"}}}, "models.m.model: Extra inputs"),
        ({"models": {"m": {"base_url": "http://x/v1"}}}, "models.m.model: Field required"),
        ({"models": {"m": {"model": "x", "api_key": "y"}}}, "models.m.base_url: Field required"),
        ({"models": ["m"]}, "models: Input should be a valid dictionary"),
    ],
)
def test_a_wrong_field_is_told_with_its_place(fields, told):
    assert problem([ONE], **fields).startswith(told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("archon: 1\nlayers: [", "x: line 2: "),
        ("- a\n- b", "x: a spec is a mapping with 'archon', 'models' and 'layers'"),
        ("", "x: a spec is a mapping"),
        ("a: \x00", "x: "),
    ],
)
def test_what_is_no_mapping_is_told(text, told):
    with pytest.raises(UsageError) as error:
        parse_spec(text, "x")
    assert str(error.value).startswith(told)
    assert "\n" not in str(error.value)


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    for path, reason in [
        (tmp_path / "none.yaml", "No such file or directory"),
        (tmp_path, "Is a directory"),
    ]:
        with pytest.raises(UsageError) as error:
            load_spec(path)
        assert str(error.value) == f"{path}: cannot be read ({reason})"
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9")
    with pytest.raises(UsageError, match="not UTF-8 text"):
        load_spec(tmp_path / "latin.yaml")


def test_a_spec_does_not_change():
    loaded = spec([ONE])
    with pytest.raises(ValueError, match="frozen"):
        loaded.name = "other"
    with pytest.raises(ValueError, match="frozen"):
        loaded.layers[0][0].samples = 2


def test_a_reply_that_may_take_the_whole_context_is_told_with_its_place():
    loaded = spec([FOUR | {"max_tokens": 100}], [VERIFIER], [VOTE], name="mine")
    loaded.require_room({})
    loaded.require_room({"m": 193, "other": 1})
    with pytest.raises(UsageError) as error:
        loaded.require_room({"m": 192})
    assert str(error.value) == (
        "mine: layers[1][0] (verifier): max_tokens 192 leaves no room for a prompt in the 192 "
        "tokens of m; lower it"
    )


# Components of one's own


@pytest.fixture
def judge_and_writer():
    @register
    class Debate(Component):
        """Two models argue; only its fields matter here."""

        type: Literal["debate"] = "debate"
        writer: str
        judge: str
        rounds: int = 2

        needs_several: ClassVar[bool] = True

        def run(self, state, _context):
            """Keep what came."""
            return state.candidates
            yield ()

        def most_candidates(self, arriving):
            """Keep all."""
            return arriving

        def model_aliases(self):
            """Return both."""
            return self.writer, self.judge

    yield {"type": "debate", "writer": "m", "judge": "n"}
    del COMPONENTS["debate"]


def test_a_component_registered_by_decorator_is_part_of_the_language(judge_and_writer):
    models = {"m": {"zoo": "tiny"}, "n": {"zoo": "big"}}
    loaded = spec([FOUR], [judge_and_writer | {"rounds": 3}], models=models)
    assert loaded.layers[1][0].rounds == 3
    assert loaded.used_models() == ("m", "n")
    assert parse_spec(loaded.to_yaml(), "x") == loaded
    assert problem([ONE], [judge_and_writer], models=models).startswith(
        "layers[1][0] (debate): only one candidate can arrive"
    )
    told = problem([FOUR], [judge_and_writer | {"judge": "x"}], models=models)
    assert told.startswith("layers[1][0] (debate): no model 'x' under 'models'; there are: m, n")


def test_the_models_of_such_a_component_count_wherever_it_names_them(judge_and_writer):
    layers = [FOUR], [judge_and_writer]
    small = spec(*layers, models={"m": {"zoo": "tiny"}, "n": {"zoo": "small"}})
    big = spec(*layers, models={"m": {"zoo": "tiny"}, "n": {"zoo": "big"}})
    assert small.canonical != big.canonical


def test_a_spec_can_be_built_in_python():
    generator = COMPONENTS["generator"](model="m", samples=4)
    built = PipelineSpec(
        models={"m": ZooModel(zoo="tiny")}, layers=((generator,), (COMPONENTS["vote"](),))
    )
    assert built.canonical == spec([FOUR], [VOTE]).canonical
