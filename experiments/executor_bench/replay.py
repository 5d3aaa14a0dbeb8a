"""Milliseconds per trial that is replayed from the ledger, the parts of a trial apart."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import BaseSampler, RandomSampler

from archon.metrics import Load
from archon.search.config import StudyConfig
from archon.search.evaluate import Evaluation, Evaluator
from archon.search.generate import Tally
from archon.search.loop import Search
from archon.search.objective import Objective, directions
from archon.search.space import Space
from archon.search.storage import Totals, open_study
from archon.spec import PipelineSpec
from archon.tasks import Query
from experiments.executor_bench.corpus import AXES, SKILL, Corpus

COLD = 20
"""Pipelines evaluated each with an evaluator and store of its own."""


@dataclass(frozen=True, slots=True)
class ReplayTimes:
    """Milliseconds, one number per trial.

    Attributes:
        cold: `Evaluator.evaluate` when nothing has been read from the ledger yet.
        warm: The same in the midst of a search: its calls are in memory, the pipeline is new.
        evaluate: The same inside the study below, its cold start included.
        sampler: Optuna's sampler, by its own code.
        storage: The rest of a trial: the study's SQLite file, and building the pipeline.
    """

    cold: list[float]
    warm: list[float]
    evaluate: list[float]
    sampler: list[float]
    storage: list[float]


def measure_replay(corpus: Corpus, trials: int, folder: Path) -> ReplayTimes:
    """Time evaluations alone, then a study of `trials` trials in SQLite under `folder`."""
    specs = _random_specs(2 * trials)
    cold = [_evaluate_ms(corpus.evaluator(), [spec], corpus.queries)[0] for spec in specs[:COLD]]
    evaluator = corpus.evaluator()
    _evaluate_ms(evaluator, specs[:trials], corpus.queries)
    warm = _evaluate_ms(evaluator, specs[trials:], corpus.queries)
    return ReplayTimes(cold, warm, *_study_ms(corpus, trials, folder))


def _random_specs(count: int) -> list[PipelineSpec]:
    """Return distinct random pipelines of the ensemble space."""
    space = _space()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    dice = optuna.create_study(sampler=RandomSampler(seed=0))
    specs: dict[str, PipelineSpec] = {}
    while len(specs) < count:
        spec = space.suggest(dice.ask())
        specs.setdefault(spec.canonical, spec)
    return list(specs.values())


def _space() -> Space:
    return Space("ensemble", tuple(SKILL), AXES)


def _evaluate_ms(
    evaluator: Evaluator, specs: Sequence[PipelineSpec], queries: Sequence[Query]
) -> list[float]:
    clock = _Clock()
    for spec in specs:
        with clock.running():
            evaluator.evaluate(spec, queries)
        clock.lap()
    return clock.laps


def _study_ms(corpus: Corpus, trials: int, folder: Path) -> tuple[list[float], ...]:
    """Return milliseconds of (evaluation, sampler, storage) of each trial of a real study."""
    config = StudyConfig.model_validate(
        {
            "study": {"name": "replay"},
            "task": {"source": "made_up", "sizes": {"fit": 0, "select": 1, "test": 0}},
            "models": list(SKILL),
            "objective": {"metric": "ipw", "accuracy_floor": "best_single + 0.1"},
            "search": {"budget": {"trials": trials}, "racing": False},
        }
    )
    evaluator = corpus.evaluator()
    load = Load(config.target.rate, evaluator.pricer.prices.idle_watts)
    objective = Objective(config.objective, load)
    study = open_study(config, folder, directions(config.objective.metric))
    whole, evaluating, sampling = _Clock(), _Clock(), _Clock()
    study.sampler = _TimedSampler(study.sampler, sampling)

    def lap(_: Search) -> None:
        for clock in (whole, evaluating, sampling):
            clock.lap()

    search = Search(
        study,
        _space(),
        objective,
        _TimedEvaluator(evaluator, evaluating),
        corpus.queries,
        budget=config.search.budget,
        racing=config.search.racing,
        first_rung=config.search.first_rung,
        exhaustive=False,
        totals=Totals(study),
        tally=Tally,
        on_trial=lap,
    )
    with whole.running():
        search.run()
    storage = [
        total - evaluated - sampled
        for total, evaluated, sampled in zip(
            whole.laps, evaluating.laps, sampling.laps, strict=True
        )
    ]
    return evaluating.laps, sampling.laps, storage


@dataclass(slots=True)
class _Clock:
    """Adds up the time its blocks take, lap by lap.

    Attributes:
        laps: Milliseconds.
    """

    laps: list[float] = field(default_factory=list)
    _sum_s: float = 0.0
    _since: float | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        self._since = time.perf_counter()
        try:
            yield
        finally:
            self._sum_s += time.perf_counter() - self._since
            self._since = None

    def lap(self) -> None:
        if self._since is not None:
            now = time.perf_counter()
            self._sum_s += now - self._since
            self._since = now
        self.laps.append(self._sum_s * 1000)
        self._sum_s = 0.0


class _TimedEvaluator(Evaluator):
    def __init__(self, inner: Evaluator, clock: _Clock) -> None:
        self._inner = inner
        self._clock = clock

    def evaluate(self, spec: PipelineSpec, queries: Sequence[Query]) -> Evaluation:
        with self._clock.running():
            return self._inner.evaluate(spec, queries)


class _TimedSampler(BaseSampler):
    def __init__(self, inner: BaseSampler, clock: _Clock) -> None:
        self._inner = inner
        self._clock = clock

    def infer_relative_search_space(self, *args: Any) -> Any:
        with self._clock.running():
            return self._inner.infer_relative_search_space(*args)

    def sample_relative(self, *args: Any) -> Any:
        with self._clock.running():
            return self._inner.sample_relative(*args)

    def sample_independent(self, *args: Any) -> Any:
        with self._clock.running():
            return self._inner.sample_independent(*args)

    def before_trial(self, *args: Any) -> None:
        with self._clock.running():
            self._inner.before_trial(*args)

    def after_trial(self, *args: Any) -> None:
        with self._clock.running():
            self._inner.after_trial(*args)
