import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from results_content import summary, without_numbers
from rich.console import Console

from archon.errors import UsageError
from archon.report.tables import (
    final_table,
    format_ci,
    format_interval,
    format_number,
    format_si,
    shorten,
)


def shown(content: dict[str, object], width: int = 100) -> list[str]:
    """The lines a terminal of that width shows."""
    out = io.StringIO()
    Console(file=out, width=width).print(final_table(content))
    return out.getvalue().splitlines()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0 J"),
        (453.0, "453 J"),
        (21450.0, "21.4 kJ"),
        (999.9, "1 kJ"),
        (-0.0123, "-12.3 mJ"),
        (5e12, "5000 GJ"),
    ],
)
def test_joules_get_a_prefix(value: float | None, text: str) -> None:
    assert format_si(value, "J") == text


@given(st.floats(1e-8, 1e11))
def test_a_prefixed_number_is_the_number_to_three_digits(value: float) -> None:
    digits, unit = format_si(value, "J").split(" ")
    prefix = {"n": -9, "µ": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9}[unit.removesuffix("J")]
    assert math.isclose(float(digits) * 10.0**prefix, value, rel_tol=0.006)


@pytest.mark.parametrize(
    ("value", "ci", "text"),
    [
        (None, (0.1, 0.2), "–"),
        (3.21, None, "3.21"),
        (3.214, (3.1, 3.351), "3.21 [3.10, 3.35]"),
        (123.4, (110.2, 140.0), "123 [110, 140]"),
        (0.0, (0.0, 0.031), "0.0000 [0.0000, 0.0310]"),
        (0.0, None, "0.00"),
        (0.000612, (0.00055, 0.0007), "612 [550, 700]e-6"),
        (1.23e6, None, "1.23e6"),
    ],
)
def test_an_interval_has_the_decimals_of_its_value(
    value: float | None, ci: tuple[float, float] | None, text: str
) -> None:
    assert format_ci(value, ci) == text


def test_decimals_can_be_fixed() -> None:
    assert format_ci(0.97, (0.94, 1.0), 3) == "0.970 [0.940, 1.000]"
    assert format_number(0.5, 2) == "0.50"


@pytest.mark.parametrize(
    ("ci", "text"),
    [
        (None, "–"),
        ((0.0011, 0.052), "[0.0011, 0.0520]"),
        ((-0.4, 2.0), "[-0.40, 2.00]"),
        ((0.0, 12.0), "[0, 12]"),
    ],
)
def test_an_interval_shows_whether_it_excludes_zero(
    ci: tuple[float, float] | None, text: str
) -> None:
    assert format_interval(ci) == text


@given(st.text(max_size=60), st.integers(3, 50))
def test_a_shortened_name_fits_and_keeps_both_ends(name: str, width: int) -> None:
    short = shorten(name, width)
    assert len(short) <= width
    assert short == name or (name[0], name[-1]) == (short[0], short[-1])


def test_the_table_shows_winner_and_baselines_with_intervals() -> None:
    lines = shown(summary())
    assert lines[0].strip() == "energy: cpu+dram estimated; at 1 query/s, 16 in flight"
    (winner,) = [line for line in lines if line.lstrip().startswith("*") and "[" in line]
    assert winner.split() == [
        *("*", "vote-4x-0.5b", "0.690", "[0.621,0.759]"),
        *("6.40", "[5.76,7.04]", "0.0428", "[0.0385,0.0471]"),
    ]
    assert sum("[" in line for line in lines) == 7  # the heading, the winner, five baselines
    assert lines[-1].strip() == "* winner; exported: vote-4x-0.5b"


def test_the_table_fits_100_characters_and_cuts_names_in_the_middle() -> None:
    content = summary()
    content["baselines"][0]["name"] = "vote-" + "x" * 200 + "-0.5b"
    lines = shown(content, width=200)
    assert max(len(line.strip()) for line in lines) <= 100
    (cut,) = [line for line in lines if "…" in line and "vote-x" in line]
    assert "0.5b  0.110 [0.099,0.121]" in cut


def test_unmeasured_is_a_dash() -> None:
    line = next(line for line in shown(without_numbers(summary())) if "smollm2" in line)
    assert line.split() == ["single-smollm2-135m", "–", "–", "–"]


def test_what_was_not_confirmed_is_marked() -> None:
    content = summary()
    content["baselines"][1]["confirmed"] = False
    lines = shown(content)
    assert [line.split()[1] for line in lines if line.strip().startswith("°")] == [
        "single-qwen2.5-coder-0.5b"
    ]
    assert "* winner; ° priced on the select split, not confirmed; exported:" in lines[-1]
    content["confirm"] = None
    assert any(line.strip().startswith("*° vote-4x-0.5b ") for line in shown(content))


def test_names_of_double_width_stay_on_one_line() -> None:
    content = summary()
    content["best"]["name"] = "名" * 60
    lines = shown(content, width=120)
    assert sum("名" in line and "0.690" in line for line in lines) == 1


def test_no_baselines_and_no_winner_still_make_a_table() -> None:
    content = summary() | {"baselines": [], "best": None, "confirm": None, "exported": None}
    assert "pipeline" in "".join(shown(content))


def test_names_are_text_not_markup() -> None:
    content = summary()
    content["best"]["name"] = "[red]x[/red]"
    assert any("*  [red]x[/red]" in line for line in shown(content))


def test_a_malformed_summary_is_bad_usage() -> None:
    with pytest.raises(UsageError, match=r"summary: best\.name: Field required"):
        final_table(summary() | {"best": {"accuracy": 0.5}})
