"""Reading verdicts out of completions, strictly: what is no verdict is None, never a guess."""

import json
import math
import re
from collections.abc import Callable, Sequence

from archon.engines.base import Completion

TOP_LOGPROBS = 20

_FENCED = re.compile(r"```(?:json)?\s*\n(.*)\n\s*```", re.DOTALL)


def yes_probability(completion: Completion) -> float | None:
    """Return P(yes) / (P(yes) + P(no)) at the first token, all spellings summed, or None."""
    return _share(completion, "yes", "no", str.casefold)


def first_probability(completion: Completion) -> float | None:
    """Return P(A) / (P(A) + P(B)) at the first token, or None; a small a is an article."""
    return _share(completion, "A", "B", str)


def verdict(text: str) -> float | None:
    """Return 1 or 0 from a last line that is a verdict and nothing else, or None."""
    lines = text.strip().splitlines()
    match = re.fullmatch(r"\W*verdict\W+(correct|incorrect)\W*", lines[-1], re.I) if lines else None
    return None if match is None else float(match[1].casefold() == "correct")


def marks(text: str, names: Sequence[str]) -> list[int] | None:
    """Return the marks from 1 to 5, by `names`, from one JSON object and nothing else, or None.

    The object has exactly these keys and whole numbers; it may stand in one code fence.
    """
    fenced = _FENCED.fullmatch(text.strip())
    try:
        pairs = json.loads(fenced[1] if fenced else text, object_pairs_hook=list)
    except (ValueError, RecursionError):
        return None
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in pairs):
        return None
    given = dict(pairs)
    if len(pairs) != len(names) or set(given) != set(names):
        return None
    if any(type(mark) is not int or not 1 <= mark <= 5 for mark in given.values()):
        return None
    return [given[name] for name in names]


def numbers(text: str) -> list[float] | None:
    """Return the numbers of a pooling model's reply, a JSON array of finite ones, or None."""
    try:
        found = json.loads(text, parse_int=float)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, list) or any(type(number) is not float for number in found):
        return None
    return found if found and all(map(math.isfinite, found)) else None


def _share(
    completion: Completion, first: str, second: str, spelt: Callable[[str], str]
) -> float | None:
    if not completion.top_logprobs:
        return None
    mass = {first: 0.0, second: 0.0}
    for token, logprob in completion.top_logprobs[0]:
        word = spelt(token.strip())
        if word in mass:
            mass[word] += math.exp(logprob)
    total = sum(mass.values())
    return mass[first] / total if total > 0 else None
