"""``archon show``: a pipeline in the terminal."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from profile_content import SMALL, profile

from archon.cli import main
from archon.energy import Coef, ModelPrice, PriceList
from archon.profile import save_profile

LAYERS = [
    [
        {"type": "generator", "model": "small", "samples": 4, "max_tokens": 50},
        {"type": "generator", "model": "far", "temperature": 0.0, "max_tokens": 50},
    ],
    [{"type": "vote"}],
]
MODELS = {"small": {"zoo": "tiny"}, "far": {"base_url": "http://127.0.0.1:1/v1", "model": "huge"}}
MEASURED = {
    "accuracy": 0.7,
    "energy_j": 12.0,
    "basis": "cpu estimated",
    "split": "test",
    "queries": 100,
    "repeats": 3,
    "on_select": {"accuracy": 0.75, "energy_j": 11.0, "method": "priced"},
    "components": [
        {"component": "generator", "model": "small", "calls": 4.0, "energy_j": 3.0},
        {"component": "generator", "model": "far", "calls": 1.0, "energy_j": 9.0},
    ],
}


def write(tmp_path: Path, **more: Any) -> str:
    path = tmp_path / "it.yaml"
    path.write_text(yaml.safe_dump({"name": "it", "models": MODELS, "layers": LAYERS, **more}))
    return str(path)


def coef(value: float) -> Coef:
    return Coef(value, value, value)


def study(tmp_path: Path) -> str:
    """A results folder whose price list knows one model, under its identity."""
    price = ModelPrice(coef(0.002), coef(0.5), coef(2.0), coef(0.0), coef(0.0), coef(0.0))
    prices = PriceList(11.0, "cpu estimated", "estimated", 8, {"tiny@1": price}, {})
    manifest = {"models": {"tiny": "tiny@1"}, "price_list": {"key": "k", **prices.to_json()}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    return str(tmp_path)


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(["show", *arguments]) == 0
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["show", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


def test_a_pipeline_is_drawn_layer_by_layer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown(capsys, write(tmp_path)) == [
        "it",
        "5 calls, at most 250 tokens; measured –",
        "├── 1 generator small: samples 4, max tokens 50",
        "│   4 calls, at most 200 tokens; measured –",
        "├── 1 generator far: temperature 0, max tokens 50",
        "│   1 call, at most 50 tokens; measured –",
        "└── 2 vote",
        "    no calls",
    ]


def test_what_was_seen_of_it_stands_with_how_it_was_got(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = shown(capsys, write(tmp_path, measured=MEASURED))
    assert lines[1] == "expected: accuracy 0.750, 11 J a query (priced, select split)"
    assert lines[2].startswith("measured: accuracy 0.700, 12 J a query (energy: cpu estimated,")
    assert "│   4 calls, at most 200 tokens; measured 4 calls, 3 J (25%)" in lines


def test_stages_are_branches(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stages = [[[LAYERS[0][0]]], [[LAYERS[0][1]], [{"type": "verifier", "model": "small"}]]]
    cascade = {"type": "cascade", "stages": stages, "thresholds": [0.8], "accept": "agreement"}
    drawn = shown(capsys, write(tmp_path, layers=[[cascade]]))
    titles = [line for line in drawn if "measured" not in line]
    assert titles == [
        "it",
        "└── cascade: thresholds 0.8, accept agreement",
        "    ├── stage 1",
        "    │   └── generator small: samples 4, max tokens 50",
        "    └── stage 2",
        "        ├── 1 generator far: temperature 0, max tokens 50",
        "        └── 2 verifier small",
    ]


def test_prices_of_a_study_price_what_it_has_prices_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = shown(capsys, write(tmp_path), "--prices", study(tmp_path))
    assert "(energy: cpu estimated, 8 in flight)" in " ".join(lines)
    assert "each prompt token on top: small 2 mJ" in " ".join(lines)
    assert "│   4 calls, at most 200 tokens; priced at most 108 J; measured –" in lines
    assert "│   1 call, at most 50 tokens; priced –; measured –" in lines


def test_a_profile_prices_at_a_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "profile.json"
    device = profile({"tiny": SMALL}, (4, 16))
    save_profile(device, file)
    joules = {}
    for place, load in ((file, 4), (tmp_path, 16)):
        arguments = ["--prices", str(place), "--concurrency", str(load), "--json"]
        told = json.loads("\n".join(shown(capsys, write(tmp_path), *arguments)))
        assert told["prices"]["concurrency"] == load
        assert told["prices"]["basis"] == "cpu+dram estimated"
        joules[load] = told["pipeline"]["layers"][0][0]["priced_j"]
        price = device.models["tiny"].loads[load].price
        assert joules[load] == pytest.approx(200 * price.decode_j.value + 4 * price.call_j.value)
    assert joules[4] > joules[16]


def test_json_is_one_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = shown(capsys, write(tmp_path, measured=MEASURED), "--json")
    told = json.loads(line)
    assert told["prices"] is None
    assert told["measured"]["on_select"]["energy_j"] == 11.0
    first = told["pipeline"]["layers"][0][0]
    assert (first["kind"], first["model"], first["calls"]) == ("generator", "small", [4, 4])
    assert first["measured"] == {"calls": 4.0, "energy_j": 3.0, "alike": 1}


def test_names_from_files_cannot_steer_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = "\x1b[31mred[/bold]"
    layers = [[LAYERS[0][0] | {"model": evil, "instruction": evil}]]
    lines = shown(capsys, write(tmp_path, name=evil, models={evil: {"zoo": "a"}}, layers=layers))
    assert "\x1b" not in "".join(lines)
    assert lines[0] == " [31mred[/bold]"


def test_what_is_no_price_list_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path)
    assert "manifest.json: cannot be read" in refused(capsys, path, "--prices", str(tmp_path))
    (tmp_path / "manifest.json").write_text("{}")
    assert "has no price list" in refused(capsys, path, "--prices", str(tmp_path))


def test_prices_of_other_models_only_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = study(tmp_path)
    path = write(tmp_path, models={**MODELS, "small": {"zoo": "other"}})
    assert "has prices for tiny, and none for far, small" in refused(
        capsys, path, "--prices", folder
    )


def test_a_load_goes_with_a_profile_that_has_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path)
    assert "--concurrency goes with --prices" in refused(capsys, path, "--concurrency", "4")
    asked = ("--prices", study(tmp_path), "--concurrency", "4")
    assert "its own load only" in refused(capsys, path, *asked)
    file = tmp_path / "profile.json"
    save_profile(profile({"tiny": SMALL}, (4,)), file)
    assert "measured at 4 in flight, not at 16" in refused(capsys, path, "--prices", str(file))


def test_a_bad_spec_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "gone.yaml: cannot be read" in refused(capsys, str(tmp_path / "gone.yaml"))
