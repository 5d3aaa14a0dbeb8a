"""Several conversations held at once: their requests go out together, step by step."""

from collections.abc import Generator, Sequence
from typing import TypeVar

Asked = TypeVar("Asked")
Told = TypeVar("Told")
Result = TypeVar("Result")


def lockstep(
    runs: Sequence[Generator[Sequence[Asked], Sequence[Told], Result]],
) -> Generator[Sequence[Asked], Sequence[Told], list[Result]]:
    """Yield what all runs ask for at each step, send each its part, return what each returned.

    A run that ends early waits for the others.
    """
    results: dict[int, Result] = {}
    parts: dict[int, Sequence[Told] | None] = dict.fromkeys(range(len(runs)))
    while parts:
        asked: list[Asked] = []
        counts: dict[int, int] = {}
        for index, part in parts.items():
            try:
                wanted = runs[index].send(part)  # type: ignore[arg-type]
            except StopIteration as stop:
                results[index] = stop.value
            else:
                asked += wanted
                counts[index] = len(wanted)
        parts = {}
        if counts:
            told = yield asked
            start = 0
            for index, count in counts.items():
                parts[index] = told[start : start + count]
                start += count
    return [results[index] for index in range(len(runs))]
