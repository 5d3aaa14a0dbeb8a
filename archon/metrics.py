"""Accuracy, energy and intelligence per watt of a pipeline, with bootstrap intervals.

All formulas are ratios of totals. With score s, joules j and busy seconds b per query, traffic
weight t and value weight v:

    A = Σ t·v·s / Σ t·v            accuracy
    E = Σ t·j / Σ t                joules per query, gross
    S = Σ t·b / Σ t                busy seconds per query; capacity = 1 / S
    E_net = E - P_idle·S
    W(r) = n·P_idle + r·E_net      watts to serve r queries/s, n = ⌈r·S⌉ machines
    ipw = A / W(r),  ipj = A / E,  ipw_busy = A / (E / S)

``ipw_busy`` divides by the power while busy, which hardly differs between pipelines on one
device, so it ranks by accuracy alone and rewards idling; it is reported and never optimised.
``ipw`` at a rate is what the power meter of a deployment shows. An example with P_idle = 10 W:
pipeline a: A = 0.6, E_net = 2 J; pipeline b: A = 0.8, E_net = 8 J. At r = 0.1/s they draw 10.2 W
and 10.8 W, so b gives more accuracy per watt (0.074 against 0.059): idle power dominates and
accuracy pays. At r = 10/s (one machine each, had they the capacity) they draw 30 W and 90 W, and
a wins (0.020 against 0.009): the joules of each query decide.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
BOOTSTRAP = 2000


@dataclass(frozen=True, slots=True)
class Load:
    """The stated load: queries/s to serve, and the watts a machine draws when idle."""

    rate: float
    idle_watts: float


@dataclass(frozen=True, slots=True)
class Sample:
    """What was seen of one pipeline.

    Attributes:
        score: [repeats, queries] in [0, 1].
        joules: [repeats, queries]; NaN where energy was not measured.
        busy_s: [repeats, queries] share of the busy seconds.
        weight: [queries] traffic weights t.
        value: [queries] value weights v.
    """

    score: Array
    joules: Array
    busy_s: Array
    weight: Array
    value: Array


@dataclass(frozen=True, slots=True)
class Metrics:
    """The metrics of one pipeline; None where energy was not measured."""

    accuracy: float
    energy_j: float | None
    energy_net_j: float | None
    busy_s: float
    capacity: float
    watts: float | None
    ipw: float | None
    ipj: float | None
    ipw_busy: float | None
    j_per_correct: float | None


@dataclass(frozen=True, slots=True)
class Resampling:
    """How often each repeat and each query is drawn in each bootstrap replicate.

    Attributes:
        repeats: [replicates, repeats] counts.
        queries: [replicates, queries] counts.
    """

    repeats: Array
    queries: Array


def resampling(
    repeats: int, queries: int, seed: int = 0, replicates: int = BOOTSTRAP
) -> Resampling:
    """Draw a two-level bootstrap: repeated windows, and queries, each with replacement.

    Pipelines that are compared must share one resampling; that makes the comparison paired.
    With few repeats the spread between windows is underestimated (a factor of (R - 1) / R).
    """
    rng = np.random.default_rng(seed)
    return Resampling(
        rng.multinomial(repeats, np.full(repeats, 1 / repeats), size=replicates).astype(float),
        rng.multinomial(queries, np.full(queries, 1 / queries), size=replicates).astype(float),
    )


def _columns(sample: Sample, load: Load, draws: Resampling) -> dict[str, Array]:
    """Return every metric as an array [replicates]; NaN where undefined."""

    def total(cells: Array) -> Array:
        per_replicate: Array = np.einsum("bn,bn->b", draws.repeats @ cells, draws.queries)
        return per_replicate

    t = np.broadcast_to(sample.weight, sample.score.shape)
    tv = t * sample.value
    with np.errstate(divide="ignore", invalid="ignore"):
        accuracy = total(tv * sample.score) / total(tv)
        energy = total(t * sample.joules) / total(t)
        busy = total(t * sample.busy_s) / total(t)
        net = energy - load.idle_watts * busy
        machines = np.maximum(1, np.ceil(load.rate * busy - 1e-9))
        watts = machines * load.idle_watts + load.rate * net
        return {
            "accuracy": accuracy,
            "energy_j": energy,
            "energy_net_j": net,
            "busy_s": busy,
            "capacity": 1 / busy,
            "watts": watts,
            "ipw": accuracy / watts,
            "ipj": accuracy / energy,
            "ipw_busy": accuracy * busy / energy,
            "j_per_correct": total(sample.joules) / total(sample.score),
        }


def measure(sample: Sample, load: Load) -> Metrics:
    """Return the metrics of a sample by the formulas above."""
    repeats, queries = sample.score.shape
    once = Resampling(np.ones((1, repeats)), np.ones((1, queries)))
    columns = _columns(sample, load, once)
    values = {name: float(column[0]) for name, column in columns.items()}
    return Metrics(**{name: v if np.isfinite(v) else None for name, v in values.items()})  # type: ignore[arg-type]


def intervals(
    sample: Sample, load: Load, draws: Resampling
) -> dict[str, tuple[float, float] | None]:
    """Return the 95% percentile interval of every metric; None where it is not measured."""
    return {name: interval(column) for name, column in _columns(sample, load, draws).items()}


def difference(
    metric: str, one: Sample, other: Sample, load: Load, draws: Resampling
) -> tuple[float, float] | None:
    """Return the 95% interval of ``one - other`` in a metric, paired over repeats and queries."""
    first, second = (_columns(sample, load, draws)[metric] for sample in (one, other))
    return interval(first - second)


def ratio(
    metric: str, one: Sample, other: Sample, load: Load, draws: Resampling
) -> tuple[float, float] | None:
    """Return the 95% interval of ``one / other`` in a metric, paired over repeats and queries."""
    first, second = (_columns(sample, load, draws)[metric] for sample in (one, other))
    with np.errstate(divide="ignore", invalid="ignore"):
        return interval(first / second)


def interval(replicates: Array) -> tuple[float, float] | None:
    """Return the 2.5% and 97.5% percentiles, or None when a replicate is undefined."""
    if not np.isfinite(replicates).all():
        return None
    low, high = np.percentile(replicates, [2.5, 97.5])
    return float(low), float(high)


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return indices of the (accuracy, joules) points nothing beats, joules ascending.

    A point is on the front when every cheaper or equally cheap point is less accurate.
    """
    order = sorted(range(len(points)), key=lambda i: (points[i][1], -points[i][0]))
    front: list[int] = []
    for index in order:
        if not front or points[index][0] > points[front[-1]][0]:
            front.append(index)
    return front


METRICS = tuple(field.name for field in fields(Metrics))
