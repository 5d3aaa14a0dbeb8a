"""The fuser: writes new answers out of the candidates."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from archon.components.base import Steps, register
from archon.components.context import Context
from archon.components.generator import Sampled
from archon.components.state import Candidate, State, numbered

_PROMPT = """Here are {n} replies to the request above; some may be wrong:

{candidates}

Using what is right in them, write one best reply to the request.{asked}"""


@register
class Fuser(Sampled):
    """Writes `samples` new candidates from all candidates and their critiques.

    Reads messages, candidates and critiques, writes candidates, which have no score. Calls:
    `samples`, none without candidates. The caller's system message and the style's format
    instruction stay in force, so that a fused answer keeps the form that is asked for. A failed
    call yields no candidate (``generation.failed``), nor does a blank reply
    (``generation.empty``); one cut off does (``generation.truncated``). Texts and critiques that
    would not fit the model's context are shortened (``fuser.shortened``).

    Attributes:
        max_words: The length the model is asked to keep to, beside `max_tokens`, which cuts.
    """

    type: Literal["fuser"] = "fuser"
    max_words: int | None = Field(None, ge=1)

    @property
    def reads_critiques(self) -> bool:
        """See `Component.reads_critiques`."""
        return True

    def run(self, state: State, context: Context) -> Steps:
        """See `Component.run`."""
        if not state.candidates:
            return ()
        request = context.about(
            self.type,
            self.model,
            state,
            state.candidates,
            self._prompt,
            self.sampling,
            self.samples,
        )
        (drawn,) = yield (request,)
        return context.candidates(drawn, self.samples, self.model)

    def _prompt(self, candidates: Sequence[Candidate]) -> str:
        asked = [] if self.max_words is None else [f"Use at most {self.max_words} words."]
        asked += filter(None, [self.asked()])
        return _PROMPT.format(
            n=len(candidates),
            candidates=numbered(candidates),
            asked="".join(f" {sentence}" for sentence in asked),
        )
