"""Talking to models: one OpenAI-compatible client, managed vLLM servers, the model zoo.

Everything above this package sees only `Engine`, `Request`, `Sampling` and `Completion`.
"""

from archon.engines.base import Completion, Engine, Request, Sampling

__all__ = ["Completion", "Engine", "Request", "Sampling"]
