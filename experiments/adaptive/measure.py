"""Draws samples on *select*, chooses a setting of each way, runs the chosen ones live on *test*."""

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from archon.energy import Meter, PriceList
from archon.engines.pool import ModelPool
from archon.hardware import fingerprint
from archon.metrics import Load, Sample
from archon.pipeline import CallStore, Job
from archon.pipeline.pricing import Pricer
from archon.progress import Progress
from archon.search.calibrate import calibrate, load_prices, price_key
from archon.search.config import StudyConfig, load_config
from archon.search.confirm import Confirmation
from archon.search.evaluate import Evaluator
from archon.spec import PipelineSpec, ZooModel
from archon.tasks import load_task
from archon.tasks.source import TaskConfig
from experiments.adaptive.choose import Choice, cheapest
from experiments.adaptive.ways import WAYS, Kind, pipelines
from experiments.rig import Rig, open_rig

STUDY = "adaptive"
BEST = "best of n"
REFERENCE = "the accuracy to reach"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for.

    Attributes:
        concurrency: Queries in flight.
        sizes: Queries by split.
        repeats: Live blocks of each pipeline.
    """

    model: str
    kinds: tuple[Kind, ...]
    concurrency: int
    sizes: Mapping[str, int]
    repeats: int
    seed: int


@dataclass(frozen=True, slots=True)
class Row:
    """One pipeline, chosen on *select* and run live on *test*.

    Attributes:
        role: The way it stands for, or `REFERENCE`.
        select_accuracy: On *select*.
        select_j: Priced joules per query on *select*.
        reached: Whether it reaches the accuracy on *select*.
        calls: Live calls per query.
        priced_j: Priced joules per query of the live calls.
        sample: What was seen live, [repeats, queries].
    """

    role: str
    name: str
    select_accuracy: float
    select_j: float
    reached: bool
    calls: float
    priced_j: float
    sample: Sample


@dataclass(frozen=True, slots=True)
class Found:
    """What was measured.

    Attributes:
        rows: Kind's title → its pipelines, the reference first.
        calls: Calls made to draw the samples that settings were chosen on.
    """

    plan: Plan
    prices: PriceList
    load: Load
    rows: Mapping[str, Sequence[Row]]
    calls: int
    seconds: float


def measure(
    plan: Plan,
    folder: Path,
    progress: Progress,
    *,
    pool: ModelPool | None = None,
    meter: Meter | None = None,
) -> Found:
    """Run the experiment; the same call with the same folder goes on where it was.

    Args:
        folder: Where the ledger and the live blocks are kept.
        pool: Models to use in place of the zoo's.
        meter: Meter to use in place of the machine's.

    Raises:
        UsageError: The model is unknown.
        ArchonError: A server or meter failed.
    """
    began = time.monotonic()
    config = _config(plan, folder)
    with open_rig(config, folder, progress, pool=pool, meter=meter) as rig:
        progress.say(f"energy: {rig.basis.label}")
        prices = _prices(plan, config, rig, progress)
        load = Load(config.target.rate, prices.idle_watts)
        kinds = [_Kind(plan, kind, folder, rig, prices, load, progress) for kind in plan.kinds]
        for kind in kinds:
            kind.choose()
        rows = {kind.kind.title: kind.confirm() for kind in kinds}
        calls = sum(kind.calls for kind in kinds)
    return Found(plan, prices, load, rows, calls, time.monotonic() - began)


class _Kind:
    """One kind of question from its samples to its live rows."""

    def __init__(
        self,
        plan: Plan,
        kind: Kind,
        folder: Path,
        rig: Rig,
        prices: PriceList,
        load: Load,
        progress: Progress,
    ) -> None:
        self.plan = plan
        self.kind = kind
        self.rig = rig
        self.progress = progress
        self.calls = 0
        self.task = load_task(task_config(plan, kind))
        self.store = CallStore(rig.generator.ledger)
        pricer = Pricer(prices, rig.pool.prefix_blocks())
        self.evaluator = Evaluator(
            self.task,
            self.store,
            pricer,
            load,
            {
                ZooModel(zoo=name).model_dump_json(): identity
                for name, identity in rig.identities.items()
            },
            self._make,
            rig.pool.context_limits(),
        )
        self.confirmation = Confirmation(
            folder / f"blocks-{kind.title.replace(' ', '-')}.jsonl",
            self.task,
            self.task.splits["test"],
            rig.generator,
            pricer,
            self.evaluator.bind,
        )
        self.chosen: list[tuple[str, PipelineSpec, float, float, bool]] = []

    def choose(self) -> None:
        """Choose a setting of each way on *select*."""
        select = self.task.splits["select"]
        found = {}
        ways = pipelines(self.kind, self.plan.model)
        # The largest first: all others draw a part of its samples.
        for way, specs in ways.items():
            found[way] = [self.evaluator.evaluate(spec, select) for spec in reversed(specs)]
        reference = found[BEST][0]
        self._choose(REFERENCE, Choice(reference, reached=True))
        for way in WAYS:
            self._choose(way, cheapest(found[way], reference.metrics.accuracy))

    def _choose(self, role: str, choice: Choice) -> None:
        one = choice.evaluation
        accuracy, joules = one.metrics.accuracy, one.metrics.energy_j
        assert joules is not None
        self.chosen.append((role, one.spec, accuracy, joules, choice.reached))
        self.progress.say(
            f"{self.kind.title}: {role}: {one.spec.name}, accuracy {accuracy:.3f} on select, "
            f"{joules:.3f} J/query by price"
        )

    def confirm(self) -> list[Row]:
        """Run the chosen pipelines live on *test*."""
        repeats = self.plan.repeats
        distinct = list({spec.canonical: spec for _, spec, *_ in self.chosen}.values())
        random.Random(self.plan.seed).shuffle(distinct)
        self.confirmation.run(
            distinct,
            repeats,
            self.plan.seed,
            lambda done, total, name: self.progress.show(
                f"live, {self.kind.title}", f"{done}/{total} {name}", done=done / total
            ),
        )
        return [self._row(*chosen) for chosen in self.chosen]

    def _row(
        self, role: str, spec: PipelineSpec, accuracy: float, joules: float, reached: bool
    ) -> Row:
        blocks = self.confirmation.of(spec, self.plan.repeats)
        queries = len(self.task.splits["test"]) * len(blocks)
        return Row(
            role=role,
            name=spec.name,
            select_accuracy=accuracy,
            select_j=joules,
            reached=reached,
            calls=sum(n for block in blocks for n, _ in block.components.values()) / queries,
            priced_j=sum(block.priced_j for block in blocks) / queries,
            sample=self.confirmation.sample(spec, self.plan.repeats),
        )

    def _make(self, model: str, jobs: Sequence[Job]) -> None:
        self.calls += len(jobs)
        self.progress.show(f"samples, {self.kind.title}", f"{len(jobs)} calls")
        self.rig.generator.phase(self.store, model, jobs, f"select: {self.kind.title}")


def _prices(plan: Plan, config: StudyConfig, rig: Rig, progress: Progress) -> PriceList:
    """Return the price list in the ledger, calibrated if there is none."""
    models, facts, ledger = list(rig.identities.values()), fingerprint(), rig.generator.ledger
    key = price_key(models, facts, rig.basis, plan.concurrency, config.energy.coefficients)
    known = load_prices(ledger, key)
    if known is not None:
        rig.generator.ready(models)
        return known
    prices = calibrate(
        rig.generator,
        models,
        facts,
        repeats=config.calibration.repeats,
        idle_seconds=config.calibration.idle_seconds,
        seed=plan.seed,
        tell=lambda what, done: progress.show("calibration", what, done=done),
    )
    ledger.save_prices(key, prices.to_json())
    return prices


def task_config(plan: Plan, kind: Kind) -> TaskConfig:
    """Return the task of a kind with the plan's splits."""
    return TaskConfig.model_validate({**kind.task, "seed": plan.seed, "sizes": plan.sizes})


def _config(plan: Plan, folder: Path) -> StudyConfig:
    config = load_config(["conf=quickstart"])
    return config.model_copy(
        update={
            "study": config.study.model_copy(update={"name": STUDY, "dir": str(folder)}),
            "models": (plan.model,),
            "target": config.target.model_copy(update={"concurrency": plan.concurrency}),
        }
    )
