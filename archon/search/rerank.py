"""A study ranked for another device: the same calls at the prices of its profile."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from archon.energy import PriceList
from archon.engines.pool import ModelPool
from archon.errors import UsageError
from archon.hardware import describe
from archon.metrics import Load, Metrics
from archon.pipeline.pricing import Pricer
from archon.profile import Profile
from archon.report.tables import format_number, shorten
from archon.search.config import StudyConfig
from archon.search.evaluate import Evaluation, reprice
from archon.search.objective import Objective
from archon.search.replay import stored_study
from archon.search.space import Space

SHOWN = 15
_RUN_PROGRAMS = "a profile has no price for running programs"


@dataclass(frozen=True, slots=True)
class Ranked:
    """One pipeline on the other device.

    Attributes:
        here: Its metrics by the study's own prices.
        here_rank: Its place by them, from 1.
        feasible: Whether its accuracy on *select* meets the floor.
    """

    evaluation: Evaluation
    here: Metrics
    here_rank: int
    feasible: bool


@dataclass(frozen=True, slots=True)
class Ranking:
    """A study's pipelines for another device, the best first.

    Everything here is predicted: accuracy is the study's on *select*, joules are the calls'
    tokens at the device's prices. Only a confirmation on the device measures it.

    Attributes:
        stopped: Pipelines that racing stopped: they are not ranked.
        notes: What a reader must know, for example that weights differ.
    """

    study: str
    device: str
    basis: str
    metric: str
    floor: float | None
    rows: tuple[Ranked, ...]
    stopped: int
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "study": self.study,
            "device": self.device,
            "basis": self.basis,
            "method": "predicted",
            "metric": self.metric,
            "floor": self.floor,
            "stopped": self.stopped,
            "notes": list(self.notes),
            "pipelines": [
                {
                    "name": row.evaluation.spec.name,
                    "feasible": row.feasible,
                    "accuracy": row.evaluation.metrics.accuracy,
                    "energy_j": row.evaluation.metrics.energy_j,
                    "ipw": row.evaluation.metrics.ipw,
                    "ipj": row.evaluation.metrics.ipj,
                    "energy_j_here": row.here.energy_j,
                    "rank_here": row.here_rank,
                }
                for row in self.rows
            ],
        }

    def _stopped(self) -> list[str]:
        if not self.stopped:
            return []
        return [
            f"{self.stopped} pipelines that racing stopped are left out, though they may be better "
            "there (a study with search.racing=false keeps them)"
        ]

    def table(self) -> Table:
        """Return the first rows for the terminal."""
        floor = "" if self.floor is None else f"; floor {self.floor:.3f} (- misses it)"
        table = Table(
            title=Text(f"predicted for {self.device}; energy: {self.basis}{floor}"),
            caption=Text("; ".join((*self._stopped(), *self.notes))),
            box=SIMPLE_HEAD,
            padding=(0, 0, 0, 1),
        )
        table.add_column("rank", justify="right")
        table.add_column("pipeline", no_wrap=True)
        metric = f"{self.metric}, {'1/W' if self.metric == 'ipw' else '1/J'}"
        for heading in ("accuracy", "J/query", metric, "J/query here", "rank here"):
            table.add_column(heading, justify="right")
        for place, row in enumerate(self.rows[:SHOWN], 1):
            metrics = row.evaluation.metrics
            table.add_row(
                str(place),
                Text(f"{' ' if row.feasible else '-'} {shorten(row.evaluation.spec.name, 40)}"),
                format_number(metrics.accuracy, 3),
                format_number(metrics.energy_j),
                format_number(getattr(metrics, self.metric)),
                format_number(row.here.energy_j),
                str(row.here_rank),
            )
        return table


def rerank(folder: Path, profile: Profile, *, pool: ModelPool | None = None) -> Ranking:
    """Rank the pipelines of a results folder for the device of a profile.

    Args:
        pool: See `stored_study`.

    Raises:
        UsageError: The folder is not a study's, the profile lacks a model or the study's
            concurrency, or all pipelines run programs, which no profile prices.
        ArchonError: The ledger lacks calls.
    """
    points, stopped = _points(folder / "trials.csv")
    with stored_study(folder, pool=pool) as study:
        config, evaluator = study.config, study.evaluator
        prices, notes = _prices(profile, config, study.identities)
        space = Space(config.space, config.models, config.axes)
        queries = evaluator.task.splits["select"]
        specs = {spec.canonical: spec for spec in map(space.at, points)}
        priceable = [spec for spec in specs.values() if not spec.runs_programs]
        here = [evaluator.evaluate(spec, queries) for spec in priceable]
    if unpriced := len(specs) - len(here):
        notes.append(f"{_RUN_PROGRAMS}: {unpriced} pipelines are left out")
    if not here:
        raise UsageError(f"{folder}: {_RUN_PROGRAMS}, and all pipelines of the study do")
    pricer = Pricer(prices, study.prefix_blocks)
    load = Load(config.target.rate, prices.idle_watts)
    there = [reprice(evaluation, pricer, load) for evaluation in here]
    singles = {space.at(b.params).canonical for b in space.baselines() if b.single}
    best_single = max(
        (e.metrics.accuracy for e in here if e.spec.canonical in singles), default=None
    )
    objectives = [Objective(config.objective, evaluator.load), Objective(config.objective, load)]
    for objective in objectives:
        objective.resolve_floor(best_single)
    order_here, order = (
        _order(evaluations, objective)
        for evaluations, objective in zip((here, there), objectives, strict=True)
    )
    return Ranking(
        study=config.study.name,
        device=describe(profile.hardware),
        basis=profile.basis.label,
        metric=objectives[1].confirmed_metric,
        floor=objectives[1].floor,
        rows=tuple(
            Ranked(
                evaluation=there[index],
                here=here[index].metrics,
                here_rank=order_here.index(index) + 1,
                feasible=objectives[1].shortfall(there[index].metrics.accuracy) <= 0,
            )
            for index in order
        ),
        stopped=stopped,
        notes=tuple(notes),
    )


def _order(evaluations: Sequence[Evaluation], objective: Objective) -> list[int]:
    """Return indices: what meets the floor, the best first, then the rest by accuracy."""

    def rank(index: int) -> tuple[bool, float, float]:
        metrics = evaluations[index].metrics
        meets = objective.shortfall(metrics.accuracy) <= 0
        score = objective.score(metrics)
        return meets, score if meets else metrics.accuracy, score

    return sorted(range(len(evaluations)), key=rank, reverse=True)


def _prices(
    profile: Profile, config: StudyConfig, identities: Mapping[str, str]
) -> tuple[PriceList, list[str]]:
    """Return the profile's prices for the study's models, and what a reader must know of them."""
    missing = [name for name in identities if name not in profile.models]
    if missing:
        raise UsageError(
            f"the profile has no {', '.join(missing)}, only {', '.join(profile.models)}; profile "
            "the study's models on that device"
        )
    prices = profile.price_list(config.target.concurrency)
    models, notes = {}, []
    for name, identity in identities.items():
        profiled = profile.models[name].engine["identity"]
        if profiled not in prices.models:
            raise UsageError(
                f"the profile has {name} at {', '.join(map(str, profile.models[name].loads))} in "
                f"flight, not at {prices.concurrency}; profile it with --concurrency "
                f"{prices.concurrency}"
            )
        if profiled != identity:
            notes.append(f"{name}: the profile is of other weights or settings of this name")
        models[identity] = prices.models[profiled]
    return replace(prices, models=models), notes


def _points(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Return the parameters of the complete trials, and how many were stopped."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        points = [json.loads(row["params"]) for row in rows if row["state"] == "COMPLETE"]
        stopped = sum(row["state"] == "PRUNED" for row in rows)
    except OSError as error:
        raise UsageError(
            f"{path}: give the folder of a finished study ({error.strerror})"
        ) from error
    except (KeyError, ValueError) as error:
        raise UsageError(f"{path}: damaged ({error})") from error
    if not points:
        raise UsageError(f"{path}: the study has no complete pipeline to rank")
    return points, stopped
