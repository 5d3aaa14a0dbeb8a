"""Sequential sampling: the vote of all samples, from fewer of them."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playing import MESSAGES, MODELS, completion, failed
from pydantic import ValidationError

from archon.components import Context, Drawn, State
from archon.components.generator import Generator
from archon.components.sequential import Sequential, in_front
from archon.components.vote import Vote
from archon.tasks import FreeTask
from weaver.plurality import plurality


def draw(component, says):
    """Run a component on a model that says these things in turn; returns candidates, counts."""
    context = Context(FreeTask(), MODELS)
    steps = component.run(State("q1", MESSAGES), context)
    drawn, sent = [], None
    while True:
        try:
            (request,) = steps.send(sent)
        except StopIteration as stop:
            counts = {name: count for name, count in context.counts.items() if count}
            return stop.value, counts, drawn
        drawn.append(request.samples)
        replies = [one if one is None else completion(one) for one in says[: request.samples]]
        sent = [Drawn(request, [failed() if one is None else one for one in replies])]


def texts(candidates):
    return [candidate.text for candidate in candidates]


def test_it_stops_when_the_rest_cannot_change_the_plurality():
    kept, counts, drawn = draw(Sequential(model="m", samples=6, batch=2), "112222")
    assert (texts(kept), drawn) == (list("112222"), [2, 4, 6])
    kept, counts, drawn = draw(Sequential(model="m", samples=6, batch=2), "111122")
    assert (texts(kept), drawn) == (list("1111"), [2, 4])
    assert counts == {"sequential.saved": 2}


def test_a_lead_that_could_be_caught_up_is_not_decided():
    assert len(draw(Sequential(model="m", samples=4, batch=1), "1122")[0]) == 4
    assert len(draw(Sequential(model="m", samples=4, batch=1), "1112")[0]) == 3


def test_sure_stops_by_the_posterior_of_the_first_two():
    sure = Sequential(model="m", samples=10, batch=1, stop_when="sure", sure=0.9)
    # P(p > 1/2) after n votes of n: 1 - 2^-(n + 1), above 0.9 from the third on.
    assert len(draw(sure, "1" * 10)[0]) == 3
    assert len(draw(sure, "12" + "1" * 8)[0]) == 6


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (3, 0), (3, 1), (5, 4)])
def test_the_posterior_is_that_of_a_coin_with_a_uniform_prior(first, second):
    # P(p > 1/2 | k heads of n) = P(Binomial(n + 1, 1/2) <= k).
    total = first + second + 1
    expected = sum(math.comb(total, k) for k in range(first + 1)) / 2**total
    assert in_front(first, second) == pytest.approx(expected)


@given(st.lists(st.sampled_from("123"), min_size=8, max_size=8), st.integers(1, 4))
def test_decided_gives_the_plurality_of_all_samples(said, batch):
    kept, _, _ = draw(Sequential(model="m", samples=8, batch=batch), said)
    votes = Counter(said).most_common(2)
    some = plurality([one.answer for one in kept], [1.0] * len(kept), [0.0] * len(kept))
    if len(votes) == 1 or votes[0][1] > votes[1][1]:
        assert kept[some].answer == votes[0][0]
    assert texts(kept) == said[: len(kept)]


def test_failed_calls_have_no_vote_and_are_counted_once():
    kept, counts, _ = draw(Sequential(model="m", samples=5, batch=1), [None, "1", None, "1", "1"])
    assert texts(kept) == ["1", "1"]  # the fifth cannot outvote two
    assert counts == {"generation.failed": 2, "sequential.saved": 1}


def test_it_makes_the_calls_a_generator_makes_first():
    settings = {"model": "m", "samples": 4, "temperature": 0.7, "style": "steps"}
    context = Context(FreeTask(), MODELS)
    (some,) = Sequential(**settings, batch=1).run(State("q", MESSAGES), context).send(None)
    (every,) = Generator(**settings).run(State("q", MESSAGES), context).send(None)
    assert some.key == every.key


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"samples": 1}, "greater than or equal to 2"),
        ({"temperature": 0.0}, "greater than 0"),
        ({"samples": 2, "batch": 2}, "batch 2 is all 2 samples at once; use a generator"),
        ({"sure": 0.5}, "greater than 0.5"),
    ],
)
def test_what_is_wrong_is_said(settings, message):
    with pytest.raises(ValidationError, match=message):
        Sequential(model="m", **settings)


def test_a_vote_may_follow():
    kept, _, _ = draw(Sequential(model="m", samples=4, batch=2), "3355")
    steps = Vote().run(State("q1", MESSAGES, kept), Context(FreeTask(), MODELS))
    with pytest.raises(StopIteration) as stop:
        steps.send(None)
    assert texts(stop.value.value) == ["3"]
