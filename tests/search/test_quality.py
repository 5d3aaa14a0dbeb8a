"""The quality record: what was wrong with a study's windows, counted."""

import json

import pytest
from scripted_world import Outcome, World

from archon.energy import Basis, DomainEnergy, Window
from archon.search.quality import quality

BASIS = Basis(("gpu:a", "cpu:0"), "gpu+cpu", "counter", ("dram:0: cannot be read",))


def rail(name: str, joules: float | None = 50.0, **known: float) -> DomainEnergy:
    reason = "it stood still" if joules is None else None
    return DomainEnergy(name, "cpu", "counter", joules, reason, known.pop("tick_s", 0.1), **known)


def window(
    *rails: DomainEnergy,
    seconds: float = 10.0,
    own: float | None = None,
    flags: tuple[str, ...] = (),
) -> dict[str, object]:
    there = rails or (rail("gpu:a"), rail("cpu:0"))
    return Window("phase", 0.0, seconds, there, own_share=own, flags=flags).to_json()


def record(*windows: dict[str, object] | None, before: float = 20.0, after: float = 20.0):  # type: ignore[no-untyped-def]
    stored = [("phase", one) for one in windows]
    found = quality(stored, BASIS, idle_watts=before, idle_watts_after=after)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return found


def test_windows_are_counted_by_what_became_of_them() -> None:
    found = record(
        window(),
        None,
        window(rail("gpu:a", None), rail("cpu:0"), flags=("invalid: gpu:a: it stood still",)),
        window(flags=("short: 0.1 s < 10 ticks of 0.1 s",)),
        window(flags=("short: 0.2 s < 10 ticks of 0.1 s", "shared: gpu:a also runs 2 others")),
        None,
    )
    assert (found["windows"], found["cut_off"], found["invalid"]) == (6, 2, 1)
    assert found["flags"] == {"invalid": 1, "short": 2, "shared": 1}


def test_a_rail_that_does_not_count_may_fail() -> None:
    found = record(window(rail("gpu:a"), rail("cpu:0"), rail("dram:0", None, tick_s=9.0)))
    assert (found["invalid"], found["tick_s"]) == (0, 0.1)
    assert found["left_out"] == ["dram:0: cannot be read"]


def test_the_worst_bound_tick_and_temperature_are_kept() -> None:
    found = record(
        window(rail("gpu:a", error_j=3.0), rail("cpu:0", error_j=2.0), seconds=4.0),
        window(
            rail("gpu:a", error_j=1.0, temperature_c=71.0, tick_s=0.02),
            rail("cpu:0", error_j=1.0, temperature_c=55.0),
            rail("dram:0", error_j=90.0, temperature_c=99.0),
        ),
        window(rail("gpu:a", error_j=50.0), rail("cpu:0"), seconds=9.0),  # no bound for the CPU
    )
    assert found["error"] == pytest.approx(5.0 / 100.0)
    assert found["temperature_c"] == 71.0
    assert (found["shortest_s"], found["tick_s"]) == (4.0, 0.1)


def test_others_share_is_weighted_by_length() -> None:
    found = record(window(seconds=30.0, own=0.9), window(seconds=10.0, own=0.5), window(own=None))
    assert found["others_share"] == pytest.approx((30 * 0.1 + 10 * 0.5) / 40)


def test_idle_drift_is_relative() -> None:
    assert record(window(), before=20.0, after=25.0)["idle_drift"] == pytest.approx(0.25)


def test_what_is_unknown_is_none_and_never_0() -> None:
    unknown = ("shortest_s", "tick_s", "error", "temperature_c", "others_share", "idle_drift")
    found = record(None, before=0.0)
    assert [found[name] for name in unknown] == [None] * len(unknown)
    found = record(window())
    assert [found[name] for name in ("error", "temperature_c", "others_share")] == [None] * 3


def test_a_study_carries_its_record(finished: tuple[World, Outcome]) -> None:
    found = finished[1].summary["energy"]["quality"]
    assert (found["cut_off"], found["invalid"]) == (0, 0)
    assert found["flags"] == {"short": found["windows"]}  # this world's counter ticks once a second
    assert found["windows"] > 4
    assert (found["tick_s"], found["temperature_c"]) == (1.0, None)
    assert found["shortest_s"] > 0
