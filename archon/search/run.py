"""A study from configuration to results folder: measure, search, confirm, export."""

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import optuna
from rich.table import Table
from scipy import stats

from archon.energy import PriceList, Recorder, choose_basis, open_meter
from archon.engines.pool import ModelPool, ZooPool
from archon.engines.zoo import Device, load_zoo
from archon.errors import ArchonError, UsageError
from archon.hardware import device, fingerprint
from archon.ledger import Ledger
from archon.metrics import Load, resampling
from archon.pipeline import CallStore
from archon.pipeline.pricing import Pricer
from archon.report.html import write_report
from archon.report.tables import final_table
from archon.search import results
from archon.search.calibrate import calibrate, load_prices, measure_idle, price_key
from archon.search.config import StudyConfig
from archon.search.confirm import Confirmation, digest
from archon.search.evaluate import Evaluator
from archon.search.generate import Generator, Tally
from archon.search.loop import Search, Tried
from archon.search.objective import Objective
from archon.search.progress import Progress, duration
from archon.search.space import Space
from archon.search.storage import Totals, open_study
from archon.search.verdict import Contender, judge
from archon.spec import ZooModel
from archon.tasks import Task, load_task

DRIFT_TOLERANCE = 0.15
"""Relative gap between a phase's window and its priced calls beyond which it is reported."""
DRIFT_MIN_S = 2.0
"""Shorter windows say little about drift."""


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


def run_study(config: StudyConfig, progress: Progress, *, pool: ModelPool | None = None) -> Outcome:
    """Run or continue a study.

    Args:
        pool: Models to use in place of the zoo's (tests and experiments).

    Raises:
        UsageError: The configuration does not hold together, or a place cannot be written.
        ArchonError: A server or meter failed; running the same command again continues.
        StoppedError: Ctrl-C.
    """
    with ExitStack() as stack:
        return _Run(config, progress, pool, stack).run()


class _Run:
    def __init__(
        self, config: StudyConfig, progress: Progress, pool: ModelPool | None, stack: ExitStack
    ) -> None:
        self.config = config
        self.progress = progress
        self.root = Path(config.study.dir)
        self.folder = self.root / config.study.name
        self.space = Space(config.space, config.models, config.axes)
        self._check_floor()
        self.task: Task = load_task(config.task)
        for split in ("select", "test"):
            if not self.task.splits[split]:
                raise UsageError(f"task.sizes.{split}: the study needs queries in this split")
        _make_folder(self.folder)
        self.ledger = stack.enter_context(Ledger(ledger_place(config)))
        self.facts = fingerprint()
        self.pool = pool or zoo_pool(config, progress.say)
        stack.callback(self.pool.close)
        self.meter = open_meter(config.energy.meter, coefficients=config.energy.coefficients)
        stack.callback(self.meter.close)
        basis = choose_basis(self.meter.domains, config.energy.basis)
        basis.require_readable(self.meter)
        self.generator = Generator(
            study=config.study.name,
            pool=self.pool,
            ledger=self.ledger,
            recorder=Recorder(self.meter, basis, own_pids=self.pool.pids),
            runner=stack.enter_context(asyncio.Runner()),
            concurrency=config.target.concurrency,
        )
        self.identities = {name: self.pool.identity(name) for name in config.models}

    def run(self) -> Outcome:
        prices, key = self._prices()
        load = Load(self.config.target.rate, prices.idle_watts)
        objective = Objective(self.config.objective, load)
        study = open_study(self.config, self.folder, objective.directions)
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
        before = len(study.get_trials(deepcopy=False))
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
            same = before == len(study.get_trials(deepcopy=False))
            finished = study.user_attrs.get("finished")
            if same and finished and Path(finished).is_dir():
                return self._finished(Path(finished))
            folder, summary = self._conclude(search, evaluator, pricer, prices, key, totals, load)
        study.set_user_attr("finished", str(folder.resolve()))
        return Outcome(folder, summary, final_table(summary))

    # Steps

    def _prices(self) -> tuple[PriceList, str]:
        models = list(self.identities.values())
        key = price_key(
            models,
            self.facts,
            self.generator.recorder.basis,
            self.config.target.concurrency,
            self.config.energy.coefficients,
        )
        known = None if self.config.calibration.refresh else load_prices(self.ledger, key)
        if known is not None:
            self.progress.say("calibration: prices of this machine and load are in the ledger")
            return known, key
        section = self.config.calibration
        try:
            prices = calibrate(
                self.generator,
                models,
                self.facts,
                repeats=section.repeats,
                idle_seconds=section.idle_seconds,
                seed=self.config.study.seed,
                tell=lambda what, done: self.progress.show("calibration", what, done=done),
            )
        except KeyboardInterrupt:
            raise StoppedError("stopped during calibration; nothing was searched yet") from None
        self.ledger.save_prices(key, prices.to_json())
        for name, identity in self.identities.items():
            price = prices.models[identity]
            self.progress.say(
                f"price of {name}, {prices.basis}: {price.prefill_j.value * 1000:.1f} mJ per "
                f"prefill token, {price.decode_j.value * 1000:.1f} mJ per decode token, "
                f"{price.call_j.value * 1000:.0f} mJ per call; idle {prices.idle_watts:.1f} W"
            )
        return prices, key

    def _phase(self, store: CallStore, model: str, jobs: Sequence[Any]) -> None:
        name = next(name for name, identity in self.identities.items() if identity == model)
        self.generator.phase(store, model, jobs, f"search: {name}")

    def _conclude(
        self,
        search: Search,
        evaluator: Evaluator,
        pricer: Pricer,
        prices: PriceList,
        key: str,
        totals: Totals,
        load: Load,
    ) -> tuple[Path, dict[str, Any]]:
        """Confirm the frozen pipelines and write the results folder."""
        config = self.config
        frozen, raced_out = freeze(search)
        confirm_tally = Tally()
        self.generator.tally = confirm_tally
        confirmation = Confirmation(
            self.folder / "confirm.jsonl",
            self.task,
            self.task.splits["test"],
            self.generator,
            pricer,
            evaluator.bind,
        )
        self._confirm(confirmation, frozen)
        idle_again = measure_idle(self.generator.recorder, config.calibration.idle_seconds)
        repeats = config.confirm.repeats
        confirmed = [
            results.Confirmed(
                one,
                confirmation.sample(one.evaluation.spec, repeats),
                confirmation.of(one.evaluation.spec, repeats),
            )
            for one in frozen
        ]
        draws = resampling(repeats, len(self.task.splits["test"]), seed=config.study.seed)
        contenders = [
            Contender(c.spec.name, c.tried.family, c.tried.single, c.sample) for c in confirmed
        ]
        verdict = judge(
            contenders[0],
            contenders[1:],
            metric=search.objective.confirmed_metric,
            rule=config.objective.accuracy_floor,
            load=load,
            draws=draws,
        )
        basis = self.generator.recorder.basis
        summary = results.summarise(
            config,
            prices,
            winner=confirmed[0],
            baselines=confirmed[1:],
            others=raced_out,
            verdict=verdict,
            load=load,
            draws=draws,
            search=self._accounts(search, totals, confirmed, confirm_tally),
            floor=search.objective.floor,
            importance=_importance(search.study),
            rank_correlation=_rank_correlation(confirmed),
            energy={
                "basis": prices.basis,
                "method": basis.method,
                "domains": list(basis.domains),
                "idle_watts": prices.idle_watts,
                "idle_watts_after": idle_again,
            },
            drift=self._drift(pricer),
        )
        data = results.manifest(config, prices, key)
        best = next(c for c in confirmed if c.spec.name == verdict.exported)
        exported = results.exported_spec(
            best.spec,
            {
                "accuracy": summary["confirm"]["accuracy"],
                **{
                    name: value
                    for name, value in results.figures(best.sample, load, draws).items()
                    if name != "queries"
                },
                "basis": prices.basis,
                "split": "test",
                "queries": len(self.task.splits["test"]),
                "repeats": repeats,
                "on_select": {
                    "accuracy": best.tried.evaluation.metrics.accuracy,
                    "energy_j": best.tried.evaluation.metrics.energy_j,
                    "method": "priced",
                },
            },
            results.provenance(data, summary),
        )
        folder = results.write_folder(
            self.folder,
            summary=summary,
            manifest_data=data,
            best=exported,
            trials=results.trial_rows(
                search.study,
                {
                    digest(one.evaluation.spec): not one.stopped
                    and search.objective.shortfall(one.evaluation.metrics.accuracy) <= 0
                    for one in search.tried.values()
                },
            ),
            front=results.ladder(search.complete()),
        )
        write_report(folder)
        results.link_latest(self.root, folder)
        return folder, summary

    def _confirm(self, confirmation: Confirmation, frozen: Sequence[Tried]) -> None:
        queries = len(self.task.splits["test"])
        total_blocks = len(frozen) * self.config.confirm.repeats
        seen = itertools.count()
        state = {"blocks": 0, "name": ""}
        began = time.monotonic()

        def show() -> None:
            done = state["blocks"] * queries + next(seen) % queries  # type: ignore[operator]
            fraction = done / (total_blocks * queries)
            left = (time.monotonic() - began) / fraction * (1 - fraction) if fraction else 0
            self.progress.show(
                "confirm", f"{state['name']}, about {duration(left)} left", done=fraction
            )

        def on_block(done: int, total: int, name: str) -> None:
            nonlocal seen
            state.update(blocks=done, name=name)
            seen = itertools.count()
            self.progress.show("confirm", f"{done}/{total} {name}", done=done / total)

        self.generator.on_call = show
        confirmation.run(
            [one.evaluation.spec for one in frozen],
            self.config.confirm.repeats,
            self.config.study.seed,
            on_block,
        )

    # Accounts

    def _accounts(
        self,
        search: Search,
        totals: Totals,
        confirmed: Sequence[results.Confirmed],
        confirm_tally: Tally,
    ) -> dict[str, Any]:
        stopped = sum(one.stopped for one in search.tried.values())
        used, generated = totals.get("calls_used"), totals.get("calls_generated")
        joules = None if totals.get("unmetered_s") else totals.get("joules")
        return {
            "trials": len(search.study.get_trials(deepcopy=False)),
            "distinct": len(search.tried),
            "pruned": stopped,
            "calls_generated": int(generated),
            "calls_reused": int(used - generated),
            "joules_charged": totals.get("joules_charged"),
            "joules": joules,
            "seconds": totals.get("seconds"),
            "payback_queries": _payback(confirmed, joules),
            "ended": search.ended,
            "confirm_joules": None if confirm_tally.unmetered_s else confirm_tally.joules,
            "confirm_seconds": confirm_tally.seconds,
            "loading_joules": self.generator.loading.joules,
            "loading_seconds": self.generator.loading.seconds,
            "test_reads": len(confirmed) * self.config.confirm.repeats,
        }

    def _drift(self, pricer: Pricer) -> list[dict[str, Any]]:
        """Compare the windows of this run's search phases with the priced sum of their calls."""
        rows: dict[str, dict[str, float]] = {}
        for phase in self.generator.phases:
            if not phase.window.label.startswith("search") or phase.joules is None:
                continue
            row = rows.setdefault(phase.window.label, {"seconds": 0, "joules": 0, "priced_j": 0})
            row["seconds"] += phase.window.seconds
            row["joules"] += phase.joules
            row["priced_j"] += sum(
                pricer.call(phase.model, call, again=sample > 0).joules
                for (_, sample), call in zip(phase.jobs, phase.calls, strict=True)
            )
        found = []
        for label, row in rows.items():
            ratio = row["joules"] / row["priced_j"] if row["priced_j"] else None
            found.append({"label": label, **row, "ratio": ratio})
            if ratio and row["seconds"] > DRIFT_MIN_S and abs(ratio - 1) > DRIFT_TOLERANCE:
                self.progress.say(
                    f"drift: {label} took {ratio:.2f} times its price; "
                    "calibration.refresh=true measures the prices anew"
                )
        return found

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


def freeze(search: Search) -> tuple[list[Tried], list[Tried]]:
    """Return what is confirmed, the winner first, and the baselines racing stopped.

    The winner is the best that meets the floor on *select*, else the most accurate; of each
    baseline family the best complete pipeline competes (one that meets the floor before one that
    does not).
    """
    complete = search.complete()
    objective = search.objective

    def rank(one: Tried) -> tuple[bool, float]:
        metrics = one.evaluation.metrics
        if one.single:  # of single models the most accurate: it makes the floor
            return True, metrics.accuracy
        meets = objective.shortfall(metrics.accuracy) <= 0
        return meets, objective.score(metrics) if meets else metrics.accuracy

    best = search.best()
    if best is None:
        winner = max(complete, key=lambda one: one.evaluation.metrics.accuracy)
    else:
        winner = search.tried[best.spec.canonical]
    frozen, raced_out = [winner], []
    for family in dict.fromkeys(one.family for one in search.tried.values() if one.family):
        members = [one for one in search.tried.values() if one.family == family]
        whole = [one for one in members if not one.stopped]
        if not whole:
            raced_out.append(max(members, key=lambda one: one.evaluation.metrics.accuracy))
        elif (first := max(whole, key=rank)) is not winner:
            frozen.append(first)
    return frozen, raced_out


def _payback(confirmed: Sequence[results.Confirmed], joules: float | None) -> float | None:
    """Return how many queries the winner must serve to save what the search spent.

    Compared with the least-energy confirmed baseline at least as accurate as the winner; None
    when there is none or it spends no more.
    """
    if joules is None:
        return None
    means = [(float(c.sample.score.mean()), float(c.sample.joules.mean())) for c in confirmed]
    rivals = [energy for accuracy, energy in means[1:] if accuracy >= means[0][0]]
    saved = min(rivals, default=0.0) - means[0][1]
    return joules / saved if saved > 0 else None


def _rank_correlation(confirmed: Sequence[results.Confirmed]) -> float | None:
    """Return Spearman's correlation of priced and confirmed joules per query."""
    if len(confirmed) < 3:
        return None
    priced = [c.tried.evaluation.metrics.energy_j for c in confirmed]
    live = [float(c.sample.joules.mean()) for c in confirmed]
    value = float(stats.spearmanr(priced, live).statistic)
    return value if value == value else None


def _importance(study: optuna.Study) -> dict[str, float]:
    """Return the share of each parameter in the objective's variation; {} if it has none."""
    target: Callable[[Any], float] | None = None
    if len(study.directions) > 1:
        target = lambda trial: trial.values[0]  # noqa: E731
    try:
        found = optuna.importance.get_param_importances(study, target=target)
    except (ValueError, RuntimeError):  # too few trials, or all of one value
        return {}
    return {name: float(value) for name, value in found.items()}


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


def zoo_pool(config: StudyConfig, tell: Callable[[str], None] = lambda _: None) -> ZooPool:
    """Return the pool of the study's zoo models."""
    return ZooPool(
        load_zoo(config.models),
        device=cast("Device", device()),
        concurrency=config.target.concurrency,
        log_dir=Path(config.study.dir) / config.study.name / "logs",
        tell=tell,
    )


def _every(count: int, act: Callable[[], None]) -> Callable[[], None]:
    calls = itertools.count(1)

    def counted() -> None:
        if next(calls) % count == 0:
            act()

    return counted
