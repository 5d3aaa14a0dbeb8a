"""The harness measures what the machine charges, and nothing else."""

import re
from itertools import pairwise

import numpy as np
import pytest
from profiled_world import (
    IDLE_WATTS,
    LOADING_J,
    PROMPT,
    TRUTHS,
    WARM_UP_J,
    Completion,
    Machine,
    Profile,
    knows,
)

from archon.errors import ArchonError, EngineError
from archon.ledger import Ledger
from archon.profile import figures
from archon.search.calibrate import DESIGNS

LOADS = sorted(TRUTHS)


def run_number(label: str) -> int:
    """Return which run of the task a window is, 0 if it is something else."""
    found = re.search(r"in flight #(\d+)", label)
    return int(found[1]) if found else 0


def per_query(model: str, load: int) -> tuple[float, float]:
    truth = TRUTHS[model, load]
    return truth.cost(PROMPT, truth.words)


@pytest.mark.parametrize(("model", "load"), LOADS)
class TestFigures:
    """At two loads of two models."""

    def test_prices_are_what_tokens_and_calls_cost(
        self, profiled: tuple[Machine, Profile], model: str, load: int
    ) -> None:
        price, truth = figures(profiled[1], model, load).price, TRUTHS[model, load]
        joules = (price.prefill_j.value, price.decode_j.value, price.call_j.value)
        seconds = (price.prefill_s.value, price.decode_s.value, price.call_s.value)
        assert joules == pytest.approx(truth.joules, rel=1e-6)
        assert seconds == pytest.approx(truth.seconds, rel=1e-6)

    def test_joules_and_busy_seconds_per_query(
        self, profiled: tuple[Machine, Profile], model: str, load: int
    ) -> None:
        metrics = figures(profiled[1], model, load).metrics
        joules, seconds = per_query(model, load)
        assert metrics.energy_j == pytest.approx(joules)
        assert metrics.energy_net_j == pytest.approx(joules - IDLE_WATTS * seconds)
        assert metrics.capacity == pytest.approx(1 / seconds)

    def test_accuracy_counts_each_query_by_its_weight(
        self, profiled: tuple[Machine, Profile], model: str, load: int
    ) -> None:
        right = {n: (1 + (n == 4)) * knows(model, n) for n in range(1, 13)}
        assert figures(profiled[1], model, load).metrics.accuracy == sum(right.values()) / 13

    def test_ipw_is_accuracy_per_watt_at_the_rate(
        self, profiled: tuple[Machine, Profile], model: str, load: int
    ) -> None:
        metrics = figures(profiled[1], model, load).metrics
        joules, seconds = per_query(model, load)
        watts = np.ceil(seconds) * IDLE_WATTS + 1.0 * (joules - IDLE_WATTS * seconds)
        assert metrics.ipw == pytest.approx(metrics.accuracy / watts)
        assert metrics.ipj == pytest.approx(metrics.accuracy / joules)
        assert metrics.ipw_busy == pytest.approx(metrics.accuracy * seconds / joules)

    def test_times_speeds_and_watts(
        self, profiled: tuple[Machine, Profile], model: str, load: int
    ) -> None:
        shown, truth = figures(profiled[1], model, load), TRUTHS[model, load]
        joules, seconds = per_query(model, load)
        assert shown.latency_s == pytest.approx(dict.fromkeys((50, 95, 99), seconds))
        assert shown.ttft_s == pytest.approx(dict.fromkeys((50, 95, 99), PROMPT * truth.seconds[0]))
        assert shown.output_tokens_per_s == pytest.approx(truth.words / seconds)
        assert shown.watts["mean"] == pytest.approx(joules / seconds)
        assert shown.watts["idle"] == pytest.approx(IDLE_WATTS)

    def test_equal_runs_are_steady_and_priced_right(
        self, profiled: tuple[Machine, Profile], model: str, load: int
    ) -> None:
        shown = figures(profiled[1], model, load)
        assert len(profiled[1].models[model].loads[load].runs) == 3
        assert (shown.steady, shown.failed) == (True, 0)
        assert shown.spread == pytest.approx(0, abs=1e-9)
        assert shown.priced_error == pytest.approx(0, abs=1e-6)
        assert shown.idle_drift == pytest.approx(0, abs=1e-9)


def test_the_profile_says_what_was_asked_of_whom(profiled: tuple[Machine, Profile]) -> None:
    profile = profiled[1]
    assert (profile.task, profile.basis.label, profile.rate) == ("sums", "cpu", 1.0)
    assert profile.prompt == {
        "style": "plain",
        "max_tokens": "48",
        "temperature": "0",
        "samples": "1",
    }
    assert sum(profile.weight) == 13
    assert dict(profile.models["big"].engine) == {"identity": "big@1", "engine": "script of big@1"}
    assert profile.hardware["cpu"] == "of this test"


def test_models_have_the_machine_one_after_the_other(profiled: tuple[Machine, Profile]) -> None:
    life = ("open", "start", "hang up", "close")
    assert profiled[0].events == [f"{step} {model}" for model in ("small", "big") for step in life]


def test_every_load_is_warmed_up_in_no_measured_window(profiled: tuple[Machine, Profile]) -> None:
    machine, profile = profiled
    warm_ups = [asked for asked in machine.asked if asked.warm_up]
    assert {asked.window for asked in warm_ups} == {None, "loading"}
    outside = [asked.model for asked in warm_ups if asked.window is None]
    assert outside == ["small"] * (1 + 4) + ["big"] * (1 + 4)
    for model in profile.models.values():
        for concurrency, load in model.loads.items():
            assert load.warm_up_calls == concurrency


def test_exactly_as_many_calls_are_in_flight_as_the_load_says(
    profiled: tuple[Machine, Profile],
) -> None:
    """In calibration too: prices at one load say nothing of another."""
    measured = {
        place: most
        for place, most in profiled[0].most.items()
        if place[0].startswith("calibration") or run_number(place[0])
    }
    assert len(measured) == 2 * len(DESIGNS) + 4 * 3
    for (_, load), most in measured.items():
        assert most == load


def test_windows_are_long_enough_for_the_counter(profiled: tuple[Machine, Profile]) -> None:
    for model in profiled[1].models.values():
        for load in model.loads.values():
            assert len(load.calibration) == 2 * len(DESIGNS)
            assert min(window.seconds for window in load.calibration) >= 1.0


def test_each_run_asks_anew(profiled: tuple[Machine, Profile]) -> None:
    """Every run has an epoch of its own: nothing is read back, no prompt cache is shared."""
    machine, _ = profiled
    calls = [asked for asked in machine.asked if not asked.warm_up]
    runs = [asked for asked in calls if run_number(asked.window or "")]
    assert len(runs) == 4 * 3 * 12
    assert len({asked.salt for asked in runs}) == len({asked.window for asked in runs}) == 4 * 3
    with Ledger(machine.folder / "ledger.sqlite") as ledger:
        assert ledger.count() == len(calls)
        assert ledger.count(0) == 0


def test_a_profile_made_again_on_the_same_ledger_reads_nothing_back(machine: Machine) -> None:
    for _ in range(2):
        machine.profile(["small"], concurrencies=(1,))
    runs = [asked for asked in machine.asked if run_number(asked.window or "")]
    assert len(runs) == 2 * 3 * 12


def test_the_profile_so_far_is_handed_over_after_each_load(
    profiled: tuple[Machine, Profile],
) -> None:
    machine, profile = profiled
    loads = [
        {name: tuple(model.loads) for name, model in handed.models.items()}
        for handed in machine.handed
    ]
    assert loads == [
        {"small": (1,)},
        {"small": (1, 4)},
        {"small": (1, 4), "big": (1,)},
        {"small": (1, 4), "big": (1, 4)},
    ]
    assert machine.handed[-1] == profile


def test_steps_tell_where_it_is_and_what_is_spent(profiled: tuple[Machine, Profile]) -> None:
    machine, _ = profiled
    steps = machine.steps
    assert [step.what for step in steps[:2]] == ["loading", "idle"]
    assert {(step.model, step.concurrency) for step in steps} == set(TRUTHS)
    for one, other in pairwise(steps):
        assert one.done <= other.done <= 1
        assert one.joules <= other.joules
    assert steps[0].done == 0
    assert steps[-1].done > 0.95
    loading = 2 * (LOADING_J + 4 * WARM_UP_J)
    warm_ups = 2 * 5 * WARM_UP_J  # outside of every window, so not metered
    idle = 8 * 5.0 * IDLE_WATTS
    assert steps[-1].joules == pytest.approx(machine.spent_j - warm_ups - idle)
    assert steps[-1].joules > loading


class TestSteadiness:
    """Runs are repeated until the last so many agree, up to twice the wanted number."""

    def test_a_slow_start_is_left_behind(self, machine: Machine) -> None:
        machine.factor = lambda label: 2.0 if run_number(label) == 1 else 1.0
        profile = machine.profile(["small"], concurrencies=(1,))
        shown = figures(profile, "small", 1)
        assert len(profile.models["small"].loads[1].runs) == 4
        assert shown.steady is True
        assert shown.metrics.energy_j == pytest.approx(per_query("small", 1)[0])

    def test_runs_that_never_agree_are_said_to_be_unsteady(self, machine: Machine) -> None:
        machine.factor = lambda label: 1.0 + 0.3 * (run_number(label) % 2)
        profile = machine.profile(["small"], concurrencies=(1,))
        shown = figures(profile, "small", 1)
        assert len(profile.models["small"].loads[1].runs) == 6
        assert shown.steady is False
        assert shown.spread == pytest.approx(0.3 / 1.1)  # the last three: 1, 1.3, 1
        assert shown.metrics.energy_j == pytest.approx(per_query("small", 1)[0] * 1.1)
        assert max(step.done for step in machine.steps) <= 1

    def test_one_run_says_nothing_about_steadiness(self, machine: Machine) -> None:
        profile = machine.profile(["small"], concurrencies=(1,), repeats=1)
        assert len(profile.models["small"].loads[1].runs) == 1
        assert figures(profile, "small", 1).steady is None

    def test_unreadable_runs_have_no_joules_but_an_accuracy(self, machine: Machine) -> None:
        machine.unreadable = lambda label: run_number(label) > 0
        shown = figures(machine.profile(["big"], concurrencies=(1,)), "big", 1)
        assert (shown.metrics.energy_j, shown.metrics.ipw, shown.steady) == (None, None, None)
        assert shown.metrics.accuracy == 1.0
        assert any("invalid: cpu:0: broken" in flag for flag in shown.flags)


class TestFailure:
    """What goes wrong ends in one line; loads finished before are handed over."""

    def test_a_server_that_dies(self, machine: Machine) -> None:
        def dies(model: str, label: str) -> None:
            if model == "big" and label.endswith("4 in flight #2"):
                raise EngineError("big: the server is gone")

        machine.hook = dies
        with pytest.raises(EngineError, match=r"^big: the server is gone$"):
            machine.profile()
        assert [tuple(m.loads) for m in machine.handed[-1].models.values()] == [(1, 4), (1,)]
        assert machine.events[-1] == "close big"
        windows = machine.windows()
        assert windows["big alone, 4 in flight #1"] is not None
        assert windows["big alone, 4 in flight #2"] is None  # cut off
        assert figures(machine.handed[-1], "big", 1).steady is True

    def test_every_call_of_the_task_failing(self, machine: Machine) -> None:
        def refuses(model: str, label: str) -> Completion | None:
            if model == "big" and run_number(label):
                return Completion("", "error", 0, 0, attempts=4, error="HTTP 500: overflow")
            return None

        machine.hook = refuses
        with pytest.raises(ArchonError, match=r"big alone: every call failed: HTTP 500: overflow$"):
            machine.profile()
        assert [tuple(m.loads) for m in machine.handed[-1].models.values()] == [(1, 4)]
        assert machine.events[-1] == "close big"

    def test_every_call_of_the_calibration_failing(self, machine: Machine) -> None:
        machine.hook = lambda *_: Completion("", "refused", 0, 0, error="HTTP 400: too long")
        with pytest.raises(ArchonError, match=r"calls failed, the first: HTTP 400: too long$"):
            machine.profile()
        assert machine.handed == []
        assert machine.events[-1] == "close small"

    def test_some_calls_failing_are_counted_and_score_nothing(self, machine: Machine) -> None:
        count = iter(range(10_000))

        def shaky(_: str, label: str) -> Completion | None:
            if run_number(label) and next(count) % 12 == 0:  # one call of each run
                return Completion("", "error", 0, 0, attempts=2, error="HTTP 500")
            return None

        machine.hook = shaky
        first = machine.plan().queries[0]
        shown = figures(machine.profile(["big"], concurrencies=(1,)), "big", 1)
        assert shown.failed == 3
        assert shown.metrics.accuracy == pytest.approx(1 - first.weight / 13)
