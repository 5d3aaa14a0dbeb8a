"""Running a study again: what is known is never asked again."""

from pathlib import Path

import optuna
import pytest
from scripted_world import Call, Nature, Outcome, World

from archon.errors import EngineError, UsageError


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, {"small": Nature(0.5, words=10)})


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in {".yaml", ".csv", ".json", ".html", ".jsonl"}
    }


def never_twice(world: World) -> bool:
    """Whether no call was made twice; seeds are derived from request, sample and epoch."""
    calls = [(call.model, call.seed) for call in world.calls]
    return len(set(calls)) == len(calls) > 0


def trials(outcome: Outcome) -> int:
    return int(outcome.summary["search"]["trials"])


def test_a_finished_study_has_nothing_left_to_do(world: World) -> None:
    first = world.run()
    before, made = tree(world.folder / "out"), len(world.calls)
    again = world.run()
    assert again.nothing_new
    assert not first.nothing_new
    assert again.folder == first.folder
    assert again.summary["exported"] == first.summary["exported"]
    assert tree(world.folder / "out") == before
    assert len(world.calls) == made
    assert (world.folder / "out" / "latest").resolve() == first.folder.resolve()


@pytest.mark.parametrize("sampler", ["tpe", "exhaustive"])
def test_a_larger_budget_continues(world: World, sampler: str) -> None:
    short = world.run(search__sampler=sampler, search__budget={"trials": 3})
    assert short.summary["search"]["distinct"] == 3
    assert world.run(search__sampler=sampler, search__budget={"trials": 3}).nothing_new
    longer = world.run(search__sampler=sampler, search__budget={"trials": 5})
    assert not longer.nothing_new
    assert longer.folder != short.folder
    assert longer.summary["search"]["distinct"] == 5
    assert longer.summary["exported"] == "4x small plain T0.7, confident vote"
    assert never_twice(world)
    made, used = (longer.summary["search"][f"calls_{name}"] for name in ("generated", "reused"))
    assert made == len(world.made(live=False)) == world.stored(epoch=0)
    assert made + used > short.summary["search"]["calls_generated"]


def test_a_smaller_budget_has_nothing_left_to_do(world: World) -> None:
    world.run()
    assert world.run(search__budget={"trials": 2}).nothing_new


def test_a_fresh_study_on_a_warm_ledger_makes_confirm_calls_only(world: World) -> None:
    first = world.run()
    searched, before = world.stored(epoch=0), world.stored()
    made = len(world.calls)
    second = world.run(study__name="second")
    assert second.summary["search"]["calls_generated"] == 0
    assert second.summary["search"]["joules"] == 0
    assert world.stored(epoch=0) == searched
    assert len(world.calls) - made == world.stored() - before > 0
    assert all(call.live for call in world.calls[made:])
    assert never_twice(world)
    for name in ("accuracy", "energy_j", "ipw"):
        assert second.summary["best"][name] == first.summary["best"][name]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"objective__metric": "ipj"}, "objective"),
        ({"objective__accuracy_floor": 0.5}, "objective"),
        ({"axes__samples": [1, 2]}, "axes"),
        ({"search__sampler": "tpe"}, "search"),
        ({"study__seed": 5}, "study.seed"),
        ({"target__rate": 2.0}, "target"),
    ],
)
def test_a_study_with_other_settings_is_refused(
    finished: tuple[World, Outcome], change: dict[str, object], named: str
) -> None:
    world, _ = finished
    before = tree(world.folder / "out")
    with pytest.raises(UsageError) as caught:
        world.run(**change)
    message = str(caught.value)
    assert f"study world exists with other settings ({named})" in message
    assert "study.name=" in message
    assert "\n" not in message
    assert tree(world.folder / "out") == before


def test_other_settings_are_refused_before_anything_is_measured(world: World) -> None:
    world.run()
    made = len(world.calls)
    with pytest.raises(UsageError, match=r"other settings \(target\)"):
        world.measure(world.config(target__concurrency=3))  # has no prices yet
    assert len(world.calls) == made


def test_a_task_whose_file_changed_is_refused(world: World) -> None:
    config = world.config()
    world.run(config)
    lines = (world.folder / "sums.jsonl").read_text().splitlines()
    (world.folder / "sums.jsonl").write_text("\n".join(lines[1:]))
    with pytest.raises(UsageError, match=r"other settings \(task\)"):
        world.run(config)


def test_confirmation_goes_on_where_it_was(world: World) -> None:
    """Two pipelines, two repeats, 64 queries each: the server dies in the last block."""
    dead = True

    async def hook(call: Call) -> None:
        live = sum(one.live for one in world.calls)
        if dead and call.live and live > 400:
            raise EngineError("the server is gone")

    world.hook = hook
    with pytest.raises(EngineError):
        world.run()
    before = len(world.made(live=True))
    dead = False
    outcome = world.run()
    blocks = (world.folder / "out" / "world" / "confirm.jsonl").read_text().splitlines()
    confirmed = 1 + sum(one["confirmed"] for one in outcome.summary["baselines"])
    assert len(blocks) == confirmed * 2
    whole = len(world.made(live=True)) - before
    fresh = World(world.folder / "other", world.natures)
    (world.folder / "other").mkdir()
    fresh.run()
    assert whole < len(fresh.made(live=True)) / 2
    assert outcome.summary["search"]["calls_generated"] == len(world.made(live=False))


def test_a_block_cut_off_by_a_crash_is_measured_anew(world: World) -> None:
    first = world.run()
    path = world.folder / "out" / "world" / "confirm.jsonl"
    text = path.read_text()
    path.write_text(text[:-40])
    (first.folder / "summary.json").unlink()
    first.folder.rename(world.folder / "moved")  # so the study is not finished any more
    made = len(world.calls)
    outcome = world.run()
    assert not outcome.nothing_new
    assert len(path.read_text().splitlines()) == len(text.splitlines())
    assert 0 < len(world.calls) - made <= 4 * 64


def test_a_larger_budget_that_broke_down_in_confirmation_is_not_taken_for_finished(
    world: World,
) -> None:
    """The shorter study is finished, the longer one is searched but not confirmed."""
    short = world.run(search__budget={"trials": 2})

    async def dies(call: Call) -> None:
        if call.live:
            raise EngineError("the server is gone")

    async def lives(_: Call) -> None:
        pass

    world.hook = dies
    with pytest.raises(EngineError):
        world.run()
    world.hook = lives
    outcome = world.run()
    assert not outcome.nothing_new
    assert outcome.folder != short.folder
    assert outcome.summary["search"]["distinct"] == 5


def test_trials_of_this_study_survive_in_its_storage(world: World) -> None:
    outcome = world.run()
    storage = f"sqlite:///{world.folder}/out/world/study.sqlite"
    study = optuna.load_study(study_name="world", storage=storage)
    assert len(study.trials) == trials(outcome)
    assert {trial.state.name for trial in study.trials} == {"COMPLETE", "PRUNED"}
