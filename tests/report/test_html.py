import re
from pathlib import Path

import pytest
from parsed_page import Page, parse
from results_content import Folder, baseline, summary, without_numbers

from archon.errors import UsageError
from archon.report.html import render_report, write_report


def page(folder: Path) -> Page:
    return parse(render_report(folder))


def test_the_report_reads_from_verdict_to_spec(make_folder: Folder) -> None:
    text = page(make_folder()).text
    parts = (
        "quickstart",
        "chain_sum · AMD EPYC 9B45, 2 cores, 15 GB · at 1 query/s, 16 in flight",
        "energy: cpu+dram estimated, idle 11.2 W",
        "vote-4x-0.5b beats every baseline that meets the floor. Exported: vote-4x-0.5b.",
        "Winner and baselines",
        "120 queries, 3 repeats",
        "The winner meets the accuracy floor 0.620 (best_single + 0.05).",
        "Accuracy against energy per query",
        "The ladder",
        "What mattered",
        "Where the winner's joules go",
        "generator takes 59% of the joules.",
        "What the search cost",
        "Priced against confirmed",
        "The exported pipeline",
        "generator m",
        "name: vote-4x-0.5b",
    )
    places = [text.find(part) for part in parts]
    assert -1 not in places
    assert places == sorted(places)


def test_the_energy_basis_stands_in_every_title(make_folder: Folder) -> None:
    titles = re.findall(r"<h2>.*?</h2>", render_report(make_folder()))
    assert len(titles) == 8
    assert all("energy: cpu+dram estimated" in title for title in titles)
    assert "<strong>estimated</strong>" in render_report(make_folder())


def test_the_key_table_holds_intervals_and_the_comparison(make_folder: Folder) -> None:
    parsed = page(make_folder())
    assert parsed.row("vote-4x-0.5b winner") == [
        *("vote-4x-0.5b winner", "test", "0.690[0.621, 0.759]", "6.40[5.76, 7.04]", "5.12"),
        *("0.0428[0.0385, 0.0471]", "0.108[0.097, 0.119]", "9.28", ""),
    ]
    assert parsed.row("single-smollm2-135m")[-1] == "beaten[0.0010, 0.0090]"
    assert parsed.row("archon-rank-fuse")[-1] == "–"


def test_ladder_importance_components_and_drift_are_tables(make_folder: Folder) -> None:
    parsed = page(make_folder())
    assert parsed.row("0.580") == [
        *("0.580", "2.00", "0.0446", "0.290", "3.45", "single-qwen2.5-coder-0.5b")
    ]
    order = [row[0] for row in parsed.cells if row[0] in summary()["importance"]]
    assert order == ["prompt_style", "samples", "model", "temperature"]
    assert parsed.row("judge")[:5] == ["judge", "qwen2.5-coder-0.5b", "360", "315 J", "41%"]
    assert parsed.row("phase 1") == ["phase 1", "61.2", "1510", "1440", "1.05"]
    widths = [a["style"] for t, a in parsed.tags if t == "div" and "style" in a]
    assert widths == [f"width:{w}%" for w in ("45.0", "40.0", "10.0", "5.0", "59.0", "41.0")]


def test_the_joules_of_each_model_are_summed_when_there_are_several(make_folder: Folder) -> None:
    parts = [
        {"component": "0.0 generator", "model": "small", "calls": 40, "joules": 100.0},
        {"component": "1.0 ranker", "model": "big", "calls": 10, "joules": 250.0},
        {"component": "2.0 fuser", "model": "big", "calls": 10, "joules": 50.0},
    ]
    parsed = page(make_folder(summary() | {"components": parts}))
    assert parsed.row("big")[:4] == ["big", "20", "300 J", "75%"]
    assert parsed.row("small")[:4] == ["small", "40", "100 J", "25%"]
    parts[2]["joules"] = None
    parsed = page(make_folder(summary() | {"components": parts}))
    assert parsed.row("big")[:4] == ["big", "20", "–", "–"]


def test_the_quality_of_the_joules_is_recorded(make_folder: Folder) -> None:
    content = summary()
    content["energy"] |= {
        "idle_watts": 11.0,
        "idle_watts_after": 12.1,
        "quality": {
            "windows": 151,
            "cut_off": 1,
            "invalid": 2,
            "flags": {"short": 3},
            "shortest_s": 0.25,
            "tick_s": 0.01,
            "error": 0.04,
            "others_share": 0.125,
            "left_out": ["cpu:0: permission denied"],
        },
    }
    text = page(make_folder(content)).text
    for fact in (
        *("windows151", "of them without joules2", "cut off by a crash1", "shortest window250 ms"),
        *("counter's tick10 ms", "most a tick can blur4.0%", "idle, before → after11 W → 12.1 W"),
        *("other programs' processor time12.5%", "highest temperature–"),
        *("Flagged: short (3 windows).", "Not counted: cpu:0: permission denied."),
    ):
        assert fact in text


def test_the_accounting_of_search_and_prices_is_shown(make_folder: Folder) -> None:
    text = page(make_folder()).text
    for fact in (
        *("trials60", "distinct pipelines41", "stopped early9"),
        *("calls generated2,210", "calls reused15,840"),
        *("energy charged to trials21.4 kJ", "energy spent3.89 kJ", "queries until repaid760"),
        *("confirmed / priced − 1+4.9%", "rank correlation over the front0.90"),
    ):
        assert fact in text


@pytest.mark.parametrize(
    ("kind", "mood"),
    [
        ("winner_beats_baselines", "good"),
        ("winner_meets_alone", "good"),
        ("baseline_wins", "bad"),
        ("none_meets_floor", "bad"),
    ],
)
def test_the_verdict_is_coloured_by_its_kind(make_folder: Folder, kind: str, mood: str) -> None:
    folder = make_folder(summary() | {"verdict": {"kind": kind, "text": "So it is."}})
    assert ("p", {"class": f"verdict {mood}"}) in page(folder).tags


def test_a_missed_floor_is_said(make_folder: Folder) -> None:
    content = summary()
    content["confirm"] |= {"floor": 0.83, "meets_floor": False}
    assert "The winner misses the accuracy floor 0.830" in page(make_folder(content)).text


def test_a_study_stopped_before_confirming_has_a_report(make_folder: Folder) -> None:
    content = summary() | {"confirm": None, "verdict": None, "components": []}
    parsed = page(make_folder(content))
    assert "The winner has not been confirmed yet." in parsed.text
    assert parsed.row("vote-4x-0.5b winner")[1] == "select, priced"


def test_unmeasured_everywhere_is_dashes_not_zeros(make_folder: Folder) -> None:
    parsed = page(make_folder(without_numbers(summary()), [], []))
    assert parsed.row("vote-4x-0.5b winner")[2:] == ["–"] * 6 + [""]
    assert parsed.row("judge")[2:5] == ["–"] * 3
    assert "nothing to draw" in parsed.text
    assert "svg" not in parsed.names()


def test_an_empty_search_has_a_report(make_folder: Folder) -> None:
    nothing = {"best": None, "confirm": None, "baselines": [], "exported": None, "verdict": None}
    parsed = page(make_folder(summary() | nothing, [], []))
    assert "No pipeline was evaluated." in parsed.text
    assert "Nothing was exported." in parsed.text


def test_a_winner_without_baselines_has_a_report(make_folder: Folder) -> None:
    parsed = page(make_folder(summary() | {"baselines": []}))
    assert parsed.row("vote-4x-0.5b winner")[1] == "test"


def test_names_cannot_inject_anything(make_folder: Folder) -> None:
    evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    content = summary() | {"study": evil, "task": evil, "hardware": evil, "exported": evil}
    content["best"]["name"] = evil
    content["energy"]["basis"] = evil
    content["objective"] |= {"metric": evil, "floor_rule": evil}
    content["verdict"]["text"] = evil
    content["baselines"].append(baseline(evil + "2", 0.5, 3.0))
    content["components"][0] |= {"component": evil, "model": evil}
    content["drift"][0]["label"] = evil
    content["importance"] = {evil: 1.0}
    ladder = [{"accuracy": 0.5, "energy_j": 2.0, "name": evil}]
    parsed = page(make_folder(content, ladder=ladder, spec=evil))
    assert not {"script", "img"} & parsed.names()
    assert not any(key.startswith("on") for _, attrs in parsed.tags for key in attrs)
    assert parsed.text.count(evil) > 10


def test_the_page_fetches_and_runs_nothing(make_folder: Folder) -> None:
    parsed = page(make_folder())
    assert not {"script", "link", "img", "iframe"} & parsed.names()
    links = [v or "" for _, a in parsed.tags for k, v in a.items() if k.endswith(("href", "src"))]
    assert links
    assert all(link.startswith("#") for link in links)
    assert "@import" not in render_report(make_folder())
    policies = [a["content"] for t, a in parsed.tags if t == "meta" and "http-equiv" in a]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_there_is_a_drawing_for_wide_and_one_for_narrow_screens(make_folder: Folder) -> None:
    parsed = page(make_folder())
    classes = [a.get("class") for t, a in parsed.tags if t == "div"]
    assert {"wide", "narrow"} <= set(classes)
    assert sum(tag == "svg" for tag, _ in parsed.tags) == 2


def test_the_report_is_written_beside_the_results(make_folder: Folder) -> None:
    folder = make_folder()
    before = {path.name for path in folder.iterdir()}
    assert write_report(folder) == folder / "report.html"
    assert {path.name for path in folder.iterdir()} - before == {"report.html"}
    assert (folder / "report.html").read_text(encoding="utf-8") == render_report(folder)


def test_a_report_that_cannot_be_made_leaves_the_old_one(make_folder: Folder) -> None:
    folder = make_folder()
    old = write_report(folder).read_text(encoding="utf-8")
    (folder / "pareto.csv").unlink()
    with pytest.raises(UsageError, match=r"pareto\.csv is missing"):
        write_report(folder)
    assert (folder / "report.html").read_text(encoding="utf-8") == old


def test_a_place_that_cannot_be_written_is_named(make_folder: Folder) -> None:
    folder = make_folder()
    (folder / "report.html.part").mkdir()
    with pytest.raises(UsageError, match=r"cannot write .*report\.html \(Is a directory\)"):
        write_report(folder)
