"""Writing a result file so that what stands there stays until the new one is whole."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from archon.errors import UsageError


@contextmanager
def replacing(path: Path, *endings: str) -> Iterator[Path]:
    """Yield a file beside `path` to write; it takes that place unless the body raises.

    Raises:
        UsageError: The name has none of the endings, or no file can be written there.
    """
    if path.suffix not in endings:
        raise UsageError(f"{path}: name a {' or '.join(endings)} file to write")
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; name a file to write")
    draft = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        draft.touch()
    except OSError as error:
        raise UsageError(f"{path}: cannot be written there ({error.strerror})") from error
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
