"""The search loop: ask, evaluate rung by rung, tell."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import optuna
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from archon.search.config import Budget
from archon.search.evaluate import Evaluation, Evaluator
from archon.search.generate import Tally
from archon.search.objective import Objective
from archon.search.racing import rungs
from archon.search.space import Space
from archon.search.storage import Totals, claim, record_of, requeue
from archon.spec import PipelineSpec
from archon.tasks import Query

DUPLICATES_IN_A_ROW = 20
"""A sampler that proposes nothing new this often is helped on by a random new point."""
RANDOM_POINTS = 500
"""If none of so many random points is new, the space counts as tried."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One distinct pipeline of the search.

    Attributes:
        evaluation: On all *select* queries, or on the first ones if racing stopped it.
        family: Baseline family it belongs to.
        single: Whether it is one model answering once.
        stopped: Whether racing stopped it.
    """

    evaluation: Evaluation
    family: str | None
    single: bool
    stopped: bool


class Search:
    """Runs trials until a budget is used up or the space is exhausted.

    Attributes:
        tried: Canonical spec → what came of it.
        ended: Why the search ended, for people.
    """

    def __init__(
        self,
        study: optuna.Study,
        space: Space,
        objective: Objective,
        evaluator: Evaluator,
        queries: Sequence[Query],
        *,
        budget: Budget,
        racing: bool,
        first_rung: int,
        exhaustive: bool,
        totals: Totals,
        tally: Callable[[], Tally],
        on_trial: Callable[["Search"], None] = lambda _: None,
    ) -> None:
        self.study = study
        self.objective = objective
        self.budget = budget
        self.tried: dict[str, Tried] = {}
        self.ended = ""
        self._space = space
        self._evaluator = evaluator
        self._queries = queries
        self._rungs = rungs(first_rung, len(queries)) if racing else [len(queries)]
        self._exhaustive = exhaustive
        self._totals = totals
        self._tally = tally
        self._on_trial = on_trial
        self._began = time.monotonic()
        self._finished: float | None = None
        self._calls_used = 0
        self._joules_charged = 0.0
        totals.track(self._sums)

    # What is known

    def complete(self) -> list[Tried]:
        """Return the pipelines evaluated on all *select* queries."""
        return [one for one in self.tried.values() if not one.stopped]

    def best(self) -> Evaluation | None:
        """Return the best complete evaluation that meets the floor, None when none does."""
        return self.objective.best([one.evaluation for one in self.complete()])

    def left(self) -> dict[str, float]:
        """Return what is left of each budget that is set."""
        limits = self.budget.model_dump()
        used = {
            "trials": len(self.tried),
            "seconds": self._totals.get("seconds"),
            "joules": self._totals.get("joules"),
            "calls": self._totals.get("calls_generated"),
        }
        return {name: limit - used[name] for name, limit in limits.items() if limit is not None}

    def _sums(self) -> dict[str, float]:
        tally = self._tally()
        return {
            "seconds": (self._finished or time.monotonic()) - self._began,
            "joules": tally.joules,
            "unmetered_s": tally.unmetered_s,
            "calls_generated": tally.calls,
            "calls_used": self._calls_used,
            "calls_fit": self._evaluator.fit_calls,
            "joules_charged": self._joules_charged,
        }

    # The loop

    def run(self) -> None:
        """Recall what earlier runs tried, then go on until the budget or the space ends.

        Raises:
            EngineError: A model server is gone; what was tried is stored.
        """
        try:
            self._run()
        finally:
            self._finished = time.monotonic()

    def _run(self) -> None:
        self._recall()
        self._baselines()
        duplicates = 0
        points = self._points()
        while not self._over():
            if points is not None and not self._queued() and not self._next_point(points):
                self.ended = "every point of the space is tried"
                return
            before = len(self.tried)
            self._one_trial()
            duplicates = 0 if len(self.tried) > before else duplicates + 1
            if duplicates >= DUPLICATES_IN_A_ROW and points is None:
                point = self._random_point()
                if point is None:
                    self.ended = f"of {RANDOM_POINTS} random points of the space none was new"
                    return
                self.study.enqueue_trial(point)

    def _over(self) -> bool:
        spent = [name for name, left in self.left().items() if left <= 0]
        if spent:
            self.ended = f"the budget of {' and '.join(spent)} is used up"
        return bool(spent)

    def _points(self) -> Iterator[dict[str, Any]] | None:
        return self._space.enumerate() if self._exhaustive else None

    def _random_point(self) -> dict[str, Any] | None:
        """Return a point not tried yet; None if none is found."""
        dice = optuna.create_study(sampler=RandomSampler(seed=len(self.tried)))
        for _ in range(RANDOM_POINTS):
            trial = dice.ask()
            if self._space.suggest(trial).canonical not in self.tried:
                return trial.params
        return None

    def _queued(self) -> bool:
        return bool(self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))

    def _next_point(self, points: Iterator[dict[str, Any]]) -> bool:
        """Enqueue the next untried point; False when there is none."""
        for params in points:
            if self._space.at(params).canonical not in self.tried:
                self.study.enqueue_trial(params)
                return True
        return False

    def _recall(self) -> None:
        for trial in self.study.get_trials(deepcopy=False):
            record = record_of(trial)
            if record is None or record["duplicate"]:
                continue
            spec = self._space.at(trial.params)
            evaluation = self._evaluator.evaluate(spec, self._queries[: record["queries"]])
            self._keep(spec, evaluation, trial.user_attrs, stopped=record["stopped"])
        self._resolve_floor()

    def _baselines(self) -> None:
        """Evaluate single models first (they make the floor), then the other baselines."""
        known = {one.evaluation.spec.canonical for one in self.tried.values()}
        wanted = [
            b for b in self._space.baselines() if self._space.at(b.params).canonical not in known
        ]
        for baseline in sorted(wanted, key=lambda b: not b.single):
            self.study.enqueue_trial(
                dict(baseline.params),
                user_attrs={"baseline": baseline.family, "single": baseline.single},
                skip_if_exists=True,
            )
        held: list[tuple[optuna.Trial, Evaluation]] = []
        for baseline in wanted:
            if baseline.single and not self._over():
                trial, spec = self._ask()
                if spec.canonical not in self.tried:
                    held.append((trial, self._evaluate(trial, spec, race=False)[0]))
                else:
                    self._tell_duplicate(trial, spec)
        self._resolve_floor()
        for trial, evaluation in held:
            self._tell(trial, evaluation, stopped=False)

    def _resolve_floor(self) -> None:
        singles = [one.evaluation.metrics.accuracy for one in self.complete() if one.single]
        self.objective.resolve_floor(max(singles, default=None))

    def _one_trial(self) -> None:
        trial, spec = self._ask()
        if spec.canonical in self.tried:
            self._tell_duplicate(trial, spec)
            return
        evaluation, stopped = self._evaluate(trial, spec, race=True)
        self._tell(trial, evaluation, stopped=stopped)

    def _ask(self) -> tuple[optuna.Trial, PipelineSpec]:
        trial = self.study.ask()
        claim(trial)
        return trial, self._space.suggest(trial)

    def _evaluate(
        self, trial: optuna.Trial, spec: PipelineSpec, *, race: bool
    ) -> tuple[Evaluation, bool]:
        """Evaluate a trial rung by rung; returns whether racing stopped it."""
        looks = max(1, len(self._rungs) - 1)
        incumbent = self.best()
        others = {key: one.evaluation for key, one in self.tried.items() if not one.stopped}
        try:
            for count in self._rungs if race else self._rungs[-1:]:
                evaluation = self._evaluator.evaluate(spec, self._queries[:count])
                stopped = count < len(self._queries) and self.objective.cannot_win(
                    evaluation, incumbent, others, looks
                )
                if stopped:
                    break
        except BaseException:
            requeue(self.study, self.study.trials[trial.number])
            self._totals.save()
            raise
        self._keep(spec, evaluation, trial.user_attrs, stopped=stopped)
        self._calls_used += evaluation.calls
        self._joules_charged += evaluation.joules_charged
        return evaluation, stopped

    def _keep(
        self, spec: PipelineSpec, evaluation: Evaluation, attrs: dict[str, Any], *, stopped: bool
    ) -> None:
        # A long search must not hold every candidate of every trial.
        kept = replace(evaluation, results=())
        self.tried[spec.canonical] = Tried(
            kept, attrs.get("baseline"), bool(attrs.get("single")), stopped
        )

    def _tell(self, trial: optuna.Trial, evaluation: Evaluation, *, stopped: bool) -> None:
        self._record(trial, evaluation, stopped=stopped, duplicate=False)
        shortfall = self.objective.shortfall(evaluation.metrics.accuracy)
        trial.set_constraint("accuracy_floor", shortfall)
        if stopped:
            if self.objective.metric != "pareto":
                trial.report(self.objective.score(evaluation.metrics), self._rungs[0])
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.study.tell(trial, self.objective.values(evaluation.metrics))
        self._totals.save()
        self._on_trial(self)

    def _tell_duplicate(self, trial: optuna.Trial, spec: PipelineSpec) -> None:
        """Answer a known pipeline from memory; it is not counted as a trial."""
        known = self.tried[spec.canonical]
        self._record(trial, known.evaluation, stopped=known.stopped, duplicate=True)
        trial.set_constraint(
            "accuracy_floor", self.objective.shortfall(known.evaluation.metrics.accuracy)
        )
        if known.stopped:
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.study.tell(trial, self.objective.values(known.evaluation.metrics))

    def _record(
        self, trial: optuna.Trial, evaluation: Evaluation, *, stopped: bool, duplicate: bool
    ) -> None:
        record = {
            "name": evaluation.spec.name,
            "spec_sha256": hashlib.sha256(evaluation.spec.canonical.encode()).hexdigest(),
            "queries": evaluation.queries,
            "stopped": stopped,
            "duplicate": duplicate,
            "calls": evaluation.calls,
            "generated": evaluation.generated,
            "failed": evaluation.failed,
            "counts": dict(evaluation.counts),
            **asdict(evaluation.metrics),
        }
        trial.set_user_attr("record", json.dumps(record))
