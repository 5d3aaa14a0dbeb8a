"""The client for pooling servers: models that give numbers for a prompt and write nothing.

A reply is a completion whose text is a JSON array of numbers and that has no completion tokens,
so the ledger stores and the price list charges it like any other call.
"""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import httpx
from pydantic import Field, TypeAdapter

from archon.engines.base import Completion, Sampling
from archon.engines.client import Count, OpenAIEngine
from archon.errors import EngineError
from archon.messages import Message

Endpoint = Literal["classify", "score", "embeddings"]

_COUNT = TypeAdapter(Count)
_NUMBERS = TypeAdapter(
    Annotated[list[Annotated[float, Field(strict=True, allow_inf_nan=False)]], Field(min_length=1)]
)

POOLED = Sampling(temperature=0.0, max_tokens=0)
"""The sampling of every pooling request: nothing is drawn."""


class PoolingEngine(OpenAIEngine):
    """A model behind vLLM's ``/classify`` or ``/score``, or anybody's ``/v1/embeddings``.

    What is sent, and what comes back as JSON array in the completion's text:

    - ``classify``: the conversation, open for the assistant's turn unless that is the last one;
      one probability (or raw score) per label
    - ``score``: the last message against all before it, as a pair; one score
    - ``embeddings``: the last message; its vector

    Args:
        base_url: Ending in ``/v1``, as for chat.
        model: The name the server knows the model by.
        identity: See `Engine.identity`; it must tell the endpoint too, for another one of the
            same model gives other numbers.
        endpoint: What to ask of the server.
        options: As of `OpenAIEngine`.
    """

    def __init__(
        self, base_url: str, model: str, identity: str, endpoint: Endpoint, **options: Any
    ) -> None:
        super().__init__(base_url, model, identity, **options)
        self.endpoint = endpoint

    async def complete(
        self,
        messages: tuple[Message, ...],
        sampling: Sampling,
        seed: int,  # noqa: ARG002
        salt: str,
    ) -> Completion:
        """See `Engine.complete`.

        Raises:
            EngineError: The server is gone or does not serve this, or text was asked for.
        """
        if sampling != POOLED:
            raise EngineError(
                f"{self.model} at {self.base_url} gives numbers ({self.endpoint}) and cannot "
                "write; name a model that chats"
            )
        body: dict[str, Any] = {"model": self.model, **_content(self.endpoint, messages)}
        if self._vllm:
            body["cache_salt"] = salt
        async with self._slots:
            return await self._with_retries(body)

    async def _once(self, body: Mapping[str, Any], attempt: int) -> Completion:
        # vLLM serves /classify at the root only.
        root = self.base_url if self.endpoint == "embeddings" else self.base_url.removesuffix("/v1")
        sent = time.monotonic()
        response = await self._client.post(
            f"{root}/{self.endpoint}", body=dict(body), cast_to=httpx.Response
        )
        reply = response.json()
        return Completion(
            text=_written(_numbers(self.endpoint, reply["data"][0])),
            finish_reason="stop",
            prompt_tokens=_COUNT.validate_python(reply["usage"]["prompt_tokens"]),
            completion_tokens=0,
            latency_s=time.monotonic() - sent,
            attempts=attempt,
        )


def _content(endpoint: Endpoint, messages: tuple[Message, ...]) -> dict[str, Any]:
    *before, last = messages
    if endpoint == "embeddings":
        return {"input": last.content}
    if endpoint == "score":
        return {"text_1": "\n\n".join(m.content for m in before), "text_2": last.content}
    return {
        "messages": [message._asdict() for message in messages],
        "add_generation_prompt": last.role != "assistant",
    }


def _numbers(endpoint: Endpoint, data: Mapping[str, Any]) -> list[float]:
    match endpoint:
        case "classify":
            found = data["probs"]
        case "score":
            found = [data["score"]]
        case "embeddings":
            found = data["embedding"]
    return _NUMBERS.validate_python(found)


def _written(numbers: Sequence[Any]) -> str:
    """Return numbers as JSON; servers compute in single precision, so that many digits."""
    short = [float(f"{number:.8g}") for number in numbers]
    return json.dumps(short, separators=(",", ":"), allow_nan=False)
