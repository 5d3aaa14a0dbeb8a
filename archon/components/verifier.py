"""The verifier: a judge keeps the candidates it holds to be correct."""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field

from archon.components.base import Calls, Component, Steps, register
from archon.components.context import Context
from archon.components.state import Candidate, State, distinct, with_critique
from archon.engines.base import Completion, Request, Sampling
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
    keeps all when none passes. Calls: 1 per distinct text, all at once.

    With `first_k` it stops after so many candidates passed, in the order they came. It asks for
    as many at a time as are still lacking, so it makes no call that judging one after another
    would not make; it saves calls where candidates tend to pass, and takes up to as many rounds
    as there are texts where they do not. Candidates it did not come to are dropped, and counted
    as ``verifier.unjudged``.

    Two ways to judge: ``logprob`` reads the probability of Yes against No from the first token
    (all spellings summed); ``reason`` lets the model check in writing and reads a final verdict
    line, which gives 1 or 0. A verdict that is neither, also because the call failed, counts as
    ``verifier.unparsed`` and is no pass. Texts that would not fit the model's context are
    shortened (``verifier.shortened``).

    Attributes:
        max_tokens: Of a written check; only ``reason`` uses it.
    """

    type: Literal["verifier"] = "verifier"
    model: str
    mode: Literal["logprob", "reason"] = "logprob"
    threshold: float = Field(0.5, ge=0, le=1)
    max_tokens: int = Field(192, ge=8)
    first_k: int | None = Field(None, ge=1)

    gives_scores: ClassVar[bool] = True

    @property
    def reads_critiques(self) -> bool:
        """See `Component.reads_critiques`."""
        return True

    def run(self, state: State, context: Context) -> Steps:
        """See `Component.run`."""
        left = list(distinct(state.candidates).values())
        probability: dict[str, float | None] = {}
        lacking = len(state.candidates) if self.first_k is None else self.first_k
        while left and lacking > 0:
            now = _enough(left, lacking)
            left = left[len(now) :]
            judged = yield [self._request(state, context, group[0]) for group in now]
            for group, drawn in zip(now, judged, strict=True):
                said = probability[group[0].text] = self._read(drawn.completions[0])
                context.counts["verifier.unparsed"] += said is None
                lacking -= len(group) if self._is_pass(said) else 0
        context.counts["verifier.unjudged"] += sum(map(len, left))
        scored = tuple(
            replace(candidate, score=probability[candidate.text], calibrated=False)
            for candidate in state.candidates
            if candidate.text in probability
        )
        passed = tuple(candidate for candidate in scored if self._is_pass(candidate.score))
        return passed[: self.first_k] or scored

    def most_candidates(self, arriving: int) -> int:
        """Return `arriving`: all may pass, and all stay when none does."""
        return arriving

    def calls(self, arriving: int, tests: int) -> Calls:  # noqa: ARG002
        """See `Component.calls`."""
        return Calls(1, arriving, self._sampling().max_tokens)

    def _is_pass(self, probability: float | None) -> bool:
        return probability is not None and probability >= self.threshold

    def _request(self, state: State, context: Context, candidate: Candidate) -> Request:
        return context.about(
            self.type, self.model, state, [candidate], self._prompt, self._sampling()
        )

    def _prompt(self, candidates: Sequence[Candidate]) -> str:
        text = with_critique(candidates[0])
        return (_JUDGE if self.mode == "logprob" else _REASON).format(candidate=text)

    def _sampling(self) -> Sampling:
        if self.mode == "logprob":
            return Sampling(0.0, 1, top_logprobs=TOP_LOGPROBS)
        return Sampling(0.0, self.max_tokens)

    def _read(self, completion: Completion) -> float | None:
        if not completion.ok:
            return None
        return yes_probability(completion) if self.mode == "logprob" else verdict(completion.text)


def _enough(groups: Sequence[Sequence[Candidate]], wanted: int) -> list[Sequence[Candidate]]:
    """Return the fewest first groups that hold so many candidates, or all."""
    taken: list[Sequence[Candidate]] = []
    for group in groups:
        if wanted <= 0:
            break
        taken.append(group)
        wanted -= len(group)
    return taken
