"""``profile.json``: what is written is read back, and what is malformed is said in one line."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from profile_content import BASIS, profile, window

from archon.errors import UsageError
from archon.profile import figures, load_profile, save_profile, to_json

BIG_16 = ("models", "qwen2.5-coder-0.5b", "loads", "16")
MEASURED = (*BIG_16, "measured")


def at(data: Any, path: tuple[str | int, ...]) -> Any:
    for part in path:
        data = data[part]
    return data


@pytest.fixture
def broken(tmp_path: Path) -> Callable[..., Path]:
    """Write a profile in which one place holds something else; without a value it is left out."""

    def make(path: tuple[str | int, ...], *value: Any) -> Path:
        data = json.loads(json.dumps(to_json(profile())))
        if value:
            at(data, path[:-1])[path[-1]] = value[0]
        else:
            del at(data, path[:-1])[path[-1]]
        file = tmp_path / "profile.json"
        file.write_text(json.dumps(data))
        return file

    return make


def error_of(file: Path) -> str:
    with pytest.raises(UsageError) as caught:
        load_profile(file)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{file}: ")
    return message.removeprefix(f"{file}: ")


def test_a_profile_is_read_back_as_it_was(tmp_path: Path) -> None:
    whole = profile(basis=replace(BASIS, left_out=("gpu:0: a slice",)))
    save_profile(whole, tmp_path / "profile.json")
    again = load_profile(tmp_path / "profile.json")
    assert again == whole
    assert again.basis.left_out == ("gpu:0: a slice",)


def test_every_figure_reproduces_from_the_file_alone(tmp_path: Path) -> None:
    whole = profile()
    save_profile(whole, tmp_path / "profile.json")
    again = load_profile(tmp_path)  # a folder that holds one will do
    for name, model in whole.models.items():
        for load in model.loads:
            assert figures(again, name, load) == figures(whole, name, load)
    save_profile(again, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "profile.json").read_bytes()


def test_figures_are_computed_anew_whatever_the_file_says(
    broken: Callable[..., Path],
) -> None:
    again = load_profile(broken((*BIG_16, "energy_j"), 1e9))
    assert to_json(again) == to_json(profile())


def test_the_file_has_what_other_tools_read() -> None:
    data = json.loads(json.dumps(to_json(profile())))
    assert data["hardware"]["cpu"] == "AMD EPYC 9B45"
    assert (data["basis"], data["method"]) == ("cpu+dram estimated", "estimated")
    assert data["idle_watts"] == pytest.approx(11.055)
    model = data["models"]["qwen2.5-coder-0.5b"]
    assert model["engine"]["dtype"] == "bfloat16"
    assert list(model["loads"]) == ["1", "4", "16"]
    load = model["loads"]["16"]
    for name in ("accuracy", "energy_j", "ipw", "ipj", "ipw_busy"):
        low, high = load[f"{name.removesuffix('_j')}_ci"]
        assert low <= load[name] <= high
    for name in ("prefill_j_per_token", "decode_j_per_token", "call_j"):
        low, high = load[f"{name}_ci"]
        assert low <= load[name] <= high
    assert list(load["latency_s"]) == list(load["ttft_s"]) == ["p50", "p95", "p99"]
    assert list(load["watts"]) == ["mean", "peak", "idle"]
    assert load["decode_tokens_per_s"] > load["output_tokens_per_s"] > 0
    assert load["prefill_tokens_per_s"] == pytest.approx(430, rel=0.05)


def test_unknown_joules_are_null_never_zero(tmp_path: Path) -> None:
    whole = profile(concurrencies=(4,))
    model = whole.models["smollm2-135m"]
    lost = replace(
        model.loads[4],
        idle=(window(None, 5.0),) * 2,
        runs=tuple(replace(r, window=window(None, r.window.seconds)) for r in model.loads[4].runs),
    )
    whole = replace(whole, models={"smollm2-135m": replace(model, loads={4: lost})})
    save_profile(whole, tmp_path / "profile.json")
    data = json.loads((tmp_path / "profile.json").read_text())
    assert data["idle_watts"] is None
    load = data["models"]["smollm2-135m"]["loads"]["4"]
    assert load["energy_j"] is load["ipw"] is load["energy_ci"] is load["priced_error"] is None
    assert load["watts"] == {"mean": None, "peak": None, "idle": None}
    assert load_profile(tmp_path) == whole


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a profile (Expecting value: line 1 column 1 (char 0))"),
        ("{", "not a profile (Expecting property name"),
        ("[]", "not a profile (archon_profile: 1 is expected)"),
        ("null", "not a profile (archon_profile: 1 is expected)"),
        ('{"archon_profile": 2}', "not a profile (archon_profile: 1 is expected)"),
        ('{"archon_profile": 1}', "not a profile ('domains' is missing or malformed)"),
        ('{"archon_profile": NaN}', "not a profile (NaN is no number)"),
    ],
)
def test_what_is_no_profile_is_said(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "profile.json"
    file.write_text(text)
    assert error_of(file).startswith(said)


def test_bytes_that_are_no_text_are_no_profile(tmp_path: Path) -> None:
    file = tmp_path / "profile.json"
    file.write_bytes(b"\xff\xfe")
    assert error_of(file).startswith("not a profile ('utf-8' codec")


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    assert error_of(tmp_path / "no.json") == "cannot be read (No such file or directory)"


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("rate",), "fast", "rate: Input should be a valid number"),
        (("method",), "magic", "basis.method: Input should be 'counter', 'polled' or"),
        (("domains",), "cpu:0", "basis.domains: Input should be a valid tuple"),
        (("models",), [], "not a profile ('list' object has no attribute 'items' is missing"),
        (("models",), {}, "not a profile (models: there are none)"),
        (("weight",), [], "not a profile (weight: there are no queries)"),
        (("value",), [1.0], "not a profile (value: 24 numbers are expected)"),
        (("hardware",), {"cpu": "x"}, "not a profile (hardware: cores is missing)"),
        ((*BIG_16[:-1],), {}, "not a profile (models.qwen2.5-coder-0.5b.loads: there are none)"),
        (
            (*BIG_16[:2], "engine"),
            {},
            "not a profile (models.qwen2.5-coder-0.5b.engine: identity is missing)",
        ),
        (
            (*MEASURED, "runs", 0, "window", "seconds"),
            "long",
            "models.qwen2.5-coder-0.5b.loads.16.runs.0.window.seconds: Input should be a valid n",
        ),
    ],
)
def test_what_is_malformed_is_said_with_its_place(
    broken: Callable[..., Path], path: tuple[str | int, ...], value: Any, said: str
) -> None:
    assert error_of(broken(path, value)).startswith(said)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("concurrency",), 8, ": of 8 in flight"),
        (("idle",), [], ": no idle window"),
        (("repeats",), 0, ": fewer runs than repeats"),
        (("repeats",), 4, ": fewer runs than repeats"),
        (("runs", 1, "scores"), [1.0], ".runs.1: 24 scores and calls are expected"),
        (("runs", 2, "calls"), [], ".runs.2: 24 scores and calls are expected"),
        (("runs", 0, "window", "seconds"), 0.0, ": window 'run' has no length, or less than 0 J"),
        (
            ("runs", 0, "window", "domains", 0, "joules"),
            -1.0,
            ": window 'run' has no length, or less than 0 J",
        ),
        (("calibration",), [], ": 0 calibration windows cannot price 3 terms; give 4"),
    ],
)
def test_measurements_that_do_not_fit_together_are_said_with_their_place(
    broken: Callable[..., Path], path: tuple[str | int, ...], value: Any, said: str
) -> None:
    place = "models.qwen2.5-coder-0.5b.loads.16.measured"
    assert error_of(broken((*MEASURED, *path), value)) == f"not a profile ({place}{said})"


@pytest.mark.parametrize("field", ["created", "hardware", "basis", "task", "weight", "models"])
def test_a_missing_field_is_named(broken: Callable[..., Path], field: str) -> None:
    assert field in error_of(broken((field,)))


def test_a_load_without_measurements_is_said(broken: Callable[..., Path]) -> None:
    assert error_of(broken(MEASURED)) == "not a profile ('measured' is missing or malformed)"


def test_a_load_that_is_no_number_is_said(broken: Callable[..., Path]) -> None:
    loads = {"many": at(to_json(profile()), BIG_16)}
    assert error_of(broken(BIG_16[:-1], loads)).startswith(
        "models.qwen2.5-coder-0.5b.loads.many.[key]: Input should be a valid integer"
    )
