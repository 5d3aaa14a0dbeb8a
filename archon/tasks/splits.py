"""Dividing a finite set of queries into the disjoint splits fit, select and test."""

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from archon.errors import UsageError
from archon.messages import Message
from archon.tasks.task import SPLITS, Query, SplitName

SplitSizes = Mapping[SplitName, int]


def prompt_key(messages: Sequence[Message]) -> str:
    """Return a digest that is equal for prompts equal up to blanks and Unicode composition."""
    parts = (unicodedata.normalize("NFC", " ".join(m.content.split())) for m in messages)
    turns = "\x1e".join(f"{m.role}\x1f{part}" for m, part in zip(messages, parts, strict=True))
    return hashlib.sha256(turns.encode("utf-8", "surrogatepass")).hexdigest()


def split_queries(
    queries: Iterable[Query], sizes: SplitSizes, seed: int
) -> dict[SplitName, tuple[Query, ...]]:
    """Assign queries to splits, each distinct prompt (its first query) at most once.

    Prompts are ordered by sha256(seed, prompt), whatever order they come in. *test* takes the
    first of them, *select* the last, *fit* those that follow test: so test and select depend on
    no other size, fit on that of test, and a larger split contains the smaller one.

    Raises:
        UsageError: There are fewer distinct prompts than the sizes ask for.
    """
    distinct: dict[str, Query] = {}
    for query in queries:
        distinct.setdefault(prompt_key(query.messages), query)
    if len(distinct) < sum(sizes.values()):
        raise too_few_queries(len(distinct), sizes)

    def place(key: str) -> str:
        return hashlib.sha256(f"{seed}\x1f{key}".encode()).hexdigest()

    ordered = [distinct[key] for key in sorted(distinct, key=place)]
    test, select, fit = sizes["test"], sizes["select"], sizes["fit"]
    return {
        "fit": tuple(ordered[test : test + fit]),
        "select": tuple(ordered[::-1][:select]),
        "test": tuple(ordered[:test]),
    }


def too_few_queries(available: int, sizes: SplitSizes) -> UsageError:
    """Return the error for a source with fewer distinct prompts than asked for."""
    asked = " + ".join(f"{name} {sizes[name]}" for name in SPLITS)
    return UsageError(
        f"the task has {available} distinct queries, but its splits ask for "
        f"{sum(sizes.values())} ({asked}): lower task.sizes or add queries"
    )
