"""A profile on the terminal and as CSV."""

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from profile_content import BIG, SMALL, profile, window
from rich.console import Console

from archon.errors import UsageError
from archon.profile import Profile, figures
from archon.report.profile_table import profile_tables, write_profile_csv


def shown(whole: Profile, width: int = 100) -> list[str]:
    """The lines a terminal of that width shows."""
    out = io.StringIO()
    for table in profile_tables(whole):
        Console(file=out, width=width).print(table)
    return out.getvalue().splitlines()


def lines_of(whole: Profile, path: Path) -> list[dict[str, str]]:
    write_profile_csv(whole, path)
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def unmeasured() -> Profile:
    whole = profile({"m": replace(BIG, ttft=False)}, (4,))
    load = whole.models["m"].loads[4]
    runs = tuple(replace(r, window=window(None, r.window.seconds)) for r in load.runs)
    lost = replace(load, runs=runs, idle=(window(None, 5.0),) * 2)
    return replace(whole, models={"m": replace(whole.models["m"], loads={4: lost})})


def leaves(numbers: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in numbers.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{inner}", one) for inner, one in value.items())
        elif isinstance(value, tuple | list) and name.endswith("_ci"):
            yield from zip((f"{name}_low", f"{name}_high"), value, strict=True)
        else:
            yield name, value


def test_the_title_of_both_tables_tells_machine_and_energy() -> None:
    title = "2 cores of AMD EPYC 9B45, 15 GiB; energy: cpu+dram estimated"
    assert sum(title in line for line in shown(profile())) == 2


def test_both_tables_have_a_line_per_model_and_load() -> None:
    lines = [line.split() for line in shown(profile())]
    models = [line[:2] for line in lines if line and line[0] in profile().models]
    assert models == [["smollm2-135m", "1"], ["qwen2.5-coder-0.5b", "1"]] * 2
    assert sum(line[:1] in (["4"], ["16"]) for line in lines) == 8


def test_numbers_are_the_figures() -> None:
    whole = profile({"m": BIG}, (16,))
    one = figures(whole, "m", 16)
    cost, speed = (line.split() for line in shown(whole) if line.strip().startswith("m "))
    assert cost[2] == f"{one.metrics.accuracy:.3f}"
    assert float(cost[4]) == pytest.approx(one.metrics.energy_j, rel=5e-3)
    assert cost[5].startswith("[")
    assert float(cost[6]) == pytest.approx(one.metrics.ipw, rel=5e-3)
    assert float(speed[2]) == pytest.approx(1000 * one.price.prefill_j.value, rel=5e-3)
    assert float(speed[3]) == pytest.approx(1000 * one.price.decode_j.value, rel=5e-3)
    assert float(speed[4]) == pytest.approx(one.output_tokens_per_s, rel=5e-3)
    for cell, seconds in ((speed[5], one.ttft_s), (speed[6], one.latency_s)):
        assert seconds is not None
        assert [float(x) for x in cell.split("/")] == pytest.approx(
            [seconds[50], seconds[95]], rel=5e-3
        )
    assert [float(x) for x in speed[7].split("/")] == pytest.approx(
        [one.watts["mean"], one.watts["idle"]], rel=5e-3
    )


def test_the_tables_fit_a_hundred_columns() -> None:
    long = profile({"a-model-with-a-name-far-too-long-for-any-table": BIG, "名前" * 20: SMALL})
    assert max(map(len, shown(long, width=200))) <= 100
    names = [line.split()[0] for line in shown(long) if line.strip().startswith("a-m")]
    assert all("…" in name and name.endswith("-table") for name in names)
    assert len(names) == 2


def test_no_digit_is_lost_on_a_narrow_terminal() -> None:
    wide, narrow = (shown(profile({"m": BIG}, (16,)), width) for width in (100, 60))
    digits = [sorted(c for line in lines for c in line if c.isdigit()) for lines in (wide, narrow)]
    assert digits[0] == digits[1]


def test_unsteady_runs_are_marked() -> None:
    assert not any("*" in line for line in shown(profile()))
    noisy = shown(profile({"m": BIG}, (4,), noise=0.3))
    assert sum("4*" in line for line in noisy) == 2
    assert " ".join(" ".join(noisy).split()).count("* runs differ by more than 10%") == 2


def test_unmeasured_is_a_dash_on_the_terminal() -> None:
    cost, speed = (line.split() for line in shown(unmeasured()) if line.strip().startswith("m "))
    assert cost[4:] == ["–", "–"]
    assert speed[5] == "–"
    assert speed[7] == "–/–"


def test_names_are_neither_markup_nor_control_codes() -> None:
    lines = shown(profile({"[red]x[/red]\x1b[31m": BIG}, (4,)))
    assert any("[red]x[/red] [31m" in line for line in lines)
    assert not any("\x1b" in line for line in lines)


def test_the_csv_holds_every_figure_exactly(tmp_path: Path) -> None:
    whole = profile()
    lines = lines_of(whole, tmp_path / "profile.csv")
    places = [(name, load) for name in whole.models for load in (1, 4, 16)]
    assert [(line["model"], int(line["concurrency"])) for line in lines] == places
    for line, (name, load) in zip(lines, places, strict=True):
        assert (line["basis"], line["method"]) == ("cpu+dram estimated", "estimated")
        numbers = dict(leaves(figures(whole, name, load).to_json()))
        assert set(numbers) == set(line) - {"model", "concurrency", "basis", "method"}
        assert numbers.pop("flags") == []
        assert line["flags"] == ""
        assert numbers.pop("steady") is True
        assert line["steady"] == "True"
        for column, value in numbers.items():
            assert line[column] == "" if value is None else float(line[column]) == value


def test_columns_are_named_by_part(tmp_path: Path) -> None:
    (line,) = lines_of(profile({"m": BIG}, (4,)), tmp_path / "profile.csv")
    assert {"ipw_ci_low", "ipw_ci_high", "latency_s.p95", "ttft_s.p99", "watts.peak"} <= set(line)


def test_unmeasured_is_an_empty_cell_in_the_same_columns(tmp_path: Path) -> None:
    (line,) = lines_of(unmeasured(), tmp_path / "profile.csv")
    (full,) = lines_of(profile({"m": BIG}, (4,)), tmp_path / "full.csv")
    assert list(line) == list(full)
    empty = {name for name, cell in line.items() if cell == ""}
    assert empty >= {"energy_j", "energy_ci_low", "ipw", "ttft_s.p50", "watts.mean", "steady"}
    assert not empty & {"accuracy", "accuracy_ci_low", "latency_s.p50", "decode_j_per_token"}


def test_flags_share_one_cell(tmp_path: Path) -> None:
    whole = profile({"m, \n the model": BIG}, (4,))
    load = whole.models["m, \n the model"].loads[4]
    flagged = replace(load.runs[0], window=replace(load.runs[0].window, flags=("a: 1", "b: 2")))
    loads = {4: replace(load, runs=(flagged, *load.runs[1:]))}
    model = replace(whole.models["m, \n the model"], loads=loads)
    (line,) = lines_of(replace(whole, models={"m, \n the model": model}), tmp_path / "profile.csv")
    assert (line["model"], line["flags"]) == ("m, \n the model", "a: 1; b: 2")


def test_a_place_that_cannot_be_written_is_bad_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot write .*x\.csv \(No such file"):
        write_profile_csv(profile({"m": BIG}, (4,)), tmp_path / "nowhere" / "x.csv")
