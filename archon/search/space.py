"""A space is a function of a trial; this loads, checks and enumerates one.

A space module has `suggest(trial, zoo, *, axis=values, …)`, which returns the pipeline a trial's
choices make up, and may have `baselines(zoo, *, axis=values, …)`.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

import optuna
from optuna.samplers import RandomSampler
from optuna.trial import FixedTrial
from pydantic import ValidationError

import search_spaces
from archon.errors import UsageError
from archon.spec import PipelineSpec, first_problem
from search_spaces.baseline import Baseline

CHECKED = 30
"""Random points that are made up when a space is opened, so that bad axes show at once."""


class Space:
    """A search space bound to its models and axes.

    Args:
        name: A packaged or installed space, or the dotted path of a module.
        zoo: Model names the space may use.
        axes: Values for the keyword arguments of its `suggest`.

    Attributes:
        needs_fit: Whether some of its pipelines have numbers to be fitted.
        runs_programs: Whether some of them have programs run.

    Raises:
        UsageError: No such space, axes it does not have, or values that give no valid pipeline.
    """

    def __init__(self, name: str, zoo: Sequence[str], axes: Mapping[str, Any]) -> None:
        self.name = name
        self.zoo = tuple(zoo)
        self.axes = dict(axes)
        self._module = _load(name)
        known = _axes_of(self._module.suggest)
        for axis in axes:
            if axis not in known:
                raise UsageError(
                    f"axes.{axis}: the space {name} has no such axis; it has {', '.join(known)}"
                )
        specs = [self.at(baseline.params) for baseline in self.baselines()]
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        dice = optuna.create_study(sampler=RandomSampler(seed=0))
        specs += [self.suggest(dice.ask()) for _ in range(CHECKED)]
        self.needs_fit = any(spec.unfitted() is not None for spec in specs)
        self.runs_programs = any(spec.runs_programs for spec in specs)

    def suggest(self, trial: optuna.trial.BaseTrial) -> PipelineSpec:
        """Return the pipeline a trial's choices make up.

        Raises:
            UsageError: They make up no valid pipeline.
        """
        with self._axes_blamed():
            spec: PipelineSpec = self._module.suggest(trial, self.zoo, **self.axes)
        return spec

    def at(self, params: Mapping[str, Any]) -> PipelineSpec:
        """Return the pipeline at a point of the space."""
        return self.suggest(FixedTrial(dict(params)))

    def baselines(self) -> list[Baseline]:
        """Return the space's baselines, empty if it names none."""
        function = getattr(self._module, "baselines", None)
        with self._axes_blamed():
            return [] if function is None else list(function(self.zoo, **self.axes))

    @contextmanager
    def _axes_blamed(self) -> Iterator[None]:
        try:
            yield
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            reason = first_problem(error) if isinstance(error, ValidationError) else str(error)
            raise UsageError(
                f"space {self.name}: its axes give no valid pipeline ({type(error).__name__}: "
                f"{' '.join(reason.split())}); check axes"
            ) from error

    def enumerate(self) -> Iterator[dict[str, Any]]:
        """Yield every point of the space once, depth first.

        Raises:
            UsageError: A choice is continuous, so the space has no end.
        """
        path: list[tuple[str, Sequence[Any], int]] = []
        while True:
            trial = _Odometer(path)
            self.suggest(trial)
            yield dict(trial.params)
            path = trial.path
            while path and path[-1][2] + 1 == len(path[-1][1]):
                path.pop()
            if not path:
                return
            name, choices, index = path[-1]
            path[-1] = (name, choices, index + 1)


class _Odometer(FixedTrial):
    """A trial that follows a path of choices and takes the first of every further one."""

    def __init__(self, path: Sequence[tuple[str, Sequence[Any], int]]) -> None:
        super().__init__({})
        self.path = list(path)
        self._taken: dict[str, Any] = {}
        self._depth = 0

    @property
    def params(self) -> dict[str, Any]:
        return dict(self._taken)

    def _next(self, name: str, choices: Sequence[Any]) -> Any:
        if name not in self._taken:
            if self._depth == len(self.path):
                self.path.append((name, choices, 0))
            self._taken[name] = choices[self.path[self._depth][2]]
            self._depth += 1
        return self._taken[name]

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._next(name, choices)

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        if log:
            raise UsageError(f"{name}: an exhaustive search needs choices, not a logarithmic range")
        return int(self._next(name, range(low, high + 1, step)))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        if step is None or log:
            raise UsageError(
                f"{name}: an exhaustive search needs choices or steps, not a continuum"
            )
        count = round((high - low) / step) + 1
        return float(self._next(name, [low + step * index for index in range(count)]))


def _load(name: str) -> ModuleType:
    installed = {entry.name: entry for entry in entry_points(group="archon.spaces")}
    dotted = f"search_spaces.{name}" if "." not in name else name
    try:
        module = importlib.import_module(dotted)
    except ModuleNotFoundError as error:
        if error.name not in {dotted, dotted.partition(".")[0]}:
            raise UsageError(f"space {name}: {error}") from error
        if name not in installed:
            known = sorted({*_packaged(), *installed})
            raise UsageError(
                f"space {name}: unknown; there are {', '.join(known)}, or give a dotted path"
            ) from error
        module = installed[name].load()
    if not callable(getattr(module, "suggest", None)):
        raise UsageError(f"space {name}: {dotted} has no function suggest(trial, zoo, **axes)")
    return module


def _packaged() -> list[str]:
    """Return the names of the spaces that come with the program."""
    return [
        name
        for _, name, _ in pkgutil.iter_modules(search_spaces.__path__)
        if hasattr(importlib.import_module(f"search_spaces.{name}"), "suggest")
    ]


def _axes_of(suggest: Any) -> list[str]:
    parameters = inspect.signature(suggest).parameters.values()
    return [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
