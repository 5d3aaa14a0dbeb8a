"""The critic: strengths and weaknesses of each candidate."""

import re
from dataclasses import replace
from typing import Literal

from pydantic import Field

from archon.components.base import (
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

Criticise each reply in one or two sentences: what is right, what is wrong. Write one line per \
reply that starts with its number in brackets, like '[1] ...'."""


@register
class Critic(Component):
    """Attaches to each candidate what a model says for and against it.

    Reads candidates, writes their critiques; texts and order stay. Calls: 1 for all candidates
    together. A candidate the reply does not mention has no critique (``critic.missing``).
    """

    type: Literal["critic"] = "critic"
    model: str
    temperature: float = Field(0.0, ge=0, le=2)
    max_tokens: int = Field(256, ge=8)

    def run(self, state: State, context: Context) -> Steps:
        """See `Component.run`."""
        groups = list(distinct(state.candidates).values())
        if not groups:
            return ()
        prompt = _PROMPT.format(
            n=len(groups),
            candidates=numbered([replace(group[0], critique=None) for group in groups]),
        )
        request = context.request(
            self.model,
            ask_about(state.messages, prompt),
            Sampling(self.temperature, self.max_tokens),
        )
        (drawn,) = yield (request,)
        critiques = parse_critiques(drawn.completions[0].text, len(groups))
        context.counts["critic.missing"] += len(groups) - len(critiques)
        by_text = {group[0].text: critiques.get(index) for index, group in enumerate(groups)}
        return tuple(
            replace(candidate, critique=by_text[candidate.text]) for candidate in state.candidates
        )

    def most_candidates(self, arriving: int) -> int:
        """Return `arriving`: a critic drops nothing."""
        return arriving


def parse_critiques(text: str, n: int) -> dict[int, str]:
    """Return 0-based index → critique for the ``[i] …`` sections of a reply.

    A number out of range is ignored; of two sections with one number the first counts.
    """
    found: dict[int, str] = {}
    for match in re.finditer(r"^\W*?\[(\d+)\](.*?)(?=^\W*?\[\d+\]|\Z)", text, re.M | re.S):
        index, said = int(match[1]) - 1, match[2].strip(" :\n\t*-")
        if 0 <= index < n and said:
            found.setdefault(index, said)
    return found
