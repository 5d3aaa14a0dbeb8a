"""The OpenAI-compatible client: bounded concurrency, retries that make sense, full usage."""

import asyncio
import email.utils
import json
import random
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

import httpx
import openai
from openai.types.chat import ChatCompletion
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from archon.engines.base import Completion, Engine, Sampling
from archon.errors import EngineError
from archon.messages import Message

RETRIED_STATUS = frozenset({408, 409, 429})
SETUP_STATUS = frozenset({401, 402, 403, 404})
"""Key, account, model name or path are wrong: that is no property of the request."""

UNREADABLE = (
    *(openai.APIError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError),
    RecursionError,  # JSON nested without end
)
"""What reading a reply can raise that is not what the protocol says."""
Count = Annotated[int, Field(ge=0, lt=2**31, strict=True)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
LogProbability = Annotated[
    float, Field(le=1e-3, allow_inf_nan=False), AfterValidator(lambda value: min(value, 0.0))
]
"""Rounding in a server can lift one a little above 0."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with full jitter; ``Retry-After`` is a lower bound on the wait."""

    attempts: int = 4
    first_s: float = 0.5
    longest_s: float = 20.0
    longest_retry_after_s: float = 120.0

    def wait_s(self, attempt: int, retry_after_s: float | None) -> float:
        """Return seconds to wait after failed attempt number `attempt` (from 1)."""
        backoff = random.uniform(0, min(self.longest_s, self.first_s * 2**attempt))
        return max(backoff, min(retry_after_s or 0.0, self.longest_retry_after_s))


class OpenAIEngine(Engine):
    """A model behind ``/v1/chat/completions``: vLLM, llama.cpp, Ollama, SGLang, a cloud API.

    Args:
        base_url: For example ``http://127.0.0.1:8000/v1``.
        model: The name the server knows the model by.
        identity: See `Engine.identity`.
        api_key: Sent as bearer token; local servers ignore it.
        concurrency: Most requests in flight; further ones wait.
        deadline_s: Hard limit for one attempt, connection to last byte.
        vllm: Whether the server is vLLM, which takes a ``cache_salt``; others may refuse it.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        identity: str,
        *,
        api_key: str = "none",
        concurrency: int = 16,
        deadline_s: float = 300.0,
        prefix_block: int = 0,
        retry: RetryPolicy | None = None,
        vllm: bool = False,
    ) -> None:
        self.base_url = base_url
        self.model = model
        self.identity = identity
        self.prefix_block = prefix_block
        self._deadline_s = deadline_s
        self._retry = retry or RetryPolicy()
        self._vllm = vllm
        self._slots = asyncio.Semaphore(concurrency)
        self._client = openai.AsyncOpenAI(
            base_url=base_url,
            api_key=api_key,
            max_retries=0,
            timeout=deadline_s,
            # A proxy set for the world outside must not be asked for servers in here.
            http_client=openai.DefaultAsyncHttpxClient(trust_env=not is_loopback(base_url)),
        )

    async def complete(
        self, messages: tuple[Message, ...], sampling: Sampling, seed: int, salt: str
    ) -> Completion:
        """See `Engine.complete`."""
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [message._asdict() for message in messages],
            "temperature": sampling.temperature,
            "max_tokens": sampling.max_tokens,
            "seed": seed,
        }
        if sampling.top_p != 1.0:
            body["top_p"] = sampling.top_p
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        if sampling.logprobs or sampling.top_logprobs:
            body |= {"logprobs": True, "top_logprobs": sampling.top_logprobs}
        if sampling.json_schema:
            schema = {"name": "reply", "schema": json.loads(sampling.json_schema), "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        if self._vllm:
            body["extra_body"] = {"cache_salt": salt}
        async with self._slots:
            return await self._with_retries(body)

    async def _with_retries(self, body: Mapping[str, Any]) -> Completion:
        failure = ""
        for attempt in range(1, self._retry.attempts + 1):
            retry_after: float | None = None
            try:
                async with asyncio.timeout(self._deadline_s):
                    return await self._once(body, attempt)
            except openai.APIStatusError as error:
                failure = f"HTTP {error.status_code}: {_first_line(error.message)}"
                if error.status_code in SETUP_STATUS:
                    raise EngineError(
                        f"{self.model} at {self.base_url}: {failure}; check what it serves, the "
                        "model's name there and the API key"
                    ) from error
                if error.status_code not in RETRIED_STATUS and error.status_code < 500:
                    return _failed("refused", failure, attempt)
                retry_after = _retry_after_s(error.response.headers)
            except (openai.APITimeoutError, TimeoutError):
                failure = f"no reply within {self._deadline_s:g} s"
            except openai.APIConnectionError as error:
                failure = f"connection failed: {_first_line(str(error.__cause__ or error))}"
            except UNREADABLE as error:
                failure = f"reply not understood: {_first_line(str(error))}"
            if attempt < self._retry.attempts:
                await asyncio.sleep(self._retry.wait_s(attempt, retry_after))
        if not await self._answers():
            raise EngineError(
                f"{self.model} at {self.base_url} does not answer ({failure}); "
                "is the server still running?"
            )
        return _failed("error", failure, self._retry.attempts)

    async def _once(self, body: Mapping[str, Any], attempt: int) -> Completion:
        """Send one attempt; raises openai's errors, ValueError … when the reply is not one."""
        sent = time.monotonic()
        reply = await self._client.chat.completions.create(**body)
        return _read_reply(reply, time.monotonic() - sent, attempt)

    async def _answers(self) -> bool:
        """Whether the server still works otherwise: tells a bad request from a dead server."""
        try:
            async with asyncio.timeout(10):
                if self._vllm:  # it lists its models even when its engine has died
                    health = f"{self.base_url.removesuffix('/v1')}/health"
                    await self._client.get(health, cast_to=httpx.Response)
                else:
                    await self._client.models.list()
        except openai.APIStatusError as error:
            return error.status_code < 500
        except (openai.APIError, TimeoutError):
            return False
        return True

    async def aclose(self) -> None:
        """Close the connection pool."""
        await self._client.close()


def is_loopback(base_url: str) -> bool:
    """Return whether an endpoint is on this machine."""
    return urlsplit(base_url).hostname in {"127.0.0.1", "localhost", "::1"}


class _Reply(BaseModel):
    """What is taken from a reply: servers are not trusted to keep to the protocol's types."""

    model_config = ConfigDict(strict=True)

    text: str
    finish_reason: str
    prompt_tokens: Count
    completion_tokens: Count
    cached_tokens: Count | None
    ttft_s: Seconds | None
    logprobs: tuple[LogProbability, ...]
    top_logprobs: tuple[tuple[tuple[str, LogProbability], ...], ...] | None


def _read_reply(reply: ChatCompletion, latency_s: float, attempts: int) -> Completion:
    """Turn a reply into a completion; raises ValueError or AttributeError when it is not one."""
    if not getattr(reply, "choices", None):
        raise ValueError("no choices in the reply")
    choice, usage = reply.choices[0], reply.usage
    if usage is None or usage.prompt_tokens is None or usage.completion_tokens is None:
        raise ValueError("no token usage in the reply")
    details = usage.prompt_tokens_details
    extra = (reply.model_extra or {}).get("metrics") or {}
    ttft_ms = extra.get("time_to_first_token_ms")
    tokens = (choice.logprobs and choice.logprobs.content) or []
    tops = tuple(tuple((top.token, top.logprob) for top in token.top_logprobs) for token in tokens)
    read = _Reply(
        # Half a surrogate pair cannot be stored or sent again.
        text=(choice.message.content or "").encode("utf-8", "replace").decode(),
        finish_reason=choice.finish_reason or "unknown",
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=details.cached_tokens if details else None,
        ttft_s=ttft_ms / 1000 if ttft_ms is not None else None,
        logprobs=tuple(token.logprob for token in tokens),
        top_logprobs=tops if any(tops) else None,
    )
    told = dict(read)
    logprobs = told.pop("logprobs")
    mean = sum(logprobs) / len(logprobs) if logprobs else None
    return Completion(**told, mean_logprob=mean, latency_s=latency_s, attempts=attempts)


def _failed(finish_reason: str, error: str, attempts: int) -> Completion:
    return Completion("", finish_reason, 0, 0, attempts=attempts, error=error)


def _first_line(text: str, limit: int = 200) -> str:
    return " ".join(text.split())[:limit]


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    value = headers.get("retry-after")
    if value is None:
        return None
    with suppress(ValueError):
        return float(value)
    with suppress(ValueError):
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    return None
