"""What a configuration may say, and how a wrong one is refused: one line with its place."""

from pathlib import Path

import pytest
import yaml
from scripted_world import settings

from archon.errors import UsageError
from archon.search.config import Floor, StudyConfig, load_config, load_task_config, packaged


def load(*arguments: str) -> StudyConfig:
    return load_config(arguments)


def refusal(*arguments: str) -> str:
    with pytest.raises(UsageError) as caught:
        load_config(arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture
def conf_file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(settings(tmp_path, ["small", "big"])))
    return path


def test_every_packaged_configuration_loads() -> None:
    assert "quickstart" in packaged()
    for name in packaged():
        assert load(f"conf={name}").models


def test_a_configuration_may_be_a_path(conf_file: Path) -> None:
    config = load(f"conf={conf_file}")
    assert config.study.name == "world"
    assert config.search.sampler == "exhaustive"


def test_overrides_change_and_add_settings(conf_file: Path) -> None:
    config = load(
        f"conf={conf_file}",
        "search.budget.trials=7",
        "search.racing=false",
        "confirm.repeats=1",
        "models=[small]",
    )
    assert config.search.budget.trials == 7
    assert config.search.racing is False
    assert config.confirm.repeats == 1
    assert config.models == ("small",)


def test_a_file_elsewhere_may_use_the_packaged_groups(conf_file: Path) -> None:
    data = yaml.safe_load(conf_file.read_text())
    del data["task"]
    conf_file.write_text(
        yaml.safe_dump({"defaults": [{"task": "letter_counting"}, "_self_"], **data})
    )
    assert load(f"conf={conf_file}").task.source == "reasoning_gym"


def test_a_group_may_lie_beside_the_file(tmp_path: Path, conf_file: Path) -> None:
    data = yaml.safe_load(conf_file.read_text())
    task = data.pop("task")
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "sums.yaml").write_text(yaml.safe_dump(task))
    conf_file.write_text(yaml.safe_dump({"defaults": [{"task": "sums"}, "_self_"], **data}))
    assert load(f"conf={conf_file}").task.scorer == "numeric"


def test_a_packaged_task_is_chosen_by_name() -> None:
    assert load("conf=quickstart", "task=letter_counting").task.name == "letter_counting"
    assert "letter_count" in refusal("conf=quickstart", "task=letter_count")


def test_a_yml_file_is_refused(conf_file: Path) -> None:
    other = conf_file.rename(conf_file.with_suffix(".yml"))
    assert "rename it" in refusal(f"conf={other}")


def test_nothing_but_a_configuration_is_refused() -> None:
    assert "quickstart" in refusal()
    assert "conf=NAME" in refusal("search.sampler=tpe")


def test_an_unknown_configuration_is_refused_with_the_nearest() -> None:
    assert "did you mean quickstart?" in refusal("conf=quickstrat")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert refusal(f"conf={tmp_path}/none.yaml").endswith("no such file")


def test_a_file_that_is_not_yaml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("study: {name: [\n")
    assert "bad.yaml" in refusal(f"conf={tmp_path}/bad.yaml")


@pytest.mark.parametrize(
    ("override", "place"),
    [
        ("search.budget.trails=9", "search.budget.trails"),
        ("serach.sampler=tpe", "serach"),
        ("search.sampler=gp", "search.sampler"),
        ("search.budget.trials=many", "search.budget.trials"),
        ("search.budget.trials=0", "search.budget.trials"),
        ("search.budget.seconds=-1", "search.budget.seconds"),
        ("search.first_rung=1", "search.first_rung"),
        ("objective.metric=speed", "objective.metric"),
        ("objective.accuracy_floor=high", "objective.accuracy_floor"),
        ("objective.accuracy_floor=1.5", "objective.accuracy_floor"),
        ("objective.accuracy_floor=best_single+x", "objective.accuracy_floor"),
        ("objective.accuracy_floor=best_single0.1", "objective.accuracy_floor"),
        ("objective.accuracy_floor=''", "objective.accuracy_floor"),
        ("target.concurrency=0", "target.concurrency"),
        ("target.rate=0", "target.rate"),
        ("energy.basis=[]", "energy.basis"),
        ("confirm.repeats=0", "confirm.repeats"),
        ("models=[]", "models"),
        ("study.name=../up", "study.name"),
        ("study.name=latest", "study.name"),
        ("task.source=nowhere", "nowhere"),
        ("task.sizes.select=-1", "task.sizes.select"),
        ("energy.coefficients.min_watts_per_vcpu=-1", "energy"),
    ],
)
def test_a_wrong_override_is_refused_with_its_place(
    conf_file: Path, override: str, place: str
) -> None:
    if place == "nowhere":  # a source is looked up when the task loads
        from archon.tasks import load_task

        with pytest.raises(UsageError, match="nowhere"):
            load_task(load(f"conf={conf_file}", override).task)
        return
    assert place in refusal(f"conf={conf_file}", override)


@pytest.mark.parametrize("override", ["budget", "search.budget.trials", "a b"])
def test_an_override_needs_key_and_value(conf_file: Path, override: str) -> None:
    assert f"{override!r} is not an override" in refusal(f"conf={conf_file}", override)


def test_an_override_hydra_cannot_read_is_one_line(conf_file: Path) -> None:
    assert "'{a'" in refusal(f"conf={conf_file}", "study.name={a")


@pytest.mark.parametrize(
    ("text", "value", "relative"),
    [
        (0.5, 0.5, False),
        ("0.5", 0.5, False),
        (1, 1.0, False),
        ("best_single", 0.0, True),
        ("best_single + 0.05", 0.05, True),
        ("best_single+0.05", 0.05, True),
        (".5", 0.5, False),
        (0.00001, 0.00001, False),
        ("best_single - 0.05", -0.05, True),
    ],
)
def test_floors(tmp_path: Path, text: object, value: float, relative: bool) -> None:
    data = settings(tmp_path, ["small"])
    data["objective"]["accuracy_floor"] = text
    assert StudyConfig.model_validate(data).objective.accuracy_floor == Floor(
        value=value, relative=relative
    )


def test_the_fingerprint_covers_what_makes_results_comparable(tmp_path: Path) -> None:
    def mark(section: str, **changes: object) -> str:
        data = settings(tmp_path, ["small"])
        data.setdefault(section, {}).update(changes)
        return StudyConfig.model_validate(data).fingerprint()

    plain = mark("study")
    assert mark("study", name="other", dir="elsewhere") == plain
    assert mark("search", budget={"trials": 5}) == plain
    assert mark("study", seed=9) != plain
    assert mark("search", sampler="tpe") != plain
    assert mark("objective", metric="ipj") != plain
    assert mark("axes", samples=[1]) != plain


def test_a_configuration_survives_its_own_json(tmp_path: Path) -> None:
    config = StudyConfig.model_validate(settings(tmp_path, ["small"]))
    again = StudyConfig.model_validate(config.model_dump(mode="json"))
    assert again == config
    assert again.fingerprint() == config.fingerprint()


def test_a_packaged_task_has_a_name() -> None:
    task = load_task_config("small_sums")
    assert (task.name, task.sizes["select"]) == ("chain_sum", 64)


def test_a_task_may_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yml"
    path.write_text(yaml.safe_dump(settings(tmp_path, ["small"])["task"]))
    assert load_task_config(str(path)).scorer == "numeric"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no such task; packaged: "),
        ("source: [jsonl", "mine.yaml: not YAML"),
        ("", "mine.yaml: "),
        ("{source: jsonl, path: a.jsonl}", "mine.yaml: sizes"),
        ("{source: jsonl, sizes: {fit: 0, select: 1, test: 0}}", "needs path"),
    ],
)
def test_a_wrong_task_file_is_refused_in_one_line(
    tmp_path: Path, text: str | None, said: str
) -> None:
    path = tmp_path / "mine.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError) as caught:
        load_task_config(str(path))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_task_is_told_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"task 'sum': no such task; packaged: .*small_sums"):
        load_task_config("sum")


def test_a_study_may_take_its_prices_from_a_profile(conf_file: Path) -> None:
    config = load(f"conf={conf_file}", "calibration.profile=mine/profile.json")
    assert config.calibration.profile == Path("mine/profile.json")
    assert config.fingerprint() == load(f"conf={conf_file}").fingerprint()
    again = StudyConfig.model_validate(config.model_dump(mode="json"))
    assert again.calibration.profile == config.calibration.profile
