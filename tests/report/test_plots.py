import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from results_content import LADDER, Folder, baseline, summary, trials, without_numbers

from archon.errors import UsageError
from archon.report.plots import NARROW, WIDE, Size, save_scatter, scatter_svg
from archon.report.results import load_results
from archon.report.svg import inline_svg

SVG = "{http://www.w3.org/2000/svg}"


def draw(folder: Path, size: Size = WIDE) -> ElementTree.Element:
    svg = scatter_svg(load_results(folder), size)
    assert svg is not None
    return ElementTree.fromstring(svg)


def points(root: ElementTree.Element, gid: str) -> int:
    """Markers in all groups of that id."""
    groups = [g for g in root.iter(f"{SVG}g") if g.get("id") == gid]
    return sum(len(list(group.iter(f"{SVG}use"))) for group in groups)


def groups(root: ElementTree.Element, gid: str) -> int:
    return sum(g.get("id") == gid for g in root.iter(f"{SVG}g"))


def texts(root: ElementTree.Element) -> list[str]:
    return ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]


@pytest.mark.parametrize("size", [WIDE, NARROW])
def test_every_pipeline_is_drawn_once(make_folder: Folder, size: Size) -> None:
    root = draw(make_folder(), size)
    counts = {gid: points(root, gid) for gid in ("trials", "pruned", "baselines", "winner")}
    assert counts == {"trials": 40, "pruned": 9, "baselines": 5, "winner": 1}
    assert groups(root, "front") == groups(root, "floor") == 1


def test_winner_and_baselines_are_named_and_axes_have_units(make_folder: Folder) -> None:
    shown = texts(draw(make_folder()))
    for name in ("vote-4x-0.5b", "single-smollm2-135m", "archon-rank-fuse"):
        assert shown.count(name) == 1
    assert "energy per query (J)" in shown
    assert "accuracy (0 to 1)" in shown
    assert any(text.startswith("energy: cpu+dram estimated; quickstart") for text in shown)
    assert "accuracy floor, 0.620" in shown


def test_the_narrow_title_keeps_the_energy_label(make_folder: Folder) -> None:
    assert "energy: cpu+dram estimated" in texts(draw(make_folder(), NARROW))


def test_joules_over_more_than_a_decade_are_logarithmic(make_folder: Folder) -> None:
    ticks = texts(draw(make_folder()))
    assert {"1", "2", "5", "10", "20"} <= set(ticks)


def test_joules_within_a_decade_are_linear(make_folder: Folder) -> None:
    content = summary() | {"baselines": [baseline("one", 0.5, 5.0)]}
    rows = [
        {"number": i, "state": "COMPLETE", "name": "t", "accuracy": 0.5, "energy_j": 4 + i}
        for i in range(3)
    ]
    ticks = texts(draw(make_folder(content, rows, LADDER[2:3])))
    assert {"4", "5", "6", "7"} <= {tick.removesuffix(".0") for tick in ticks}


def test_floors_of_the_two_splits_are_told_apart(make_folder: Folder) -> None:
    content = summary()
    content["confirm"]["floor"] = 0.7
    root = draw(make_folder(content))
    assert groups(root, "floor") == 2
    assert {"floor on select, 0.620", "floor on test, 0.700"} <= set(texts(root))


def test_without_a_floor_there_is_no_line(make_folder: Folder) -> None:
    content = summary()
    content["objective"]["floor"] = content["confirm"]["floor"] = None
    assert groups(draw(make_folder(content)), "floor") == 0


def test_what_was_not_confirmed_is_said_in_the_legend(make_folder: Folder) -> None:
    content = summary()
    content["baselines"][0]["confirmed"] = False
    shown = texts(draw(make_folder(content)))
    assert "baseline (select, priced)" in shown
    assert "baseline (test, 95%)" in shown


def test_unmeasured_pipelines_are_left_out(make_folder: Folder) -> None:
    content = summary()
    content["baselines"][0]["energy_j"] = None
    rows = [*trials(2, 0), {"number": 9, "state": "COMPLETE", "name": "x", "accuracy": 0.4}]
    root = draw(make_folder(content, rows))
    assert points(root, "baselines") == 4
    assert points(root, "trials") == 2


def test_failed_and_duplicate_trials_are_no_points(make_folder: Folder) -> None:
    rows = [
        {**row, "state": state}
        for row, state in zip(trials(3, 0), ("COMPLETE", "FAIL", "DUPLICATE"), strict=True)
    ]
    assert points(draw(make_folder(rows=rows)), "trials") == 1


def test_with_nothing_measured_nothing_is_drawn(make_folder: Folder) -> None:
    folder = make_folder(without_numbers(summary()), [], [])
    assert scatter_svg(load_results(folder), WIDE) is None


def test_dots_alone_and_a_lone_winner_can_be_drawn(make_folder: Folder) -> None:
    nobody = {"best": None, "confirm": None, "baselines": [], "exported": None}
    assert points(draw(make_folder(summary() | nobody)), "trials") == 40
    root = draw(make_folder(summary() | {"baselines": []}, [], []))
    assert points(root, "winner") == 1


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "a$x_{$b", "$\\frac$", "名前-0.5b", "a & b", "&#0;"]
)
def test_any_name_is_drawn_as_it_is(make_folder: Folder, name: str) -> None:
    content = summary()
    content["best"]["name"] = name
    assert name in texts(draw(make_folder(content)))


def test_the_same_results_give_the_same_drawing(make_folder: Folder) -> None:
    results = load_results(make_folder())
    assert scatter_svg(results, WIDE) == scatter_svg(results, WIDE)


def test_a_drawing_can_be_saved_alone(make_folder: Folder) -> None:
    folder = make_folder()
    save_scatter(folder, folder / "scatter.svg")
    root = ElementTree.parse(folder / "scatter.svg").getroot()
    assert root.tag == f"{SVG}svg"
    assert points(root, "trials") == 40


def test_saving_says_what_is_wrong(make_folder: Folder) -> None:
    folder = make_folder()
    with pytest.raises(UsageError, match=r"cannot write .*scatter\.svg \(No such file"):
        save_scatter(folder, folder / "nowhere" / "scatter.svg")
    make_folder(without_numbers(summary()), [], [])
    with pytest.raises(UsageError, match="nothing to draw"):
        save_scatter(folder, folder / "scatter.svg")


def test_two_drawings_on_a_page_share_no_ids(make_folder: Folder) -> None:
    svg = scatter_svg(load_results(make_folder()), WIDE)
    assert svg is not None
    drawn = [ElementTree.fromstring(inline_svg(svg, p, "plot", "#6e7781")) for p in ("a", "b")]
    ids = [{e.get("id") for e in root.iter()} - {None} for root in drawn]
    assert not ids[0] & ids[1]
    for root, own in zip(drawn, ids, strict=True):
        links = {e.get("{http://www.w3.org/1999/xlink}href") for e in root.iter()} - {None}
        clips = {e.get("clip-path") for e in root.iter()} - {None}
        assert links
        assert clips
        assert {str(link).removeprefix("#") for link in links} <= own
        assert {str(clip)[5:-1] for clip in clips} <= own


def test_inline_drawings_take_the_text_colour_of_the_page(make_folder: Folder) -> None:
    svg = scatter_svg(load_results(make_folder()), WIDE)
    assert svg is not None
    inline = inline_svg(svg, "a", 'a "title"', "#6e7781")
    assert "#6e7781" not in inline
    assert "currentColor" in inline
    root = ElementTree.fromstring(inline)
    assert root.get("width") is None
    assert root.get("viewBox") is not None
    assert root.get("aria-label") == 'a "title"'


def test_without_matplotlib_one_line_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from archon.errors import UsageError\n"
        "import archon.report.html\n"  # needs none until it draws
        "try:\n import archon.report.plots\n"
        "except UsageError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "the report's picture needs matplotlib; pip install 'archon-ipw[report]'\n"
    )
