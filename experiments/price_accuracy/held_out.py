"""Held-out windows: prompts, lengths and mixes that no price was fitted on."""

import random
from dataclasses import dataclass

from archon.energy import Load, ModelPrice
from archon.engines.base import Request, Sampling
from archon.errors import ArchonError
from archon.messages import Message
from archon.pipeline import CallStore
from archon.search.calibration_windows import MIN_TICKS, MIN_WINDOW_S
from archon.search.generate import Generator

VOCABULARY = (
    "river stone winter engine garden letter copper window market forest island candle harbour "
    "silver bridge orchard thunder pocket violin desert lantern meadow pepper ribbon saddle tunnel"
)
MOST_WORDS, MOST_TOKENS = 160, 64


@dataclass(frozen=True, slots=True)
class Call:
    """What one call of a mixed window asks: words in its prompt, most tokens in its answer."""

    words: int
    max_tokens: int


@dataclass(frozen=True, slots=True)
class MixedWindow:
    """A held-out window of one model.

    Attributes:
        model: Its name.
        in_flight: Mean calls in flight: their latencies over the window's seconds.
        others_share: Part of the processor time spent by other programs; None if unknown.
    """

    model: str
    load: Load
    in_flight: float
    others_share: float | None


def draw_calls(
    rng: random.Random, concurrency: int, price: ModelPrice, least_s: float
) -> list[Call]:
    """Draw the calls of one window.

    A window has a range of prompt lengths and one of answer lengths, both drawn at random, and
    every call draws its own from them; there are four to six calls for each one in flight, so that
    the load is the stated one for most of the window, and more where the window would be shorter
    than `least_s`.
    """
    words = sorted(rng.randint(4, MOST_WORDS) for _ in range(2))
    tokens = sorted(rng.randint(1, MOST_TOKENS) for _ in range(2))
    least = rng.randint(4 * concurrency, 6 * concurrency)
    calls: list[Call] = []
    seconds = 0.0
    while len(calls) < least or seconds < least_s:
        calls.append(Call(rng.randint(*words), rng.randint(*tokens)))
        seconds += price.cost(calls[-1].words, calls[-1].max_tokens).seconds
    return calls


def measure_mixed(
    generator: Generator,
    store: CallStore,
    name: str,
    model: str,
    price: ModelPrice,
    rng: random.Random,
) -> MixedWindow:
    """Make and meter one window of random calls.

    Args:
        store: Of an epoch of its own.
        name: The model's name.
        model: Its identity; the model is up.

    Raises:
        ArchonError: A call failed, or the window's energy could not be read.
    """
    recorder = generator.recorder
    ticks = [d.tick_s for d in recorder.meter.domains if d.name in recorder.basis.domains]
    least_s = max(MIN_WINDOW_S, MIN_TICKS * max(ticks))
    requests = [
        Request(
            model,
            (Message("user", _prompt(rng, call.words)),),
            Sampling(0.7, call.max_tokens, logprobs=True),
        )
        for call in draw_calls(rng, generator.concurrency, price, least_s)
    ]
    phase = generator.phase(store, model, [(r, 0) for r in requests], "held out")
    failed = [call.error for call in phase.calls if call.error is not None]
    if failed:
        raise ArchonError(f"held-out window: {len(failed)} calls failed, the first: {failed[0]}")
    if phase.joules is None:
        raise ArchonError("held-out window: its energy could not be read; see `archon energy`")
    own = phase.window.own_share
    return MixedWindow(
        name,
        Load(
            prefill_tokens=sum(c.prompt_tokens - (c.cached_tokens or 0) for c in phase.calls),
            decode_tokens=sum(c.completion_tokens for c in phase.calls),
            calls=len(phase.calls),
            joules=phase.joules,
            seconds=phase.window.seconds,
        ),
        sum(call.latency_s for call in phase.calls) / phase.window.seconds,
        None if own is None else 1 - own,
    )


def _prompt(rng: random.Random, words: int) -> str:
    """Return a prompt unlike the calibration's, which asks for a long answer."""
    return (
        f"{' '.join(rng.choices(VOCABULARY.split(), k=words))}\nTell a long story with these words."
    )
