"""The page about a profile."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from parsed_page import Page, parse
from profile_content import BASIS, BIG, SMALL, profile, window

from archon.energy import Basis
from archon.errors import UsageError
from archon.profile import LoadProfile, Profile, load_profile, save_profile
from archon.report.profile_page import render_profile, write_profile_page


def page(whole: Profile) -> Page:
    return parse(render_profile(whole))


def lone(**fields: object) -> Profile:
    """One model at one load, measured otherwise."""
    whole = profile({"m": BIG}, (16,))
    load = replace(whole.models["m"].loads[16], **fields)
    return replace(whole, models={"m": replace(whole.models["m"], loads={16: load})})


def unmeasured(load: LoadProfile) -> LoadProfile:
    runs = tuple(replace(r, window=window(None, r.window.seconds)) for r in load.runs)
    return replace(load, runs=runs, idle=(window(None, 5.0),) * 2)


def rows_of(parsed: Page, heading: str) -> list[list[str]]:
    """The lines of the table that has a column of this heading, without its head."""
    start = next(i for i, row in enumerate(parsed.cells) if heading in row)
    rows = []
    for row in parsed.cells[start + 1 :]:
        if row[0] == "model":
            break
        rows.append(row)
    return rows


def test_the_page_reads_from_machine_to_models() -> None:
    text = page(profile()).text
    parts = (
        "Profile of 2 cores of AMD EPYC 9B45, 15 GiB",
        "chain_sum, 24 queries · style steps, max_tokens 96, temperature 0, samples 1 · 2026-03-01",
        "energy: cpu+dram estimated, idle 11.1 W",
        "Every number below stands on steady runs",
        "The machine",
        "What an answer costs",
        "Over the load",
        "Speed and power",
        "Prices",
        "How good the measurement is",
        "The models",
    )
    places = [text.find(part) for part in parts]
    assert -1 not in places
    assert places == sorted(places)


def test_every_title_with_joules_says_how_they_were_got() -> None:
    html = render_profile(profile())
    titles = re.findall(r"<h2>.*?</h2>", html)
    labelled = [title for title in titles if "energy: cpu+dram estimated" in title]
    assert len(titles) == 7
    assert len(labelled) == 5
    assert "<strong>estimated</strong>" in html


def test_measured_energy_is_not_called_estimated() -> None:
    gpu = Basis(("gpu:GPU-1",), "gpu", "counter")
    text = page(profile(basis=gpu)).text
    assert "energy: gpu measured (counter), idle 11.1 W" in text
    assert "energy: gpu estimated" not in text


def test_each_load_has_a_line_under_its_model() -> None:
    rows = rows_of(page(profile()), "ipw (1/W)")
    assert [row[:2] for row in rows] == [
        *(["smollm2-135m", "1"], ["", "4"], ["", "16"]),
        *(["qwen2.5-coder-0.5b", "1"], ["", "4"], ["", "16"]),
    ]
    assert all(re.fullmatch(r"[\d.]+\[[\d.]+, [\d.]+\]", row[3]) for row in rows)


def test_prices_are_in_millijoules_with_intervals() -> None:
    whole = lone()
    (row,) = rows_of(page(whole), "mJ per prompt token")
    price = whole.models["m"].loads[16].price
    for cell, coef in zip(row[2:5], (price.prefill_j, price.decode_j, price.call_j), strict=True):
        value, low, high = map(float, re.findall(r"[\d.]+", cell))
        assert value == pytest.approx(1000 * coef.value, rel=5e-3)
        assert low <= value <= high


def test_the_quality_record_says_how_the_joules_were_got() -> None:
    parsed = page(lone())
    (row,) = rows_of(parsed, "idle drift")
    windows = [run.window.seconds for run in lone().models["m"].loads[16].runs]
    assert row[2] == "3 / 3"
    assert re.fullmatch(r"[\d.]+%steady", row[3])
    assert row[4] == "16"
    assert row[5] == f"{min(windows):.1f} to {max(windows):.1f}"
    assert row[6] == "0.01"
    assert row[7] == f"≤ {0.01 / min(windows):.2%}"
    assert row[8:] == ["+1.0%", "3.0%", "0", "none"]
    assert "Energy of cpu:0, dram:0, estimated." in parsed.text


def test_rails_left_out_of_the_basis_are_named() -> None:
    whole = profile({"m": BIG}, (4,), basis=replace(BASIS, left_out=("gpu:0: a slice of it",)))
    assert "Not counted: gpu:0: a slice of it." in page(whole).text


def test_unsteady_runs_are_said_first_and_in_the_record() -> None:
    runs = lone().models["m"].loads[16].runs
    apart = tuple(
        replace(run, window=window(joules, 10.0))
        for run, joules in zip(runs, (90.0, 100.0, 110.0), strict=True)
    )
    parsed = page(lone(runs=apart))
    assert "Take care: m at 16 in flight: runs are not steady, they differ by 20%." in parsed.text
    assert rows_of(parsed, "idle drift")[0][3] == "20.0%not steady"


def test_drift_failures_and_flags_are_said_first() -> None:
    load = lone().models["m"].loads[16]
    first = load.runs[0]
    failed = (replace(first.calls[0], failed=True), *first.calls[1:])
    flagged = replace(first.window, flags=("shared: gpu:0 also works for 2 others",))
    text = page(
        lone(
            idle=(window(50.0, 5.0), window(60.0, 5.0)),
            runs=(replace(first, calls=failed, window=flagged), *load.runs[1:]),
        )
    ).text
    assert (
        "m at 16 in flight: idle watts drifted by +20%; failed calls: 1; "
        "shared: gpu:0 also works for 2 others."
    ) in text


def test_of_one_run_nothing_is_claimed() -> None:
    parsed = page(lone(repeats=1))
    assert "it is not known whether it repeats" in parsed.text
    assert rows_of(parsed, "idle drift")[0][2:4] == ["1 / 3", "one run"]


def test_unmeasured_is_a_dash_never_a_zero() -> None:
    load = unmeasured(lone().models["m"].loads[16])
    parsed = page(lone(runs=load.runs, idle=load.idle))
    assert rows_of(parsed, "ipw (1/W)")[0][3:] == ["–"] * 6
    assert rows_of(parsed, "mean (W)")[0][6:9] == ["–"] * 3
    assert rows_of(parsed, "price error")[0][-1] == "–"
    record = rows_of(parsed, "idle drift")[0]
    assert (record[3], record[7], record[8]) == ("–", "–", "–")
    assert "its joules are not known" in parsed.text
    assert "Accuracy against energy: –, not measured." in parsed.text


def test_a_server_that_tells_no_first_token_gets_a_dash() -> None:
    text = page(profile({"m": replace(BIG, ttft=False)}, (1, 4)))
    assert [row[4] for row in rows_of(text, "mean (W)")] == ["–", "–"]
    assert "Time to the first token: –, not measured." in text.text


def test_plots_over_the_load_need_two_loads() -> None:
    several, single = page(profile()), page(lone())
    assert sum(tag == "svg" for tag, _ in several.tags) == 6
    assert sum(tag == "svg" for tag, _ in single.tags) == 1
    assert "Measured at one load" in single.text


def test_every_engine_fact_and_hardware_fact_is_shown() -> None:
    gpu = {"gpu0.name": "NVIDIA H100", "gpu0.driver": "580.65", "gpu0.power_limit_w": "700"}
    whole = profile({"m": SMALL}, (4,))
    whole = replace(whole, hardware={**whole.hardware, **gpu})
    text = page(whole).text
    for fact in ("gpu0NVIDIA H100", "gpu0 driver580.65", "gpu0 power limit (W)700"):
        assert fact in text
    for name, value in whole.models["m"].engine.items():
        assert f"{name}{value}" in text


def test_names_cannot_inject_anything() -> None:
    evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>\x1b[31m\u202e'
    seen = evil.replace("\x1b", " ").replace("\u202e", " ")
    whole = profile({evil: BIG, "_b$^": SMALL}, (1, 4), basis=replace(BASIS, left_out=(evil,)))
    engine = {"identity": "x", evil: evil}
    load = whole.models[evil].loads[4]
    flagged = replace(load.runs[0], window=replace(load.runs[0].window, flags=(evil,)))
    loads = {4: replace(load, runs=(flagged, *load.runs[1:])), 1: whole.models[evil].loads[1]}
    whole = replace(
        whole,
        task=evil,
        created=evil,
        prompt={evil: evil},
        hardware={**whole.hardware, "cpu": evil, evil: evil},
        basis=replace(BASIS, label=evil, left_out=(evil,)),
        models={**whole.models, evil: replace(whole.models[evil], engine=engine, loads=loads)},
    )
    parsed = page(whole)
    assert not {"script", "img"} & parsed.names()
    assert not any(key.startswith("on") for _, attrs in parsed.tags for key in attrs)
    assert parsed.text.count(seen) > 15
    assert not {"\x1b", "\u202e"} & set(render_profile(whole))


def test_the_page_fetches_and_runs_nothing() -> None:
    html = render_profile(profile())
    parsed = parse(html)
    assert not {"script", "link", "iframe"} & parsed.names()
    links = [v or "" for _, a in parsed.tags for k, v in a.items() if k.endswith(("href", "src"))]
    assert links
    assert all(link.startswith("#") for link in links)
    policies = [a["content"] for t, a in parsed.tags if t == "meta" and "http-equiv" in a]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]
    ids = [attrs["id"] for _, attrs in parsed.tags if "id" in attrs]
    assert len(set(ids)) == len(ids)


def test_the_same_page_comes_from_the_file(tmp_path: Path) -> None:
    save_profile(profile(), tmp_path / "profile.json")
    write_profile_page(load_profile(tmp_path), tmp_path / "profile.html")
    assert (tmp_path / "profile.html").read_text(encoding="utf-8") == render_profile(profile())


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot write .*profile\.html \(No such file"):
        write_profile_page(lone(), tmp_path / "nowhere" / "profile.html")
