import asyncio

import pytest

from archon.pipeline.gather import gather_or_cancel


async def value(number):
    await asyncio.sleep(0)
    return number


def test_results_come_in_order():
    assert asyncio.run(gather_or_cancel([value(number) for number in range(5)])) == list(range(5))
    assert asyncio.run(gather_or_cancel([])) == []


def test_the_first_failure_is_raised_and_nothing_runs_on():
    ended = []

    async def forever():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def fails():
        await asyncio.sleep(0)
        raise KeyError("first")

    async def run():
        with pytest.raises(KeyError, match="first"):
            await gather_or_cancel([forever(), fails(), forever()])
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())
    assert ended == ["cancelled"] * 2


def test_cancelling_it_cancels_all():
    ended = []

    async def forever():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def run():
        task = asyncio.create_task(gather_or_cancel([forever(), forever()]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert ended == ["cancelled"] * 2
