"""Budgets: the study ends cleanly at the first one reached and says which."""

from pathlib import Path
from typing import Any

import pytest
from scripted_world import Nature, World, call_j

from archon.errors import ArchonError, UsageError
from archon.search.config import Budget


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, {"small": Nature(0.5, words=10)})


@pytest.mark.parametrize(
    ("budget", "distinct", "spent"),
    [
        ({"trials": 2}, 2, "trials"),
        ({"calls": 41}, 2, "calls"),  # a trial that has begun is finished
        ({"joules": 41 * call_j(10)}, 2, "joules"),
        ({"calls": 40, "joules": 1e-9}, 1, "joules and calls"),
    ],
)
def test_the_search_ends_with_the_budget(
    world: World, budget: dict[str, Any], distinct: int, spent: str
) -> None:
    outcome = world.run(search__budget={"trials": None} | budget, search__racing=False)
    assert outcome.summary["search"]["distinct"] == distinct
    assert outcome.summary["search"]["ended"] == f"the budget of {spent} is used up"
    assert (outcome.folder / "best.yaml").is_file()


def test_seconds_count_over_restarts(world: World) -> None:
    used = world.run(search__budget={"trials": 2}).summary["search"]["seconds"]
    assert used > 0
    assert world.run(search__budget={"trials": 5, "seconds": used / 2}).nothing_new


def test_a_budget_too_small_for_any_pipeline_is_one_line(world: World) -> None:
    with pytest.raises(ArchonError) as caught:
        world.run(search__budget={"seconds": 1e-9})
    assert not isinstance(caught.value, UsageError)
    assert caught.value.exit_status == 1
    assert str(caught.value) == (
        "the budget of seconds is used up before any pipeline was evaluated on all select "
        "queries; raise search.budget"
    )
    assert world.run().summary["search"]["distinct"] == 5  # and may go on with more


def test_by_default_only_trials_are_limited() -> None:
    assert Budget().model_dump() == {"trials": 60, "seconds": None, "joules": None, "calls": None}
