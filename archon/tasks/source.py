"""The task section of a configuration, and the task it describes."""

import difflib
import hashlib
import json
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, model_validator

from archon.errors import UsageError
from archon.tasks.human_eval import load_human_eval
from archon.tasks.jsonl import load_jsonl
from archon.tasks.reasoning_gym import load_reasoning_gym
from archon.tasks.task import SPLITS, SplitName, Task

_BUILT_IN = ("human_eval", "jsonl", "reasoning_gym")


class TaskConfig(BaseModel):
    """Where queries come from and how many go to each split.

    Attributes:
        source: ``reasoning_gym``, ``jsonl``, ``human_eval``, or a name in the entry-point group
            ``archon.tasks``, which is called with this configuration and returns the Task.
        name: The data set of reasoning_gym.
        params: Its parameters.
        path: The task file of jsonl, relative to the working directory.
        scorer: For lines of that file that name none.
        seed: Decides the generated queries and the splits.
        sizes: Queries in fit, select and test; each must be given.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    name: str | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    path: Path | None = None
    scorer: str | None = None
    seed: int = 0
    sizes: dict[SplitName, NonNegativeInt]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        missing = [split for split in SPLITS if split not in self.sizes]
        if missing:
            raise ValueError(f"sizes lacks {', '.join(missing)}: give fit, select and test")
        if not any(self.sizes.values()):
            raise ValueError("sizes are all 0: ask for at least one query")
        if self.source not in _BUILT_IN:
            return self
        needed = {"reasoning_gym": {"name"}, "jsonl": {"path"}}.get(self.source, set())
        optional = {"reasoning_gym": {"params"}, "jsonl": {"scorer"}}.get(self.source, set())
        given = {key for key in ("name", "params", "path", "scorer") if getattr(self, key)}
        if absent := needed - given:
            raise ValueError(f"source {self.source} needs {', '.join(absent)}")
        if foreign := given - needed - optional:
            raise ValueError(
                f"source {self.source} does not use {', '.join(sorted(foreign))}: remove it"
            )
        return self

    @property
    def label(self) -> str:
        """The task in words."""
        params = ", ".join(f"{key}={value}" for key, value in self.params.items())
        name = self.name or str(self.path or self.source)
        return f"{name} ({params})" if params else name

    def fingerprint(self) -> str:
        """Return the sha256 (hex) that is equal for equal tasks.

        A file counts by its content, not by where it lies.

        Raises:
            UsageError: The file cannot be read.
        """
        payload = self.model_dump(mode="json")
        if self.path is not None:
            try:
                payload["path"] = hashlib.sha256(self.path.read_bytes()).hexdigest()
            except OSError as error:
                raise UsageError(
                    f"cannot read the task file {self.path}: {error.strerror}"
                ) from error
        text = json.dumps(payload, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def load_task(config: TaskConfig, *, unsafe_code: bool = False) -> Task:
    """Return the task that a configuration describes.

    Args:
        config: The task section.
        unsafe_code: Let tasks that score programs run them without a sandbox.

    Raises:
        UsageError: Unknown source; its data set, params, file or sizes are wrong; or it scores
            programs and there is no sandbox to run them in.
    """
    if config.source == "reasoning_gym":
        return load_reasoning_gym(config.name or "", config.params, config.seed, config.sizes)
    if config.source == "human_eval":
        return load_human_eval(config.sizes, config.seed, unsafe_code=unsafe_code)
    if config.source == "jsonl":
        return load_jsonl(config.path or Path(), config.sizes, config.seed, config.scorer)
    plugins = {plugin.name: plugin for plugin in entry_points(group="archon.tasks")}
    if config.source not in plugins:
        names = sorted({*_BUILT_IN, *plugins})
        close = difflib.get_close_matches(config.source, names, n=1)
        hint = f'did you mean "{close[0]}"?' if close else f"use one of {', '.join(names)}"
        raise UsageError(f'unknown task source "{config.source}": {hint}')
    task = plugins[config.source].load()(config)
    if not isinstance(task, Task):
        raise UsageError(
            f'task source "{config.source}" ({plugins[config.source].value}) returned '
            f"{type(task).__name__}: it must return an archon.tasks.Task"
        )
    return task
