"""The route: the question decides which pipeline answers, before anything is generated."""

import random

import pytest
from playing import completion, converse
from pydantic import ValidationError

from archon.components import State
from archon.components.generator import Generator
from archon.components.route import FEATURES, Route, Router, features
from archon.components.weaver import Weaver
from archon.errors import UsageError
from archon.messages import Message
from archon.spec import PipelineSpec, parse_spec

CHEAP = Generator(model="m", temperature=0.0, style="number_only")
DEAR = Generator(model="judge", temperature=0.0, style="steps")
BRANCHES = [[[CHEAP]], [[DEAR]]]
SHORT, LONG = "What is 1 + 2?", "What is 1 + 2 + 3 + 4 + 5 + 6?"


def ask(route, question):
    """Each model answers with its name."""
    state = State("q1", (Message("user", question),))
    return converse(route, state, lambda request: [completion(request.model)] * request.samples)


def learned(threshold=0.5, queries=60):
    """A router fitted where the cheap branch is right on short sums alone."""
    dice = random.Random(0)
    route = Route(branches=BRANCHES, by="learned", threshold=threshold)
    rows, correct = [], []
    for _ in range(queries):
        terms = dice.randint(2, 7)
        question = " + ".join(str(dice.randint(1, 99)) for _ in range(terms))
        rows.append(ask(route, question).candidates)
        correct.append([terms <= 4])
    return route.fit(rows, correct, seed=0)


def test_features_are_counts_of_the_last_turn():
    told = (Message("user", "Ignore 12345."), Message("user", "12 * 7\n= 084?"))
    counted = dict(zip(FEATURES, features(told), strict=True))
    assert counted == {
        "words": 5,
        "characters": 13,
        "numbers": 3,
        "digits": 6,
        "longest_number": 3,
        "operators": 2,
        "lines": 2,
    }
    assert set(features((Message("user", ""),))) <= {0.0, 1.0}


def test_a_rule_sends_what_exceeds_it_to_the_second_branch():
    route = Route(branches=BRANCHES, by="numbers", threshold=2)
    short, long = ask(route, SHORT), ask(route, LONG)
    assert (short.texts, short.counts) == (["identity of m"], {"route.branch 1": 1})
    assert (long.texts, long.counts) == (["identity of judge"], {"route.branch 2": 1})
    assert len(short.requests) == len(long.requests) == 1


def test_unfitted_the_first_branch_answers_and_the_features_are_kept():
    route = Route(branches=BRANCHES, by="learned", threshold=1.0)
    played = ask(route, LONG)
    assert route.needs_fit
    assert played.texts == ["identity of m"]
    assert played.candidates[0].verdicts == features((Message("user", LONG),))


def test_a_learned_router_finds_out_what_the_first_branch_cannot_do():
    route = learned()
    assert not route.needs_fit
    assert ask(route, "3 + 4 + 5").texts == ["identity of m"]
    assert ask(route, "3 + 4 + 5 + 61 + 7 + 8 + 9").texts == ["identity of judge"]
    assert ask(learned(threshold=0.0), LONG).texts == ["identity of m"]
    assert ask(learned(threshold=1.0), SHORT).texts == ["identity of judge"]


def test_queries_without_a_candidate_are_left_out_of_the_fit():
    route = Route(branches=BRANCHES, by="learned", threshold=0.5)
    rows = [ask(route, SHORT).candidates, ()]
    assert not route.fit(rows, [[True], []], seed=0).needs_fit
    with pytest.raises(UsageError, match="no query it is to be fitted on got a candidate"):
        route.fit([()], [[]], seed=0)


def test_a_router_of_one_kind_of_outcome_knows_no_more_than_its_share():
    router = Router.fit([features((Message("user", text),)) for text in (SHORT, LONG)], [True] * 2)
    assert router.chance(features((Message("user", "9" * 99),))) == pytest.approx(3 / 4)


def test_weavers_in_branches_are_fitted_before_the_router():
    woven = [[CHEAP.model_copy(update={"samples": 2, "temperature": 0.5})]]
    woven.append([Weaver(verifiers=["consistency"])])
    route = Route(branches=[woven, [[DEAR]]], by="learned", threshold=0.5)
    rows = [ask(route, SHORT).candidates] * 3
    half = route.fit(rows, [[True, False]] * 3, seed=0)
    assert half.needs_fit
    assert not half.branches[0][1][0].needs_fit
    rows = [ask(half, SHORT).candidates] * 3
    assert not half.fit(rows, [[True]] * 3, seed=0).needs_fit


def test_a_spec_gives_it_back_and_knows_it_by_its_models():
    spec = PipelineSpec.model_validate(
        {"models": {"m": {"zoo": "small"}, "judge": {"zoo": "big"}}, "layers": [[learned()]]}
    )
    again = parse_spec(spec.to_yaml(), "here")
    assert again == spec
    assert spec.used_models() == ("m", "judge")
    unfitted = Route(branches=BRANCHES, by="learned", threshold=0.5)
    assert spec.with_layers(((unfitted,),)).canonical == spec.canonical
    question = "3 + 4 + 5 + 61 + 7 + 8 + 9"
    assert ask(again.layers[0][0], question).texts == ["identity of judge"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"branches": [[[CHEAP]]]}, "branches"),
        ({"by": "colour"}, "by"),
        ({"by": "learned", "threshold": 2}, "threshold 2: a probability"),
        ({"by": "words", "fitted": learned().fitted}, "a route by words has nothing fitted"),
        ({"fitted": {"centre": [0]}}, "fitted.centre"),
        ({"branches": [[[Weaver(verifiers=["length"])]], [[DEAR]]]}, "a weaver cannot come first"),
    ],
)
def test_what_is_wrong_with_a_route_is_said(settings, message):
    given = {"type": "route", "branches": BRANCHES, "by": "words", "threshold": 3} | settings
    with pytest.raises(ValidationError, match=message):
        Route.model_validate(given)
