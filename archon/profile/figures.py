"""The numbers of a profile, computed from its measurements and nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from archon.energy import Basis, Coef, ModelPrice, Window, share
from archon.metrics import Load, Metrics, Sample, intervals, measure, resampling
from archon.profile.record import Profile, mean_watts

STEADY_SPREAD = 0.10
"""Runs are steady when their joules differ by at most this part of their mean."""
PERCENTILES = (50, 95, 99)

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Figures:
    """The numbers of one model at one load, with 95% intervals; None is unmeasured.

    Attributes:
        metrics: Accuracy, joules per query, ``ipw``, … over the counted runs.
        intervals: Bootstrap over queries and runs, by metric.
        price: Fitted joules and seconds per token and call.
        output_tokens_per_s: Tokens generated per second of the runs.
        in_flight: Mean calls in flight: latencies over seconds.
        ttft_s: Percentile → seconds to the first token; None if the server does not tell.
        latency_s: Percentile → seconds of a call that was answered.
        watts: Mean over the runs, the highest mean over one look, idle.
        priced_error: Priced joules of the runs over measured ones, minus 1.
        spread: See `LoadProfile.spread`.
        steady: Whether `spread` is small enough; None when unmeasured or of one run.
        idle_drift: Idle watts after over before, minus 1.
        failed: Calls that gave no text.
        others_share: Part of the processor time spent by other programs; None if unknown.
        flags: What the windows were flagged with.
    """

    metrics: Metrics
    intervals: Mapping[str, Interval | None]
    price: ModelPrice
    output_tokens_per_s: float
    in_flight: float
    ttft_s: Mapping[int, float] | None
    latency_s: Mapping[int, float]
    watts: Mapping[str, float | None]
    priced_error: float | None
    spread: float | None
    steady: bool | None
    idle_drift: float | None
    failed: int
    others_share: float | None
    flags: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        metrics = self.metrics
        named = {f"{name}_ci": self.intervals[metric] for name, metric in _INTERVALS.items()}

        def speed(seconds: Coef) -> float | None:
            return 1 / seconds.value if seconds.value > 0 else None

        def coef(name: str, one: Coef) -> dict[str, Any]:
            return {name: one.value, f"{name}_ci": [one.ci_low, one.ci_high]}

        return {
            "accuracy": metrics.accuracy,
            "energy_j": metrics.energy_j,
            "energy_net_j": metrics.energy_net_j,
            "ipw": metrics.ipw,
            "ipj": metrics.ipj,
            "ipw_busy": metrics.ipw_busy,
            "j_per_correct": metrics.j_per_correct,
            **named,
            **coef("prefill_j_per_token", self.price.prefill_j),
            **coef("decode_j_per_token", self.price.decode_j),
            **coef("call_j", self.price.call_j),
            "prefill_tokens_per_s": speed(self.price.prefill_s),
            "decode_tokens_per_s": speed(self.price.decode_s),
            "output_tokens_per_s": self.output_tokens_per_s,
            "queries_per_s": metrics.capacity,
            "in_flight": self.in_flight,
            "ttft_s": None if self.ttft_s is None else _named(self.ttft_s),
            "latency_s": _named(self.latency_s),
            "watts": dict(self.watts),
            "priced_error": self.priced_error,
            "spread": self.spread,
            "steady": self.steady,
            "idle_drift": self.idle_drift,
            "failed_calls": self.failed,
            "others_share": self.others_share,
            "flags": list(self.flags),
        }


_INTERVALS = {
    "accuracy": "accuracy",
    "energy": "energy_j",
    "ipw": "ipw",
    "ipj": "ipj",
    "ipw_busy": "ipw_busy",
}


def figures(profile: Profile, model: str, concurrency: int) -> Figures:
    """Compute the figures of one model at one load."""
    load = profile.models[model].loads[concurrency]
    basis, runs, price = profile.basis, load.counted, load.price
    idle = mean_watts(load.idle, basis)
    joules = [run.window.joules(basis) for run in runs]
    known = [value for value in joules if value is not None]
    costs = [[call.cost(price) for call in run.calls] for run in runs]
    sample = Sample(
        score=np.array([run.scores for run in runs], dtype=float),
        joules=np.array(
            [
                np.full(len(row), np.nan)
                if total is None
                else share(total, [cost.joules for cost in row])
                for total, row in zip(joules, costs, strict=True)
            ]
        ),
        busy_s=np.array(
            [
                share(run.window.seconds, [cost.seconds for cost in row])
                for run, row in zip(runs, costs, strict=True)
            ]
        ),
        weight=np.array(profile.weight),
        value=np.array(profile.value),
    )
    serving = Load(profile.rate, float("nan") if idle is None else idle)
    calls = [call for run in runs for call in run.calls]
    answered = [call for call in calls if not call.failed]
    ttfts = [call.ttft_s for call in answered if call.ttft_s is not None]
    seconds = sum(run.window.seconds for run in runs)
    measured = sum(known) if len(known) == len(runs) else None
    priced = sum(cost.joules for row in costs for cost in row)
    spread = load.spread(basis)
    before = mean_watts(load.idle[:1], basis)
    after = mean_watts(load.idle[1:][-1:], basis)
    shares = [run.window.own_share for run in runs]
    return Figures(
        metrics=measure(sample, serving),
        intervals=intervals(sample, serving, resampling(len(runs), len(profile.weight))),
        price=price,
        output_tokens_per_s=sum(call.completion_tokens for call in calls) / seconds,
        in_flight=sum(call.latency_s for call in calls) / seconds,
        ttft_s=_percentiles(ttfts) if ttfts else None,
        latency_s=_percentiles([call.latency_s for call in answered]),
        watts={
            "mean": None if measured is None else measured / seconds,
            "peak": _peak([run.window for run in runs], basis),
            "idle": idle,
        },
        priced_error=priced / measured - 1 if measured else None,
        spread=spread,
        steady=None if spread is None else spread <= STEADY_SPREAD,
        idle_drift=after / before - 1 if before and after is not None else None,
        failed=sum(call.failed for call in calls),
        others_share=None
        if None in shares
        else 1
        - float(np.average([s or 0.0 for s in shares], weights=[r.window.seconds for r in runs])),
        flags=tuple(dict.fromkeys(flag for run in runs for flag in run.window.flags)),
    )


def _peak(windows: Sequence[Window], basis: Basis) -> float | None:
    """Return the highest sum of the rails' peaks: an upper bound where they peak apart."""
    peaks = []
    for window in windows:
        found = {domain.name: domain.peak_watts for domain in window.domains}
        rails = [found.get(name) for name in basis.domains]
        known = [watts for watts in rails if watts is not None]
        if known and len(known) == len(rails):
            peaks.append(sum(known))
    return max(peaks, default=None)


def _percentiles(values: Sequence[float]) -> dict[int, float]:
    return {p: float(np.percentile(values, p)) for p in PERCENTILES}


def _named(percentiles: Mapping[int, float]) -> dict[str, float]:
    return {f"p{p}": value for p, value in percentiles.items()}
