"""The critic: strengths and weaknesses of each candidate."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from pydantic import Field

from archon.components.base import Calls, Component, Steps, register
from archon.components.context import Context
from archon.components.state import Candidate, State, distinct, numbered
from archon.engines.base import Request, Sampling

_LIST = """Here are {n} replies to the request above:

{candidates}

Criticise each reply in one or two sentences: what is right, what is wrong. Write one line per \
reply that starts with its number in brackets, like '[1] ...'."""

_ONE = """Proposed reply:

{candidate}

Criticise the proposed reply in one or two sentences: what is right, what is wrong."""


@register
class Critic(Component):
    """Attaches to each candidate what a model says for and against it.

    Reads candidates, writes their critiques; texts and order stay. Earlier critiques are dropped.
    Calls: 1 for all candidates together (``listwise``), or 1 per distinct text (``pointwise``),
    which repeats the question for each and compares nothing, but needs no numbering that a small
    model may lose. A candidate nothing was said of, also because the call failed, has no critique
    (``critic.missing``). Texts that would not fit the model's context are shortened
    (``critic.shortened``).

    Attributes:
        max_tokens: Of one reply: for all candidates, or for one.
    """

    type: Literal["critic"] = "critic"
    model: str
    mode: Literal["listwise", "pointwise"] = "listwise"
    temperature: float = Field(0.0, ge=0, le=2)
    max_tokens: int = Field(256, ge=8)

    def run(self, state: State, context: Context) -> Steps:
        """See `Component.run`."""
        texts = list(distinct(state.candidates).values())
        if not texts:
            return ()
        bare = [replace(group[0], critique=None) for group in texts]
        if self.mode == "listwise":
            (drawn,) = yield (self._request(state, context, bare),)
            said = parse_critiques(drawn.completions[0].text, len(bare))
        else:
            replies = yield [self._request(state, context, [one]) for one in bare]
            spoken = enumerate(drawn.completions[0].text.strip() for drawn in replies)
            said = {index: text for index, text in spoken if text}
        context.counts["critic.missing"] += len(bare) - len(said)
        by_text = {one.text: said.get(index) for index, one in enumerate(bare)}
        return tuple(
            replace(candidate, critique=by_text[candidate.text]) for candidate in state.candidates
        )

    def most_candidates(self, arriving: int) -> int:
        """Return `arriving`: a critic drops nothing."""
        return arriving

    def calls(self, arriving: int, tests: int) -> Calls:  # noqa: ARG002
        """See `Component.calls`."""
        return Calls(1, 1 if self.mode == "listwise" else arriving, self.max_tokens)

    def _request(self, state: State, context: Context, candidates: Sequence[Candidate]) -> Request:
        sampling = Sampling(self.temperature, self.max_tokens)
        return context.about(self.type, self.model, state, candidates, self._prompt, sampling)

    def _prompt(self, candidates: Sequence[Candidate]) -> str:
        if self.mode == "pointwise":
            return _ONE.format(candidate=candidates[0].text.strip())
        return _LIST.format(n=len(candidates), candidates=numbered(candidates))


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
