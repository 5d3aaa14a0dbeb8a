"""JSON Lines: one object per line; what is wrong is named by file and line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from archon.errors import UsageError

Row = TypeVar("Row", bound=BaseModel)


def numbered_rows(path: Path, kind: type[Row], unreadable: str) -> Iterator[tuple[int, Row]]:
    """Yield (line number from 1, object) of the lines that are not blank.

    Args:
        path: UTF-8, with or without a byte order mark.
        kind: What every line must be.
        unreadable: Begins the message where the file cannot be read; the reason follows.

    Raises:
        UsageError: The file cannot be read, or a line is no such object.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(f"{unreadable}: {reason}") from error
    # str.splitlines would also split at separators that JSON allows inside strings.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            with at_line(path, number):
                row = _parse(line, kind)
            yield number, row


@contextmanager
def at_line(path: Path, number: int) -> Iterator[None]:
    """Begin the message of a `UsageError` raised inside with FILE:LINE."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{path}:{number}: {error}") from None


def _parse(line: str, kind: type[Row]) -> Row:
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        raise UsageError(_explain(error, kind)) from None


def _explain(error: ValidationError, kind: type[BaseModel]) -> str:
    """Return the first problem of a line as one sentence with its remedy."""
    first = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        return f"{first['msg']}: write one JSON object per line"
    if not first["loc"]:
        return "not a JSON object: write one per line"
    place = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        return f'unknown key "{place}": use {", ".join(kind.model_fields)}'
    if first["loc"][-1] in ("str", "int", "float"):  # a member of a union
        key = first["loc"][0]
        members = {e["loc"][-1] for e in error.errors() if e["loc"][0] == key}
        number = "finite number" if "float" in members else "whole number"
        return f'"{key}": must be a text or a {number}'
    return f'"{place}": {first["msg"]}'
