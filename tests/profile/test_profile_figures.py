"""The numbers of a profile against what they are defined as."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from profile_content import BASIS, BIG, profile, window

from archon.energy import Coef, Window
from archon.profile import Call, Figures, LoadProfile, Profile, Run, figures

ENERGY = (
    *("energy_j", "energy_net_j", "ipw", "ipj", "ipw_busy", "j_per_correct"),
    *("energy_ci", "ipw_ci", "ipj_ci", "ipw_busy_ci", "priced_error", "spread", "steady"),
)


def one(
    load: LoadProfile | None = None, *, noise: float = 0.01, **fields: Any
) -> tuple[Profile, LoadProfile]:
    """A profile of one model at one load, and that load."""
    whole = profile({"m": BIG}, (4,), noise=noise)
    changed = replace(load or whole.models["m"].loads[4], **fields)
    model = replace(whole.models["m"], loads={4: changed})
    return replace(whole, models={"m": model}), changed


def with_windows(load: LoadProfile, *windows: Window) -> tuple[Run, ...]:
    return tuple(replace(r, window=w) for r, w in zip(load.runs, windows, strict=True))


def with_calls(load: LoadProfile, calls: list[Call]) -> tuple[Run, ...]:
    """The first run with other calls; the number of queries stays."""
    return (replace(load.runs[0], calls=tuple(calls)),)


def of(whole: Profile) -> Figures:
    return figures(whole, "m", 4)


def test_the_metrics_are_ratios_of_totals() -> None:
    whole, load = one()
    joules = sum(run.window.joules(BASIS) or 0.0 for run in load.runs)
    seconds = sum(run.window.seconds for run in load.runs)
    right = sum(sum(run.scores) for run in load.runs)
    answers = 3 * 24
    found = of(whole).metrics
    assert found.accuracy == pytest.approx(right / answers)
    assert found.energy_j == pytest.approx(joules / answers)
    assert found.ipj == pytest.approx(right / joules)
    assert found.j_per_correct == pytest.approx(joules / right)
    assert found.capacity == pytest.approx(answers / seconds)
    idle = 11.0 * 1.005
    net = (joules - idle * seconds) / answers
    assert found.energy_net_j == pytest.approx(net)
    machines = np.ceil(0.2 * seconds / answers)
    assert found.ipw == pytest.approx(right / answers / (machines * idle + 0.2 * net))
    assert found.ipw_busy == pytest.approx(right / answers / (joules / seconds))


def test_every_interval_holds_its_value() -> None:
    found = of(one()[0])
    for name in ("accuracy", "energy_j", "ipw", "ipj", "ipw_busy"):
        ci = found.intervals[name]
        assert ci is not None
        assert ci[0] <= getattr(found.metrics, name) <= ci[1]


def test_queries_weigh_as_they_come() -> None:
    whole, _ = one()
    first = (1.0,) + (0.0,) * 23
    score = whole.models["m"].loads[4].runs[0].scores[0]
    assert of(replace(whole, weight=first)).metrics.accuracy == score


def test_percentiles_are_those_of_all_counted_calls() -> None:
    whole, load = one()
    calls = [call for run in load.runs for call in run.calls]
    found = of(whole)
    assert found.ttft_s is not None
    for p in (50, 95, 99):
        assert found.latency_s[p] == np.percentile([c.latency_s for c in calls], p)
        assert found.ttft_s[p] == np.percentile([c.ttft_s for c in calls if c.ttft_s], p)


def test_percentiles_of_known_latencies() -> None:
    _, load = one()
    calls = [replace(c, latency_s=float(i)) for i, c in enumerate(load.runs[0].calls)]
    found = of(one(load, runs=with_calls(load, calls), repeats=1)[0])
    assert found.latency_s == pytest.approx({50: 11.5, 95: 21.85, 99: 22.77})


def test_speed_power_and_load_are_totals_over_the_runs() -> None:
    whole, load = one()
    calls = [call for run in load.runs for call in run.calls]
    seconds = sum(run.window.seconds for run in load.runs)
    joules = sum(run.window.joules(BASIS) or 0.0 for run in load.runs)
    found = of(whole)
    assert found.output_tokens_per_s == pytest.approx(
        sum(call.completion_tokens for call in calls) / seconds
    )
    assert found.in_flight == pytest.approx(sum(call.latency_s for call in calls) / seconds)
    assert found.watts["mean"] == pytest.approx(joules / seconds)
    assert found.watts["idle"] == pytest.approx(11.0 * 1.005)
    peaks = [1.2 * (run.window.watts(BASIS) or 0.0) for run in load.runs]
    assert found.watts["peak"] == pytest.approx(max(peaks))


def test_exact_prices_foretell_exact_runs() -> None:
    whole, load = one(noise=0.0)
    assert of(whole).priced_error == pytest.approx(0.0, abs=1e-6)
    dearer = with_windows(
        load, *(window((r.window.joules(BASIS) or 0.0) * 1.25, r.window.seconds) for r in load.runs)
    )
    assert of(one(load, runs=dearer)[0]).priced_error == pytest.approx(1 / 1.25 - 1, abs=1e-6)


def test_runs_that_differ_by_more_than_a_tenth_are_unsteady() -> None:
    _, load = one()
    near = with_windows(load, *(window(j, 10.0) for j in (95.0, 100.0, 104.0)))
    far = with_windows(load, *(window(j, 10.0) for j in (90.0, 100.0, 110.0)))
    assert of(one(load, runs=near)[0]).steady is True
    unsteady = of(one(load, runs=far)[0])
    assert unsteady.steady is False
    assert unsteady.spread == pytest.approx(0.2)
    assert of(one(load, runs=far[:1], repeats=1)[0]).steady is None


def test_idle_drift_needs_a_window_before_and_one_after() -> None:
    assert of(one(idle=(window(50.0, 5.0), window(55.0, 5.0)))[0]).idle_drift == pytest.approx(0.1)
    assert of(one(idle=(window(50.0, 5.0),))[0]).idle_drift is None
    assert of(one(idle=(window(50.0, 5.0), window(None, 5.0)))[0]).idle_drift is None


def test_failed_calls_are_counted_and_have_no_first_token() -> None:
    _, load = one()
    calls = list(load.runs[0].calls)
    calls[0] = replace(calls[0], failed=True, ttft_s=1e6, completion_tokens=0)
    found = of(one(load, runs=with_calls(load, calls), repeats=1)[0])
    assert found.failed == 1
    assert found.ttft_s is not None
    assert found.ttft_s[99] < 1e3


def test_the_share_of_other_programs_weighs_windows_by_their_length() -> None:
    _, load = one()
    shares = ((1.0, 10.0), (0.8, 30.0), (1.0, 20.0))
    runs = with_windows(load, *(window(100.0, s, own_share=own) for own, s in shares))
    assert of(one(load, runs=runs)[0]).others_share == pytest.approx(0.1)
    runs = (*runs[:2], replace(runs[2], window=window(100.0, 20.0, own_share=None)))
    assert of(one(load, runs=runs)[0]).others_share is None


def test_flags_are_told_once() -> None:
    _, load = one()
    flags = (("short: 1 s",), ("short: 1 s", "shared: gpu:0"), ())
    runs = with_windows(load, *(window(100.0, 10.0, flags=each) for each in flags))
    assert of(one(load, runs=runs)[0]).flags == ("short: 1 s", "shared: gpu:0")


def test_one_run_with_unknown_joules_leaves_every_energy_unknown() -> None:
    _, load = one()
    runs = (replace(load.runs[0], window=window(None, 10.0)), *load.runs[1:])
    found = of(one(load, runs=runs)[0]).to_json()
    assert {name: found[name] for name in ENERGY} == dict.fromkeys(ENERGY)
    assert found["watts"]["mean"] is None
    assert found["accuracy"] is not None
    assert found["decode_j_per_token"] > 0  # the calibration was metered


def test_unknown_idle_watts_leave_unknown_what_needs_them() -> None:
    found = of(one(idle=(window(None, 5.0), window(None, 5.0)))[0]).to_json()
    needing = ("energy_net_j", "ipw", "ipw_ci", "idle_drift")
    assert {name: found[name] for name in needing} == dict.fromkeys(needing)
    assert found["watts"]["idle"] is None
    assert found["ipj"] > 0


def test_a_rail_that_tells_no_peak_leaves_the_peak_unknown() -> None:
    _, load = one()
    bare = [replace(d, peak_watts=None) for d in load.runs[0].window.domains[1:]]
    domains = (load.runs[0].window.domains[0], *bare)
    runs = with_windows(load, *(replace(r.window, domains=domains) for r in load.runs))
    assert of(one(load, runs=runs)[0]).watts["peak"] is None
    runs = with_windows(load, *(replace(r.window, domains=()) for r in load.runs))
    assert of(one(load, runs=runs)[0]).watts["peak"] is None


def test_a_server_that_tells_no_first_token_has_none() -> None:
    whole = profile({"m": replace(BIG, ttft=False)}, (4,))
    assert of(whole).ttft_s is None
    assert of(whole).to_json()["ttft_s"] is None


def test_work_that_takes_no_time_has_no_speed() -> None:
    found = of(one()[0])
    price = replace(found.price, prefill_s=Coef(0.0, 0.0, 0.1), decode_s=Coef(0.02, 0.01, 0.03))
    numbers = replace(found, price=price).to_json()
    assert numbers["prefill_tokens_per_s"] is None
    assert numbers["decode_tokens_per_s"] == pytest.approx(50.0)
