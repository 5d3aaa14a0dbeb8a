"""The end of a study: freeze the winner, confirm it, judge it, write the results folder."""

import itertools
import math
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
from scipy import stats

from archon.energy import PriceList
from archon.metrics import resampling
from archon.pipeline.pricing import Pricer
from archon.progress import Progress, duration
from archon.report.html import write_report
from archon.search import results
from archon.search.calibration_windows import measure_idle
from archon.search.config import StudyConfig
from archon.search.confirm import Confirmation, digest
from archon.search.evaluate import Evaluator
from archon.search.generate import Generator, Tally
from archon.search.loop import Search, Tried
from archon.search.quality import IDLE_TOLERANCE, quality
from archon.search.storage import Totals
from archon.search.verdict import Contender, judge
from archon.tasks import Task

DRIFT_TOLERANCE = 0.15
"""Relative gap between a phase's window and its priced calls beyond which it is reported."""
DRIFT_MIN_S = 2.0
"""Shorter windows say little about drift."""


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What concluding a study needs.

    Attributes:
        folder: The study's folder; results folders are made in it.
        price_key: Under which the ledger holds the price list.
    """

    config: StudyConfig
    task: Task
    folder: Path
    generator: Generator
    evaluator: Evaluator
    pricer: Pricer
    prices: PriceList
    price_key: str
    search: Search
    totals: Totals
    progress: Progress

    def write(self) -> tuple[Path, dict[str, Any]]:
        """Confirm the frozen pipelines and write the results folder."""
        config, search, prices, load = self.config, self.search, self.prices, self.evaluator.load
        frozen, raced_out = freeze(search)
        confirm_tally = Tally()
        self.generator.tally = confirm_tally
        confirmation = Confirmation(
            self.folder / "confirm.jsonl",
            self.task,
            self.task.splits["test"],
            self.generator,
            self.pricer,
            self.evaluator.bind,
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
            search=self._accounts(confirmed, confirm_tally, len(confirmation.blocks)),
            floor=search.objective.floor,
            importance=_importance(search.study),
            rank_correlation=_rank_correlation(confirmed),
            energy={
                "basis": prices.basis,
                "method": basis.method,
                "domains": list(basis.domains),
                "idle_watts": prices.idle_watts,
                "idle_watts_after": idle_again,
                "quality": self._quality(idle_again),
            },
            drift=self._drift(),
        )
        identities = {name: self.generator.pool.identity(name) for name in config.models}
        data = results.manifest(config, prices, self.price_key, identities)
        best = next(c for c in confirmed if c.spec.name == verdict.exported)
        exported = results.exported_spec(
            best,
            {
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
        results.link_latest(Path(config.study.dir), folder)
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

    def _accounts(
        self,
        confirmed: Sequence[results.Confirmed],
        confirm_tally: Tally,
        test_reads: int,
    ) -> dict[str, Any]:
        search, totals, loading = self.search, self.totals, self.generator.loading
        stopped = sum(one.stopped for one in search.tried.values())
        generated, fit = totals.get("calls_generated"), totals.get("calls_fit")
        joules = None if totals.get("unmetered_s") else totals.get("joules")
        return {
            "trials": len(search.study.get_trials(deepcopy=False)),
            "distinct": len(search.tried),
            "pruned": stopped,
            "calls_generated": int(generated),
            "calls_fit": int(fit),
            "calls_reused": int(totals.get("calls_used") - (generated - fit)),
            "joules_charged": totals.get("joules_charged"),
            "joules": joules,
            "seconds": totals.get("seconds"),
            "payback_queries": _payback(confirmed, joules),
            "ended": search.ended,
            "confirm_joules": None if confirm_tally.unmetered_s else confirm_tally.joules,
            "confirm_seconds": confirm_tally.seconds,
            "loading_joules": None if loading.unmetered_s else loading.joules,
            "loading_seconds": loading.seconds,
            "test_reads": test_reads,
        }

    def _quality(self, idle_again: float) -> dict[str, Any]:
        generator, before = self.generator, self.prices.idle_watts
        found = quality(
            generator.ledger.windows(generator.study),
            generator.recorder.basis,
            idle_watts=before,
            idle_watts_after=idle_again,
        )
        drift = found["idle_drift"]
        if drift is not None and abs(drift) > IDLE_TOLERANCE:
            self.progress.say(
                f"idle power went from {before:.2f} W before the search to {idle_again:.2f} W "
                "after it: net joules and ipw are that uncertain; is something else running?"
            )
        return found

    def _drift(self) -> list[dict[str, Any]]:
        """Compare the windows of this run's search phases with the priced sum of their calls."""
        rows: dict[str, dict[str, float]] = {}
        for phase in self.generator.phases:
            if not phase.window.label.startswith("search") or phase.joules is None:
                continue
            row = rows.setdefault(
                phase.window.label, {"seconds": 0, "joules": 0, "priced_j": 0, "own_s": 0}
            )
            row["seconds"] += phase.window.seconds
            own = phase.window.own_share
            row["own_s"] += float("nan") if own is None else own * phase.window.seconds
            row["joules"] += phase.joules
            row["priced_j"] += sum(
                self.pricer.call(phase.model, call, again=sample > 0).joules
                for (_, sample), call in zip(phase.jobs, phase.calls, strict=True)
            )
        found = []
        for label, row in rows.items():
            ratio = row["joules"] / row["priced_j"] if row["priced_j"] else None
            share = 1 - row.pop("own_s") / row["seconds"]
            others = share if math.isfinite(share) else None
            found.append({"label": label, **row, "ratio": ratio, "others_share": others})
            if ratio and row["seconds"] > DRIFT_MIN_S and abs(ratio - 1) > DRIFT_TOLERANCE:
                self.progress.say(
                    f"drift: {label} took {ratio:.2f} times its price, with "
                    f"{'an unknown part' if others is None else f'{others:.0%}'} of the "
                    "processor time spent by other programs; leave the machine alone, or measure "
                    "the prices anew with calibration.refresh=true"
                )
        return found


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
    return _named_apart(frozen), raced_out


def _named_apart(frozen: Sequence[Tried]) -> list[Tried]:
    """Give pipelines that a space named alike names of their own."""
    names = Counter(one.evaluation.spec.name for one in frozen)

    def named(one: Tried) -> Tried:
        spec = one.evaluation.spec
        if names[spec.name] == 1:
            return one
        spec = spec.model_copy(update={"name": f"{spec.name} ({digest(spec)[:6]})"})
        return replace(one, evaluation=replace(one.evaluation, spec=spec))

    return [named(one) for one in frozen]


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
    """Return Spearman's correlation of priced and confirmed joules per query, if it has one."""
    priced = [c.tried.evaluation.metrics.energy_j for c in confirmed]
    live = [float(c.sample.joules.mean()) for c in confirmed]
    if len(confirmed) < 3 or len(set(priced)) == 1 or len(set(live)) == 1:
        return None
    value = float(stats.spearmanr(priced, live).statistic)
    return value if value == value else None


def _importance(study: optuna.Study) -> dict[str, float]:
    """Return the share of each parameter in the objective's variation; {} if it has none."""
    target: Callable[[Any], float] | None = None
    if len(study.directions) > 1:
        target = lambda trial: trial.values[0]  # noqa: E731
    try:
        with warnings.catch_warnings():
            # Choices that few pipelines have are of little importance, and no news to the user.
            warnings.simplefilter("ignore", UserWarning)
            found = optuna.importance.get_param_importances(study, target=target)
    except (ValueError, RuntimeError):  # too few trials, or all of one value
        return {}
    return {name: float(value) for name, value in found.items()}
