"""Phases: all queries advance together, and calls still missing are made one model at a time."""

from collections.abc import Callable, Sequence

from archon.components.base import Ask
from archon.components.state import Drawn
from archon.engines.base import Request
from archon.pipeline.calls import CallStore
from archon.pipeline.walk import Pipeline, QueryResult, Walk
from archon.tasks.task import Query

Job = tuple[Request, int]
"""A request and the index of the sample to draw."""
Generate = Callable[[str, Sequence[Job]], None]
"""Makes jobs of one model (by identity) and adds them to the store."""


def run_phases(
    pipeline: Pipeline, queries: Sequence[Query], store: CallStore, generate: Generate
) -> list[QueryResult]:
    """Run a pipeline over queries from the store, generating only what it does not hold.

    A query runs on as long as its calls are known, so a pipeline whose calls are all known never
    touches a model. The rest wait at their step; their missing calls are then made in one phase
    per model, so that a machine which cannot hold two models loads each once per step.

    Raises:
        EngineError: From `generate`; calls completed before stay in the store.
    """
    results = [QueryResult(query) for query in queries]
    waiting: list[tuple[QueryResult, Walk, Sequence[Ask]]] = []
    for result in results:
        walk = pipeline.walk(result.query)
        asks = _advance(result, walk, None, store)
        if asks is not None:
            waiting.append((result, walk, asks))
    while waiting:
        _make_missing([ask.request for _, _, asks in waiting for ask in asks], store, generate)
        still = []
        for result, walk, asks in waiting:
            drawn = _all_drawn(asks, store)
            if drawn is None:
                raise AssertionError("a phase ended without the calls it was run for")
            _note(result, asks, drawn)
            further = _advance(result, walk, drawn, store)
            if further is not None:
                still.append((result, walk, further))
        waiting = still
    return results


def _advance(
    result: QueryResult, walk: Walk, drawn: Sequence[Drawn] | None, store: CallStore
) -> Sequence[Ask] | None:
    """Run a walk while its calls are known; return the asks it waits for, None at its end."""
    while True:
        try:
            asks = walk.send(drawn)  # type: ignore[arg-type]
        except StopIteration as stop:
            result.candidates = stop.value
            return None
        drawn = _all_drawn(asks, store)
        if drawn is None:
            return asks
        _note(result, asks, drawn)


def _all_drawn(asks: Sequence[Ask], store: CallStore) -> list[Drawn] | None:
    drawn = []
    for ask in asks:
        one = store.drawn(ask.request)
        if one is None:
            return None
        drawn.append(one)
    return drawn


def _note(result: QueryResult, asks: Sequence[Ask], drawn: Sequence[Drawn]) -> None:
    for ask, one in zip(asks, drawn, strict=True):
        result.note(ask, one)


def _make_missing(requests: Sequence[Request], store: CallStore, generate: Generate) -> None:
    store.load(requests)
    jobs: dict[str, dict[tuple[bytes, int], Job]] = {}
    for request in requests:
        for sample in store.missing(request):
            jobs.setdefault(request.model, {})[request.key, sample] = (request, sample)
    for model, wanted in jobs.items():
        generate(model, list(wanted.values()))
