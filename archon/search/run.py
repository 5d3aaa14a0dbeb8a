"""A study from configuration to results folder: measure, search, confirm, export."""

import asyncio
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from rich.table import Table

from archon.energy import Meter, Recorder, basis_of, open_meter
from archon.engines.pool import ModelPool, ZooPool, require_metered
from archon.engines.programs import SANDBOX, SandboxEngine
from archon.engines.zoo import Device, load_zoo
from archon.errors import ArchonError, UsageError
from archon.hardware import describe, device, fingerprint
from archon.ledger import Ledger
from archon.metrics import Load
from archon.pipeline import CallStore
from archon.pipeline.pricing import Pricer
from archon.progress import Progress, duration
from archon.report.tables import final_table
from archon.search import results
from archon.search.conclude import Conclusion
from archon.search.config import StudyConfig
from archon.search.evaluate import Evaluator
from archon.search.generate import Generator, Tally
from archon.search.loop import Search
from archon.search.objective import Objective, directions
from archon.search.prices import study_prices
from archon.search.space import Space
from archon.search.storage import Totals, open_study, require_same_energy
from archon.spec import ZooModel
from archon.tasks import Task, load_task


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a study came to.

    Attributes:
        folder: The results folder.
        summary: The content of its ``summary.json``.
        table: The final table, for the terminal.
        nothing_new: Whether the study had been finished before with this budget.
    """

    folder: Path
    summary: Mapping[str, Any]
    table: Table
    nothing_new: bool = False


class StoppedError(ArchonError):
    """The user stopped the study; everything known is stored."""

    exit_status = 130


def run_study(
    config: StudyConfig,
    progress: Progress,
    *,
    pool: ModelPool | None = None,
    meter: Meter | None = None,
    unsafe_code: bool = False,
) -> Outcome:
    """Run or continue a study.

    Args:
        pool: Models to use in place of the zoo's, with what runs its programs (tests and
            experiments).
        meter: Meter to use in place of the machine's; closed at the end.
        unsafe_code: Whether programs that models write may run without a sandbox.

    Raises:
        UsageError: The configuration does not hold together, or a place cannot be written.
        ArchonError: A server or meter failed; running the same command again continues.
        StoppedError: Ctrl-C.
    """
    with ExitStack() as stack:
        return _Run(config, progress, pool, meter, unsafe_code, stack).run()


class _Run:
    def __init__(
        self,
        config: StudyConfig,
        progress: Progress,
        pool: ModelPool | None,
        meter: Meter | None,
        unsafe_code: bool,
        stack: ExitStack,
    ) -> None:
        self.config = config
        self.progress = progress
        self.root = Path(config.study.dir)
        self.folder = self.root / config.study.name
        self.space = Space(config.space, config.models, config.axes)
        self._check_floor()
        self.task: Task = load_task(config.task, unsafe_code=unsafe_code)
        for split in ("select", "test"):
            if not self.task.splits[split]:
                raise UsageError(f"task.sizes.{split}: the study needs queries in this split")
        if self.space.needs_fit and not self.task.splits["fit"]:
            raise UsageError(
                f"task.sizes.fit: the space {self.space.name} holds pipelines that are fitted on "
                "this split (weavers); give it queries, or leave them out by axes"
            )
        _make_folder(self.folder)
        self.ledger = stack.enter_context(Ledger(ledger_place(config)))
        self.facts = fingerprint()
        self.pool = pool or zoo_pool(config, progress.say, unsafe_code=unsafe_code)
        stack.callback(self.pool.close)
        if self.space.runs_programs:
            self.pool.programs.require()
        self.meter = meter or open_meter(
            config.energy.meter, coefficients=config.energy.coefficients
        )
        stack.callback(self.meter.close)
        basis = basis_of(self.meter, config.energy.basis)
        basis.require_readable(self.meter)
        progress.say(f"energy: {basis.label}")
        for note in basis.left_out:
            progress.say(f"energy: not counted: {note}")
        runner = stack.enter_context(asyncio.Runner())
        stack.callback(lambda: runner.run(self.pool.aclose()))
        self.generator = Generator(
            study=config.study.name,
            pool=self.pool,
            ledger=self.ledger,
            recorder=Recorder(self.meter, basis, own_pids=self.pool.pids),
            runner=runner,
            concurrency=config.target.concurrency,
        )
        self.identities = {name: self.pool.identity(name) for name in config.models}

    def run(self) -> Outcome:
        study = open_study(self.config, self.folder, directions(self.config.objective.metric))
        basis = self.generator.recorder.basis
        require_same_energy(study, basis.label, describe(self.facts))
        try:
            prices, key = study_prices(
                self.config,
                self.space,
                self.generator,
                self.identities,
                self.facts,
                self.progress,
            )
        except KeyboardInterrupt:
            raise StoppedError("stopped during calibration; nothing was searched yet") from None
        load = Load(self.config.target.rate, prices.idle_watts)
        objective = Objective(self.config.objective, load)
        stored = CallStore(self.ledger)
        pricer = Pricer(prices, self.pool.prefix_blocks())
        evaluator = Evaluator(
            self.task,
            stored,
            pricer,
            load,
            {
                ZooModel(zoo=name).model_dump_json(): identity
                for name, identity in self.identities.items()
            },
            lambda model, jobs: self._phase(stored, model, jobs),
            self.pool.context_limits(),
            self.pool.programs.identity,
        )
        totals = Totals(study)
        search_tally = Tally()
        self.generator.tally = search_tally
        search = Search(
            study,
            self.space,
            objective,
            evaluator,
            self.task.splits["select"],
            budget=self.config.search.budget,
            racing=self.config.search.racing,
            first_rung=self.config.search.first_rung,
            exhaustive=self.config.search.sampler == "exhaustive",
            totals=totals,
            tally=lambda: search_tally,
            on_trial=self._show_search,
        )
        self.generator.on_call = _every(20, lambda: self._show_search(search))
        with self._interruptible(search):
            search.run()
            totals.save()
            if not search.complete():
                raise ArchonError(
                    f"{search.ended} before any pipeline was evaluated on all select queries; "
                    "raise search.budget"
                )
            self.progress.say(
                f"search: {len(search.tried)} distinct pipelines in "
                f"{duration(totals.get('seconds'))}; {search.ended}"
            )
            known = {"distinct": len(search.tried), "prices": prices.to_json()}
            finished = study.user_attrs.get("finished", {})
            if finished.get("known") == known and Path(finished["folder"]).is_dir():
                return self._finished(Path(finished["folder"]))
            folder, summary = Conclusion(
                config=self.config,
                task=self.task,
                folder=self.folder,
                generator=self.generator,
                evaluator=evaluator,
                pricer=pricer,
                prices=prices,
                price_key=key,
                search=search,
                totals=totals,
                progress=self.progress,
            ).write()
        study.set_user_attr("finished", {"folder": str(folder.resolve()), "known": known})
        return Outcome(folder, summary, final_table(summary))

    # Steps

    def _phase(self, store: CallStore, model: str, jobs: Sequence[Any]) -> None:
        known = self.identities.items()
        name = next((name for name, identity in known if identity == model), SANDBOX)
        self.generator.phase(store, model, jobs, f"search: {name}")

    # Small things

    def _check_floor(self) -> None:
        floor = self.config.objective.accuracy_floor
        if floor and floor.relative and not any(b.single for b in self.space.baselines()):
            raise UsageError(
                f"objective.accuracy_floor: the space {self.space.name} names no single models; "
                "give the floor as a number"
            )

    def _show_search(self, search: Search) -> None:
        left = search.left()
        total = self.config.search.budget.trials
        tried = len(search.tried)
        best = search.best()
        parts = [f"{tried}{f'/{total}' if total else ''} pipelines"]
        if best is None:
            parts.append("none meets the floor yet")
        else:
            parts.append(
                f"best {best.spec.name}: accuracy {best.metrics.accuracy:.3f}, "
                f"{best.metrics.energy_j:.2f} J/query"
            )
        if "seconds" in left:
            parts.append(f"{duration(max(0.0, left['seconds']))} left")
        if "joules" in left:
            parts.append(f"{max(0.0, left['joules']):.0f} J left")
        else:
            parts.append(f"{self.generator.tally.joules:.0f} J spent")
        self.progress.show("search", "; ".join(parts), done=tried / total if total else None)

    @contextmanager
    def _interruptible(self, search: Search) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt:
            best = search.best()
            known = (
                "no pipeline meets the floor yet"
                if best is None
                else f"best so far {best.spec.name} (accuracy {best.metrics.accuracy:.3f} on "
                f"select, {best.metrics.energy_j:.2f} J/query priced, not confirmed)"
            )
            raise StoppedError(
                f"stopped after {len(search.tried)} pipelines: {known}; the same command continues"
            ) from None

    def _finished(self, folder: Path) -> Outcome:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        results.link_latest(self.root, folder)
        return Outcome(folder, summary, final_table(summary), nothing_new=True)


def ledger_place(config: StudyConfig) -> str:
    """Return where the study's ledger is: a file path or a database URL."""
    place = config.storage.ledger
    return str(Path(config.study.dir) / "ledger.sqlite") if place == "sqlite" else place


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError(
            f"{folder}: cannot write results here ({error.strerror}); set study.dir"
        ) from error


def zoo_pool(
    config: StudyConfig, tell: Callable[[str], None] = lambda _: None, *, unsafe_code: bool = False
) -> ZooPool:
    """Return the pool of the study's zoo models.

    Args:
        unsafe_code: Whether programs that models write may run without a sandbox.

    Raises:
        UsageError: A model is unknown, or runs on a machine whose joules cannot be read from here.
    """
    zoo = load_zoo(config.models, [Path(folder) for folder in config.zoo])
    require_metered(zoo)
    return ZooPool(
        zoo,
        device=cast("Device", device()),
        concurrency=config.target.concurrency,
        log_dir=Path(config.study.dir) / config.study.name / "logs",
        tell=tell,
        programs=SandboxEngine(unsafe=unsafe_code),
    )


def _every(count: int, act: Callable[[], None]) -> Callable[[], None]:
    calls = itertools.count(1)

    def counted() -> None:
        if next(calls) % count == 0:
            act()

    return counted
