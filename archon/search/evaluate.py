"""What one pipeline is worth: scores from the calls, joules from the price list."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from archon.components import Context
from archon.engines.programs import sandbox_identity
from archon.metrics import Array, Load, Metrics, Sample, measure
from archon.pipeline import CallStore, Pipeline, QueryResult, run_phases
from archon.pipeline.phases import Generate, Job
from archon.pipeline.pricing import Pricer
from archon.search.fitting import Fitter
from archon.spec import PipelineSpec
from archon.tasks import Query, Task


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One pipeline on some queries, priced.

    Attributes:
        sample: One repeat; joules and busy seconds are priced.
        calls: Calls the pipeline spends on these queries.
        generated: How many of them were made now, not read from the ledger.
        failed: Calls that gave no text.
        counts: What the components counted (``ranker.unparsed``, …).
    """

    spec: PipelineSpec
    load: Load
    results: Sequence[QueryResult]
    sample: Sample
    metrics: Metrics
    calls: int
    generated: int
    failed: int
    counts: Counter[str]

    @property
    def queries(self) -> int:
        """Number of queries it was evaluated on."""
        return int(self.sample.score.shape[1])

    @property
    def joules_charged(self) -> float:
        """Priced joules of all its calls."""
        return float(self.sample.joules.sum())


class Evaluator:
    """Evaluates specs over queries of one task from one store of calls.

    Args:
        generate: Makes the calls the store does not hold, see `run_phases`.
        identities: Canonical JSON of a spec's model reference → model identity.
        limits: Model identity → tokens of prompt and reply together, where that is known.
        sandbox: Identity of the engine that runs programs.
    """

    def __init__(
        self,
        task: Task,
        store: CallStore,
        pricer: Pricer,
        load: Load,
        identities: dict[str, str],
        generate: Generate,
        limits: Mapping[str, int] | None = None,
        sandbox: str = sandbox_identity(),
    ) -> None:
        self.task = task
        self.load = load
        self.pricer = pricer
        self._store = store
        self._identities = identities
        self._generate = generate
        self._limits = limits or {}
        self._sandbox = sandbox
        self._memory: dict[object, object] = {}
        self._fitter = Fitter(task, self.bind, store, generate)

    @property
    def fit_calls(self) -> int:
        """Calls generated to fit pipelines, which none of them is charged."""
        return self._fitter.calls

    def bind(self, spec: PipelineSpec) -> Pipeline:
        """Return the spec ready to run, sharing prompts with every other one.

        Raises:
            UsageError: A component cannot run as it is: a reply may be longer than its model
                takes.
        """
        models = {
            alias: self._identities[ref.model_dump_json()] for alias, ref in spec.models.items()
        }
        limits = {
            alias: self._limits[identity]
            for alias, identity in models.items()
            if identity in self._limits
        }
        spec.require_room(limits)
        context = Context(self.task, models, self._memory, limits=limits, sandbox=self._sandbox)
        return Pipeline(spec, context)

    def evaluate(self, spec: PipelineSpec, queries: Sequence[Query]) -> Evaluation:
        """Run a spec over queries and price it; what it leaves to be fitted is fitted first.

        Raises:
            UsageError: It cannot be fitted.
            EngineError: A model server is gone.
        """
        spec = self._fitter.fit(spec)
        generated = 0

        def generate(model: str, jobs: Sequence[Job]) -> None:
            nonlocal generated
            generated += len(jobs)
            self._generate(model, jobs)

        pipeline = self.bind(spec)
        results = run_phases(pipeline, queries, self._store, generate)
        costs = [self.pricer.query(result) for result in results]
        scores = [self.task.score(result.query, result.answer) for result in results]
        sample = Sample(
            score=np.array([scores], dtype=float),
            joules=np.array([[cost.joules for cost in costs]]),
            busy_s=np.array([[cost.seconds for cost in costs]]),
            weight=weights(queries),
            value=np.array([query.value for query in queries], dtype=float),
        )
        spends = [spend for result in results for spend in result.spent.values()]
        return Evaluation(
            spec=spec,
            load=self.load,
            results=results,
            sample=sample,
            metrics=measure(sample, self.load),
            calls=sum(spend.samples for spend in spends),
            generated=generated,
            failed=sum(spend.drawn.failed(spend.samples) for spend in spends),
            counts=pipeline.context.counts,
        )


def weights(queries: Sequence[Query]) -> Array:
    """Return the traffic weights [queries]."""
    return np.array([query.weight for query in queries], dtype=float)


def reprice(evaluation: Evaluation, pricer: Pricer, load: Load) -> Evaluation:
    """Return an evaluation of the same calls at other prices."""
    costs = [pricer.query(result) for result in evaluation.results]
    sample = replace(
        evaluation.sample,
        joules=np.array([[cost.joules for cost in costs]]),
        busy_s=np.array([[cost.seconds for cost in costs]]),
    )
    return replace(evaluation, load=load, sample=sample, metrics=measure(sample, load))
