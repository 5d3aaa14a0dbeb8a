"""Every form a published configuration has had: what it becomes, and what is said about it."""

import json

import pytest
from published_parts import MODEL, bare, config, endpoint, imported, kinds, read, refused

from archon.components import COMPONENTS
from archon.interchange.language import KINDS
from archon.spec import EndpointModel, parse_spec

FIVE = bare("generator", samples=5)
NO_EFFECT = "left out: without effect in the published program too"


def settings(spec, depth, index=0):
    return spec.layers[depth][index].model_dump(exclude={"type", "model"}, exclude_defaults=True)


# The file


def test_a_configuration_that_both_languages_say_is_taken_without_a_word():
    spec, notes = imported([bare("generator", temperature=1.25, samples=3)], [bare("fuser")])
    assert notes == []
    assert spec == parse_spec(
        json.dumps(
            {
                "name": "published",
                "models": {"Qwen2-72B-Instruct": endpoint(MODEL)},
                "layers": [
                    [
                        {
                            "type": "generator",
                            "model": "Qwen2-72B-Instruct",
                            "temperature": 1.25,
                            "max_tokens": 2048,
                            "samples": 3,
                        }
                    ],
                    [{"type": "fuser", "model": "Qwen2-72B-Instruct", "max_tokens": 2048}],
                ],
            }
        ),
        "x",
    )


def test_blank_lines_around_it_do_no_harm():
    spec, notes = read("\n\n\n" + config([FIVE], [bare("fuser")]) + "\n")
    assert (kinds(spec), notes) == ([["generator"], ["fuser"]], [])


def test_a_legacy_layer_is_the_list_of_its_models():
    spec, notes = imported(
        {"branches": 1, "models": [FIVE]},
        {"branches": 2, "models": [bare("fuser", temperature=0.1), bare("fuser")]},
        {"models": [bare("fuser")], "comment": "last"},
    )
    assert kinds(spec) == [["generator"], ["fuser", "fuser"], ["fuser"]]
    assert notes == [
        "layers[0-2]: read as the list of its 'models' (legacy form)",
        "layers[1]: branches: 2 left out: never had an effect",
        "layers[2]: comment left out: an unknown key",
    ]


def test_a_component_without_a_list_is_a_layer_of_one():
    spec, notes = imported(FIVE, [bare("fuser")])
    assert kinds(spec) == [["generator"], ["fuser"]]
    assert notes == ["layers[0]: a component without a list around it, read as a layer of one"]


def test_an_empty_layer_is_left_out():
    spec, notes = imported([FIVE], [], {"models": []}, [bare("fuser")])
    assert kinds(spec) == [["generator"], ["fuser"]]
    assert "layers[1-2]: left out: is empty" in notes
    tested, _ = imported([FIVE], [bare("unit_test_generator")], [], [bare("unit_test_evaluator")])
    assert kinds(tested) == [["generator"], ["unit_test_generator"], ["unit_test_evaluator"]]


def test_a_name_may_be_missing():
    spec, notes = read(json.dumps({"layers": [[bare("generator")]]}))
    assert spec.name == "pipeline"
    assert notes == ["name: missing; called 'pipeline'"]


def test_what_a_search_or_a_person_adds_beside_the_layers_is_named():
    _, notes = imported([bare("generator")], save_path="out/1.json", custom=True, author="me")
    assert notes == ["save_path, custom, author: left out: says nothing about the pipeline"]
    assert imported([bare("generator")], custom=False)[1] == []


def test_what_the_search_writes_into_components_is_named():
    searched = bare("generator", max_context_length=8192)
    critic = {key: value for key, value in bare("critic").items() if key != "max_tokens"}
    spec, notes = imported([searched | {"samples": 4}], [critic], [bare("fuser")])
    assert settings(spec, 1) == {"temperature": 0.7}
    assert notes == [
        f"layers[0][0]: max_context_length {NO_EFFECT}",
        "layers[1][0]: max_tokens is missing; 256 taken",
    ]


# The components


def test_samples_may_be_missing_where_the_program_takes_one():
    plain = bare("generator")
    assert "samples" not in plain
    assert imported([plain, bare("generator", temperature=1)], [bare("fuser")])[1] == []


@pytest.mark.parametrize(
    ("kind", "before", "after", "keys", "taken"),
    [
        ("critic", [[FIVE]], [[bare("fuser")]], {}, {"temperature": 0.7, "max_tokens": 2048}),
        ("ranker", [[FIVE]], [], {"top_k": 1, "max_tokens": 8192}, {"max_tokens": 8192}),
        ("ranker", [[FIVE]], [[bare("fuser")]], {"top_k": 3}, {"top_k": 3, "max_tokens": 2048}),
        (
            "verifier",
            [[FIVE]],
            [[bare("fuser")]],
            {},
            {"mode": "reason", "max_tokens": 2048},
        ),
        (
            "verifier",
            [[FIVE]],
            [[bare("fuser")]],
            {"first_k": 1},
            {"mode": "reason", "max_tokens": 2048, "first_k": 1},
        ),
        ("fuser", [[FIVE]], [], {"max_tokens": 512, "length_control": False}, {}),
    ],
)
def test_what_a_component_says_is_kept(kind, before, after, keys, taken):
    spec, notes = imported(*before, [bare(kind, **keys)], *after)
    assert settings(spec, len(before)) == taken
    assert notes == []


def test_unit_tests_are_assertions_that_a_model_judges():
    tests = bare("unit_test_generator", temperature=0.7, unit_test_cap=8)
    judge = bare("unit_test_evaluator", top_k=1)
    spec, notes = imported([FIVE], [tests], [judge])
    assert spec.layers[1][0].writes_tests == spec.layers[2][0].reads_tests == "assertions"
    assert settings(spec, 1) == {"tests": 8, "temperature": 0.7, "max_tokens": 2048}
    assert settings(spec, 2) == {"top_k": 1}
    assert notes == [
        "layers[2][0]: max_tokens: 2048 left out: a verdict is one token here",
        "layers[1][0]: the published program added its tests to the question of all that follows"
        "; here only their evaluator sees them",
    ]


def test_an_evaluator_without_top_k_keeps_all_in_order_of_tests_passed():
    spec, notes = imported([FIVE], [bare("unit_test_generator")], [bare("unit_test_evaluator")])
    assert spec.layers[2][0].top_k is None
    assert "layers[1][0]: unit_test_cap is missing; 5 taken" in notes
    assert notes[-1] == (
        "layers: of the 5 candidates that can be left, the first is the answer; the published "
        "program drew one at random"
    )


@pytest.mark.parametrize(
    ("kind", "keys", "note"),
    [
        ("generator", {"top_k": 1}, f"top_k {NO_EFFECT}"),
        ("generator", {"checkpoint": ""}, f"checkpoint {NO_EFFECT}"),
        ("generator", {"no_system": True}, "no_system: true left out: the caller's system message"),
        ("generator", {"no_system": False}, None),
        ("generator", {"sampels": 3}, "sampels left out: an unknown key"),
        ("generator", {"style": "steps"}, "style left out: an unknown key"),
        ("fuser", {"top_k": 1}, f"top_k {NO_EFFECT}"),
        ("fuser", {"length_control": True}, "length_control: true left out: it bound a fused"),
        ("fuser", {"length_contorl": True}, f"length_contorl {NO_EFFECT}"),
        ("fuser", {"top_k_generations": 2}, f"top_k_generations {NO_EFFECT}"),
        ("fuser", {"fuse_generations_count": 1}, f"fuse_generations_count {NO_EFFECT}"),
        ("fuser", {"ranker_config": {"ranker_batch_size": 16}}, f"ranker_config {NO_EFFECT}"),
        ("fuser", {"ranker_batch_size": 16}, f"ranker_batch_size {NO_EFFECT}"),
        ("fuser", {"use_critiques": True}, f"use_critiques {NO_EFFECT}"),
        ("critic", {"top_k": 1}, f"top_k {NO_EFFECT}"),
        ("critic", {"ranker_batch_size": 16}, f"ranker_batch_size {NO_EFFECT}"),
        ("critic", {"samples": 3}, "samples: 3 left out: the published critic used the first one"),
        ("ranker", {"ranker_batch_size": 16}, f"ranker_batch_size {NO_EFFECT}"),
        ("ranker", {"samples": 1}, None),
        ("ranker", {"samples": 4}, "samples: 4 left out: the published ranker used the first one"),
        ("ranker", {"temperature": 0.7}, "temperature: 0.7 left out: a ranker decides at temper"),
        ("ranker", {"use_critiques": False}, None),
        ("ranker", {"use_critiques": True}, "use_critiques: true left out: a ranker reads critiq"),
        ("verifier", {"temperature": 0.7}, "temperature: 0.7 left out: a verifier decides at te"),
        ("verifier", {"batch_num": 2}, f"batch_num {NO_EFFECT}"),
        ("verifier", {"samples": 2}, "samples: 2 left out: the published verifier used the first"),
        (
            "verifier",
            {"remove_unit_tests_from_prompt": True},
            f"remove_unit_tests_from_prompt {NO_EFFECT}",
        ),
    ],
)
def test_what_a_component_cannot_say_here_is_named(kind, keys, note):
    def layers(**more):
        if kind == "generator":
            return [FIVE | more], [bare("fuser")]
        return [FIVE], [bare(kind) | more], [bare("fuser", max_tokens=1024)]

    depth = 0 if kind == "generator" else 1
    plain, silent = imported(*layers())
    spec, notes = imported(*layers(**keys))
    assert silent == []
    assert spec == plain
    if note is None:
        assert notes == []
    else:
        assert notes[0].startswith(f"layers[{depth}][0]: {note}")
        assert len(notes) == 1


@pytest.mark.parametrize(
    ("keys", "note"),
    [
        ({"unit_test_cap": 5}, f"unit_test_cap {NO_EFFECT}"),
        ({"remove_unit_tests_from_prompt": False}, "remove_unit_tests_from_prompt: false left out"),
        ({"first_k": 3}, "first_k: 3 left out: all candidates are judged here"),
        ({"first_pass": True}, "first_pass: true left out: all candidates are judged here"),
        ({"temperature": 0.7}, "temperature: 0.7 left out: a unit_test_evaluator decides"),
    ],
)
def test_what_an_evaluator_cannot_say_here_is_named(keys, note):
    judge = bare("unit_test_evaluator", top_k=1)
    before = [[FIVE], [bare("unit_test_generator", unit_test_cap=3)]]
    _, silent = imported(*before, [judge])
    _, notes = imported(*before, [judge | keys])
    (added,) = set(notes) - set(silent)
    assert added.startswith(f"layers[2][0]: {note}")
    assert imported(*before, [judge | {"first_pass": False}])[1] == silent


def test_critiques_count_until_new_candidates_come():
    critic, ranker = bare("critic"), bare("ranker", use_critiques=True, top_k=3)
    fusers = [bare("fuser", temperature=t) for t in (0.1, 0.5)]
    _, fresh = imported([FIVE], [critic], [ranker], fusers)
    assert not any("use_critiques" in note for note in fresh)
    _, stale = imported([FIVE], [critic], fusers, [ranker | {"top_k": 1}])
    assert [note for note in stale if "use_critiques" in note] == [
        "layers[3][0]: use_critiques: true left out: a ranker reads critiques where there are any, "
        "and nowhere else"
    ]
    _, unused = imported([FIVE], [critic], [ranker | {"use_critiques": False}], fusers)
    assert any("use_critiques: false left out" in note for note in unused)


def test_samples_at_temperature_0_are_drawn_once():
    spec, notes = imported([bare("generator", temperature=0, samples=5)])
    assert spec.layers[0][0].samples == 1
    assert notes == ["layers[0][0]: samples at temperature 0 are copies; one is drawn"]


def test_a_missing_temperature_is_told():
    generator = {key: value for key, value in FIVE.items() if key != "temperature"}
    spec, notes = imported([generator], [bare("fuser")])
    assert spec.layers[0][0].temperature == 0.7
    assert notes == ["layers[0][0]: temperature is missing; 0.7 taken"]


def test_models_are_named_once_under_short_aliases():
    spec, _ = imported(
        [bare("generator", "a/Llama"), bare("generator", "b/Llama"), bare("generator", "a/Llama")],
        [bare("fuser", "b/Llama")],
    )
    assert spec.models == {
        "Llama": EndpointModel.model_validate(endpoint("a/Llama")),
        "Llama-2": EndpointModel.model_validate(endpoint("b/Llama")),
    }
    assert [[one.model for one in layer] for layer in spec.layers] == [
        ["Llama", "Llama-2"],
        ["Llama-2"],
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_the_correspondence_names_settings_that_exist(kind):
    fields = COMPONENTS[kind].model_fields
    assert {*KINDS[kind].settings.values(), *KINDS[kind].fixed} <= fields.keys()


def test_a_key_that_stands_twice_is_refused():
    text = config([bare("generator")]).replace('"max_tokens"', '"samples": 2, "samples"')
    assert refused(text).startswith("key 'samples' stands twice in one object: {\"type\"")
