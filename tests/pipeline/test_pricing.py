"""What calls cost by a price list."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pipeline_kit import GENERATORS, RANKER, VOTE, World, no_calls, pipeline, queries

from archon.components import Drawn
from archon.energy import Coef, ModelPrice, PriceList, ProgramPrice
from archon.engines.base import Completion, Request, Sampling
from archon.errors import UsageError
from archon.messages import Message
from archon.pipeline.pricing import Pricer

BLOCK = 16


def coef(value):
    return Coef(value, value, value)


def price_list(scale=1.0):
    price = ModelPrice(*(coef(scale * v) for v in (0.01, 0.1, 1.0, 0.001, 0.02, 0.3)))
    dear = ModelPrice(*(coef(scale * v) for v in (0.05, 0.4, 2.0, 0.004, 0.05, 0.5)))
    models = {"m": price, "identity of m": price, "identity of n": dear}
    programs = ProgramPrice(*(coef(scale * v) for v in (2.0, 0.25, 0.5, 0.125)))
    return PriceList(10.0, "gpu", "counter", 16, models, {}, programs)


def pricer(block=0):
    return Pricer(price_list(), {"m": block})


def call(prompt=40, completion=5, cached=None, attempts=1, **fields):
    return Completion("x", "stop", prompt, completion, cached, attempts=attempts, **fields)


def drawn(*completions):
    request = Request("m", (Message("user", "q"),), Sampling(0.7, 8), len(completions))
    return Drawn(request, list(completions))


def joules(prefill, decode, calls=1):
    return 0.01 * prefill + 0.1 * decode + 1.0 * calls


def seconds(prefill, decode, calls=1):
    return 0.001 * prefill + 0.02 * decode + 0.3 * calls


def cost(completion, *, again=False, block=0):
    found = pricer(block).call("m", completion, again=again)
    return found.joules, found.seconds


# One call


def test_a_call_pays_prefill_decode_and_itself():
    assert cost(call(40, 5)) == pytest.approx((joules(40, 5), seconds(40, 5)))


def test_tokens_the_server_took_from_its_cache_are_not_paid():
    assert cost(call(40, 5, cached=32))[0] == pytest.approx(joules(8, 5))
    assert cost(call(40, 5, cached=0), again=True, block=BLOCK)[0] == pytest.approx(joules(40, 5))


def test_where_the_server_does_not_tell_the_first_pays_all_and_the_next_what_no_block_gives():
    assert cost(call(40, 5), block=BLOCK)[0] == pytest.approx(joules(40, 5))
    assert cost(call(40, 5), again=True, block=BLOCK)[0] == pytest.approx(joules(40 - 32, 5))
    # the last token of a prompt is always computed
    assert cost(call(32, 5), again=True, block=BLOCK)[0] == pytest.approx(joules(32 - 16, 5))
    assert cost(call(16, 5), again=True, block=BLOCK)[0] == pytest.approx(joules(16, 5))
    assert cost(call(40, 5), again=True, block=0)[0] == pytest.approx(joules(40, 5))


def test_a_failed_attempt_pays_its_whole_prefill_and_its_call():
    assert cost(call(40, 5, attempts=3))[0] == pytest.approx(joules(3 * 40, 5, calls=3))
    assert cost(call(40, 5, cached=32, attempts=3))[0] == pytest.approx(joules(8 + 80, 5, calls=3))


def test_a_call_that_never_came_back_pays_its_attempts():
    lost = Completion("", "error", 0, 0, attempts=4, error="HTTP 500")
    refused = Completion("", "refused", 0, 0, error="HTTP 400")
    for again in (False, True):
        assert cost(lost, again=again, block=BLOCK)[0] == pytest.approx(joules(0, 0, calls=4))
        assert cost(refused, again=again, block=BLOCK)[0] == pytest.approx(joules(0, 0))


def test_a_model_without_a_price_is_told():
    with pytest.raises(UsageError, match="no price for model 'other'"):
        pricer().call("other", call(), again=False)


def test_a_program_pays_its_cpu_time_and_its_run_whatever_came_of_it():
    for text in (
        '{"outcome": "passed", "reason": ""}',
        '{"outcome": "timed_out", "reason": "5 s"}',
    ):
        ended = Completion(text, "stop", 0, 0, latency_s=9.0, cpu_s=3.0)
        for again in (False, True):
            assert cost(ended, again=again) == pytest.approx((6.0 + 0.25, 1.5 + 0.125))
    failed = Completion("", "error", 0, 0, attempts=2, error="killed", cpu_s=0.0)
    assert cost(failed) == pytest.approx((2 * 0.25, 2 * 0.125))


def test_without_a_price_for_programs_they_are_not_free():
    unpriced = Pricer(replace(price_list(), programs=None), {})
    with pytest.raises(UsageError, match="no price for running programs; calibrate again"):
        unpriced.call("sandbox", Completion("", "stop", 0, 0, cpu_s=0.0), again=False)


# Samples of a request

calls = st.builds(
    call,
    prompt=st.integers(0, 300),
    completion=st.integers(0, 100),
    cached=st.none() | st.just(0),
    attempts=st.integers(1, 3),
    cpu_s=st.none() | st.floats(0, 5),
)


@given(st.lists(calls, min_size=1, max_size=6), st.randoms())
def test_samples_cost_the_sum_of_their_calls_in_whatever_order_they_are_asked_for(made, random):
    expected = [0.0]
    for index, one in enumerate(made):
        priced = pricer(BLOCK).call("m", one, again=index > 0)
        expected.append(expected[-1] + priced.joules)
    taken, pricing = drawn(*made), pricer(BLOCK)
    sizes = list(range(len(made) + 1)) * 2
    random.shuffle(sizes)
    assert [pricing.spent(taken, size).joules for size in sizes] == [expected[s] for s in sizes]


@given(st.lists(calls, min_size=2, max_size=6))
def test_more_samples_never_cost_less(made):
    costs = [pricer(BLOCK).spent(drawn(*made), size) for size in range(len(made) + 1)]
    assert costs == sorted(costs, key=lambda one: one.joules)
    assert costs == sorted(costs, key=lambda one: one.seconds)
    assert (costs[0].joules, costs[0].seconds) == (0.0, 0.0)


def test_samples_drawn_later_are_priced_too():
    pricing, growing = pricer(), drawn(call(40, 5))
    assert pricing.spent(growing, 1).joules == pytest.approx(joules(40, 5))
    growing.completions.append(call(40, 7))
    assert pricing.spent(growing, 2).joules == pytest.approx(joules(40, 5) + joules(40, 7))


def test_epochs_pay_for_their_own_calls():
    pricing = pricer()
    one, other = drawn(call(40, 5)), drawn(call(40, 50))
    assert one.request.key == other.request.key
    assert pricing.spent(one, 1).joules == pytest.approx(joules(40, 5))
    assert pricing.spent(other, 1).joules == pytest.approx(joules(40, 50))


# Queries

LAYERS = GENERATORS, [RANKER], [VOTE]


def results(store=None, layers=LAYERS, order=1):
    asked = queries(6)[::order]
    found = World().phased(pipeline(*layers), asked, store or no_calls())
    return {result.query.id: result for result in found}


def test_prices_are_the_same_whoever_asks_and_in_whatever_order():
    store = no_calls()
    forth, back, anew = results(store), results(store, order=-1), results()
    pricing = pricer()
    for id_, result in forth.items():
        assert pricing.query(result) == pricing.query(back[id_])
        assert pricing.query(result) == pricer().query(anew[id_])


def test_a_query_costs_what_its_calls_cost():
    for result in results().values():
        pricing = pricer()
        made = [
            pricing.call(spend.drawn.request.model, one, again=index > 0)
            for spend in result.spent.values()
            for index, one in enumerate(spend.completions())
        ]
        assert len(made) in (5, 6)  # the ranker has nothing to do where all agree
        assert pricing.query(result).joules == pytest.approx(sum(one.joules for one in made))
        assert pricing.query(result).seconds == pytest.approx(sum(one.seconds for one in made))


def test_a_query_that_spent_nothing_costs_nothing():
    (result, *_) = results().values()
    assert pricer().query(replace(result, spent={})).joules == 0.0


def test_another_devices_prices_reprice_the_same_calls():
    (result, *_) = results().values()
    here, there = Pricer(price_list(), {}), Pricer(price_list(scale=2.0), {})
    assert there.query(result).joules == pytest.approx(2 * here.query(result).joules)
