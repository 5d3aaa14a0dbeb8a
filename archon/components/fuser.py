"""The fuser: writes new answers out of the candidates."""

from typing import ClassVar, Literal

from archon.components.base import Context, State, Steps, ask_about, numbered, register
from archon.components.generator import Sampled

_PROMPT = """Here are {n} replies to the request above; some may be wrong:

{candidates}

Using what is right in them, write one best reply to the request.{asked}"""


@register
class Fuser(Sampled):
    """Writes `samples` new candidates from all candidates and their critiques.

    Reads messages, candidates and critiques, writes candidates. Calls: `samples`. The caller's
    system message and the style's format instruction stay in force, so that a fused answer keeps
    the form that is asked for.
    """

    type: Literal["fuser"] = "fuser"

    reads_critiques: ClassVar[bool] = True

    def run(self, state: State, context: Context) -> Steps:
        """See `Component.run`."""
        if not state.candidates:
            return ()
        asked = self.asked()
        prompt = _PROMPT.format(
            n=len(state.candidates),
            candidates=numbered(state.candidates),
            asked=f" {asked}" if asked else "",
        )
        request = context.request(
            self.model, ask_about(state.messages, prompt), self.sampling, self.samples
        )
        (drawn,) = yield (request,)
        return context.candidates(drawn, self.samples, self.model)
