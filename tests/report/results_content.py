"""The content of results folders as a search leaves them."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

Folder = Callable[..., Path]

TRIAL_COLUMNS = [
    *("number", "state", "name", "baseline", "accuracy", "energy_j", "energy_net_j", "seconds"),
    *("ipw", "ipj", "queries", "feasible", "calls", "params"),
]
LADDER_COLUMNS = ["accuracy", "energy_j", "ipw", "ipj", "name"]


def measures(accuracy: float, energy_j: float, spread: float = 0.1) -> dict[str, Any]:
    """Metrics of a pipeline at 11 W idle, with intervals of that relative half-width."""
    ipw, ipj = accuracy / (11.0 + 0.8 * energy_j), accuracy / energy_j
    around = {"accuracy": accuracy, "energy": energy_j, "ipw": ipw, "ipj": ipj}
    return {
        "accuracy": accuracy,
        "energy_j": energy_j,
        "energy_net_j": 0.8 * energy_j,
        "ipw": ipw,
        "ipj": ipj,
        "ipw_busy": accuracy / 30.0,
        "queries": 120,
        **{f"{k}_ci": [v * (1 - spread), v * (1 + spread)] for k, v in around.items()},
    }


def baseline(name: str, accuracy: float, energy_j: float, **more: Any) -> dict[str, Any]:
    fields = {"confirmed": True, "difference_ci": [0.001, 0.009], "beaten": True}
    return {"name": name, **measures(accuracy, energy_j), **fields, **more}


def summary() -> dict[str, Any]:
    """A study that went well."""
    return {
        "study": "quickstart",
        "task": "chain_sum",
        "hardware": "AMD EPYC 9B45, 2 cores, 15 GB",
        "created": "2026-03-01T10:20:30+00:00",
        "energy": {
            "basis": "cpu+dram estimated",
            "method": "estimated",
            "domains": ["cpu:0", "dram:0"],
            "idle_watts": 11.2,
        },
        "target": {"concurrency": 16, "rate": 1.0},
        "objective": {"metric": "ipw", "floor": 0.62, "floor_rule": "best_single + 0.05"},
        "best": {"name": "vote-4x-0.5b", **measures(0.71, 6.1)},
        "confirm": {
            **measures(0.69, 6.4),
            "repeats": 3,
            "floor": 0.62,
            "meets_floor": True,
            "priced_error": 0.049,
        },
        "exported": "vote-4x-0.5b",
        "verdict": {
            "kind": "winner_beats_baselines",
            "text": "vote-4x-0.5b beats every baseline that meets the floor.",
        },
        "baselines": [
            baseline("single-smollm2-135m", 0.11, 0.9),
            baseline("single-qwen2.5-coder-0.5b", 0.57, 2.1),
            baseline("vote-8x-qwen2.5-coder-0.5b", 0.72, 11.5),
            baseline("vote-16x-qwen2.5-coder-0.5b-step-by-step-long", 0.74, 22.0),
            baseline("archon-rank-fuse", 0.60, 31.0, difference_ci=None, beaten=None),
        ],
        "drift": [
            {
                "label": "phase 1",
                "seconds": 61.2,
                "joules": 1510.0,
                "priced_j": 1440.0,
                "ratio": 1.05,
            }
        ],
        "components": [
            {
                "component": "generator",
                "model": "qwen2.5-coder-0.5b",
                "calls": 1440,
                "joules": 453.0,
            },
            {"component": "judge", "model": "qwen2.5-coder-0.5b", "calls": 360, "joules": 315.0},
        ],
        "importance": {"samples": 0.4, "prompt_style": 0.45, "model": 0.1, "temperature": 0.05},
        "rank_correlation": 0.9,
        "search": {
            "trials": 60,
            "distinct": 41,
            "pruned": 9,
            "calls_generated": 2210,
            "calls_reused": 15840,
            "joules_charged": 21450.0,
            "joules": 3890.0,
            "seconds": 598.0,
            "payback_queries": 760,
        },
    }


LADDER = [
    {"accuracy": a, "energy_j": e, "ipw": a / (11 + e), "ipj": a / e, "name": name}
    for a, e, name in (
        (0.12, 0.85, "single-smollm2-135m"),
        (0.58, 2.0, "single-qwen2.5-coder-0.5b"),
        (0.71, 6.1, "vote-4x-0.5b"),
        (0.90, 14.0, "vote-8x-0.5b-step"),
    )
]


def trials(complete: int = 40, pruned: int = 9) -> list[dict[str, Any]]:
    rng = random.Random(0)
    rows = []
    for number in range(complete + pruned):
        energy_j = 10 ** rng.uniform(-0.2, 1.6)
        best = max((r["accuracy"] for r in LADDER if r["energy_j"] <= energy_j), default=0.1)
        accuracy = best * rng.uniform(0.5, 1.0)
        rows.append(
            {
                "number": number,
                "state": "COMPLETE" if number < complete else "PRUNED",
                "name": f"trial-{number}",
                "accuracy": round(accuracy, 4),
                "energy_j": energy_j,
                "params": '{"samples": 4}',
            }
        )
    return rows


def without_numbers(value: Any) -> Any:
    """The same summary with everything unmeasured."""
    if isinstance(value, dict):
        return {key: without_numbers(inner) for key, inner in value.items()}
    if isinstance(value, list) and not any(isinstance(x, int | float) for x in value):
        return [without_numbers(inner) for inner in value]
    return value if isinstance(value, str | bool) else None
