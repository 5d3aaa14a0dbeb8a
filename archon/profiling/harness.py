"""The profiling harness: each model alone, at each concurrency, warm, metered and repeated."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from archon.components import Context
from archon.components import generator as generators
from archon.energy import Basis, Meter, Recorder
from archon.engines.pool import ModelPool
from archon.errors import ArchonError
from archon.ledger import Ledger
from archon.pipeline import CallStore, Pipeline, QueryResult, run_live
from archon.profile import Call, LoadProfile, ModelProfile, Profile, Run
from archon.profile.figures import STEADY_SPREAD
from archon.search.calibrate import DESIGNS, measure_loads, open_store
from archon.search.generate import Generator, Tally
from archon.spec import PipelineSpec, ZooModel
from archon.tasks import Query, Task

MODEL = "model"
"""Alias of the profiled model in the workload's spec."""
MOST_RUNS = 2
"""Runs that do not settle are repeated up to so many times the wanted number."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked of every model.

    Attributes:
        task: Scores the answers.
        label: The task as text.
        queries: Asked once per run.
        style: Prompt style.
        max_tokens: Longest answer.
        concurrencies: Queries in flight, each a load of its own.
        repeats: Runs that the figures are of.
        rate: Queries/s to serve, for ``ipw``.
        idle_seconds: Length of each idle window.
        calibration_repeats: Windows of each calibration design.
    """

    task: Task
    label: str
    queries: Sequence[Query]
    style: str
    max_tokens: int
    concurrencies: tuple[int, ...]
    repeats: int = 3
    rate: float = 1.0
    idle_seconds: float = 5.0
    calibration_repeats: int = 2
    seed: int = 0

    def spec(self, model: str) -> PipelineSpec:
        """Return the workload: one greedy sample of the model."""
        alone = generators.Generator(
            model=MODEL, style=self.style, max_tokens=self.max_tokens, temperature=0.0
        )
        return PipelineSpec(
            name=f"{model} alone", models={MODEL: ZooModel(zoo=model)}, layers=((alone,),)
        )

    @property
    def windows(self) -> int:
        """Windows of one model at one load, idle ones included."""
        return len(DESIGNS) * self.calibration_repeats + self.repeats + 2


@dataclass(frozen=True, slots=True)
class Step:
    """Where a profile is: told after each window.

    Attributes:
        done: Fraction of the windows.
        joules: Spent so far in metered windows, loading included.
    """

    model: str
    concurrency: int
    what: str
    done: float
    joules: float


def profile_models(
    plan: Plan,
    models: Sequence[str],
    pool_of: Callable[[str], ModelPool],
    *,
    meter: Meter,
    basis: Basis,
    hardware: Mapping[str, str],
    ledger: Ledger,
    on_step: Callable[[Step], None] = lambda _: None,
    on_load: Callable[[Profile], None] = lambda _: None,
) -> Profile:
    """Profile models one after the other, so that each has the machine to itself.

    Args:
        models: Zoo names.
        pool_of: Opens the pool of one model; it is closed when the model is done.
        hardware: Fingerprint of the machine.
        ledger: Receives every call, in epochs of their own.
        on_load: Handed the profile so far, after each load that is finished.

    Raises:
        ArchonError: A server failed, or a calibration window could not be read.
    """
    profile = Profile(
        created=datetime.now(tz=UTC).isoformat(timespec="seconds"),
        hardware=dict(hardware),
        basis=basis,
        task=plan.label,
        prompt={
            "style": plan.style,
            "max_tokens": str(plan.max_tokens),
            "temperature": "0",
            "samples": "1",
        },
        rate=plan.rate,
        weight=tuple(query.weight for query in plan.queries),
        value=tuple(query.value for query in plan.queries),
        models={},
    )
    track = _Track(len(models) * len(plan.concurrencies) * plan.windows, on_step)
    for name in models:
        with ExitStack() as stack:
            pool = pool_of(name)
            stack.callback(pool.close)
            identity = pool.identity(name)
            runner = stack.enter_context(asyncio.Runner())
            stack.callback(lambda pool, runner: runner.run(pool.aclose()), pool, runner)
            generator = Generator(
                study="profile",
                pool=pool,
                ledger=ledger,
                recorder=Recorder(meter, basis, own_pids=pool.pids),
                runner=runner,
                concurrency=max(plan.concurrencies),
                tally=track.tally,
                loading=track.tally,
            )
            track.at(name, plan.concurrencies[0], "loading")
            generator.ready([identity])
            engine = {"identity": identity, **pool.facts(identity)}
            if not pool.pids():  # the server is somebody else's: its processor time is not known
                generator = replace(generator, recorder=Recorder(meter, basis))
            loads: dict[int, LoadProfile] = {}
            for concurrency in plan.concurrencies:
                loads[concurrency] = _measure(
                    plan, name, identity, replace(generator, concurrency=concurrency), track
                )
                track.next_load(plan.windows)
                model = ModelProfile(engine, dict(loads))
                profile = replace(profile, models={**profile.models, name: model})
                on_load(profile)
    return profile


class _Track:
    """Counts windows, so that progress can be told; a load never counts for more than its plan."""

    def __init__(self, total: int, on_step: Callable[[Step], None]) -> None:
        self.tally = Tally()
        self._total = total
        self._on_step = on_step
        self._before = 0
        self._in_load = 0
        self._where = ("", 0)

    def at(self, model: str, concurrency: int, what: str) -> None:
        """Tell what comes next."""
        self._where = (model, concurrency)
        self._tell(what)

    def window(self, what: str) -> None:
        """Tell that a window ended, and of which kind the next one is likely to be."""
        self._in_load += 1
        self._tell(what)

    def next_load(self, windows: int) -> None:
        """Count a load as done, with as many windows as were planned."""
        self._before += windows
        self._in_load = 0

    def _tell(self, what: str) -> None:
        done = min(self._before + self._in_load, self._total) / self._total
        self._on_step(Step(*self._where, what, done, self.tally.joules))


def _measure(
    plan: Plan, name: str, identity: str, generator: Generator, track: _Track
) -> LoadProfile:
    recorder = generator.recorder
    track.at(name, generator.concurrency, "idle")
    generator.warm_up([identity])
    _, idle_before = recorder.measure_idle(plan.idle_seconds)
    track.window("calibration")
    loads = measure_loads(
        generator,
        open_store(generator),
        identity,
        repeats=plan.calibration_repeats,
        rng=random.Random(plan.seed),
        tell=lambda _: track.window("calibration"),
    )
    pipeline = Pipeline(plan.spec(name), Context(plan.task, {MODEL: identity}))
    measured = LoadProfile(
        concurrency=generator.concurrency,
        warm_up_calls=generator.concurrency,
        calibration=tuple(loads),
        idle=(idle_before,),
        runs=(),
        repeats=plan.repeats,
    )
    for number in range(1, MOST_RUNS * plan.repeats + 1):
        run = _run(plan, generator, pipeline, number)
        track.window("runs")
        measured = replace(measured, runs=(*measured.runs, run))
        spread = measured.spread(recorder.basis)
        settled = plan.repeats == 1 or (spread is not None and spread <= STEADY_SPREAD)
        if number >= plan.repeats and settled:
            break
    _, idle_after = recorder.measure_idle(plan.idle_seconds)
    return replace(measured, idle=(idle_before, idle_after))


def _run(plan: Plan, generator: Generator, pipeline: Pipeline, number: int) -> Run:
    """Ask every query once, in one window, with calls and caches of its own."""
    epoch = generator.ledger.new_epoch(generator.study, f"{pipeline.spec.name} #{number}")
    store = CallStore(generator.ledger, epoch, fresh=True)
    label = f"{pipeline.spec.name}, {generator.concurrency} in flight #{number}"
    with generator.window(label) as metered:
        results = generator.runner.run(
            run_live(
                pipeline,
                plan.queries,
                store,
                generator.pool.engine,
                concurrency=generator.concurrency,
                window=metered.id,
            )
        )
    generator.tally.add(metered.window, metered.joules, len(results))
    calls = tuple(map(_call, results))
    if all(call.failed for call in calls):
        errors = {spend.completions()[0].error for r in results for spend in r.spent.values()}
        raise ArchonError(f"{pipeline.spec.name}: every call failed: {next(iter(errors))}")
    return Run(
        window=metered.window,
        scores=tuple(plan.task.score(result.query, result.answer) for result in results),
        calls=calls,
    )


def _call(result: QueryResult) -> Call:
    (spend,) = result.spent.values()
    (made,) = spend.completions()
    return Call(
        prompt_tokens=made.prompt_tokens,
        cached_tokens=made.cached_tokens,
        completion_tokens=made.completion_tokens,
        ttft_s=made.ttft_s,
        latency_s=made.latency_s,
        attempts=made.attempts,
        failed=not made.ok,
    )
