"""Any data set of reasoning-gym as a task, scored by the data set itself."""

import difflib
import importlib.util
import json
import pickle
import threading
import warnings
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from archon.errors import ArchonError, UsageError
from archon.messages import Message
from archon.tasks.answers import parse_number
from archon.tasks.child import start_module
from archon.tasks.judged import JudgedTask
from archon.tasks.reasoning_gym_safety import disarm_scorers, refuse_code_runners
from archon.tasks.splits import SplitSizes
from archon.tasks.task import Query, SplitName

_CORRECT = 1.0 - 1e-9


def load_reasoning_gym(
    name: str, params: Mapping[str, Any], seed: int, sizes: SplitSizes
) -> "ReasoningGymTask":
    """Generate a task from a reasoning-gym data set; equal arguments give equal queries.

    Args:
        name: A registered data set, for example ``chain_sum``.
        params: Fields of its configuration, without ``seed`` and ``size``.
        seed: Seed of the queries; different seeds give independent ones.
        sizes: Queries per split.

    Raises:
        UsageError: The package is missing, no such data set, wrong params, too few distinct
            prompts, or a scorer that would run model output as code.
        ArchonError: The generating process failed.
    """
    dataset = create(name, params, seed=0, size=1)  # says what is wrong before work starts
    request = {"name": name, "params": dict(params), "seed": seed, "sizes": dict(sizes)}
    with start_module("archon.tasks.reasoning_gym_worker", PYTHONHASHSEED="0") as process:
        reply, _ = process.communicate(json.dumps(request).encode())
    if process.returncode != 0:
        raise ArchonError(
            f"generating reasoning_gym {name} ended with status {process.returncode}: "
            "see its last lines above"
        )
    result = pickle.loads(reply)
    if isinstance(result, UsageError):
        raise result
    disarm_scorers()
    return ReasoningGymTask(name, dataset, result)


def create(name: str, params: Mapping[str, Any], *, seed: int, size: int) -> Any:
    """Return the ``ProceduralDataset`` of a name and params.

    Raises:
        UsageError: The package is missing, no such data set, or params that it does not take.
    """
    if importlib.util.find_spec("reasoning_gym") is None:
        raise UsageError(
            "the task source reasoning_gym needs a package: pip install 'archon-ipw[tasks]'"
        )
    import reasoning_gym
    from reasoning_gym.composite import DatasetSpec
    from reasoning_gym.factory import DATASETS

    if name not in DATASETS:
        close = difflib.get_close_matches(name, DATASETS, n=3) or sorted(DATASETS)
        raise UsageError(
            f'reasoning_gym has no data set "{name}": set task.name, for example '
            f"{', '.join(close[:3])}"
        )
    refuse_code_runners(name, params)
    allowed = sorted({field.name for field in fields(DATASETS[name][1])} - {"seed", "size"})
    unknown = sorted(set(params) - set(allowed))
    if unknown:
        raise UsageError(
            f"reasoning_gym {name} has no parameter {', '.join(unknown)}: task.params may hold "
            f"{', '.join(allowed)} (seed and size follow from task.seed and task.sizes)"
        )
    try:
        arguments = dict(params)
        if name == "composite":
            arguments["datasets"] = [DatasetSpec(**spec) for spec in arguments["datasets"]]
        return reasoning_gym.create_dataset(name, seed=seed, size=size, **arguments)
    except Exception as error:  # data sets check their parameters by any exception
        raise UsageError(
            f"reasoning_gym {name} does not take these params ({type(error).__name__}: {error}): "
            "change task.params"
        ) from error


class ReasoningGymTask(JudgedTask):
    """Generated queries; right is what the data set's own scorer gives full marks."""

    def __init__(
        self, name: str, dataset: Any, entries: Mapping[SplitName, list[dict[str, Any]]]
    ) -> None:
        splits = {
            split: tuple(
                Query(f"{name}-{split}-{i}", (Message("user", entry["question"]),), entry["answer"])
                for i, entry in enumerate(drawn)
            )
            for split, drawn in entries.items()
        }
        queries = [query for split in splits.values() for query in split]
        numeric = all(parse_number(query.reference or "") is not None for query in queries)
        drawn_in_order = [entry for split in entries.values() for entry in split]
        self._entries = {q.id: e for q, e in zip(queries, drawn_in_order, strict=True)}
        self._dataset = dataset
        self._lock = threading.Lock()
        super().__init__(name, "number" if numeric else "text", splits)

    def grade(self, query_id: str, answer: str) -> float:
        """Return the data set's own score; an answer its scorer cannot read scores 0."""
        # Data sets keep state and warnings filters are global: one answer at a time.
        with self._lock, warnings.catch_warnings(action="ignore"):
            try:
                return float(self._dataset.score_answer(answer, self._entries[query_id]))
            except Exception:  # scorers meet malformed answers with any exception
                return 0.0

    def score(self, query: Query, answer: str | None) -> float:
        """Return 1 when the data set gives full marks, else 0."""
        return float(super().score(query, answer) >= _CORRECT)

    def partial_score(self, query: Query, answer: str | None) -> float:
        """Return the data set's own partial credit."""
        return super().score(query, answer)
