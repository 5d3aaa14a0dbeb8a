"""Verifiers by name: from text such as ``judge(model=big, reads=answer)``, or from a mapping."""

import difflib
import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny, ValidationError

from archon.errors import UsageError
from weaver.verifiers.base import VERIFIERS, Verifier

_FORM = re.compile(r"\s*(\w+)\s*(?:\((.*)\))?\s*", re.DOTALL)
_STRING = r'"(?:[^"\\]|\\.)*"'
_SETTING = re.compile(
    rf"\s*(\w+)\s*=\s*({_STRING}|\[(?:{_STRING}|[^\]\"])*\]|[^,\"\[\]()=]*?)\s*(?:,|$)"
)


def names() -> tuple[str, ...]:
    """Return the types of verifiers there are."""
    _load_entry_points()
    return tuple(VERIFIERS)


def parse(text: str) -> Verifier:
    """Return the verifier written as ``type`` or ``type(setting=value, …)``.

    Values are JSON; a string needs no quotes unless it could be something else or holds one of
    ``, ( ) [ ] = "``. The inverse of `Verifier.name`.

    Raises:
        UsageError: No such form, type or setting, or a value is wrong.
    """
    form = _FORM.fullmatch(text)
    if form is None:
        raise UsageError(f"verifier {text!r}: write type or type(setting=value, …)")
    settings: dict[str, Any] = {}
    rest, position = form[2] or "", 0
    while rest[position:].strip():
        setting = _SETTING.match(rest, position)
        if setting is None:
            raise UsageError(
                f"verifier {text!r}: cannot read {rest[position:].strip()!r}; write setting=value, "
                "strings with commas or brackets in double quotes"
            )
        if setting[1] in settings:
            raise UsageError(f"verifier {text!r}: {setting[1]} is given twice; keep one")
        settings[setting[1]] = _value(setting[2])
        position = setting.end()
    try:
        return make({"type": form[1], **settings})
    except ValueError as error:
        raise UsageError(f"verifier {text!r}: {_first_problem(error)}") from error


def make(settings: Mapping[str, Any]) -> Verifier:
    """Return the verifier of a mapping with ``type`` and its settings.

    Raises:
        ValueError: No such type or setting, or a value is wrong.
    """
    kind = settings.get("type")
    if kind not in names():
        close = difflib.get_close_matches(str(kind), names(), n=1)
        meant = f"did you mean {close[0]}? " if close else ""
        raise ValueError(f"unknown verifier {kind!r}: {meant}known: {', '.join(names())}")
    return VERIFIERS[kind].model_validate(dict(settings))


def _from_raw(raw: object) -> Verifier:
    if isinstance(raw, Verifier):
        return raw
    if isinstance(raw, str):
        try:
            return parse(raw)
        except UsageError as error:
            raise ValueError(str(error)) from error
    if not isinstance(raw, Mapping):
        raise ValueError("a verifier is text such as judge(model=big), or a mapping with a 'type'")
    return make(raw)


AnyVerifier = Annotated[SerializeAsAny[Verifier], BeforeValidator(_from_raw)]
"""A verifier as a field of a pydantic model: text, or a mapping with its type."""


@cache
def _load_entry_points() -> None:
    for entry in entry_points(group="weaver.verifiers"):
        before = VERIFIERS.get(entry.name)
        loaded = entry.load()
        if not (isinstance(loaded, type) and issubclass(loaded, Verifier)):
            raise UsageError(
                f"entry point weaver.verifiers {entry.name}: {entry.value} is no Verifier"
            )
        if before not in (None, loaded):
            raise UsageError(f"entry point weaver.verifiers {entry.name}: the name is taken")
        VERIFIERS[entry.name] = loaded


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _first_problem(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    problem = error.errors()[0]
    place = ".".join(map(str, problem["loc"]))
    return f"{place}: {problem['msg'].removeprefix('Value error, ')}"
