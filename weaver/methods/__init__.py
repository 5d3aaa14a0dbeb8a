"""Methods that turn verifiers' scores into P(correct), under one interface.

`Method` is the interface, `make` gives one by name, `from_json` reads a fitted one. Other packages
add methods by the entry-point group ``weaver.methods`` (name = class).
"""

import json
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from archon.errors import UsageError
from weaver.methods.base import FORMAT, Method
from weaver.methods.clusters import Clusters
from weaver.methods.continuous import Continuous
from weaver.methods.em import EM
from weaver.methods.matrix import Matrix
from weaver.methods.moments import Moments
from weaver.methods.simple import First, Mean, Plurality
from weaver.methods.snorkel import Snorkel
from weaver.methods.supervised import Logistic, NaiveBayes
from weaver.methods.tensor import Tensor

BUILT_IN: tuple[type[Method], ...] = (
    First,
    Plurality,
    Mean,
    Logistic,
    NaiveBayes,
    EM,
    Continuous,
    Moments,
    Matrix,
    Tensor,
    Snorkel,
    Clusters,
)


@cache
def _classes() -> dict[str, type[Method]]:
    found = {method.name: method for method in BUILT_IN}
    for entry in entry_points(group="weaver.methods"):
        loaded = entry.load()
        if not (isinstance(loaded, type) and issubclass(loaded, Method)):
            raise UsageError(f"entry point weaver.methods {entry.name}: {entry.value} is no Method")
        if entry.name in found:
            raise UsageError(f"entry point weaver.methods {entry.name}: the name is taken")
        found[entry.name] = loaded
    return found


def names() -> tuple[str, ...]:
    """Return the names of all methods."""
    return tuple(_classes())


def class_of(name: str) -> type[Method]:
    """Return the class of a method.

    Raises:
        UsageError: There is no such method.
    """
    if not isinstance(name, str) or name not in _classes():  # it may come from a file
        raise UsageError(f"unknown method {name!r}; known: {', '.join(names())}")
    return _classes()[name]


def make(name: str, **params: Any) -> Method:
    """Return an unfitted method.

    Raises:
        UsageError: There is no such method, or it has no such parameter.
    """
    method = class_of(name)
    try:
        return method(**params)
    except TypeError as error:
        raise UsageError(f"method {name}: {str(error).split(') ', 1)[-1]}") from error


def from_record(record: Any) -> Method:
    """Return the fitted method of a parsed `Method.to_json`.

    Raises:
        UsageError: It is not such a record.
    """
    if not isinstance(record, dict) or set(record) != {"weaver", "method", "params", "fitted"}:
        raise UsageError("model: need an object with weaver, method, params and fitted")
    if record["weaver"] != FORMAT or not isinstance(record["method"], str):
        raise UsageError(f"model: format {record['weaver']!r}; this version reads {FORMAT}")
    return class_of(record["method"]).from_record(record["params"], record["fitted"])


def from_json(text: str) -> Method:
    """Return the fitted method that `Method.to_json` wrote.

    Raises:
        UsageError: It is not such a text.
    """
    try:
        record = json.loads(text)
    except ValueError as error:
        raise UsageError(f"model: not JSON ({error})") from error
    return from_record(record)
