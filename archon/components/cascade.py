"""The cascade: cheap stages first, the next only where the one before is not sure enough."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from archon.components.base import Steps, register
from archon.components.context import Context
from archon.components.generator import Sampled
from archon.components.nesting import Layers, Nested, part_draws
from archon.components.state import Candidate, State

Accept = Literal["score", "agreement", "confidence"]


@register
class Cascade(Nested):
    """Runs stage after stage until one is sure enough of its answer.

    Reads messages, writes the candidates that leave the last stage run, and of earlier ones where
    `keep` says so. Calls: those of the stages that run. Each stage is a pipeline of its own: it
    starts from the messages, and its first candidate is its answer. Where stage n is the last
    that runs, ``cascade.stage n`` is counted.

    A stage is accepted when, by `accept`, its answer reaches the stage's threshold:

    - ``score``: P(correct) by the stage's weaver or verifier;
    - ``agreement``: the share of its candidates that give the commonest answer;
    - ``confidence``: the writing model's confidence in the candidates that give it, on average.

    What is not known (no candidate, no score) is not accepted.

    Attributes:
        thresholds: One for each stage but the last.
        keep: Whether candidates of stages that were not accepted are passed on, after the others.
    """

    type: Literal["cascade"] = "cascade"
    stages: tuple[Layers, ...] = Field(min_length=2)
    thresholds: tuple[Annotated[float, Field(ge=0, le=1)], ...]
    accept: Accept = "score"
    keep: bool = False

    holds: ClassVar[str] = "stages"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.thresholds) != len(self.stages) - 1:
            raise ValueError(
                f"{len(self.thresholds)} thresholds for {len(self.stages)} stages; give one for "
                "each stage but the last"
            )
        self.check_inner()
        for number, (stage, leaving) in enumerate(
            zip(self.stages[:-1], self.leaving(), strict=False)
        ):
            if self.accept == "agreement" and leaving < 2:
                raise ValueError(
                    f"stages[{number}]: one candidate always agrees with itself; let several leave "
                    "the stage, and vote after the cascade"
                )
            if self.accept == "score" and not any(part.gives_scores for part in stage[-1]):
                raise ValueError(
                    f"stages[{number}]: nothing in its last layer says how likely its answer is "
                    "correct; end it with a weaver or a verifier, or accept by agreement or "
                    "confidence"
                )
        if self.keep:
            drawn = [part_draws(part) for part in self.parts if isinstance(part, Sampled)]
            if len(set(drawn)) < len(drawn):
                raise ValueError(
                    "keep: two stages draw the same samples, which would then count twice; leave "
                    "keep out, or draw others"
                )
        return self

    def run(self, state: State, context: Context) -> Steps:
        """See `Component.run`."""
        earlier: tuple[Candidate, ...] = ()
        for number in range(len(self.stages)):
            end, whole = yield from self.run_inner(number, state, context, f"stage {number + 1}")
            if not whole:
                return end.candidates
            last = number + 1 == len(self.stages)
            # Later stages are fitted on all queries, not only on those that would reach them.
            if last or (not self.needs_fit and self._sure(end.candidates, self.thresholds[number])):
                context.counts[f"cascade.stage {number + 1}"] += 1
                break
            earlier = end.candidates + earlier if self.keep else ()
        return end.candidates + earlier

    def _sure(self, candidates: Sequence[Candidate], threshold: float) -> bool:
        if not candidates:
            return False
        if self.accept == "score":
            score = candidates[0].score
            return score is not None and score >= threshold
        votes = Counter(one.answer for one in candidates if one.answer is not None)
        if not votes:
            return False
        answer, count = votes.most_common(1)[0]
        if self.accept == "agreement":
            return count / len(candidates) >= threshold
        known = [one.confidence for one in candidates if one.answer == answer]
        sure = [one for one in known if one is not None]
        return len(sure) == len(known) and sum(sure) / len(sure) >= threshold

    def most_candidates(self, arriving: int) -> int:  # noqa: ARG002 - starts from the messages
        """Return what the most generous stage leaves, or all together where they are kept."""
        return sum(self.leaving()) if self.keep else max(self.leaving())
