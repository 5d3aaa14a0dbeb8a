"""Generating reasoning-gym entries in a process with a fixed hash seed.

Several data sets draw from Python sets, whose order changes from process to process, and some
reseed the global random generators: neither may touch the calling process. Reads a JSON object
(name, params, seed, sizes) and writes a pickled mapping of split to entries, or a UsageError.
"""

import hashlib
import itertools
import json
import os
import pickle
import random
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from archon.errors import UsageError
from archon.messages import Message
from archon.tasks.reasoning_gym import create
from archon.tasks.splits import SplitSizes, prompt_key, too_few_queries
from archon.tasks.task import SplitName

_CHUNK = 256  # entries per data set; fixed, since entries of some data sets depend on its size
_DRAW_ORDER: tuple[SplitName, ...] = ("test", "select", "fit")


def draw_entries(
    name: str, params: Mapping[str, Any], seed: int, sizes: SplitSizes
) -> dict[SplitName, list[dict[str, Any]]]:
    """Draw entries with distinct prompts, every split from a random stream of its own.

    A larger split extends the smaller one, and the size of one split changes another only by the
    prompts that both streams hold: those go to test, then select, then fit.

    Raises:
        UsageError: The data set cannot generate with these params, or not so many prompts.
    """
    seen: set[str] = set()
    entries: dict[SplitName, list[dict[str, Any]]] = {}
    for split in _DRAW_ORDER:
        entries[split] = []
        stream = _stream(name, params, f"{seed}/{split}")
        repeats = 0
        while len(entries[split]) < sizes[split]:
            entry = next(stream)
            key = prompt_key((Message("user", entry["question"]),))
            if key not in seen:
                seen.add(key)
                entries[split].append(entry)
                repeats = 0
                continue
            # With one of n equally likely prompts left, this many repeats come with e^-8.
            repeats += 1
            if repeats > _CHUNK + 8 * len(seen):
                raise too_few_queries(len(seen), sizes)
    return entries


def _stream(name: str, params: Mapping[str, Any], seed: str) -> Iterator[dict[str, Any]]:
    for chunk in itertools.count():
        digest = hashlib.sha256(f"{seed}/{chunk}".encode()).digest()
        chunk_seed = int.from_bytes(digest[:4])
        random.seed(chunk_seed)
        dataset = create(name, params, seed=chunk_seed, size=_CHUNK)
        for index in range(_CHUNK):
            try:
                yield dataset[index]
            except Exception as error:
                raise UsageError(
                    f"reasoning_gym {name} cannot generate with these params "
                    f"({type(error).__name__}: {error}): change task.params"
                ) from error


def main() -> None:
    """Serve one request."""
    reply = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # data sets may print
    result: object
    try:
        result = draw_entries(**json.load(sys.stdin))
    except UsageError as error:
        result = error
    with reply:
        pickle.dump(result, reply)


if __name__ == "__main__":
    main()
