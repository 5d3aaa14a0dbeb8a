"""An engine that answers from a function: a first-class fake for logic and speed."""

from collections.abc import Callable

from archon.engines.base import Completion, Engine, Sampling
from archon.messages import Message

Script = Callable[[tuple[Message, ...], Sampling, int], str | Completion]


class ScriptedEngine(Engine):
    """Answers every request with ``script(messages, sampling, seed)``.

    A string is turned into a completion with one token per whitespace-separated word, so that
    costs behave like a model's; a `Completion` is returned as it is.

    Attributes:
        calls: Number of requests answered so far.
    """

    def __init__(self, identity: str, script: Script, *, prefix_block: int = 0) -> None:
        self.identity = identity
        self.prefix_block = prefix_block
        self.calls = 0
        self._script = script

    async def complete(
        self,
        messages: tuple[Message, ...],
        sampling: Sampling,
        seed: int,
        salt: str,  # noqa: ARG002
    ) -> Completion:
        """See `Engine.complete`."""
        self.calls += 1
        said = self._script(messages, sampling, seed)
        if isinstance(said, Completion):
            return said
        words = said.split()
        prompt_tokens = sum(len(message.content.split()) for message in messages)
        truncated = len(words) > sampling.max_tokens
        return Completion(
            text=" ".join(words[: sampling.max_tokens]) if truncated else said,
            finish_reason="length" if truncated else "stop",
            prompt_tokens=prompt_tokens,
            completion_tokens=max(1, min(len(words), sampling.max_tokens)),
        )
