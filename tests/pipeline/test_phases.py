"""Running specs in phases, one model at a time, from a store of calls."""

from dataclasses import replace

import pytest
from pipeline_kit import (
    CRITIC,
    FUSER,
    GENERATORS,
    MODELS,
    RANKER,
    VERIFIER,
    VOTE,
    World,
    asked_of,
    generators,
    no_calls,
    pipeline,
    queries,
    query,
    spent,
)

from archon.components.generator import Generator
from archon.engines.base import Completion
from archon.errors import EngineError
from archon.ledger import Ledger
from archon.pipeline import CallStore, run_phases
from archon.tasks import Query

SPECS = [
    [generators(1)],
    [generators(4), [VOTE]],
    [GENERATORS, [RANKER], [VOTE]],
    [GENERATORS, [VERIFIER], [VOTE]],
    [GENERATORS, [CRITIC], [FUSER], [RANKER | {"top_k": 1}]],
    [GENERATORS, [RANKER], [FUSER, FUSER | {"model": "m"}], [VERIFIER], [VOTE]],
]


@pytest.mark.parametrize("layers", SPECS)
def test_phases_and_live_come_to_the_same(layers):
    phased = World().phased(pipeline(*layers), queries(6), no_calls())
    live = World().live(pipeline(*layers), queries(6), no_calls())
    assert [r.candidates for r in phased] == [r.candidates for r in live]
    assert [spent(r) for r in phased] == [spent(r) for r in live]
    assert [asked_of(r) for r in phased] == [asked_of(r) for r in live]
    assert len({r.answer for r in phased}) > 1  # the script does not say the same to all


def test_results_come_in_the_order_of_the_queries():
    results = World().phased(pipeline(*SPECS[4]), queries(5), no_calls())
    assert [result.query.id for result in results] == ["q0", "q1", "q2", "q3", "q4"]


@pytest.mark.parametrize("layers", SPECS)
def test_a_second_run_generates_nothing_and_comes_to_the_same(layers):
    world, store = World(), no_calls()
    first = world.phased(pipeline(*layers), queries(4), store)
    made = world.calls
    again = world.phased(pipeline(*layers), queries(4), store)
    assert world.calls == made == sum(sum(spent(r).values()) for r in first)
    assert [r.candidates for r in again] == [r.candidates for r in first]
    assert [spent(r) for r in again] == [spent(r) for r in first]


def test_a_run_of_another_process_is_replayed_from_the_ledger(tmp_path):
    world = World()
    with Ledger(tmp_path / "ledger") as ledger:
        first = world.phased(pipeline(*SPECS[4]), queries(4), CallStore(ledger))
    made = world.calls
    with Ledger(tmp_path / "ledger") as ledger:
        again = world.phased(pipeline(*SPECS[4]), queries(4), CallStore(ledger))
        assert ledger.count() == made
    assert world.calls == made
    assert [r.candidates for r in again] == [r.candidates for r in first]


def test_more_samples_generate_only_the_further_ones():
    world, store = World(), no_calls()
    world.phased(pipeline(generators(2)), queries(5), store)
    assert world.calls == 2 * 5
    world.phased(pipeline(generators(4), [VOTE]), queries(5), store)
    assert world.calls == 4 * 5
    results = world.phased(pipeline(generators(3)), queries(5), store)
    assert world.calls == 4 * 5
    assert [sum(spent(result).values()) for result in results] == [3] * 5


def test_fewer_samples_are_the_first_of_more():
    world, store = World(), no_calls()
    four = world.phased(pipeline(generators(4)), queries(5), store)
    two = World().phased(pipeline(generators(2)), queries(5), no_calls())
    assert [r.candidates[:2] for r in four] == [r.candidates for r in two]


def test_other_settings_share_nothing():
    world, store = World(), no_calls()
    world.phased(pipeline(generators(2)), queries(3), store)
    for settings in ({"temperature": 0.3}, {"style": "steps"}, {"max_tokens": 9}, {"model": "n"}):
        before = world.calls
        world.phased(pipeline(generators(2, **settings)), queries(3), store)
        assert world.calls == before + 2 * 3


def test_all_queries_are_asked_of_one_model_in_one_phase_per_step():
    world = World()
    world.phased(pipeline(GENERATORS, [CRITIC], [FUSER]), queries(5), no_calls())
    m, n = MODELS["m"], MODELS["n"]
    assert world.phases == [(m, 15), (n, 10), (m, 5), (n, 10)]


def test_queries_whose_calls_are_known_do_not_wait_for_the_others():
    world, store = World(), no_calls()
    world.phased(pipeline(generators(2), [FUSER]), queries(2), store)
    world.phases.clear()
    world.phased(pipeline(generators(2), [FUSER]), queries(5), store)
    assert world.phases == [(MODELS["m"], 6), (MODELS["n"], 6)]


def test_two_queries_with_one_prompt_share_their_calls_and_pay_each():
    twins = [query(1), Query("twin", query(1).messages, "2")]
    world = World()
    one, other = world.phased(pipeline(generators(3)), twins, no_calls())
    assert world.calls == 3
    assert one.candidates == other.candidates
    assert spent(one) == spent(other)


def test_the_same_request_at_two_places_is_made_and_counted_once():
    # the second fuser gets the same single candidate and so asks what the first asked
    fuser = {"type": "fuser", "model": "n", "temperature": 0.0, "samples": 1}
    world = World(lambda *_: "It is 2")
    (result,) = world.phased(pipeline(generators(1), [fuser], [fuser]), queries(1), no_calls())
    assert world.calls == 2
    assert asked_of(result) == {"0.0 generator": 1, "1.0 fuser": 1}
    (live,) = world.live(pipeline(generators(1), [fuser], [fuser]), queries(1), no_calls())
    assert world.calls == 4
    assert asked_of(live) == asked_of(result)


def test_equal_requests_of_one_layer_are_drawn_at_the_most_samples():
    # A spec with such a layer does not load; components of an extension may still ask alike.
    layer = tuple(map(Generator.model_validate, [*generators(2), *generators(4)]))
    one = pipeline(generators(2))
    twice = replace(one, spec=one.spec.with_layers((layer,)))
    for run in (World.phased, World.live):
        world = World()
        (result,) = run(world, twice, queries(1), no_calls())
        assert world.calls == 4
        assert asked_of(result) == {"0.1 generator": 4}
        assert result.candidates[:2] == result.candidates[2:4]


def test_failed_calls_yield_no_candidates_are_counted_and_not_stored(tmp_path):
    def failing(messages, *_):
        if "What is 1" in messages[-1].content:
            return Completion("", "error", 0, 0, attempts=4, error="HTTP 500")
        return "It is 3"

    with Ledger(tmp_path / "ledger") as ledger:
        broken = pipeline(generators(2), [VOTE])
        results = World(failing).phased(broken, queries(3), CallStore(ledger))
        assert [r.answer for r in results] == ["3", None, "3"]
        assert broken.context.counts["generation.failed"] == 2
        ledger.flush()
        assert ledger.count() == 4
        mended, world = pipeline(generators(2), [VOTE]), World(lambda *_: "It is 2")
        results = world.phased(mended, queries(3), CallStore(ledger))
        assert world.calls == 2
    assert [r.answer for r in results] == ["3", "2", "3"]
    assert mended.context.counts["generation.failed"] == 0


def test_calls_made_before_a_server_died_are_kept():
    world, store = World(), no_calls()

    def generate(model, jobs):
        if model == MODELS["n"]:
            raise EngineError("n is gone")
        for request, sample in jobs:
            store.add(request, sample, Completion("2", "stop", 5, 2), None)

    with pytest.raises(EngineError, match="n is gone"):
        run_phases(pipeline(GENERATORS), queries(3), store, generate)
    world.phased(pipeline(GENERATORS), queries(3), store)
    assert world.phases == [(MODELS["n"], 6)]


def test_a_generate_that_makes_nothing_is_a_defect():
    with pytest.raises(AssertionError, match="without the calls"):
        run_phases(pipeline(generators(1)), queries(1), no_calls(), lambda *_: None)


def test_no_queries_take_nothing():
    world = World()
    assert world.phased(pipeline(*SPECS[4]), [], no_calls()) == []
    assert world.calls == 0
