"""Fits what a pipeline leaves to be fitted, on the *fit* split."""

from collections.abc import Callable, Sequence

from archon.errors import UsageError
from archon.pipeline import CallStore, Job, Pipeline, run_phases
from archon.pipeline.phases import Generate
from archon.spec import PipelineSpec
from archon.tasks import Task


class Fitter:
    """Fits the components of specs that need it, each once.

    Args:
        bind: Makes a spec ready to run.
        store: Where the calls on the *fit* split come from and go to.
        generate: Makes those it does not hold, see `run_phases`.
        seed: Of methods that draw.

    Attributes:
        calls: Calls generated for fitting, which no pipeline is charged.
    """

    def __init__(
        self,
        task: Task,
        bind: Callable[[PipelineSpec], Pipeline],
        store: CallStore,
        generate: Generate,
        seed: int = 0,
    ) -> None:
        self._task = task
        self._bind = bind
        self._store = store
        self._generate = generate
        self.calls = 0
        self._seed = seed
        self._fitted: dict[str, PipelineSpec] = {}

    def fit(self, spec: PipelineSpec) -> PipelineSpec:
        """Return the spec with all numbers fitted; itself where nothing is to be fitted.

        A component is fitted to what reaches it when the layers before it, fitted, answer the
        *fit* queries, whose references say which candidates are correct.

        Raises:
            UsageError: The split is empty, or no query of it got a candidate.
            EngineError: A model server is gone.
        """
        if spec.unfitted() is None:
            return spec
        given = spec.model_dump_json(include={"models", "layers"})
        known = self._fitted.get(given)
        if known is None:
            known = spec
            while (place := known.unfitted()) is not None:
                known = self._fit_one(known, *place)
            self._fitted[given] = known
        return known.model_copy(update={"name": spec.name})

    def _counted(self, model: str, jobs: Sequence[Job]) -> None:
        self.calls += len(jobs)
        self._generate(model, jobs)

    def _fit_one(self, spec: PipelineSpec, depth: int, index: int) -> PipelineSpec:
        queries = self._task.splits["fit"]
        component = spec.layers[depth][index]
        if not queries:
            raise UsageError(
                f"task.sizes.fit: a {component.type} is fitted on this split; give it queries"
            )
        upto = spec.with_layers((*spec.layers[:depth], (component,)))
        results = run_phases(self._bind(upto), queries, self._store, self._counted)
        fitted = component.fit(
            [result.candidates for result in results],
            [
                [self._task.score(result.query, one.raw_answer) == 1 for one in result.candidates]
                for result in results
            ],
            self._seed,
        )
        layer = (*spec.layers[depth][:index], fitted, *spec.layers[depth][index + 1 :])
        return spec.with_layers((*spec.layers[:depth], layer, *spec.layers[depth + 1 :]))
