"""The configuration of a study: YAML composed by Hydra, checked by pydantic."""

import difflib
import hashlib
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from archon.energy import Coefficients
from archon.errors import UsageError
from archon.spec import first_problem
from archon.tasks import TaskConfig


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StudySection(_Section):
    """Name of the study, folder of its results, seed of all its choices."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    dir: str = "outputs"
    seed: int = Field(0, ge=0)

    @field_validator("name")
    @classmethod
    def _not_the_link(cls, name: str) -> str:
        if name == "latest":
            raise ValueError("'latest' is the link to the newest results; choose another name")
        return name


class Floor(_Section):
    """The accuracy a pipeline needs: a number, or the best single model's plus a margin."""

    value: float
    relative: bool

    def at(self, best_single: float | None) -> float | None:
        """Return the floor in numbers; None when it is relative and nothing is known yet."""
        if not self.relative:
            return self.value
        return None if best_single is None else best_single + self.value

    def __str__(self) -> str:
        if not self.relative:
            return f"{self.value:g}"
        return f"best_single {'-' if self.value < 0 else '+'} {abs(self.value):g}"


def meets(accuracy: float, floor: float | None) -> bool:
    """Return whether an accuracy meets a floor, rounding aside (0.79 + 0.05 > 0.84)."""
    return floor is None or accuracy >= floor - 1e-9


class ObjectiveSection(_Section):
    """What is maximised, and under which accuracy floor."""

    metric: Literal["ipw", "ipj", "pareto"] = "ipw"
    accuracy_floor: Floor | None = None

    @field_validator("accuracy_floor", mode="before")
    @classmethod
    def _parse_floor(cls, raw: object) -> object:
        if raw is None or isinstance(raw, (Floor, dict)):
            return raw
        text = re.sub(r"\s", "", str(raw))
        relative, value = text.startswith("best_single"), text.removeprefix("best_single")
        if re.fullmatch(r"[+-]\d*\.?\d+|" if relative else r"-?\d*\.?\d+(e-\d+)?", value) is None:
            raise ValueError(f"{raw!r} is neither a number in [0, 1] nor 'best_single + MARGIN'")
        floor = Floor(value=float(value or 0), relative=relative)
        if not floor.relative and not 0 <= floor.value <= 1:
            raise ValueError(f"{raw!r} is outside [0, 1]")
        return floor


class Budget(_Section):
    """Limits of the search; each null is no limit. The first one reached ends it."""

    trials: int | None = Field(60, ge=1)
    seconds: float | None = Field(None, gt=0)
    joules: float | None = Field(None, gt=0)
    calls: int | None = Field(None, ge=1)


class SearchSection(_Section):
    """How the space is searched."""

    sampler: Literal["tpe", "random", "exhaustive"] = "tpe"
    budget: Budget = Budget()
    racing: bool = True
    first_rung: int = Field(16, ge=4)


class TargetSection(_Section):
    """The deployment: queries in flight, and queries/s to serve."""

    hardware: Literal["auto"] = "auto"
    concurrency: int = Field(16, ge=1)
    rate: float = Field(1.0, gt=0)


class EnergySection(_Section):
    """Where joules come from and what they include."""

    meter: str = "auto"
    basis: str = "auto"
    coefficients: Coefficients = Coefficients()


class CalibrationSection(_Section):
    """The windows prices are fitted on, or the profile of this machine that has them."""

    repeats: int = Field(2, ge=2)
    idle_seconds: float = Field(5.0, gt=0)
    refresh: bool = False
    profile: Path | None = None


class ConfirmSection(_Section):
    """The live measurement on the test split."""

    repeats: int = Field(3, ge=1)


class StorageSection(_Section):
    """``sqlite`` (files in the study's folder) or a database URL."""

    study: str = "sqlite"
    ledger: str = "sqlite"


class StudyConfig(_Section):
    """Everything a study needs; see ``conf/quickstart.yaml`` for a complete example.

    Attributes:
        models: Names in the zoo.
        zoo: Folders of further zoo files, searched before the packaged ones.
    """

    study: StudySection
    task: TaskConfig
    models: tuple[str, ...] = Field(min_length=1)
    zoo: tuple[str, ...] = ()
    space: str = "ensemble"
    axes: dict[str, Any] = {}
    objective: ObjectiveSection = ObjectiveSection()
    search: SearchSection = SearchSection()
    target: TargetSection = TargetSection()
    energy: EnergySection = EnergySection()
    calibration: CalibrationSection = CalibrationSection()
    confirm: ConfirmSection = ConfirmSection()
    storage: StorageSection = StorageSection()

    def fingerprint(self) -> str:
        """Return a hash of what makes results comparable: all but budgets and places.

        A task file counts by its content.

        Raises:
            UsageError: The task file cannot be read.
        """
        kept = self.model_dump(
            mode="json",
            exclude={
                "study": {"name", "dir"},
                "search": {"budget"},
                "calibration": True,
                "storage": True,
            },
        )
        kept["task"] = self.task.fingerprint()
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def load_config(arguments: Sequence[str]) -> StudyConfig:
    """Return the configuration for ``conf=NAME [key=value …]``.

    NAME is a packaged configuration or a path to a YAML file, which may use the packaged groups.

    Raises:
        UsageError: Unknown configuration, unknown override or value; one line.
    """
    names = [item.removeprefix("conf=") for item in arguments if item.startswith("conf=")]
    overrides = [item for item in arguments if not item.startswith("conf=")]
    if len(names) != 1 or not names[0]:
        raise UsageError(f"give one conf=NAME (or a path); packaged: {', '.join(packaged())}")
    for item in overrides:
        if "=" not in item:
            raise UsageError(f"{item!r} is not an override of the form key=value")
    folder, name, search_path = _locate(names[0])
    # `models` is also a configuration group (the zoo's), which Hydra would take the key for.
    lists = [item.partition("=")[2] for item in overrides if item.startswith("models=")]
    # Added or replaced: unknown settings are refused below, with their place.
    forced = [
        item
        if item[0] in "+~" or "@" in item or item.startswith(("task=", "hardware="))
        else f"++{item}"
        for item in overrides
        if not item.startswith("models=")
    ]
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(folder), version_base=None):
            composed = compose(name, overrides=[*forced, *search_path])
        with open_dict(composed):
            for value in lists:
                composed.models = OmegaConf.create(value)
        data = OmegaConf.to_container(composed, resolve=True)
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"conf={names[0]}: {reason[:300]}") from error
    try:
        return StudyConfig.model_validate(data)
    except ValidationError as error:
        raise UsageError(f"conf={names[0]}: {first_problem(error)}") from error


def load_task_config(name: str) -> TaskConfig:
    """Return a packaged task by name, or the one in a YAML file.

    Raises:
        UsageError: There is no such task, or the file is malformed.
    """
    path = Path(name)
    if path.suffix not in {".yaml", ".yml"}:
        path = _conf_folder() / "task" / f"{name}.yaml"
    try:
        return TaskConfig.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(sorted(file.stem for file in (_conf_folder() / "task").glob("*.yaml")))
        raise UsageError(
            f"task {name!r}: no such task; packaged: {known}; or give a YAML file"
        ) from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not YAML: {' '.join(str(error).split())[:300]}") from error
    except ValidationError as error:
        raise UsageError(f"{path}: {first_problem(error)}") from error


def packaged() -> list[str]:
    """Return the names of the packaged study configurations."""
    return sorted(path.stem for path in _conf_folder().glob("*.yaml"))


def _conf_folder() -> Path:
    return Path(str(files("conf")))


def _locate(name: str) -> tuple[Path, str, list[str]]:
    """Return folder, configuration name and search-path override of a name or path."""
    path = Path(name)
    if path.suffix in {".yaml", ".yml"} or "/" in name:
        if not path.is_file():
            raise UsageError(f"conf={name}: no such file")
        if path.suffix == ".yml":
            raise UsageError(f"conf={name}: rename it to end in .yaml")
        search_path = [f"hydra.searchpath=['file://{_conf_folder()}']"]
        return path.resolve().parent, path.stem, search_path
    if name not in packaged():
        close = difflib.get_close_matches(name, packaged(), n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise UsageError(f"conf={name}: unknown; packaged: {', '.join(packaged())}{hint}")
    return _conf_folder(), name, []
