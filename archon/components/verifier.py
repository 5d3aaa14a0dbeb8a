"""The verifier: a judge keeps the candidates it holds to be correct."""

from dataclasses import replace
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
    register,
)
from archon.engines.base import Completion, Sampling
from weaver.verifiers.reading import TOP_LOGPROBS, verdict, yes_probability

_JUDGE = """Proposed reply:

{candidate}

Is the proposed reply correct? Answer Yes or No."""

_REASON = """Proposed reply:

{candidate}

Check the proposed reply step by step. End with one line, either 'Verdict: Correct' or \
'Verdict: Incorrect'."""


@register
class Verifier(Component):
    """Keeps the candidates whose probability of being correct reaches `threshold`.

    Reads candidates and critiques, writes the passing ones with their probability as score;
    keeps all when none passes. Calls: 1 per distinct text.

    Two ways to judge: ``logprob`` reads the probability of Yes against No from the first token
    (all spellings summed); ``reason`` lets the model check in writing and reads a final verdict
    line, which gives 1 or 0. A verdict that is neither counts as ``verifier.unparsed`` and is no
    pass.
    """

    type: Literal["verifier"] = "verifier"
    model: str
    mode: Literal["logprob", "reason"] = "logprob"
    threshold: float = Field(0.5, ge=0, le=1)
    max_tokens: int = Field(192, ge=8)

    reads_critiques: ClassVar[bool] = True

    def run(self, state: State, context: Context) -> Steps:
        """See `Component.run`."""
        groups = distinct(state.candidates)
        if not groups:
            return ()
        requests = [
            context.request(
                self.model, ask_about(state.messages, self._prompt(group[0])), self._sampling()
            )
            for group in groups.values()
        ]
        judged = yield requests
        probability: dict[str, float | None] = {}
        for text, drawn in zip(groups, judged, strict=True):
            probability[text] = self._read(drawn.completions[0])
            context.counts["verifier.unparsed"] += probability[text] is None
        scored = tuple(
            replace(candidate, score=probability[candidate.text]) for candidate in state.candidates
        )
        passed = tuple(
            candidate
            for candidate in scored
            if candidate.score is not None and candidate.score >= self.threshold
        )
        return passed or scored

    def most_candidates(self, arriving: int) -> int:
        """Return `arriving`: all may pass."""
        return arriving

    def _prompt(self, candidate: Candidate) -> str:
        text = candidate.text.strip()
        if candidate.critique:
            text += f"\n\nA critic says: {candidate.critique.strip()}"
        return (_JUDGE if self.mode == "logprob" else _REASON).format(candidate=text)

    def _sampling(self) -> Sampling:
        if self.mode == "logprob":
            return Sampling(0.0, 1, top_logprobs=TOP_LOGPROBS)
        return Sampling(0.0, self.max_tokens)

    def _read(self, completion: Completion) -> float | None:
        if not completion.ok:
            return None
        return yes_probability(completion) if self.mode == "logprob" else verdict(completion.text)
