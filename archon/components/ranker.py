"""The ranker: one listwise comparison by a model."""

import re
from typing import ClassVar, Literal

from pydantic import Field

from archon.components.base import (
    Candidate,
    Component,
    Context,
    State,
    Steps,
    ask_about,
    distinct,
    numbered,
    register,
)
from archon.engines.base import Sampling

_PROMPT = """Here are {n} replies to the request above:

{candidates}

Rank the replies from best to worst by whether they are correct. Reply with the ranking only, in \
the form {example}."""


@register
class Ranker(Component):
    """Orders the candidates by a model's listwise judgement and keeps the first `top_k`.

    Reads candidates and their critiques, writes candidates. Calls: 1, or none when all
    candidates have the same text. Equal texts are ranked as one and stay together. A reply that
    is not a ranking leaves the order as it came and counts as ``ranker.unparsed``; ids left out
    follow in the order they came and count as ``ranker.incomplete``.
    """

    type: Literal["ranker"] = "ranker"
    model: str
    top_k: int = Field(1, ge=1)
    max_tokens: int = Field(48, ge=4)

    needs_several: ClassVar[bool] = True
    reads_critiques: ClassVar[bool] = True

    def run(self, state: State, context: Context) -> Steps:
        """See `Component.run`."""
        groups = list(distinct(state.candidates).values())
        order = list(range(len(groups)))
        if len(groups) > 1:
            first = [group[0] for group in groups]
            request = context.request(
                self.model,
                ask_about(state.messages, _prompt(first)),
                Sampling(0.0, self.max_tokens),
            )
            (drawn,) = yield (request,)
            ranked = parse_ranking(drawn.completions[0].text, len(groups))
            if ranked is None:
                context.counts["ranker.unparsed"] += 1
            else:
                missing = [index for index in order if index not in ranked]
                context.counts["ranker.incomplete"] += bool(missing)
                order = ranked + missing
        in_order = [candidate for index in order for candidate in groups[index]]
        return tuple(in_order[: self.top_k])

    def most_candidates(self, arriving: int) -> int:
        """Return at most `top_k`."""
        return min(arriving, self.top_k)


def _prompt(candidates: list[Candidate]) -> str:
    n = len(candidates)
    example = " > ".join(f"[{index}]" for index in [2, 1, *range(3, n + 1)])
    return _PROMPT.format(n=n, candidates=numbered(candidates), example=example)


def parse_ranking(text: str, n: int) -> list[int] | None:
    """Return the 0-based ranking in the first line that holds one, or None.

    Only ``[2] > [1] > …`` counts; an id out of range or named twice makes the line invalid.
    """
    for line in text.splitlines():
        match = re.fullmatch(r"\W*(\[\d+\](?:\s*>\s*\[\d+\])+)\W*", line.strip())
        if match is None:
            continue
        ids = [int(number) - 1 for number in re.findall(r"\d+", match[1])]
        if len(set(ids)) == len(ids) and all(0 <= index < n for index in ids):
            return ids
    return None
