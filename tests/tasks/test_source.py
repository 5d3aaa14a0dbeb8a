import json
import re

import pytest
from pydantic import ValidationError

from archon.errors import UsageError
from archon.tasks import TaskConfig, load_task

SIZES = {"fit": 1, "select": 1, "test": 1}
PLUGIN = """
from archon.tasks import FreeTask

def good(config):
    task = FreeTask()
    task.name = config.params["title"]
    return task

def bad(config):
    return "not a task"
"""


@pytest.fixture
def sums_file(tmp_path, monkeypatch):
    rows = [{"prompt": f"{n} + 1?", "answer": n + 1} for n in range(3)]
    (tmp_path / "sums.jsonl").write_text("\n".join(map(json.dumps, rows)))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "sums.jsonl"


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    """An installed distribution with task sources."""
    info = tmp_path / "site" / "my_tasks-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-tasks\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[archon.tasks]\nmine = my_tasks:good\nbroken = my_tasks:bad\n"
    )
    (info.parent / "my_tasks.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(info.parent)


def test_a_reasoning_gym_task():
    task = load_task(TaskConfig(source="reasoning_gym", name="chain_sum", seed=7, sizes=SIZES))
    assert task.name == "chain_sum"
    assert {name: len(split) for name, split in task.splits.items()} == SIZES


def test_a_jsonl_task_relative_to_the_working_directory(sums_file):
    config = TaskConfig(source="jsonl", path=sums_file.name, scorer="numeric", sizes=SIZES)
    task = load_task(config)
    assert task.name == "sums"
    assert {name: len(split) for name, split in task.splits.items()} == SIZES


@pytest.mark.usefixtures("plugins")
def test_a_source_of_an_installed_package_gets_the_configuration():
    task = load_task(TaskConfig(source="mine", params={"title": "hello"}, sizes=SIZES))
    assert task.name == "hello"


@pytest.mark.usefixtures("plugins")
def test_a_source_that_returns_something_else_is_refused():
    with pytest.raises(UsageError, match=r"\"broken\" \(my_tasks:bad\) returned str"):
        load_task(TaskConfig(source="broken", sizes=SIZES))


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("reasoning-gym", 'did you mean "reasoning_gym"?'),
        ("xyz", "use one of human_eval, jsonl, reasoning_gym"),
    ],
)
def test_an_unknown_source_is_refused_with_a_hint(source, hint):
    expected = re.escape(f'unknown task source "{source}": {hint}')
    with pytest.raises(UsageError, match=expected):
        load_task(TaskConfig(source=source, sizes=SIZES))


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"source": "reasoning_gym"}, "source reasoning_gym needs name"),
        ({"source": "jsonl"}, "source jsonl needs path"),
        ({"source": "jsonl", "path": "a", "params": {"a": 1}}, "jsonl does not use params"),
        ({"source": "reasoning_gym", "name": "a", "scorer": "exact"}, "does not use scorer"),
        ({"source": "human_eval", "name": "a"}, "source human_eval does not use name"),
        ({"source": "x", "sizes": {"fit": 1, "select": 1}}, "sizes lacks test"),
        ({"source": "x", "sizes": {"fit": 0, "select": 0, "test": 0}}, "sizes are all 0"),
        ({"source": "x", "sizes": SIZES | {"test": -1}}, "greater than or equal to 0"),
        ({"source": "x", "sizes": SIZES | {"train": 1}}, "'fit', 'select' or 'test'"),
        ({"source": "x", "sead": 1}, "Extra inputs are not permitted"),
    ],
)
def test_an_incomplete_or_contradictory_configuration_is_refused(fields, complaint):
    with pytest.raises(ValidationError, match=complaint):
        TaskConfig(**({"sizes": SIZES} | fields))


def test_the_fingerprint_changes_with_the_task_alone():
    fields = {"source": "reasoning_gym", "name": "chain_sum", "params": {"a": 1, "b": 2}}
    one = TaskConfig(**fields, sizes=SIZES)
    same = TaskConfig(**fields | {"params": {"b": 2, "a": 1}}, sizes=dict(reversed(SIZES.items())))
    assert re.fullmatch("[0-9a-f]{64}", one.fingerprint())
    assert one.fingerprint() == same.fingerprint()
    assert one.fingerprint() != one.model_copy(update={"seed": 1}).fingerprint()


def test_the_fingerprint_of_a_file_is_that_of_its_content(sums_file, tmp_path):
    def fingerprint(path):
        return TaskConfig(source="jsonl", path=path, sizes=SIZES).fingerprint()

    before = fingerprint("sums.jsonl")
    assert fingerprint(sums_file.rename(tmp_path / "moved.jsonl")) == before
    (tmp_path / "moved.jsonl").write_text("other")
    assert fingerprint("moved.jsonl") != before
    with pytest.raises(UsageError, match=r"cannot read the task file sums\.jsonl: No such file"):
        fingerprint("sums.jsonl")
