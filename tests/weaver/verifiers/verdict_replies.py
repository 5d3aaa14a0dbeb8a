"""Completions that are verdicts, for models that answer by a rule."""

import json
import math
import zlib

from archon.engines.base import Completion, Request


def said(text, **fields):
    return Completion(text, "stop", 9, 3, **fields)


def tops(**probabilities):
    """A first token with these probabilities."""
    pairs = tuple((token, math.log(p)) for token, p in probabilities.items())
    return said(max(probabilities, key=probabilities.get), top_logprobs=(pairs,))


def failed():
    return Completion("", "error", 0, 0, attempts=4, error="HTTP 500: overflow")


def pooled(*numbers):
    return said(json.dumps(numbers))


def opinion(request: Request) -> float:
    """A number in (0, 1) that depends on the prompt alone."""
    return (zlib.crc32(request.messages[-1].content.encode()) % 997 + 1) / 999


def shown(request: Request) -> str:
    """The text or answer in a request that has one judged."""
    prompt = request.messages[-1].content
    return prompt.split("Proposed ", 1)[1].split(":\n\n", 1)[1].rsplit("\n\n", 1)[0]
