"""Judges that look at one sample alone: yes or no, a reasoned verdict, marks by a rubric."""

import json
from typing import Annotated, Literal

from pydantic import Field, Strict, field_validator

from archon.engines.base import Completion, Sampling
from weaver.verifiers.base import Judge, Question, Reads, ask_about, proposed, register
from weaver.verifiers.reading import TOP_LOGPROBS, marks, verdict, yes_probability

CRITERIA = (
    "the final result is right",
    "every step follows from the ones before",
    "it answers what was asked",
)


@register
class YesNoJudge(Judge):
    """P(yes) against P(no) at the first token of the reply, all spellings summed; one token.

    Unparsed when neither is among the most likely tokens.
    """

    type: Literal["judge"] = "judge"

    def messages(self, question: Question, content: str) -> Question:
        """See `Judge.messages`."""
        return yes_no(question, content, self.reads)

    def sampling(self) -> Sampling:
        """See `Judge.sampling`."""
        return Sampling(0.0, 1, top_logprobs=TOP_LOGPROBS)

    def read(self, completion: Completion) -> float | None:
        """See `Judge.read`."""
        return yes_probability(completion)


@register
class ReasonedJudge(Judge):
    """1 or 0 by the verdict line that ends a written check.

    Unparsed when the last line is anything else, also because the check was cut off.
    """

    type: Literal["reasoned"] = "reasoned"
    max_tokens: int = Field(192, ge=8)

    def messages(self, question: Question, content: str) -> Question:
        """See `Judge.messages`."""
        what = _what(self.reads)
        return ask_about(
            question,
            f"{proposed(content, self.reads)}\n\nCheck the {what} step by step. End with one "
            "line, either 'Verdict: Correct' or 'Verdict: Incorrect'.",
        )

    def sampling(self) -> Sampling:
        """See `Judge.sampling`."""
        return Sampling(0.0, self.max_tokens)

    def read(self, completion: Completion) -> float | None:
        """See `Judge.read`."""
        return verdict(completion.text)


@register
class RubricJudge(Judge):
    """The mean mark, scaled to [0, 1], over stated criteria marked from 1 to 5 in JSON.

    Unparsed when the reply is not one object with a whole number for each criterion.
    """

    type: Literal["rubric"] = "rubric"
    criteria: Annotated[tuple[str, ...], Strict(False)] = Field(CRITERIA, min_length=1)

    @field_validator("criteria")
    @classmethod
    def _said(cls, criteria: tuple[str, ...]) -> tuple[str, ...]:
        if not all(criterion.strip() for criterion in criteria):
            raise ValueError("a criterion is blank; say what is marked")
        return criteria

    def messages(self, question: Question, content: str) -> Question:
        """See `Judge.messages`."""
        listed = "\n".join(map(": ".join, zip(self._names, self.criteria, strict=True)))
        example = ", ".join(f'"{name}": …' for name in self._names)
        return ask_about(
            question,
            f"{proposed(content, self.reads)}\n\nMark the {_what(self.reads)} from 1 (not at all) "
            f"to 5 (fully) on each criterion:\n{listed}\n\nReply with JSON only: {{{example}}}",
        )

    def sampling(self) -> Sampling:
        """See `Judge.sampling`."""
        marks = {name: {"type": "integer", "minimum": 1, "maximum": 5} for name in self._names}
        schema = {
            "type": "object",
            "properties": marks,
            "required": self._names,
            "additionalProperties": False,
        }
        return Sampling(0.0, 16 + 8 * len(self.criteria), json_schema=json.dumps(schema))

    def read(self, completion: Completion) -> float | None:
        """See `Judge.read`."""
        found = marks(completion.text, self._names)
        return None if found is None else (sum(found) / len(found) - 1) / 4

    @property
    def _names(self) -> list[str]:
        return [f"c{number}" for number in range(1, len(self.criteria) + 1)]


def yes_no(question: Question, content: str, reads: Reads) -> Question:
    """Return the question whether a text or an answer is correct, to be answered Yes or No."""
    return ask_about(
        question,
        f"{proposed(content, reads)}\n\nIs the proposed {_noun(reads)} correct? Answer Yes or No.",
    )


def _noun(reads: Reads) -> str:
    return "reply" if reads == "text" else "answer"


def _what(reads: Reads) -> str:
    return f"proposed {_noun(reads)}"
