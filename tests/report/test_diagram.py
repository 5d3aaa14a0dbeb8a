"""The pipeline as boxes on the report's page."""

from typing import Any

import pytest
import yaml
from parsed_page import Page, parse
from results_content import Folder

from archon.report.diagram import diagram
from archon.report.html import render_report
from archon.report.pipeline_tree import pipeline_tree
from archon.spec import PipelineSpec

DRAW = {"type": "generator", "model": "small", "samples": 4, "max_tokens": 50}
CASCADE = {
    "type": "cascade",
    "stages": [[[DRAW]], [[DRAW | {"model": "big"}], [{"type": "vote"}]]],
    "thresholds": [0.8],
    "accept": "agreement",
}
SEEN = [
    {"component": "cascade, stage 1 generator", "model": "small", "calls": 4.0, "energy_j": 1.0},
    {"component": "cascade, stage 2 generator", "model": "big", "calls": 0.5, "energy_j": 3.0},
]


def spec(*layers: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    models = {name: {"zoo": name} for name in ("small", "big")}
    return {"archon": 1, "name": "it", "models": models, "layers": list(layers), **more}


def drawn(*layers: list[dict[str, Any]], **more: Any) -> Page:
    return parse(diagram(pipeline_tree(PipelineSpec.model_validate(spec(*layers, **more)))))


def classes(page: Page) -> list[str | None]:
    return [attributes.get("class") for tag, attributes in page.tags if tag == "div"]


def test_layers_follow_each_other_with_what_runs_at_once_side_by_side() -> None:
    page = drawn([DRAW, DRAW | {"model": "big"}], [{"type": "vote", "weight": "confidence"}])
    assert classes(page) == ["flow", "step", "box", "box", "step", "box"]
    assert "generator smallsamples 4, max tokens 504 calls, at most 200 tokens" in page.text
    assert page.text.endswith("voteweight confidenceno calls")


def test_pipelines_stand_inside_what_holds_them() -> None:
    page = drawn([CASCADE])
    stage = ["step", "box", "flow", "step", "box"]
    assert classes(page) == ["flow", "step", "box", "flow", *stage, *stage, "step", "box"]
    assert page.text.index("stage 1") < page.text.index("stage 2") < page.text.index("vote")


def test_bars_are_shares_of_the_measured_joules() -> None:
    page = drawn([CASCADE], measured={"components": SEEN})
    widths = [a["style"] for _, a in page.tags if "style" in a]
    assert widths == ["width:25.0%", "width:75.0%"]
    assert "measured 0.5 calls, 3 J (75%)" in page.text


def test_unmeasured_is_a_dash_and_no_bar() -> None:
    page = drawn([DRAW])
    assert "measured –" in page.text
    assert "bar" not in classes(page)


def test_names_and_settings_cannot_inject_anything() -> None:
    evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    layer = [DRAW | {"model": evil, "stop": [evil], "instruction": evil}]
    page = drawn(layer, models={evil: {"zoo": evil}})
    assert page.names() == {"div", "b", "span", "p", "i"}
    assert page.text.count(evil) == 3


def test_the_report_draws_the_exported_pipeline_above_its_file(make_folder: Folder) -> None:
    written = yaml.safe_dump(spec([CASCADE], measured={"components": SEEN}))
    text = parse(render_report(make_folder(spec=written))).text
    places = [text.find(part) for part in ("The exported pipeline", "stage 2", "best.yaml")]
    assert -1 not in places
    assert places == sorted(places)


@pytest.mark.parametrize("written", ["archon: 1\nname: it\n", "][", "archon: 1\nlayers: <b>"])
def test_a_file_that_is_no_pipeline_is_said_and_shown(make_folder: Folder, written: str) -> None:
    page = parse(render_report(make_folder(spec=written)))
    assert "Not drawn: best.yaml:" in page.text
    assert written in page.text
