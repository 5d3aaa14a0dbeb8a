import json
from pathlib import Path

import pytest
from results_content import LADDER, Folder, summary, without_numbers

from archon.errors import UsageError
from archon.report.results import Energy, load_results, parse_summary


def test_a_folder_is_read_whole(make_folder: Folder) -> None:
    results = load_results(make_folder())
    assert results.summary.study == "quickstart"
    assert len(results.trials) == 49
    assert [rung.name for rung in results.ladder] == [rung["name"] for rung in LADDER]
    assert results.spec_yaml.startswith("archon: 1\nname: vote-4x-0.5b\n")


def test_empty_cells_and_nulls_are_unmeasured_not_zero(make_folder: Folder) -> None:
    rows = [{"number": 0, "state": "FAIL", "name": "broken"}]
    results = load_results(make_folder(without_numbers(summary()), rows, []))
    assert results.trials[0].energy_j is None
    assert results.summary.confirm is not None
    assert results.summary.confirm.accuracy is None
    assert results.summary.confirm.accuracy_ci is None


def test_the_winner_is_not_listed_again_as_a_baseline() -> None:
    content = summary()
    content["best"]["name"] = content["baselines"][0]["name"]
    names = [row.name for row in parse_summary(content).rows()]
    assert len(names) == len(set(names)) == 5


def test_the_winner_shows_its_confirmed_numbers_else_the_search_s() -> None:
    content = summary()
    assert parse_summary(content).rows()[0].measures.accuracy == 0.69
    content["confirm"] = None
    row = parse_summary(content).rows()[0]
    assert (row.measures.accuracy, row.confirmed) == (0.71, False)


@pytest.mark.parametrize(
    ("basis", "method", "label"),
    [
        ("cpu+dram estimated", "estimated", "energy: cpu+dram estimated"),
        ("cpu", "estimated", "energy: cpu estimated"),
        ("gpu+cpu+dram", "counter", "energy: gpu+cpu+dram measured (counter)"),
        ("gpu", "predicted", "energy: gpu predicted"),
        (
            "local measured + remote estimated",
            "counter",
            "energy: local measured + remote estimated",
        ),
        (None, None, "energy: unmeasured"),
    ],
)
def test_the_energy_label_says_how_joules_were_got(
    basis: str | None, method: str | None, label: str
) -> None:
    assert Energy(basis=basis, method=method).label == label


def test_joules_per_correct_answer_is_energy_over_accuracy() -> None:
    content = summary()
    content["confirm"] |= {"accuracy": 0.5, "energy_j": 4.0}
    content["baselines"][0]["accuracy"] = 0.0
    first, second, *_ = parse_summary(content).rows()
    assert first.measures.j_per_correct == 8.0
    assert second.measures.j_per_correct is None


@pytest.mark.parametrize("name", ["summary.json", "trials.csv", "pareto.csv", "best.yaml"])
def test_a_missing_file_is_named(make_folder: Folder, name: str) -> None:
    folder = make_folder()
    (folder / name).unlink()
    with pytest.raises(UsageError, match=f"{name} is missing; give the folder of a finished"):
        load_results(folder)


def test_without_an_export_no_spec_is_asked_for(make_folder: Folder) -> None:
    folder = make_folder(summary() | {"exported": None})
    (folder / "best.yaml").unlink()
    assert load_results(folder).spec_yaml is None


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("summary.json", "{", r"summary.json: not JSON \(line 1: "),
        ("summary.json", "[]", "summary.json: top level: "),
        ("summary.json", '{"task": "t"}', "summary.json: study: Field required"),
        ("trials.csv", "state,name,accuracy\nCOMPLETE,a,0.5\nFAIL,b,much\n", "csv:3: accuracy"),
        ("pareto.csv", "accuracy,energy_j\n0.5,1\n", "pareto.csv:2: name"),
        ("pareto.csv", f"name\n{'x' * 140000}\n", "pareto.csv:2: field larger"),
    ],
)
def test_a_malformed_file_gives_one_line_with_its_place(
    make_folder: Folder, name: str, text: str, message: str
) -> None:
    folder = make_folder()
    (folder / name).write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        load_results(folder)
    assert "\n" not in str(caught.value)


def test_infinite_numbers_are_refused(make_folder: Folder) -> None:
    content = json.loads(json.dumps(summary()))
    content["best"]["ipj"] = float("inf")
    with pytest.raises(UsageError, match=r"best\.ipj"):
        load_results(make_folder(content))


def test_control_characters_never_reach_a_terminal_or_a_page() -> None:
    content = summary() | {"study": "a\x1b[31mb\x00"}
    assert parse_summary(content).study == "a [31mb "


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="cannot be read"):
        load_results(tmp_path)
