"""What a fitted weaver says of each verifier, and reading it back; `UsageError` for what lies."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from archon.errors import UsageError
from weaver.methods.base import Method
from weaver.scores import Scores


@dataclass(frozen=True, slots=True)
class VerifierReport:
    """What was found out about one verifier.

    Attributes:
        name: of the verifier.
        tpr: P(yes | correct); None where the method has no such thing, or the verifier was dropped.
        tnr: P(no | wrong); likewise.
        weight: how far its yes moves the log-odds; 0 if dropped; None where the method has none.
        cost_j: joules per verdict; None if not measured.
        dropped: why it is not used; None if it is.
    """

    name: str
    tpr: float | None
    tnr: float | None
    weight: float | None
    cost_j: float | None
    dropped: str | None


def reports_on(
    method: Method, scores: Scores, dropped: Mapping[int, str]
) -> tuple[VerifierReport, ...]:
    """Return a report on each verifier of the scores.

    Args:
        method: fitted to the verifiers that are not dropped, in this order.
        scores: what it was fitted to.
        dropped: indices of the others, and why.
    """
    used = [index for index in range(len(scores.verifiers)) if index not in dropped]
    columns = {name: getattr(method, name, None) for name in ("tpr_", "tnr_", "weights_")}

    def value(name: str, index: int) -> float | None:
        column = columns[name]
        if index in dropped:
            return 0.0 if name == "weights_" and column is not None else None
        return None if column is None else float(column[used.index(index)])

    costs = np.full(len(scores.verifiers), np.nan) if scores.cost_j is None else scores.cost_j
    return tuple(
        VerifierReport(
            name,
            value("tpr_", index),
            value("tnr_", index),
            value("weights_", index),
            None if np.isnan(costs[index]) else float(costs[index]),
            dropped.get(index),
        )
        for index, name in enumerate(scores.verifiers)
    )


def report_of(entry: Any) -> VerifierReport:
    """Return the report that a model file holds."""
    names = {f.name for f in fields(VerifierReport)}
    if not isinstance(entry, dict) or set(entry) != names:
        raise UsageError(f"model: a verifier's report must hold {', '.join(sorted(names))}")
    dropped, name = entry["dropped"], entry["name"]
    if not isinstance(name, str) or not (dropped is None or isinstance(dropped, str)):
        raise UsageError("model: a verifier's name or reason is not a text")
    numbers = {key: optional(entry[key], key) for key in ("tpr", "tnr", "weight", "cost_j")}
    return VerifierReport(name=name, dropped=dropped, **numbers)


def optional(value: Any, where: str) -> float | None:
    """Return a number or None."""
    return None if value is None else number(value, where)


def number(value: Any, where: str) -> float:
    """Return a finite number."""
    if type(value) not in (int, float) or not np.isfinite(value):
        raise UsageError(f"model: {where} {value!r} is not a number")
    return float(value)


def list_of(value: Any, where: str) -> list[Any]:
    """Return a list."""
    if not isinstance(value, list):
        raise UsageError(f"model: {where} is not a list")
    return value


def texts(value: Any, where: str) -> tuple[str, ...]:
    """Return texts."""
    if not all(isinstance(text, str) for text in list_of(value, where)):
        raise UsageError(f"model: {where} must be texts")
    return tuple(value)
