"""Answers one question with a pipeline, and accounts for every call it took."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from archon.components import Context
from archon.energy import Recorder, share
from archon.engines.base import Completion, Engine
from archon.engines.programs import SANDBOX, SandboxEngine
from archon.pipeline import CallStore, Pipeline, QueryResult, run_live
from archon.spec import PipelineSpec
from archon.tasks import Query, Task


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call of the answer; ``energy_j`` is its share of the window, None if unmeasured."""

    component: str
    model: str
    prompt_tokens: int
    cached_tokens: int | None
    completion_tokens: int
    ttft_s: float | None
    latency_s: float
    attempts: int
    energy_j: float | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a pipeline answered and what it took.

    Attributes:
        answer: The first candidate's extracted answer, its text if none was stated, None if the
            pipeline ended without a candidate.
        p_correct: P(that candidate is correct) by the last judge, None if unjudged.
        calibrated: Whether that is fitted to known answers (a weaver's), not a judge's own word.
        energy_method: ``counter``, ``polled`` or ``estimated``; the window is the measurement,
            the calls' joules are shares of it.
        counts: What the components counted, such as ``ranker.unparsed``; without zeros.
    """

    answer: str | None
    p_correct: float | None
    calibrated: bool
    candidates: Sequence[Mapping[str, Any]]
    calls: Sequence[CallRecord]
    energy_j: float | None
    energy_method: str
    basis: str
    seconds: float
    counts: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)


def answer_one(
    spec: PipelineSpec,
    query: Query,
    task: Task,
    *,
    engines: Mapping[str, Engine],
    recorder: Recorder,
    runner: asyncio.Runner,
    concurrency: int,
    metered: bool = True,
    limits: Mapping[str, int] | None = None,
    programs: SandboxEngine | None = None,
) -> Answer:
    """Run a spec on one query, live, in one metered window.

    Args:
        engines: Model alias → engine.
        concurrency: Calls in flight per model.
        metered: False when a model runs on another machine: the answer's joules are then unknown.
        limits: Model alias → tokens of prompt and reply together, where that is known.
        programs: Runs programs; in the sandbox if left out.

    Raises:
        UsageError: The spec has components that were never fitted, or that cannot run here.
        EngineError: A server is gone.
    """
    spec.require_fitted()
    spec.require_room(limits or {})
    programs = programs or SandboxEngine()
    if spec.runs_programs:
        programs.require()
    by_identity = {engine.identity: engine for engine in (programs, *engines.values())}
    aliases = {programs.identity: SANDBOX, **{e.identity: alias for alias, e in engines.items()}}
    identities = {alias: engine.identity for alias, engine in engines.items()}
    context = Context(task, identities, limits=limits, sandbox=programs.identity)
    with recorder.window(spec.name, concurrency) as pending:
        (result,) = runner.run(
            run_live(
                Pipeline(spec, context),
                [query],
                CallStore(None),
                by_identity.__getitem__,
                concurrency=1,
            )
        )
    window = pending.window
    assert window is not None
    joules = window.joules(recorder.basis) if metered else None
    first = result.candidates[0] if result.candidates else None
    return Answer(
        answer=None if first is None else first.raw_answer or first.text,
        p_correct=None if first is None else first.score,
        calibrated=first is not None and first.calibrated,
        candidates=[
            {
                "text": candidate.text,
                "answer": candidate.raw_answer,
                "score": candidate.score,
                "model": candidate.origin,
            }
            for candidate in result.candidates
        ],
        calls=_calls(result, aliases, joules),
        energy_j=joules,
        energy_method=recorder.basis.method,
        basis=recorder.basis.label,
        seconds=window.seconds,
        counts={what: times for what, times in context.counts.items() if times},
    )


def _calls(
    result: QueryResult, aliases: Mapping[str, str], joules: float | None
) -> list[CallRecord]:
    made: list[tuple[str, str, Completion]] = [
        (spend.place, aliases[spend.drawn.request.model], completion)
        for spend in result.spent.values()
        for completion in spend.completions()
    ]
    shares: list[float | None] = [None] * len(made)
    if joules is not None and made:
        # One query alone has no price list; time in the server is what its joules went with.
        shares = share(joules, [call.latency_s for _, _, call in made]).tolist()
    return [
        CallRecord(
            component=place.partition(" ")[2],
            model=alias,
            prompt_tokens=call.prompt_tokens,
            cached_tokens=call.cached_tokens,
            completion_tokens=call.completion_tokens,
            ttft_s=call.ttft_s,
            latency_s=call.latency_s,
            attempts=call.attempts,
            energy_j=energy,
            error=call.error,
        )
        for (place, alias, call), energy in zip(made, shares, strict=True)
    ]
