from pathlib import Path

import pytest
from profiled_world import Machine, Profile


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture(scope="session")
def profiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Machine, Profile]:
    """Both models at both loads, all well; only for reading."""
    machine = Machine(tmp_path_factory.mktemp("profiled"))
    return machine, machine.profile()
