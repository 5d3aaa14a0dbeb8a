"""A pipeline as a tree: what each part is, what it may take, what it was seen to take."""

import json
import random

import pytest

from archon.components import Candidate, Component
from archon.components.weaver import Weaver
from archon.energy import Coef, ModelPrice
from archon.errors import UsageError
from archon.report.pipeline_tree import pipeline_tree
from archon.report.tree import Spent
from archon.spec import PipelineSpec

MODELS = {"small": {"zoo": "tiny"}, "big": {"zoo": "huge"}}
DRAW = {"type": "generator", "model": "small", "samples": 4, "temperature": 0.8, "max_tokens": 50}
ONE = {"type": "generator", "model": "big", "temperature": 0.0, "max_tokens": 50}
NOTHING = Coef(0.0, 0.0, 0.0)


def price(decode_j, call_j):
    fixed = [Coef(value, value, value) for value in (decode_j, call_j)]
    return ModelPrice(Coef(9.0, 9.0, 9.0), *fixed, NOTHING, NOTHING, NOTHING)


def tree(*layers, prices=None, **more):
    spec = {"name": "it", "models": MODELS, "layers": [list(layer) for layer in layers], **more}
    return pipeline_tree(PipelineSpec.model_validate(spec), prices)


def seen(*rows, **more):
    names = ("component", "model", "calls", "energy_j")
    return more | {"components": [dict(zip(names, row, strict=True)) for row in rows]}


def after_four(component):
    """The node of a component that up to four candidates come to."""
    return tree([DRAW], [component]).layers[1][0]


# What it is


def test_settings_are_those_that_are_not_as_they_would_be_anyway():
    ((draw,), (vote,)) = tree([DRAW | {"max_tokens": 512}], [{"type": "vote"}]).layers
    assert (draw.kind, draw.model) == ("generator", "small")
    assert draw.settings_told == "samples 4, temperature 0.8"
    assert (vote.kind, vote.model, vote.settings_told) == ("vote", None, "")


def test_settings_of_every_kind_are_told_on_one_line():
    asked = DRAW | {"stop": ["\n", "END"], "instruction": "Say\nthe number. " * 20}
    told = tree([asked]).layers[0][0].settings_told
    assert "stop   END" in told
    assert "\n" not in told
    assert len(told) < 160


# What it may take


def test_programs_that_run_are_calls_of_the_sandbox_which_no_model_prices():
    write = {"type": "unit_test_generator", "model": "big", "tests": 3, "kind": "python"}
    layers = [write], [DRAW], [{"type": "unit_test_evaluator"}]
    measured = seen(("unit_test_evaluator", "sandbox", 9.0, 3.0))
    whole = tree(*layers, prices={"small": price(0.5, 2.0)}, measured=measured)
    (node,) = whole.layers[2]
    assert (node.calls, node.tokens, node.priced_j) == ((0, 12), 0, None)
    assert node.measured == Spent(9.0, 3.0)
    assert whole.total.priced_j is None


@pytest.mark.parametrize(
    ("component", "told"),
    [
        ({"type": "vote"}, "no calls"),
        ({"type": "fuser", "model": "big"}, "1 call, at most 512 tokens"),
        ({"type": "verifier", "model": "big"}, "1 to 4 calls, at most 4 tokens"),
        (
            {"type": "verifier", "model": "big", "mode": "reason", "max_tokens": 100},
            "1 to 4 calls, at most 400 tokens",
        ),
        ({"type": "ranker", "model": "big"}, "at most 1 call, at most 48 tokens"),
        ({"type": "ranker", "mode": "score"}, "no calls"),
        (
            {"type": "ranker", "model": "big", "mode": "pairwise"},
            "at most 12 calls, at most 12 tokens",
        ),
        (
            {"type": "ranker", "model": "big", "mode": "pairwise", "pairs": 2},
            "at most 4 calls, at most 4 tokens",
        ),
    ],
)
def test_calls_and_tokens_are_limits_for_one_query(component, told):
    assert after_four(component).takes_told == told


def test_a_sampler_that_may_stop_early_takes_a_range():
    node = tree([DRAW | {"type": "sequential", "samples": 6}]).layers[0][0]
    assert node.takes_told == "2 to 6 calls, at most 300 tokens"


def test_a_critic_takes_one_call_or_one_for_each_candidate():
    fuse = {"type": "fuser", "model": "big"}
    told = [
        tree([DRAW], [{"type": "critic", "model": "big", "mode": mode}], [fuse]).layers[1][0].calls
        for mode in ("listwise", "pointwise")
    ]
    assert told == [(1, 1), (1, 4)]


def test_an_evaluator_judges_each_candidate_by_each_test():
    write = {"type": "unit_test_generator", "model": "big", "tests": 3}
    judge = {"type": "unit_test_evaluator", "model": "big"}
    whole = tree([write], [DRAW], [judge])
    assert whole.layers[2][0].calls == (0, 12)
    assert whole.total.calls == (5, 17)
    assert whole.total.tokens == 384 + 200 + 12


def test_the_pipeline_takes_what_its_parts_take():
    whole = tree([DRAW, ONE], [{"type": "vote"}]).total
    assert (whole.calls, whole.tokens) == ((5, 5), 250)


def test_of_a_component_that_does_not_tell_nothing_is_known():
    class Odd(Component):
        type: str = "odd"
        model: str = "big"

        def run(self, *_):
            raise AssertionError

        def most_candidates(self, arriving):
            return arriving

    whole = tree([DRAW], [Odd()])
    assert whole.layers[1][0].calls is None
    assert whole.layers[1][0].takes_told == "– calls"
    assert whole.total.calls is whole.total.tokens is whole.total.priced_j is None


# What that costs


def test_joules_are_of_calls_and_written_tokens_at_their_limits_prompts_left_out():
    prices = {"small": price(0.5, 2.0), "big": price(1.0, 3.0)}
    whole = tree([DRAW, ONE], [{"type": "vote"}], prices=prices)
    ((draw, one), (vote,)) = whole.layers
    assert draw.priced_j == 4 * 2.0 + 200 * 0.5
    assert one.priced_j == 3.0 + 50
    assert vote.priced_j == 0
    assert whole.total.priced_j == 108 + 53


def test_what_has_no_price_is_not_priced():
    whole = tree([DRAW, ONE], prices={"small": price(0.5, 2.0)})
    assert whole.layers[0][0].priced_j == 108
    assert whole.layers[0][1].priced_j is None
    assert whole.total.priced_j is None


# What it was seen to take


def test_measured_numbers_stand_at_the_component_and_model_they_are_of():
    measured = seen(("generator", "small", 4.0, 3.0), ("generator", "big", 1.0, 9.0))
    whole = tree([DRAW, ONE], [{"type": "vote"}], measured=measured)
    ((draw, one), (vote,)) = whole.layers
    assert draw.measured == Spent(4.0, 3.0)
    assert one.measured == Spent(1.0, 9.0)
    assert vote.measured == Spent(0, 0)
    assert whole.total.measured == Spent(5.0, 12.0)
    assert [whole.share(node) for node in (draw, one)] == [0.25, 0.75]
    assert whole.measured_told(draw) == "4 calls, 3 J (25%)"


def test_parts_that_are_accounted_together_say_so():
    twins = [DRAW, DRAW | {"style": "steps"}]
    whole = tree(twins, measured=seen(("generator", "small", 8.0, 3.0)))
    assert [node.measured for node in whole.layers[0]] == [Spent(8.0, 3.0, alike=2)] * 2
    assert whole.total.measured == Spent(8.0, 3.0)
    told = whole.measured_told(whole.layers[0][0])
    assert told == "8 calls, 3 J (100%) by 2 such together"


@pytest.mark.parametrize("measured", [None, {}, {"accuracy": 0.5, "energy_j": 3.0}])
def test_where_nobody_looked_nothing_is_measured(measured):
    whole = tree([DRAW], measured=measured)
    assert whole.layers[0][0].measured is None
    assert whole.measured_told(whole.layers[0][0]) == "–"


def test_calls_without_joules_are_calls_without_joules():
    whole = tree([DRAW], measured=seen(("generator", "small", 4.0, None)))
    assert whole.measured_told(whole.layers[0][0]) == "4 calls, –"


def test_malformed_measurements_are_named_with_their_place():
    with pytest.raises(UsageError, match=r"^it: measured\.components\[0\]\.calls: .*number"):
        tree([DRAW], measured=seen(("generator", "small", "four", 3.0)))


# Pipelines in pipelines


CASCADE = {
    "type": "cascade",
    "stages": [[[DRAW]], [[ONE], [{"type": "verifier", "model": "small"}]]],
    "thresholds": [0.8],
    "accept": "agreement",
}


def test_stages_are_branches_and_only_the_first_is_sure_to_run():
    whole = tree([CASCADE])
    (node,) = whole.layers[0]
    ((first,), (second,)) = node.layers
    assert node.settings_told == "thresholds 0.8, accept agreement"
    assert [first.kind, second.kind] == ["stage 1", "stage 2"]
    assert (first.calls, second.calls) == ((4, 4), (0, 2))
    assert [row[0].kind for row in second.layers] == ["generator", "verifier"]
    assert second.layers[0][0].takes_told == "at most 1 call, at most 50 tokens"
    assert node.calls == whole.total.calls == (4, 6)


def test_what_stages_were_seen_to_take_adds_up():
    measured = seen(
        ("cascade, stage 1 generator", "small", 4.0, 3.0),
        ("cascade, stage 2 generator", "big", 0.25, 2.0),
        ("cascade, stage 2 verifier", "small", 0.25, 1.0),
    )
    (node,) = tree([CASCADE], measured=measured).layers[0]
    ((first,), (second,)) = node.layers
    assert first.measured == first.layers[0][0].measured == Spent(4.0, 3.0)
    assert second.measured == Spent(0.5, 3.0)
    assert second.layers[1][0].measured == Spent(0.25, 1.0)
    assert node.measured == Spent(4.5, 6.0)


def test_a_stage_is_not_taken_for_another_whose_number_begins_like_its_own():
    stages = [[[DRAW | {"max_tokens": 50 + n}]] for n in range(10)]
    deep = CASCADE | {"stages": stages, "thresholds": [0.8] * 9}
    rows = [(f"cascade, stage {n} generator", "small", 4.0, float(n)) for n in range(1, 11)]
    (node,) = tree([deep], measured=seen(*rows)).layers[0]
    assert [row[0].measured.energy_j for row in node.layers] == list(range(1, 11))


def test_of_a_route_one_branch_runs():
    branches = [[[ONE]], [[DRAW], [{"type": "vote"}]]]
    prices = {"small": price(0.5, 2.0), "big": price(1.0, 3.0)}
    route = {"type": "route", "branches": branches, "by": "learned", "threshold": 0.5}
    (node,) = tree([route], prices=prices).layers[0]
    assert [part.kind for part in node.layers[0]] == ["branch 1", "branch 2"]
    assert (node.calls, node.tokens, node.priced_j) == ((0, 4), 200, 108)
    assert node.found_told == "fitted: not yet"


# Weavers


def weaver(**settings):
    verifiers = ["consistency", "judge(model=big)", "judge(model=big, reads=answer)"]
    return {"type": "weaver", "verifiers": verifiers, **settings}


def test_verifiers_are_leaves_with_the_calls_they_make():
    node = after_four(weaver())
    (leaves,) = node.layers
    assert [leaf.kind for leaf in leaves] == ["consistency", "judge", "judge"]
    assert [leaf.calls for leaf in leaves] == [(0, 0), (1, 4), (0, 4)]
    assert leaves[2].settings_told == "reads answer"
    assert (node.calls, node.found_told) == ((1, 8), "fitted: not yet")


def test_what_fitting_found_out_stands_at_each_verifier():
    dice = random.Random(0)
    rows, correct = [], []
    for _ in range(40):
        truths = [dice.random() < 0.5 for _ in range(4)]
        sure = [0.9 if truth == (dice.random() < 0.9) else 0.1 for truth in truths]
        rows.append([Candidate("a", "a", "a", "m", verdicts=(0.5, one, one)) for one in sure])
        correct.append(truths)
    fitted = Weaver.model_validate(weaver(method="em")).fit(rows, correct, seed=0)
    left_out, judge, repeats = after_four(fitted).layers[0]
    assert left_out.found_told.startswith("left out: ")
    assert judge.found_told.startswith("TPR 0.")
    assert ", TNR 0." in judge.found_told
    assert judge.calls == (1, 4)
    assert repeats.found_told.startswith("left out: ")
    assert repeats.takes_told == "no calls"


def test_below_a_threshold_judges_may_be_spared():
    assert after_four(weaver(threshold=0.9)).calls == (0, 8)


@pytest.mark.parametrize(
    ("verifier", "calls"),
    [
        ("pairwise(model=big)", (0, 12)),
        ("pairwise(model=big, pairs=1)", (0, 2)),
        ("medoid(model=big)", (0, 4)),
        ("reward(model=big)", (1, 4)),
        ("length", (0, 0)),
    ],
)
def test_every_verifiers_calls_are_known(verifier, calls):
    assert after_four({"type": "weaver", "verifiers": [verifier]}).calls == calls


def test_verifiers_that_ask_one_model_are_accounted_together():
    measured = seen(("generator", "small", 4.0, 3.0), ("weaver", "big", 2.0, 1.0))
    whole = tree([DRAW], [weaver()], measured=measured)
    (node,) = whole.layers[1]
    assert node.measured == Spent(2.0, 1.0)
    assert [leaf.measured for leaf in node.layers[0]] == [
        Spent(0, 0),
        Spent(2.0, 1.0, alike=2),
        Spent(2.0, 1.0, alike=2),
    ]


# As JSON


def test_it_can_be_read_by_a_program():
    measured = seen(("cascade, stage 1 generator", "small", 4.0, 3.0), accuracy=0.5)
    told = json.loads(json.dumps(tree([CASCADE], measured=measured).to_json()))
    assert told["name"] == "it"
    assert told["measured"]["accuracy"] == 0.5
    stage = told["pipeline"]["layers"][0][0]["layers"][0][0]
    assert (stage["kind"], stage["calls"]) == ("stage 1", [4, 4])
    assert stage["measured"]["energy_j"] == 3.0
