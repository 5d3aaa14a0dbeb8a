"""Published pipelines that break the order rules: what they become, so that they say the same."""

import pytest
from published_parts import bare, config, imported, kinds, part, refused

from archon.interchange.importing import STALE
from archon.interchange.providers import PAIRRM
from archon.spec import ZooModel

ONE = bare("generator")
FIVE = bare("generator", samples=5)
FUSER = bare("fuser")
CRITIC = bare("critic")
RANKER = bare("ranker", top_k=3)
VERIFIER = bare("verifier")
TESTS = bare("unit_test_generator", unit_test_cap=5)
JUDGE = bare("unit_test_evaluator", top_k=1)
ADDED = "the published program added its tests to the question of all that follows"


def test_unit_tests_may_come_first():
    spec, notes = imported([TESTS], [FIVE], [JUDGE])
    assert kinds(spec) == [["unit_test_generator"], ["generator"], ["unit_test_evaluator"]]
    assert f"layers[0][0]: {ADDED}; here only their evaluator sees them" in notes


def test_unit_tests_that_nothing_evaluates_are_left_out():
    spec, notes = imported([TESTS], [FIVE], [RANKER], [CRITIC], [FUSER])
    assert kinds(spec) == [["generator"], ["ranker"], ["critic"], ["fuser"]]
    assert notes == [
        f"layers[0][0]: unit_test_generator left out: nothing evaluates its tests ({ADDED})"
    ]


def test_unit_tests_that_others_replace_are_left_out():
    other = TESTS | {"unit_test_cap": 9}
    spec, notes = imported([TESTS], [FIVE], [other], [JUDGE])
    assert [component.tests for component in spec.layers[1]] == [9]
    assert kinds(spec) == [["generator"], ["unit_test_generator"], ["unit_test_evaluator"]]
    assert any(note.startswith("layers[0][0]: unit_test_generator left out") for note in notes)


def test_only_the_last_generators_count():
    spec, notes = imported([ONE], [FUSER], [FIVE], [FUSER])
    assert kinds(spec) == [["generator"], ["fuser"]]
    assert spec.layers[0][0].samples == 5
    why = "left out: generators further on replace its candidates"
    assert notes == [f"layers[0][0]: generator {why}", f"layers[1][0]: fuser {why}"]


def test_models_only_such_layers_use_are_left_out_too():
    spec, _ = imported([bare("generator", "gpt-4o", "OpenAI_API")], [ONE])
    assert list(spec.models) == ["Qwen2-72B-Instruct"]


def test_unit_tests_before_them_stay():
    spec, _ = imported([TESTS], [ONE], [FIVE], [JUDGE])
    assert kinds(spec) == [["unit_test_generator"], ["generator"], ["unit_test_evaluator"]]
    assert spec.layers[1][0].samples == 5


def test_twins_become_one_with_the_samples_of_both():
    other = bare("generator", "gpt-4o", "OpenAI_API")
    spec, notes = imported([ONE, other, FIVE, ONE], [FUSER])
    assert [(c.model, c.samples) for c in spec.layers[0]] == [
        ("Qwen2-72B-Instruct", 7),
        ("gpt-4o", 1),
    ]
    assert notes == ["layers[0][2-3]: left out: layers[0][0] draws its samples too"]


def test_greedy_twins_are_copies():
    greedy = bare("generator", temperature=0)
    spec, _ = imported([greedy, greedy])
    assert [c.samples for c in spec.layers[0]] == [1]


def test_twins_that_differ_in_more_than_number_stay():
    spec, notes = imported([ONE, ONE | {"max_tokens": 64}], [FUSER])
    assert len(spec.layers[0]) == 2
    assert notes == []


@pytest.mark.parametrize("tests", [[], [[TESTS]]])
def test_a_ranker_of_one_candidate_is_left_out_and_so_is_its_critic(tests):
    after = [[JUDGE]] if tests else []
    spec, notes = imported(*tests, [ONE], [CRITIC], [RANKER], *after)
    assert ["ranker"] not in kinds(spec)
    assert ["critic"] not in kinds(spec)
    depth = len(tests)
    assert f"layers[{depth + 2}][0]: ranker left out: only one candidate arrives" in notes
    told = f"layers[{depth + 1}][0]: critic left out: what follows makes no use of critiques"
    assert told in notes


def test_unit_tests_make_no_candidates():
    other = TESTS | {"unit_test_cap": 9}
    _, notes = imported([ONE], [TESTS, other], [JUDGE | {"top_k": 2}], [RANKER])
    assert "layers[3][0]: ranker left out: only one candidate arrives" in notes


def test_critiques_are_read_by_what_follows_a_ranker_that_is_left_out():
    spec, _ = imported([ONE], [CRITIC], [RANKER], [FUSER])
    assert kinds(spec) == [["generator"], ["critic"], ["fuser"]]


def test_a_critic_at_the_end_is_left_out():
    spec, notes = imported([ONE], [CRITIC])
    assert kinds(spec) == [["generator"]]
    assert notes == ["layers[1][0]: critic left out: what follows makes no use of critiques"]


@pytest.mark.parametrize(
    "layers",
    [
        [[FIVE], [CRITIC], [RANKER], [FUSER]],
        [[FIVE], [RANKER], [CRITIC], [FUSER]],
        [[FIVE], [CRITIC], [RANKER], [CRITIC], [FUSER]],
        [[FIVE], [RANKER], [CRITIC], [VERIFIER], [FUSER]],
        [[FIVE], [VERIFIER], [FUSER]],
        [[FIVE], [FUSER, FUSER | {"temperature": 0.1}], [FUSER]],
        [[FIVE], [FUSER | {"samples": 3}], [CRITIC], [RANKER | {"top_k": 1}]],
        [[FIVE], [TESTS], [JUDGE | {"top_k": 3}], [VERIFIER], [FUSER]],
    ],
)
def test_an_order_that_follows_the_rules_stays(layers):
    spec, _ = imported(*layers)
    assert kinds(spec) == [[part["type"] for part in layer] for layer in layers]


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        ([[FUSER]], "layers[0][0] (fuser): a fuser cannot come first"),
        ([[RANKER], [FUSER]], "layers[0][0] (ranker): a ranker cannot come first"),
        ([[FIVE], [CRITIC, RANKER]], "layers[1][0] (critic): a critic stands alone in its layer"),
        ([[FIVE], [FUSER, VERIFIER]], "layers[1][0] (fuser): a layer holds components of one type"),
        ([[FIVE], [RANKER, RANKER], [FUSER]], "layers[1][0] (ranker): a ranker stands alone"),
        ([[FIVE], [JUDGE]], "layers[1][0] (unit_test_evaluator): no component before it writes"),
        ([[TESTS]], "layers: Tuple should have at least 1 item"),
    ],
)
def test_what_says_nothing_that_can_be_said_here_is_refused_with_its_place(layers, told):
    assert refused(config(*layers)).startswith(told)


def test_twins_that_would_draw_more_than_one_component_may_are_refused_with_their_place():
    many = part("generator", samples=1000)
    told = refused(config([many, many], [FUSER]))
    assert told.startswith("layers[0][1]: draws the same samples as layers[0][0], 2000 together")


@pytest.mark.parametrize(
    ("layers", "stale"),
    [
        ([[FIVE], [CRITIC], [FUSER, FUSER | {"temperature": 0.1}], [FUSER]], ["layers[3][0]"]),
        (
            [[FIVE], [CRITIC], [FUSER | {"samples": 3}], [RANKER], [VERIFIER]],
            ["layers[3][0]", "layers[4][0]"],
        ),
        ([[FIVE], [CRITIC], [RANKER], [FUSER]], []),
        ([[FIVE], [CRITIC], [FUSER | {"samples": 3}], [CRITIC], [RANKER]], []),
        ([[FIVE], [FUSER | {"samples": 3}], [RANKER]], []),
    ],
)
def test_critiques_of_earlier_candidates_that_are_not_shown_here_are_noted(layers, stale):
    _, notes = imported(*layers)
    told = [note for note in notes if note.endswith(STALE)]
    assert told == ([f"{', '.join(stale)}: {STALE}"] if stale else [])


def test_places_are_those_of_the_file_though_layers_went():
    told = refused(config([TESTS], [], [FIVE], [CRITIC, RANKER]))
    assert told.startswith("layers[3][0] (critic): a critic stands alone in its layer")


@pytest.mark.parametrize("provider", ["", "Together_API"])
def test_pairrm_needs_a_model_in_its_stead_that_compares_pairs(provider):
    pairrm = bare("ranker", PAIRRM, provider, ranker_batch_size=16)
    layers = [FIVE], [pairrm], [FUSER]
    told = refused(config(*layers))
    assert told.startswith("layers[1][0]: PairRM is a reward model that is not served here; ")
    assert f"--model {PAIRRM}=zoo:ENTRY" in told
    spec, notes = imported(*layers, models={PAIRRM: ZooModel(zoo="smollm2-135m")})
    assert (spec.layers[1][0].mode, spec.layers[1][0].top_k) == ("pairwise", 5)
    assert spec.models["smollm2-135m"] == ZooModel(zoo="smollm2-135m")
    assert notes == [
        f"layers[1][0]: {PAIRRM} compared pairs in batches; smollm2-135m does so in its stead, two "
        "calls each"
    ]
