"""Running specs live, queries in flight."""

import asyncio
import os
import threading

import pytest
from pipeline_kit import FUSER, GENERATORS, VOTE, World, generators, no_calls, pipeline, queries

from archon.engines.base import Completion, Engine
from archon.engines.programs import SandboxEngine
from archon.errors import EngineError
from archon.ledger import Ledger
from archon.pipeline import CallStore, run_live
from archon.tasks import sandbox
from archon.tasks.sandbox import Verdict


class Gated(Engine):
    """Answers when told to; counts what is in flight."""

    def __init__(self):
        self.identity, self.prefix_block = "identity", 0
        self.gate = asyncio.Event()
        self.in_flight = []
        self.most = self.cancelled = 0
        self.salts = set()

    async def complete(self, messages, _sampling, _seed, salt):
        self.salts.add(salt)
        self.in_flight.append(messages[-1].content)
        self.most = max(self.most, len(self.in_flight))
        try:
            if "What is 0" in messages[-1].content:
                await asyncio.wait_for(self.gate.wait(), 10)
            else:
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.in_flight.remove(messages[-1].content)
        return Completion("It is 2", "stop", 5, 2)


def test_only_so_many_queries_are_in_flight():
    async def run(concurrency):
        engine = Gated()
        engine.gate.set()
        results = await run_live(
            pipeline(generators(1)),
            queries(9),
            no_calls(),
            lambda _: engine,
            concurrency=concurrency,
        )
        assert [result.answer for result in results] == ["2"] * 9
        return engine.most

    assert [asyncio.run(run(concurrency)) for concurrency in (1, 3, 99)] == [1, 3, 9]


def test_samples_and_components_of_a_layer_run_together():
    async def run():
        engine = Gated()
        engine.gate.set()
        await run_live(
            pipeline(GENERATORS), queries(1), no_calls(), lambda _: engine, concurrency=1
        )
        return engine.most

    assert asyncio.run(run()) == 5


def test_a_slow_query_does_not_hold_up_the_others():
    done = []

    async def run():
        engine = Gated()

        def note(result):
            done.append(result.query.id)
            if len(done) == 3:
                engine.gate.set()

        results = await run_live(
            pipeline(generators(2), [FUSER]),
            queries(4),
            no_calls(),
            lambda _: engine,
            concurrency=2,
            on_done=note,
        )
        return [result.query.id for result in results]

    assert asyncio.run(run()) == ["q0", "q1", "q2", "q3"]
    assert done == ["q1", "q2", "q3", "q0"]


def test_a_slow_program_does_not_hold_up_other_queries(monkeypatch):
    others_done, done = threading.Event(), []

    def passes(forms, *_, **__):
        if forms[0].endswith("return 1"):
            assert others_done.wait(20)
        return Verdict("passed", "", seconds=0.1, cpu_s=0.1)

    def writes(messages, *_):
        prompt = messages[-1].content
        if "tests of the Python function" in prompt:
            return '{"function": "f", "tests": ["assert f()"]}'
        number = int(prompt.split()[2]) + 1
        return f"```python\ndef f():\n    return {number}\n```\nAnswer: {number}"

    def note(result):
        done.append(result.query.id)
        if len(done) == 3:
            others_done.set()

    monkeypatch.setattr(sandbox, "passes", passes)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    world = World(writes)
    programs = SandboxEngine()
    world.engines[programs.identity] = programs
    tests = {"type": "unit_test_generator", "model": "m", "kind": "python"}
    layers = [tests], generators(1), [{"type": "unit_test_evaluator"}]
    world.live(pipeline(*layers), queries(4), no_calls(), concurrency=4, on_done=note)
    assert done[-1] == "q0"
    assert sorted(done) == ["q0", "q1", "q2", "q3"]


def test_calls_an_epoch_holds_are_not_made_again_but_those_of_others_are(tmp_path):
    world = World()
    with Ledger(tmp_path / "ledger") as ledger:
        for epoch, calls in [(1, 15), (1, 15), (2, 30), (0, 45)]:
            world.live(pipeline(GENERATORS), queries(3), CallStore(ledger, epoch), window=7)
            assert world.calls == calls
            ledger.flush()
        assert [ledger.count(epoch) for epoch in (0, 1, 2)] == [15, 15, 15]


def test_epochs_draw_other_samples_and_share_no_cache():
    async def run(epoch):
        engine = Gated()
        engine.gate.set()
        store = CallStore(None, epoch)
        await run_live(pipeline(generators(2)), queries(2), store, lambda _: engine, concurrency=1)
        return engine.salts

    salts = [asyncio.run(run(epoch)) for epoch in (1, 2)]
    assert [len(salt) for salt in salts] == [1, 1]
    assert salts[0] != salts[1]
    texts = [
        [
            candidate.text
            for result in World().live(pipeline(generators(4)), queries(6), CallStore(None, epoch))
            for candidate in result.candidates
        ]
        for epoch in (1, 2)
    ]
    assert texts[0] != texts[1]


def test_a_dead_server_ends_the_run_at_once_and_keeps_what_was_done():
    class Dying(Gated):
        async def complete(self, messages, sampling, seed, salt):
            if "What is 3" in messages[-1].content:
                raise EngineError("the server is gone")
            return await super().complete(messages, sampling, seed, salt)

    store, done = no_calls(), []

    async def run():
        engine = Dying()
        with pytest.raises(EngineError, match="gone"):
            await run_live(
                pipeline(generators(1), [FUSER]),
                queries(9),
                store,
                lambda _: engine,
                concurrency=4,
                on_done=lambda result: done.append(result.query.id),
            )
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return engine

    engine = asyncio.run(run())
    assert engine.cancelled >= 1  # the query that waited at the gate
    assert "q0" not in done
    world = World()
    world.live(pipeline(generators(1)), queries(3), store)
    assert world.calls == 1  # of q0; q1 and q2 had theirs


def test_what_failed_alone_does_not_end_the_run():
    def script(messages, *_):
        if "What is 1" in messages[-1].content:
            return Completion("", "refused", 0, 0, error="HTTP 400: too long")
        return "It is 2"

    bound = pipeline(generators(3), [VOTE])
    results = World(script).live(bound, queries(3), no_calls())
    assert [result.answer for result in results] == ["2", None, "2"]
    assert bound.context.counts["generation.failed"] == 3
