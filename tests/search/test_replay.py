"""An exported pipeline over the select queries, from the ledger: the searched numbers exactly."""

import shutil
from pathlib import Path

import pytest
from scripted_world import Nature, Outcome, World

from archon.errors import ArchonError, UsageError
from archon.search.replay import replay
from archon.search.results import priced_figures


def test_the_searched_score_and_joules_come_out_exactly(
    finished: tuple[World, Outcome],
) -> None:
    world, outcome = finished
    made = len(world.calls)
    evaluation = replay(outcome.folder / "best.yaml", "select", pool=world.pool)
    figures = priced_figures(evaluation)
    best = outcome.summary["best"]
    assert {name: figures[name] for name in figures} == {name: best[name] for name in figures}
    assert evaluation.generated == 0
    assert len(world.calls) == made


def test_it_does_so_through_the_link_to_the_latest_results(
    finished: tuple[World, Outcome],
) -> None:
    world, outcome = finished
    path = world.folder / "out" / "latest" / "best.yaml"
    evaluation = replay(path, "select", pool=world.pool)
    assert evaluation.metrics.energy_j == outcome.summary["best"]["energy_j"]


@pytest.mark.parametrize("finish", ["rank", "verify", "fuse", "critique", "rank_fuse"])
def test_it_does_so_for_pipelines_of_several_steps(tmp_path: Path, finish: str) -> None:
    world = World(tmp_path, {"small": Nature(0.5, words=10)})
    outcome = world.run(
        axes__samples=[2],
        axes__finishes=[finish],
        objective={"metric": "ipj"},
        task__sizes={"fit": 0, "select": 16, "test": 8},
        confirm__repeats=1,
        search__racing=False,
    )
    made = len(world.calls)
    evaluation = replay(outcome.folder / "best.yaml", "select", pool=world.pool)
    best = outcome.summary["best"]
    assert len(evaluation.spec.layers) >= 1
    assert evaluation.metrics.accuracy == best["accuracy"]
    assert evaluation.metrics.energy_j == best["energy_j"]
    assert len(world.calls) == made


def test_what_was_never_drawn_cannot_be_replayed(finished: tuple[World, Outcome]) -> None:
    world, outcome = finished
    with pytest.raises(ArchonError, match="the ledger lacks 256 calls of this pipeline"):
        replay(outcome.folder / "best.yaml", "test", pool=world.pool)


def test_a_spec_away_from_its_results_folder_cannot_be_replayed(
    finished: tuple[World, Outcome], tmp_path: Path
) -> None:
    world, outcome = finished
    path = tmp_path / "best.yaml"
    shutil.copy(outcome.folder / "best.yaml", path)
    with pytest.raises(UsageError, match=r"manifest\.json"):
        replay(path, "select", pool=world.pool)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(UsageError, match=r"manifest\.json"):
        replay(path, "select", pool=world.pool)


def test_a_vanished_ledger_is_named_and_not_made_anew(
    finished: tuple[World, Outcome], tmp_path: Path
) -> None:
    world, outcome = finished
    elsewhere = tmp_path / "moved"
    shutil.copytree(outcome.folder, elsewhere)
    text = (elsewhere / "manifest.json").read_text()
    out = tmp_path / "nowhere"
    (elsewhere / "manifest.json").write_text(text.replace(str(world.folder / "out"), str(out)))
    with pytest.raises(ArchonError, match=r"ledger\.sqlite"):
        replay(elsewhere / "best.yaml", "select", pool=world.pool)
    assert not out.exists()
