"""Calls per second into the ledger and out of it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from archon.engines.base import Completion, Request, Sampling
from archon.ledger import SEARCH_EPOCH, Ledger
from archon.messages import Message

SAMPLES = 16
TEXT = "First we add 17 and 25, which gives 42. Then we add 9.\n17 + 25 = 42\nAnswer: 51"


@dataclass(frozen=True, slots=True)
class LedgerSpeed:
    """Calls per second.

    Attributes:
        inserts: Put and flushed.
        bulk: Fetched all at once, 16 samples per request, as a trial's first touch does.
        single: Fetched request by request.
    """

    inserts: float
    bulk: float
    single: float


def measure_ledger(path: Path, prompts: int) -> LedgerSpeed:
    """Put `prompts` x 16 calls into a new ledger at `path` and fetch them again."""
    sampling = Sampling(0.6, 96, logprobs=True)
    requests = [
        Request("model", (Message("user", f"What is 17 + {number} + 9?"),), sampling, SAMPLES)
        for number in range(prompts)
    ]
    call = Completion(TEXT, "stop", 40, 32, 0, 0.05, 0.4, mean_logprob=-0.3)
    calls = prompts * SAMPLES
    with Ledger(path) as ledger:
        began = time.perf_counter()
        for request in requests:
            for sample in range(SAMPLES):
                ledger.put(request, sample, SEARCH_EPOCH, call, None)
        ledger.flush()
        inserts = calls / (time.perf_counter() - began)
    with Ledger(path) as ledger:
        keys = [request.key for request in requests]
        bulk = calls / _seconds(ledger, [keys])
        single = calls / _seconds(ledger, [[key] for key in keys])
    return LedgerSpeed(inserts, bulk, single)


def _seconds(ledger: Ledger, batches: Sequence[Sequence[bytes]]) -> float:
    began = time.perf_counter()
    for batch in batches:
        ledger.fetch(batch)
    return time.perf_counter() - began
