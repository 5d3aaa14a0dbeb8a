"""The words of a model call: sampling, request, completion, engine."""

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from archon.messages import Message


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling parameters of one request, taken from grids so that calls are reusable.

    Attributes:
        logprobs: Whether to ask for the log-probability of each chosen token.
        top_logprobs: Most likely tokens to ask for at each position; 0 asks for none.
        json_schema: Schema, as JSON, that the text must follow; "" leaves it free.
    """

    temperature: float
    max_tokens: int
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    logprobs: bool = False
    top_logprobs: int = 0
    json_schema: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A prompt put to one model, `samples` times; equal content gives an equal `key`.

    Samples of a request are numbered from 0 and drawn with a seed of their own, so the first k
    of n samples are the same calls as k samples of the same prompt.

    Attributes:
        model: Identity of the model (weights, precision, serving arguments), not its alias.
        key: SHA-256 over model, messages and sampling, without the number of samples.
    """

    model: str
    messages: tuple[Message, ...]
    sampling: Sampling
    samples: int = 1
    key: bytes = field(init=False)

    def __post_init__(self) -> None:
        # Faster than asdict, which copies deeply; replay makes thousands of requests per trial.
        sampling = {name: getattr(self.sampling, name) for name in Sampling.__slots__}
        if not self.sampling.json_schema:  # keys of calls made before there were schemas
            del sampling["json_schema"]
        content = [self.model, self.messages, sampling]
        text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        object.__setattr__(self, "key", hashlib.sha256(text.encode()).digest())

    def seed(self, sample: int, epoch: int) -> int:
        """Return the 31-bit seed of a sample in an epoch, derived from the key."""
        digest = hashlib.sha256(self.key + f"/{sample}/{epoch}".encode()).digest()
        return int.from_bytes(digest[:4]) >> 1


@dataclass(frozen=True, slots=True)
class Completion:
    """What came back for one sample, or why nothing did.

    Attributes:
        text: The generated text; empty when `error` is set.
        finish_reason: ``stop``, ``length``, … as the server says; ``refused`` when it declined
            this request for good (such as 400), ``error`` when every attempt failed.
        cached_tokens: Prompt tokens the server took from its prefix cache, None if not told.
        ttft_s: Seconds to the first token by the server's clock, None if not told.
        latency_s: Seconds from sending the last attempt to its reply.
        attempts: Requests sent, the successful one included.
        mean_logprob: Mean log-probability of the chosen tokens, where asked for and told.
        top_logprobs: Per generated token the asked-for (token, log-probability) pairs.
        error: One line, when every attempt failed or the server refused the request.
        cpu_s: CPU seconds of a program run here; None for a model's call.
    """

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int | None = None
    ttft_s: float | None = None
    latency_s: float = 0.0
    attempts: int = 1
    mean_logprob: float | None = None
    top_logprobs: tuple[tuple[tuple[str, float], ...], ...] | None = None
    error: str | None = None
    cpu_s: float | None = None

    @property
    def ok(self) -> bool:
        """Whether there is a text to use."""
        return self.error is None


class Engine(ABC):
    """One model that answers chat requests, or the sandbox that runs programs.

    Attributes:
        identity: What determines its outputs; part of every ledger key.
        prefix_block: Tokens per prefix-cache block, 0 when prompts are never cached.
    """

    identity: str
    prefix_block: int

    @abstractmethod
    async def complete(
        self, messages: tuple[Message, ...], sampling: Sampling, seed: int, salt: str
    ) -> Completion:
        """Return one completion.

        Requests of different `salt` share nothing in the server's prefix cache, so that what a
        call costs does not depend on unrelated calls made before it.

        A request that fails alone (refused, or still failing after retries) comes back with
        `Completion.error`.

        Raises:
            EngineError: The server is gone, or knows no such model or key; no further request
                can succeed.
        """

    async def aclose(self) -> None:  # noqa: B027 - most engines hold nothing
        """Close connections."""
