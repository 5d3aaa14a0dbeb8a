from collections.abc import Callable
from pathlib import Path

import pytest
from scripted_world import Nature, Outcome, World


@pytest.fixture
def make_world(tmp_path: Path) -> Callable[..., World]:
    """Return a function that opens a world in this test's folder."""

    def make(**natures: Nature) -> World:
        return World(tmp_path, natures)

    return make


COMMITTEE = {"small": Nature(0.5, words=10), "big": Nature(1.0, words=150)}
"""A poor cheap model and a perfect dear one.

Under a floor of 0.85 the best is four samples of the poor one voted by confidence, right with
1 - 0.5^4 = 0.94 for 0.5 J: two reach 0.75, the dear model costs 1.5 J, and a plurality of poor
answers is no better than one.
"""
BEST = "4x small plain T0.7, confident vote"


@pytest.fixture
def committee(tmp_path: Path) -> World:
    return World(tmp_path, COMMITTEE)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Outcome]:
    """A committee whose study is finished; only for reading."""
    world = World(tmp_path_factory.mktemp("finished"), COMMITTEE)
    return world, world.run()
