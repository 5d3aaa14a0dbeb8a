"""Live: queries flow through the pipeline concurrently, as they would when it is served."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from archon.components.state import Drawn
from archon.engines.base import Engine, Request
from archon.pipeline.calls import CallStore
from archon.pipeline.gather import gather_or_cancel
from archon.pipeline.walk import Pipeline, QueryResult
from archon.tasks.task import Query


async def run_live(
    pipeline: Pipeline,
    queries: Sequence[Query],
    store: CallStore,
    engine_of: Callable[[str], Engine],
    *,
    concurrency: int,
    window: int | None = None,
    on_done: Callable[[QueryResult], None] = lambda _: None,
) -> list[QueryResult]:
    """Run a pipeline over queries, `concurrency` of them in flight.

    Calls come from the engines; only a call that the same epoch already holds is not made again.

    Args:
        engine_of: Model identity → its engine.
        window: Ledger id of the metered window the calls are made in.
        on_done: Called as each query finishes.

    Raises:
        EngineError: A server is gone; calls completed before stay in the store.
    """
    slots = asyncio.Semaphore(concurrency)
    draw = partial(_draw, store=store, engine_of=engine_of, window=window)

    async def one(query: Query) -> QueryResult:
        async with slots:
            result = await _run_query(pipeline, query, draw)
        on_done(result)
        return result

    return await gather_or_cancel([one(query) for query in queries])


async def _run_query(
    pipeline: Pipeline, query: Query, draw: Callable[[Request], Coroutine[Any, Any, Drawn]]
) -> QueryResult:
    result = QueryResult(query)
    walk = pipeline.walk(query)
    drawn: Sequence[Drawn] | None = None
    while True:
        try:
            asks = walk.send(drawn)  # type: ignore[arg-type]
        except StopIteration as stop:
            result.candidates = stop.value
            return result
        # Equal requests of one step are drawn once, at the largest number of samples asked for.
        largest: dict[bytes, Request] = {}
        for ask in asks:
            known = largest.get(ask.request.key)
            if known is None or known.samples < ask.request.samples:
                largest[ask.request.key] = ask.request
        made = await gather_or_cancel([draw(request) for request in largest.values()])
        by_key = {one.request.key: one for one in made}
        drawn = [by_key[ask.request.key] for ask in asks]
        for ask, one in zip(asks, drawn, strict=True):
            result.note(ask, one)


async def _draw(
    request: Request,
    store: CallStore,
    engine_of: Callable[[str], Engine],
    window: int | None,
) -> Drawn:
    engine = engine_of(request.model)
    salt = f"epoch {store.epoch}"

    async def sample(index: int) -> None:
        seed = request.seed(index, store.epoch)
        completion = await engine.complete(request.messages, request.sampling, seed, salt)
        store.add(request, index, completion, window)

    await gather_or_cancel([sample(index) for index in store.missing(request)])
    drawn = store.drawn(request)
    assert drawn is not None
    return drawn
