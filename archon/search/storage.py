"""The durable study: one Optuna study per name, resumed safely after any kind of end."""

import json
import os
import socket
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy as sa
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from archon.errors import UsageError
from archon.ledger import sqlite_pragmas
from archon.search.config import StudyConfig
from archon.search.objective import Direction

OWNER = "owner"
"""User attribute of a trial: who runs it."""
REQUEUED = ("baseline", "single")
"""User attributes that stay with a trial that is run again."""


def open_study(config: StudyConfig, folder: Path, directions: Sequence[Direction]) -> optuna.Study:
    """Open or create the study; trials of dead processes on this host are queued again.

    Raises:
        UsageError: The study exists with other settings, or its storage cannot be used.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = config.storage.study
    if url == "sqlite":
        url = f"sqlite:///{folder / 'study.sqlite'}"
    try:
        study = optuna.create_study(
            study_name=config.study.name,
            storage=_storage(url),
            directions=directions,
            sampler=_sampler(config),
            load_if_exists=True,
        )
        _check_same(study, config)
        _requeue_orphans(study)
    except (sa.exc.SQLAlchemyError, optuna.exceptions.OptunaError, ImportError) as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise UsageError(f"{url}: the study cannot be opened ({reason})") from error
    return study


def _storage(url: str) -> optuna.storages.RDBStorage:
    storage = optuna.storages.RDBStorage(url)
    if storage.engine.dialect.name == "sqlite":
        # A trial is about twenty commits, and by default each waits for the disk.
        sa.event.listen(storage.engine, "connect", sqlite_pragmas)
        storage.engine.dispose()
    return storage


def _sampler(config: StudyConfig) -> BaseSampler:
    if config.search.sampler == "tpe":
        with warnings.catch_warnings():
            # `group` keeps choices that only some pipelines have from being dropped.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return TPESampler(seed=config.study.seed, multivariate=True, group=True)
    return RandomSampler(seed=config.study.seed)  # exhaustive studies enqueue every point


def _check_same(study: optuna.Study, config: StudyConfig) -> None:
    mark = config.fingerprint()
    known = study.user_attrs.get("fingerprint")
    if known is None:
        study.set_user_attr("fingerprint", mark)
        study.set_user_attr("config", config.model_dump_json())
        study.set_user_attr("task", config.task.fingerprint())
    elif known != mark:
        old = json.loads(study.user_attrs["config"])
        new = json.loads(config.model_dump_json())
        for settings in (old, new):
            del settings["search"]["budget"]
        kept = {"storage", "study", "calibration", "task"}
        changed = [key for key in new if key not in kept and new[key] != old.get(key)]
        if study.user_attrs.get("task") != config.task.fingerprint():
            changed.append("task")
        raise UsageError(
            f"study {config.study.name} exists with other settings "
            f"({', '.join(changed) or 'study.seed'}); give this one a name of its own: "
            "study.name=..."
        )


def require_same_energy(study: optuna.Study, basis: str, machine: str) -> None:
    """Check that the study's joules so far are of the same rails of the same machine.

    Args:
        basis: Label of the energy basis.
        machine: The hardware in words.

    Raises:
        UsageError: They are not: its numbers could not be compared with new ones.
    """
    here = {"basis": basis, "machine": machine}
    known = study.user_attrs.get("energy")
    if known is None:
        study.set_user_attr("energy", here)
    elif known != here:
        raise UsageError(
            f"study {study.study_name} was measured with energy basis {known['basis']!r} on "
            f"{known['machine']}; here it is {basis!r} on {machine}. Joules of different rails "
            "or machines are never compared: give this study a name of its own (study.name=...)"
        )


def claim(trial: optuna.Trial) -> None:
    """Record that this process runs a trial."""
    trial.set_user_attr(OWNER, [socket.gethostname(), os.getpid(), _started(os.getpid())])


def requeue(study: optuna.Study, trial: FrozenTrial) -> None:
    """Fail a running trial and queue its point again."""
    study.tell(trial.number, state=TrialState.FAIL)
    kept = {name: trial.user_attrs[name] for name in REQUEUED if name in trial.user_attrs}
    study.enqueue_trial(trial.params or trial.system_attrs.get("fixed_params", {}), user_attrs=kept)


def _requeue_orphans(study: optuna.Study) -> None:
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        owner = trial.user_attrs.get(OWNER)
        if owner is None or (owner[0] == socket.gethostname() and not _alive(owner[1], owner[2])):
            requeue(study, trial)


def _alive(pid: int, started: str | None) -> bool:
    return started is not None and _started(pid) == started


def _started(pid: int) -> str | None:
    """Return the start time of a process as its kernel tells it, None when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None


class Totals:
    """Sums that go on over restarts of a study, kept in its user attributes."""

    def __init__(self, study: optuna.Study) -> None:
        self._study = study
        self._before: dict[str, float] = dict(study.user_attrs.get("totals", {}))
        self._now: Callable[[], dict[str, float]] = dict

    def track(self, now: Callable[[], dict[str, float]]) -> None:
        """Count what `now` returns on top of what earlier runs had."""
        self._now = now

    def get(self, name: str) -> float:
        """Return one sum."""
        return self._before.get(name, 0.0) + self._now().get(name, 0.0)

    def save(self) -> None:
        """Store the sums."""
        names = {*self._before, *self._now()}
        self._study.set_user_attr("totals", {name: self.get(name) for name in names})


def record_of(trial: FrozenTrial) -> dict[str, Any] | None:
    """Return what was stored of an evaluated trial, None if it never was evaluated."""
    text = trial.user_attrs.get("record")
    return None if text is None else json.loads(text)
