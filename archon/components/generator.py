"""The generator: draws samples for the question, in a prompt style."""

from dataclasses import asdict
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from archon.components.base import Component, Steps, register
from archon.components.context import Context, ask_about
from archon.components.state import State
from archon.components.styles import STYLES
from archon.engines.base import Request, Sampling

MOST_SAMPLES = 1024
"""Of one component and one question."""


def require_variety(samples: int, temperature: float) -> None:
    """Raise ValueError where all samples would be the same."""
    if temperature == 0 and samples > 1:
        raise ValueError("samples at temperature 0 are copies; set samples: 1 or temperature")


class Sampled(Component):
    """The settings shared by components that write candidates."""

    model: str
    samples: int = Field(1, ge=1, le=MOST_SAMPLES)
    temperature: float = Field(0.7, ge=0, le=2)
    top_p: float = Field(1.0, gt=0, le=1)
    max_tokens: int = Field(512, ge=1)
    stop: tuple[str, ...] = ()
    style: str = "plain"
    instruction: str | None = None

    shares_layer: ClassVar[bool] = True

    @model_validator(mode="after")
    def _check(self) -> "Sampled":
        if self.style not in STYLES:
            raise ValueError(f"unknown style {self.style!r}; known: {', '.join(STYLES)}")
        require_variety(self.samples, self.temperature)
        return self

    @property
    def sampling(self) -> Sampling:
        """The sampling parameters as a request carries them."""
        return Sampling(self.temperature, self.max_tokens, self.top_p, self.stop, logprobs=True)

    def draws(self, settings: dict[str, Any]) -> object:  # noqa: ARG002 - of its requests alone
        """See `Component.draws`."""
        return asdict(self.sampling), self.asked()

    def asked(self) -> str:
        """Return the instruction put after the question (`instruction` wins over `style`)."""
        return STYLES[self.style] if self.instruction is None else self.instruction

    def most_candidates(self, arriving: int) -> int:  # noqa: ARG002 - replaces what came in
        """Return the number of samples."""
        return self.samples


@register
class Generator(Sampled):
    """Draws `samples` completions of the question.

    Reads messages, writes candidates. Calls: `samples`. A failed call, also because the question
    does not fit the model's context, yields no candidate (``generation.failed``), nor does a blank
    reply (``generation.empty``); one cut off does (``generation.truncated``).
    """

    type: Literal["generator"] = "generator"

    first: ClassVar[bool] = True

    def run(self, state: State, context: Context) -> Steps:
        """See `Component.run`."""
        request = context.remember(
            (self.key, context.models[self.model], state.query_id),
            lambda: self._request(state, context),
        )
        (drawn,) = yield (request,)
        return context.candidates(drawn, self.samples, self.model)

    def _request(self, state: State, context: Context) -> Request:
        asked = self.asked()
        messages = ask_about(state.messages, asked) if asked else state.messages
        return context.request(self.model, messages, self.sampling, self.samples)
