"""A study whose pipelines run programs: they are calls, in its ledger and in its joules."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from device_profiles import STUDYS, device_profile
from scripted_world import CPU_J, RUN_J, Nature, Outcome, World

from archon.engines.base import Completion, Sampling
from archon.engines.pool import EnginePool
from archon.engines.programs import SandboxEngine
from archon.errors import ArchonError, UsageError
from archon.ledger import Ledger
from archon.messages import Message
from archon.profile import save_profile
from archon.search.replay import replay
from archon.search.rerank import rerank
from archon.tasks.sandbox import require_sandbox


@dataclass(frozen=True)
class Coder(Nature):
    """Answers with a function that returns the sum, or writes a test of it."""

    def __call__(self, messages: tuple[Message, ...], _: Sampling, seed: int) -> Completion:
        said = super().__call__(messages, _, seed).text
        asked = messages[-1].content
        if "tests of the Python function" in asked:
            a, b = (int(word) for word in asked.splitlines()[0].split() if word.isdigit())
            said = json.dumps({"function": "f", "tests": [f"assert f() == {a + b}"]})
        else:
            said = f"```python\ndef f():\n    return {said}\n```\nAnswer: {said}"
        return Completion(said, "stop", len(asked.split()), len(said.split()))


class Refusing(SandboxEngine):
    """Says what a sandbox would, and runs nothing."""

    async def complete(self, *_: object) -> Completion:
        raise AssertionError("a program was run")


AXES = {
    "styles": {"plain": [200]},
    "samples": [4],
    "temperatures": [0.7],
    "finishes": ["run_tests"],
    "tests": [1],
}
SETTINGS = {
    "space": "programs",
    "axes": AXES,
    "task__sizes": {"fit": 0, "select": 8, "test": 8},
    "objective": {"metric": "ipj", "accuracy_floor": 0.8},
    "confirm__repeats": 1,
    "search__racing": False,
}


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Outcome]:
    """A coder that is right half the time, and knows the right test; only for reading."""
    world = World(tmp_path_factory.mktemp("programs"), {"small": Coder(0.5, words=1)})
    return world, world.run(**SETTINGS)


def test_runs_are_calls_of_the_sandbox_with_joules_of_their_own(
    studied: tuple[World, Outcome],
) -> None:
    _, outcome = studied
    assert outcome.summary["exported"] == "4x small plain T0.7, run 1 tests"
    assert outcome.summary["confirm"]["priced_error"] == pytest.approx(0, abs=1e-9)
    rows = {(one["component"], one["model"]): one for one in outcome.summary["components"]}
    row = rows["unit_test_evaluator", "sandbox"]
    counts = outcome.summary["confirm"]["counts"]
    runs, cpu_ms = (counts[f"unit_test_evaluator.sandbox_{what}"] for what in ("runs", "cpu_ms"))
    assert row["calls"] == runs
    assert row["joules"] == pytest.approx(RUN_J * runs + CPU_J * cpu_ms / 1000, rel=0.05)


def test_it_is_evaluated_again_from_the_ledger_to_the_last_digit(
    studied: tuple[World, Outcome],
) -> None:
    world, outcome = studied
    engine = world.pool.engine("small@1")
    pool = EnginePool({"small": engine}, programs=Refusing())
    made = len(world.calls)
    evaluation = replay(outcome.folder / "best.yaml", "select", pool=pool)
    assert evaluation.metrics.energy_j == outcome.summary["best"]["energy_j"]
    assert evaluation.metrics.accuracy == outcome.summary["best"]["accuracy"]
    assert (evaluation.generated, len(world.calls)) == (0, made)
    with Ledger(world.ledger_path) as ledger:
        assert "search: sandbox" in {label for label, _ in ledger.windows("world")}


def test_runs_without_a_sandbox_are_others(studied: tuple[World, Outcome]) -> None:
    world, outcome = studied
    engine = world.pool.engine("small@1")
    pool = EnginePool({"small": engine}, programs=Refusing(unsafe=True))
    with pytest.raises(ArchonError, match=r"lacks .* calls .* same --unsafe-code or none"):
        replay(outcome.folder / "best.yaml", "select", pool=pool)


def test_pipelines_that_run_programs_are_not_ranked_for_another_device(
    studied: tuple[World, Outcome],
) -> None:
    world, outcome = studied
    ranking = rerank(outcome.folder, device_profile({"small": STUDYS}), pool=world.pool)
    assert [row.evaluation.spec.name for row in ranking.rows] == ["small plain"]
    assert ranking.notes == (
        "a profile has no price for running programs: 1 pipelines are left out",
    )


def refusal(world: World, **changes: object) -> str:
    with pytest.raises(UsageError) as caught:
        world.measure(world.config(**SETTINGS | changes))
    assert not world.calls
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_where_there_is_no_sandbox_nothing_is_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    require_sandbox.cache_clear()
    world = World(tmp_path, {"small": Coder(0.5, words=1)})
    assert "apt install bubblewrap" in refusal(world)


def test_a_profile_has_no_price_for_programs(tmp_path: Path) -> None:
    world = World(tmp_path, {"small": Coder(0.5, words=1)})
    path = tmp_path / "profile.json"
    save_profile(device_profile({"small": STUDYS}), path)
    said = refusal(world, calibration={"profile": str(path)})
    assert "calibration.profile: a profile has no price for running programs" in said
