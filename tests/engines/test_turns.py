"""Turns: one model at a time on shared cores."""

import asyncio
import random
from collections import Counter

import pytest

from archon.engines import turns as module
from archon.engines.pool import ZooPool
from archon.engines.turns import Turns
from archon.engines.zoo import ZooEntry


class Log:
    """Models at work, by the order in which their calls begin."""

    def __init__(self):
        self.now = Counter()
        self.begun = []

    async def call(self, turns, model, steps=1):
        async with turns.of(model):
            self.now[model] += 1
            self.begun.append(model)
            assert [name for name, calls in self.now.items() if calls] == [model]
            try:
                for _ in range(steps):
                    await asyncio.sleep(0)
            finally:
                self.now[model] -= 1


def test_two_models_never_work_at_once_and_every_call_is_made():
    async def run(seed):
        rng = random.Random(seed)
        log, turns = Log(), Turns()

        async def query():
            for _ in range(rng.randint(1, 5)):
                await asyncio.gather(
                    *(
                        log.call(turns, rng.choice("abc"), rng.randint(1, 9))
                        for _ in range(rng.randint(1, 4))
                    )
                )

        await asyncio.wait_for(asyncio.gather(*(query() for _ in range(12))), 30)
        return log

    for seed in range(50):
        log = asyncio.run(run(seed))
        assert not any(log.now.values())


def test_calls_of_one_model_run_together_and_those_of_the_next_wait_for_all_of_them():
    async def run():
        log, turns = Log(), Turns()
        await asyncio.gather(*(log.call(turns, model) for model in "aaabbaab"))
        return log.begun

    # Two of b do not outnumber three of a; with two more of a begun meanwhile, three do not either.
    assert "".join(asyncio.run(run())) == "aaaaabbb"


def test_a_model_that_is_outnumbered_takes_no_further_calls():
    async def run():
        log, turns = Log(), Turns()
        await asyncio.gather(*(log.call(turns, model) for model in "abaaa"))
        return log.begun

    assert "".join(asyncio.run(run())) == "abaaa"


def test_a_lone_call_waits_no_longer_than_patience_allows(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE_S", 0.0)

    async def run():
        log, turns = Log(), Turns()
        first = [asyncio.create_task(log.call(turns, "a", steps=3)) for _ in range(5)]
        await asyncio.sleep(0)
        await asyncio.gather(*first, log.call(turns, "b"), log.call(turns, "a"))
        return log.begun

    assert "".join(asyncio.run(run())) == "aaaaaba"


@pytest.mark.parametrize("steps", range(8))
def test_a_cancelled_call_gives_its_place_up_whenever_it_is_cancelled(steps):
    async def run():
        log, turns = Log(), Turns()
        kept = [asyncio.create_task(log.call(turns, "a", 3)) for _ in range(2)]
        doomed = [asyncio.create_task(log.call(turns, model, 2)) for model in "bcb"]
        for _ in range(steps):
            await asyncio.sleep(0)
        for task in doomed:
            task.cancel()
        later = [asyncio.create_task(log.call(turns, model)) for model in "bca"]
        ended = await asyncio.wait_for(
            asyncio.gather(*kept, *doomed, *later, return_exceptions=True), 10
        )
        assert [one for one in ended if isinstance(one, AssertionError)] == []
        assert [ended[index] for index in (0, 1, 5, 6, 7)] == [None] * 5

    asyncio.run(run())


def test_a_call_that_fails_ends_its_turn():
    async def run():
        log, turns = Log(), Turns()

        async def failing():
            async with turns.of("a"):
                raise OSError("gone")

        ended = await asyncio.gather(failing(), log.call(turns, "b"), return_exceptions=True)
        assert list(map(type, ended)) == [OSError, type(None)]

    asyncio.run(run())


def test_models_on_this_machines_cores_share_their_turns_and_others_do_not(tmp_path):
    here = {"near": "http://127.0.0.1:1/v1", "nearer": "http://localhost:2/v1"}
    urls = here | {"far": "http://example.org/v1"}
    zoo = {name: ZooEntry(name=name, base_url=url) for name, url in urls.items()}

    def sharing(device):
        pool = ZooPool(zoo, device=device, concurrency=4, log_dir=tmp_path, tell=str)
        pool.start([pool.identity(name) for name in zoo])
        return [pool.engine(pool.identity(name)).turns for name in zoo]

    near, nearer, far = sharing("cpu")
    assert near is nearer is not None
    assert far is None
    assert sharing("cuda") == [None] * 3
