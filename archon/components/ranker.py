"""The ranker: by one listwise comparison, by pairs, or by the scores candidates have."""

import math
import re
from collections.abc import Generator, Sequence
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from archon.components.base import Calls, Component, Steps, register
from archon.components.context import Context
from archon.components.room import tokens_over
from archon.components.state import (
    Candidate,
    Drawn,
    State,
    distinct,
    known_score,
    numbered,
    with_critique,
)
from archon.engines.base import Request, Sampling
from weaver.verifiers import PairwiseJudge, Sample
from weaver.verifiers.walk import Walk

_PROMPT = """Here are {n} replies to the request above:

{candidates}

Rank the replies from best to worst by whether they are correct. Reply with the ranking only, in \
the form {example}."""

_PAIR = 64
"""Tokens of a comparison besides the question and the two replies."""

Order = Generator[Sequence[Request], Sequence[Drawn], list[int]]


@register
class Ranker(Component):
    """Orders the candidates and keeps the first `top_k`.

    Reads candidates and, unless by score, their critiques; writes candidates. Equal texts are
    ranked as one and stay together. Ways to order (`mode`):

    ``listwise``: a model is shown all and writes a ranking. Calls: 1, none when all texts are
    equal. A reply that is not a ranking leaves the order as it came and counts as
    ``ranker.unparsed``; ids left out follow in the order they came and count as
    ``ranker.incomplete``.

    ``pairwise``: a model says which of two is better, for at most `pairs` pairs spread evenly, in
    both orders, so that what it gives to a position cancels; strengths by Bradley-Terry. Calls:
    2 per pair, one token each. Calls that gave no verdict count as ``ranker.unparsed``; where
    that, or the budget, leaves a candidate unjudged, it stands as an average one, and the query
    counts as ``ranker.incomplete``.

    ``score``: the highest score first, as the last judge gave it. Calls: none. Candidates without
    a score come last and count as ``ranker.unscored``.

    Scores stay as they were. Texts that would not fit the model's context are shortened
    (``ranker.shortened``).

    Attributes:
        model: Alias of the judge; none for ``score``.
        max_tokens: Of the written ranking; only ``listwise`` uses it.
        pairs: Most pairs per query; only ``pairwise`` uses it.
    """

    type: Literal["ranker"] = "ranker"
    model: str | None = None
    mode: Literal["listwise", "pairwise", "score"] = "listwise"
    top_k: int = Field(1, ge=1)
    max_tokens: int = Field(48, ge=4)
    pairs: int = Field(12, ge=1)

    needs_several: ClassVar[bool] = True

    @model_validator(mode="after")
    def _check(self) -> "Ranker":
        if self.mode == "score" and self.model is not None:
            raise ValueError("a ranker by score asks no model; leave model out")
        if self.mode != "score" and self.model is None:
            raise ValueError(f"a {self.mode} ranker asks a model; set model, or mode: score")
        return self

    @property
    def reads_critiques(self) -> bool:
        """See `Component.reads_critiques`."""
        return self.mode != "score"

    def run(self, state: State, context: Context) -> Steps:
        """See `Component.run`."""
        groups = list(distinct(state.candidates).values())
        if self.model is None:
            order = _by_score(groups, context)
        elif len(groups) < 2:
            order = list(range(len(groups)))
        else:
            first = [group[0] for group in groups]
            by = self._listwise if self.mode == "listwise" else self._pairwise
            order = yield from by(self.model, first, state, context)
        in_order = [candidate for index in order for candidate in groups[index]]
        return tuple(in_order[: self.top_k])

    def _listwise(
        self, model: str, candidates: Sequence[Candidate], state: State, context: Context
    ) -> Order:
        sampling = Sampling(0.0, self.max_tokens)
        (drawn,) = yield (context.about(self.type, model, state, candidates, _prompt, sampling),)
        order = list(range(len(candidates)))
        ranked = parse_ranking(drawn.completions[0].text, len(candidates))
        if ranked is None:
            context.counts["ranker.unparsed"] += 1
            return order
        missing = [index for index in order if index not in ranked]
        context.counts["ranker.incomplete"] += bool(missing)
        return ranked + missing

    def _pairwise(
        self, model: str, candidates: Sequence[Candidate], state: State, context: Context
    ) -> Order:
        texts = [with_critique(candidate) for candidate in candidates]
        limit = context.limits.get(model)
        if limit is not None:
            each = (limit - tokens_over(state.messages, _PAIR, 0)) // 2
            texts = [context.shorten(self.type, [text], each)[0] for text in texts]
        judge = PairwiseJudge(model=model, pairs=self.pairs)
        walk = Walk(judge.score(state.messages, list(map(Sample, texts)), context.models))
        while walk.asks:
            made = yield walk.asks
            walk.go_on({one.request.key: dict(enumerate(one.completions)) for one in made})
        verdicts = walk.result()
        context.counts["ranker.unparsed"] += verdicts.unparsed + verdicts.failed
        context.counts["ranker.incomplete"] += any(map(math.isnan, verdicts.scores))
        strength = [0.5 if math.isnan(score) else score for score in verdicts.scores]
        return sorted(range(len(candidates)), key=lambda index: -strength[index])

    def most_candidates(self, arriving: int) -> int:
        """Return at most `top_k`."""
        return min(arriving, self.top_k)

    def calls(self, arriving: int, tests: int) -> Calls:  # noqa: ARG002
        """See `Component.calls`."""
        if self.mode == "pairwise":
            return Calls(0, 2 * min(self.pairs, math.comb(arriving, 2)), 1)
        return Calls(0, 1, self.max_tokens) if self.mode == "listwise" else Calls(0, 0, 0)


def _by_score(groups: Sequence[Sequence[Candidate]], context: Context) -> list[int]:
    scores = [max(map(known_score, group)) for group in groups]
    unscored = sum(one.score is None for group in groups for one in group)
    context.counts["ranker.unscored"] += unscored
    return sorted(range(len(groups)), key=lambda index: -scores[index])


def _prompt(candidates: Sequence[Candidate]) -> str:
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
