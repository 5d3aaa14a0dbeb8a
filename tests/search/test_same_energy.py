"""A study's joules are of one machine's same rails, or they are not compared."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from device_profiles import LAPTOP, STUDYS, device_profile
from scripted_world import Nature, World

from archon.energy import Domain
from archon.errors import UsageError
from archon.hardware import describe, fingerprint
from archon.profile import Profile, save_profile
from archon.search import run

BEST = "4x small plain T0.7, confident vote"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, {"small": Nature(0.5, words=10)})


def refusal(world: World, **changes: object) -> str:
    """Run a study that is refused before a call is made; return what it said."""
    before = len(world.calls)
    with pytest.raises(UsageError) as caught:
        world.measure(world.config(**changes))
    assert caught.value.exit_status == 2
    assert len(world.calls) == before
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_study_goes_on_with_the_same_rails_of_the_same_machine(world: World) -> None:
    world.run(search__budget={"trials": 3})
    assert world.run(search__budget={"trials": 5}).summary["search"]["distinct"] == 5


def test_a_study_is_not_continued_with_other_rails(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.run(search__budget={"trials": 3})
    rails = (Domain("cpu:0", "cpu", "estimated", tick_s=1.0),)
    monkeypatch.setattr(type(world.meter), "domains", rails)
    said = refusal(world, search__budget={"trials": 5})
    assert "study world was measured with energy basis 'cpu' on" in said
    assert "here it is 'cpu estimated' on" in said
    assert "study.name=" in said


def test_a_study_is_not_continued_on_another_machine(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.run(search__budget={"trials": 3})
    monkeypatch.setattr(run, "fingerprint", lambda: LAPTOP)
    said = refusal(world, search__budget={"trials": 5})
    assert f"on {describe(fingerprint())}; here it is 'cpu' on {describe(LAPTOP)}." in said


def test_a_basis_asked_for_by_name_is_a_setting(world: World) -> None:
    world.run(search__budget={"trials": 3})
    assert "other settings (energy)" in refusal(world, energy={"basis": "cpu"})


class TestPricesOfAProfile:
    """``calibration.profile`` spares a study its calibration, on the machine of the profile."""

    @staticmethod
    def settings(world: World, profile: Profile) -> Mapping[str, object]:
        path = world.folder / "profile.json"
        save_profile(profile, path)
        return {"calibration": {"profile": str(path), "idle_seconds": 0.001}}

    def test_they_are_used_and_nothing_is_calibrated(self, world: World) -> None:
        settings = self.settings(world, device_profile({"small": STUDYS}, idle_watts=0.07))
        outcome = world.measure(world.config(**settings))
        assert outcome.summary["exported"] == BEST
        assert outcome.summary["energy"]["idle_watts"] == pytest.approx(0.07)
        assert outcome.summary["confirm"]["priced_error"] == pytest.approx(0, abs=1e-6)
        with run.Ledger(world.ledger_path) as ledger:
            labels = {label for label, _ in ledger.windows("world")}
        assert not [label for label in labels if "calibration" in label]
        assert world.measure(world.config(**settings)).nothing_new

    @pytest.mark.parametrize(
        ("profile", "said"),
        [
            (device_profile({"small": STUDYS}, hardware=LAPTOP), "is of another machine"),
            (device_profile({"small": STUDYS}, basis="gpu"), "energy basis 'gpu', the study 'cpu'"),
            (device_profile({"big": STUDYS}), "lacks a model of the study"),
            (device_profile({"small": STUDYS}, concurrency=1), "measured at 1 in flight, not at 8"),
        ],
    )
    def test_those_of_anything_else_are_refused(
        self, world: World, profile: Profile, said: str
    ) -> None:
        assert said in refusal(world, **self.settings(world, profile))

    def test_a_file_that_is_no_profile_is_named(self, world: World) -> None:
        path = world.folder / "none.json"
        assert "none.json: cannot be read" in refusal(world, calibration={"profile": str(path)})
        path.write_text("{}")
        assert "none.json: not a profile" in refusal(world, calibration={"profile": str(path)})
