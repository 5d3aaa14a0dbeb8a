"""The experiment from calibration to live pipelines, in one go on one machine."""

import random
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from archon.energy import (
    Basis,
    Load,
    Meter,
    ModelPrice,
    PriceList,
    fit_model_price,
)
from archon.engines.pool import ModelPool
from archon.errors import UsageError
from archon.hardware import fingerprint
from archon.pipeline.pricing import Pricer
from archon.progress import Progress, duration
from archon.search.calibrate import DESIGNS, measure_loads, open_store
from archon.search.calibration_windows import measure_idle
from archon.search.config import StudyConfig, load_config
from archon.tasks import load_task
from experiments.price_accuracy.errors import per_token_price
from experiments.price_accuracy.front import front
from experiments.price_accuracy.held_out import MixedWindow, measure_mixed
from experiments.price_accuracy.live import Front, LivePipeline
from experiments.rig import open_rig

STUDY = "price_accuracy"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for.

    Attributes:
        models: Zoo names, the smallest first.
        concurrency: Calls (calibration, held out) or queries (live) in flight.
        queries: Of the quickstart's *select* split.
        repeats: Blocks of each pipeline, and windows of each calibration design.
        windows: Held-out windows per model.
    """

    models: tuple[str, ...]
    concurrency: int
    queries: int
    repeats: int
    windows: int
    seed: int


@dataclass(frozen=True, slots=True)
class Found:
    """What was measured.

    Attributes:
        prices: By model name.
        calibration: The windows prices were fitted on, by model name.
        after: Prices fitted anew when all was done, by model name: what they differ by is the
            machine's own doing.
        seconds: What it all took, servers' start included.
    """

    plan: Plan
    basis: Basis
    prices: PriceList
    calibration: dict[str, list[Load]]
    after: dict[str, ModelPrice]
    mixed: list[MixedWindow]
    pipelines: list[LivePipeline]
    seconds: float


def measure(
    plan: Plan,
    progress: Progress,
    *,
    pool: ModelPool | None = None,
    meter: Meter | None = None,
) -> Found:
    """Run the experiment.

    Args:
        pool: Models to use in place of the zoo's.
        meter: Meter to use in place of the machine's; closed at the end.

    Raises:
        UsageError: A model is unknown, or the task has fewer queries.
        ArchonError: A server or meter failed.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"{STUDY}-")))
        return _Experiment(plan, progress, folder, pool, meter, stack).run()


class _Experiment:
    def __init__(
        self,
        plan: Plan,
        progress: Progress,
        folder: Path,
        pool: ModelPool | None,
        meter: Meter | None,
        stack: ExitStack,
    ) -> None:
        self.plan = plan
        self.progress = progress
        self.folder = folder
        self.config = _config(plan, folder)
        self.task = load_task(self.config.task)
        self.queries = self.task.splits["select"][: plan.queries]
        if len(self.queries) < plan.queries:
            raise UsageError(f"--queries: the quickstart's select split has {len(self.queries)}")
        self.specs = front(plan.models, self.config.axes)
        self.rig = stack.enter_context(
            open_rig(self.config, folder, progress, pool=pool, meter=meter)
        )
        self.generator = self.rig.generator
        self.identities = self.rig.identities

    def run(self) -> Found:
        began = time.monotonic()
        self.generator.ready(self.identities.values())
        calibration = self._calibrate()
        prices = PriceList(
            idle_watts=measure_idle(self.generator.recorder, self.config.calibration.idle_seconds),
            basis=self.rig.basis.label,
            method=self.rig.basis.method,
            concurrency=self.plan.concurrency,
            models={name: fit_model_price(loads) for name, loads in calibration.items()},
            fingerprint=fingerprint(),
        )
        mixed = self._hold_out(prices)
        pipelines = self._live(prices, calibration)
        after = {name: fit_model_price(loads) for name, loads in self._calibrate(1).items()}
        seconds = time.monotonic() - began
        return Found(
            self.plan, self.rig.basis, prices, calibration, after, mixed, pipelines, seconds
        )

    def _calibrate(self, time: int = 0) -> dict[str, list[Load]]:
        store = open_store(self.generator)
        rng = random.Random(self.plan.seed + time)
        repeats = max(2, self.plan.repeats)
        stage = _Stage(self.progress, "calibration", len(self.identities) * len(DESIGNS) * repeats)
        return {
            name: measure_loads(
                self.generator,
                store,
                identity,
                repeats=repeats,
                rng=rng,
                tell=partial(stage.step, name),
            )
            for name, identity in self.identities.items()
        }

    def _hold_out(self, prices: PriceList) -> list[MixedWindow]:
        store = open_store(self.generator)
        rng = random.Random(f"held out {self.plan.seed}")
        stage = _Stage(self.progress, "held out", self.plan.windows * len(self.identities))
        found = []
        for _ in range(self.plan.windows):  # the models in turns: drift hits them alike
            for name, identity in self.identities.items():
                found.append(
                    measure_mixed(self.generator, store, name, identity, prices.models[name], rng)
                )
                stage.step(name)
        return found

    def _live(self, prices: PriceList, calibration: dict[str, list[Load]]) -> list[LivePipeline]:
        naive = {name: per_token_price(loads) for name, loads in calibration.items()}
        blocks = self.rig.pool.prefix_blocks()
        runs = Front(
            self.generator,
            self.task,
            self.queries,
            self.identities,
            Pricer(self._by_identity(prices), blocks),
            Pricer(self._by_identity(replace(prices, models=naive)), blocks),
        )
        stage = _Stage(self.progress, "live", len(self.specs) * self.plan.repeats)
        return runs.run(
            self.specs,
            self.plan.repeats,
            self.plan.seed,
            self.folder / "blocks.jsonl",
            lambda done, _, name: stage.show(done, name),
        )

    def _by_identity(self, prices: PriceList) -> PriceList:
        """Return a list by model name as one by identity, as calls name models."""
        models = {self.identities[name]: price for name, price in prices.models.items()}
        return replace(prices, models=models)


class _Stage:
    """Shows how far one stage is, and about how long it still takes."""

    def __init__(self, progress: Progress, name: str, total: int) -> None:
        self._progress = progress
        self._name = name
        self._total = total
        self._began = time.monotonic()
        self._done = 0

    def step(self, *what: str) -> None:
        """Count one more window as done; attempts beyond the plan do not overrun the bar."""
        self._done = min(self._done + 1, self._total)
        self.show(self._done, ": ".join(what))

    def show(self, done: int, what: str) -> None:
        fraction = done / self._total
        left = ""
        if done:
            seconds = (time.monotonic() - self._began) * (1 / fraction - 1)
            left = f", about {duration(seconds)} left"
        self._progress.show(self._name, f"{done}/{self._total} {what}{left}", done=fraction)


def _config(plan: Plan, folder: Path) -> StudyConfig:
    config = load_config(["conf=quickstart"])
    return config.model_copy(
        update={
            "study": config.study.model_copy(update={"name": STUDY, "dir": str(folder)}),
            "models": plan.models,
            "target": config.target.model_copy(update={"concurrency": plan.concurrency}),
        }
    )
