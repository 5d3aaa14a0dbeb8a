"""Verifiers behind a pooling server: a classifier asked yes or no, and a reward model."""

from typing import Literal

from archon.engines.base import Completion, Sampling
from archon.engines.pooling import POOLED
from archon.messages import Message
from weaver.verifiers.base import Judge, Question, register
from weaver.verifiers.judges import yes_no
from weaver.verifiers.reading import numbers


class _Pooled(Judge):
    """A judge whose reply is the model's numbers, one per label.

    Attributes:
        label: The label that means correct; -1 is the last, and the only one where there is one.
    """

    label: int = -1

    def sampling(self) -> Sampling:
        """See `Judge.sampling`."""
        return POOLED

    def read(self, completion: Completion) -> float | None:
        """See `Judge.read`."""
        found = numbers(completion.text)
        if found is None or not -len(found) <= self.label < len(found):
            return None
        return found[self.label]


@register
class Classifier(_Pooled):
    """P(correct) by a classifier that is asked whether a sample is correct.

    A causal model becomes one with the server arguments ``--runner pooling --hf-overrides`` and
    ``{"architectures": ["Qwen2ForSequenceClassification"], "classifier_from_token": ["No",
    "Yes"], "method": "from_2_way_softmax"}``; a verdict then costs a prefill and no decoding.
    """

    type: Literal["classifier"] = "classifier"

    def messages(self, question: Question, content: str) -> Question:
        """See `Judge.messages`."""
        return yes_no(question, content, self.reads)


@register
class Reward(_Pooled):
    """The reward of a conversation that ends with the sample; it has no fixed scale."""

    type: Literal["reward"] = "reward"

    def messages(self, question: Question, content: str) -> Question:
        """See `Judge.messages`."""
        return (*question, Message("assistant", content))
