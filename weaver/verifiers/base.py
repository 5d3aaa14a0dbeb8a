"""What a verifier is: typed settings plus a conversation with whoever drives it.

A verifier never talks to a model itself. Its `score` is a generator that yields the requests it
needs and is sent their completions, so one implementation serves a live pipeline, a run that
batches all queries by model, and a replay from the ledger.
"""

import json
import math
from abc import abstractmethod
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict

from archon.engines.base import Completion, Request, Sampling
from archon.messages import Message

Question = tuple[Message, ...]
TopLogprobs = tuple[tuple[tuple[str, float], ...], ...]
Reads = Literal["text", "answer"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One sampled reply to a question.

    Attributes:
        text: What the model wrote.
        answer: The extracted final answer in its voting form; None when the text states none.
        mean_logprob: Mean log-probability of its tokens by the model that wrote it, None where
            not known.
        top_logprobs: Per token the most likely (token, log-probability) pairs, None where not
            known.
    """

    text: str
    answer: str | None = None
    mean_logprob: float | None = None
    top_logprobs: TopLogprobs | None = None


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What a verifier says of the samples of one question.

    Attributes:
        scores: [samples] higher meaning more likely correct; NaN where there is none.
        judged: Distinct texts or answers put to a model; identical ones are judged once.
        unparsed: Replies that were no verdict.
        failed: Calls that gave no reply.
    """

    scores: tuple[float, ...]
    judged: int = 0
    unparsed: int = 0
    failed: int = 0


Steps = Generator[Sequence[Request], Sequence[Sequence[Completion]], Verdicts]


class Verifier(BaseModel):
    """Settings and behaviour of one kind of verifier.

    Subclasses set ``type`` to a literal, declare their settings as fields and implement `score`.
    One that asks a model names it in the field ``model``.

    Attributes:
        needs: Fields of a sample its score depends on; `reads` says which of text and answer a
            model is shown, where that is a setting.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    type: str

    needs: ClassVar[tuple[str, ...]] = ("text",)

    @abstractmethod
    def score(
        self, question: Question, samples: Sequence[Sample], models: Mapping[str, str]
    ) -> Steps:
        """Yield the requests needed, be sent their completions, return the verdicts.

        Args:
            question: The conversation the samples reply to; it ends with the user's turn.
            samples: The replies.
            models: Name → identity of at least the model the verifier asks.
        """

    @property
    def name(self) -> str:
        """The verifier in the form `parse` reads, such as ``judge(model=big)``."""
        given = self.model_dump(mode="json", exclude={"type"}, exclude_defaults=True)
        settings = ", ".join(f"{field}={_written(value)}" for field, value in given.items())
        return f"{self.type}({settings})" if settings else self.type

    def model_names(self) -> tuple[str, ...]:
        """Return the names of the models it asks."""
        model = getattr(self, "model", None)
        return () if model is None else (model,)


VERIFIERS: dict[str, type[Verifier]] = {}
V = TypeVar("V", bound=Verifier)


def register(cls: type[V]) -> type[V]:
    """Register a verifier class under the literal of its ``type`` field (class decorator)."""
    (kind,) = get_args(cls.model_fields["type"].annotation)
    VERIFIERS[kind] = cls
    return cls


class Free(Verifier):
    """A verifier that asks no model."""

    def score(
        self,
        question: Question,  # noqa: ARG002
        samples: Sequence[Sample],
        models: Mapping[str, str],  # noqa: ARG002
    ) -> Steps:
        """See `Verifier.score`."""
        rated = self.rate(samples)
        return Verdicts(tuple(math.nan if score is None else score for score in rated))
        yield  # makes it a generator, one that asks for nothing

    @abstractmethod
    def rate(self, samples: Sequence[Sample]) -> Iterable[float | None]:
        """Return [samples] scores, None where there is none."""


class Judge(Verifier):
    """A verifier that shows a model one text or answer at a time.

    Attributes:
        model: Name of the model that judges.
        reads: Whether it is shown the whole text of a sample or only its extracted answer; a
            sample without an answer then has no score.
    """

    model: str
    reads: Reads = "text"

    def score(
        self, question: Question, samples: Sequence[Sample], models: Mapping[str, str]
    ) -> Steps:
        """See `Verifier.score`."""
        shown = [show(sample, self.reads) for sample in samples]
        distinct = unique(shown)
        if not distinct:
            return Verdicts((math.nan,) * len(samples))
        replies = yield [
            Request(models[self.model], self.messages(question, content), self.sampling())
            for content in distinct
        ]
        completions = [reply[0] for reply in replies]
        said = [self.read(done) if done.ok else None for done in completions]
        scores = dict(zip(distinct, said, strict=True))
        failed = sum(not done.ok for done in completions)
        return Verdicts(spread(shown, scores), len(distinct), said.count(None) - failed, failed)

    @abstractmethod
    def messages(self, question: Question, content: str) -> Question:
        """Return the prompt that has one text or answer judged."""

    @abstractmethod
    def sampling(self) -> Sampling:
        """Return how the verdict is drawn."""

    @abstractmethod
    def read(self, completion: Completion) -> float | None:
        """Return the score a reply gives, None when it is no verdict."""


def show(sample: Sample, reads: Reads) -> str | None:
    """Return what a model is shown of a sample, None when there is nothing to show."""
    return sample.text.strip() if reads == "text" else sample.answer


def unique(contents: Iterable[str | None]) -> list[str]:
    """Return the different contents, in order of first appearance."""
    return list(dict.fromkeys(content for content in contents if content is not None))


def spread(shown: Sequence[str | None], scores: Mapping[str, float | None]) -> tuple[float, ...]:
    """Return [samples] the score of what each shows, NaN where it shows or scored nothing."""
    found = [None if content is None else scores[content] for content in shown]
    return tuple(math.nan if score is None else score for score in found)


def ask_about(question: Question, text: str) -> Question:
    """Return the conversation with `text` appended to its last turn.

    The question comes first, so that what is asked about all samples shares a prefix.
    """
    *before, last = question
    return (*before, Message(last.role, f"{last.content}\n\n{text}"))


def proposed(content: str, reads: Reads) -> str:
    """Return the lines that show a text or an answer to a judge."""
    return f"Proposed {'reply' if reads == 'text' else 'answer'}:\n\n{content}"


def _written(value: Any) -> str:
    """Return a setting as `parse` reads it: bare where that is the same string, else JSON."""
    if isinstance(value, str) and _is_bare(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def _is_bare(word: str) -> bool:
    try:
        json.loads(word)
    except ValueError:
        return bool(word) and word.strip() == word and not set(word) & set(",()[]{}\"'=")
    return False
