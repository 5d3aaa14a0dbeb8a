"""Calibration: windows that separate prefill from decode, fitted to a price list.

One token in a batch of 32 costs a fraction of a token alone, so a call has no joules of its own;
a workload at a load has. The windows therefore run at the target's concurrency.
"""

import hashlib
import itertools
import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from archon.energy import Basis, PriceList, Recorder, fit_model_price
from archon.energy import Load as PricedLoad
from archon.engines.base import Request, Sampling
from archon.errors import ArchonError, UsageError
from archon.ledger import Ledger
from archon.messages import Message
from archon.pipeline import CallStore
from archon.profile import Profile
from archon.search.generate import Generator

ATTEMPTS = 3
"""Rounds of windows before a fit that does not separate the terms is given up."""
VERSION = 3
"""Part of the fingerprint: raise it when the windows change."""
MIN_WINDOW_S = 1.0
MIN_TICKS = 20
"""A window is at least so long: the counters' ticks then blur it by no more than a twentieth."""
MAX_GROWTH = 200
"""Most times a design's calls are multiplied to make its windows long enough."""


@dataclass(frozen=True, slots=True)
class Design:
    """One kind of window: words per prompt, most tokens per answer, rounds at full load."""

    name: str
    words: int
    max_tokens: int
    rounds: int


DESIGNS = (
    Design("short prompts, one token", 8, 1, 3),
    Design("long prompts, one token", 120, 1, 1),
    Design("short prompts, long answers", 8, 48, 1),
    Design("long prompts, short answers", 60, 12, 1),
)
"""Prompt length, answer length and number of calls vary independently over these."""


def price_key(
    models: Sequence[str], facts: Mapping[str, str], basis: Basis, concurrency: int, extra: object
) -> str:
    """Return the fingerprint under which a price list is stored and found again."""
    content = [VERSION, sorted(models), dict(facts), basis.label, concurrency, repr(extra)]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def calibrate(
    generator: Generator,
    models: Sequence[str],
    facts: Mapping[str, str],
    *,
    repeats: int,
    idle_seconds: float,
    seed: int,
    tell: Callable[[str, float], None],
) -> PriceList:
    """Measure idle power and the price of each model's work.

    Args:
        models: Model identities; all are started first, so that idle is with models loaded.
        repeats: Windows of each design.
        tell: Told what is being measured and the fraction done.

    Raises:
        ArchonError: A window's energy could not be read, or the windows do not separate the
            terms.
    """
    recorder = generator.recorder
    store = open_store(generator)
    generator.ready(models)
    rng = random.Random(seed)
    total = len(models) * len(DESIGNS) * repeats + 1
    done = itertools.count(1)

    def on_window(name: str) -> None:
        tell(name, min(next(done), total - 1) / total)

    prices = {
        model: fit_model_price(
            measure_loads(generator, store, model, repeats=repeats, rng=rng, tell=on_window)
        )
        for model in models
    }
    tell("idle", (total - 1) / total)
    idle_watts = measure_idle(recorder, idle_seconds)
    return PriceList(
        idle_watts=idle_watts,
        basis=recorder.basis.label,
        method=recorder.basis.method,
        concurrency=generator.concurrency,
        models=prices,
        fingerprint=dict(facts),
    )


def open_store(generator: Generator) -> CallStore:
    """Return a store of an epoch of its own, so that no calibration call is read back."""
    epoch = generator.ledger.new_epoch(generator.study, "calibration")
    return CallStore(generator.ledger, epoch, fresh=True)


def measure_loads(
    generator: Generator,
    store: CallStore,
    model: str,
    *,
    repeats: int,
    rng: random.Random,
    tell: Callable[[str], None],
) -> list[PricedLoad]:
    """Measure windows from which the prices of one model can be fitted.

    A design whose first window is too short for the counters is given more calls; that window is
    left out.

    Args:
        model: Identity of a model that is up.
        repeats: Windows of each design.
        tell: Told the name of each window that ended.

    Raises:
        ArchonError: A window's energy could not be read, or the windows do not separate the
            terms.
    """
    recorder = generator.recorder
    ticks = [d.tick_s for d in recorder.meter.domains if d.name in recorder.basis.domains]
    least_s = max(MIN_WINDOW_S, MIN_TICKS * max(ticks))
    rounds = {design: design.rounds for design in DESIGNS}
    loads: list[PricedLoad] = []
    for attempt in range(1, ATTEMPTS + 1):
        for repeat in range(repeats):
            for design in DESIGNS:
                load = _window(generator, store, model, design, rounds[design], rng)
                if attempt == 1 and repeat == 0 and load.seconds < least_s:
                    growth = min(MAX_GROWTH, 1.2 * least_s / load.seconds)
                    rounds[design] = math.ceil(rounds[design] * growth)
                    load = _window(generator, store, model, design, rounds[design], rng)
                loads.append(load)
                tell(design.name)
        try:
            fit_model_price(loads)
        except ValueError as error:  # disturbed windows: more of them steady the fit
            if attempt == ATTEMPTS:
                raise ArchonError(f"calibration of {model}: {error}") from error
        else:
            break
    return loads


def measure_idle(recorder: Recorder, seconds: float) -> float:
    """Return the watts of the basis with models loaded and nothing running.

    Raises:
        ArchonError: A rail of the basis could not be read.
    """
    _, window = recorder.measure_idle(seconds)
    watts = window.watts(recorder.basis)
    if watts is None:
        raise ArchonError(f"idle power: {_reason(window.domains)}; see `archon energy`")
    return watts


def load_prices(ledger: Ledger, key: str) -> PriceList | None:
    """Return the price list stored under a key, None if there is none."""
    record = ledger.load_prices(key)
    return None if record is None else PriceList.from_json(record)


def profiled_prices(
    profile: Profile,
    facts: Mapping[str, str],
    basis: Basis,
    models: Sequence[str],
    concurrency: int,
) -> PriceList:
    """Return the prices of a profile of this very machine.

    Args:
        facts: Fingerprint of this machine.
        models: Model identities.

    Raises:
        UsageError: The profile is of another machine, energy basis or load, or lacks a model.
    """
    changed = [
        name
        for name in {**profile.hardware, **facts}
        if profile.hardware.get(name) != facts.get(name)
    ]
    if changed:
        raise UsageError(
            f"calibration.profile is of another machine ({', '.join(changed)} differ): a study "
            "takes prices only from a profile of its own; rank it for another device with "
            "`archon report FOLDER --device FILE`"
        )
    if profile.basis.label != basis.label:
        raise UsageError(
            f"calibration.profile has energy basis {profile.basis.label!r}, the study "
            f"{basis.label!r}: joules of different rails are never compared"
        )
    prices = profile.price_list(concurrency)
    missing = [model for model in models if model not in prices.models]
    if missing:
        raise UsageError(
            f"calibration.profile lacks a model of the study, or has it with other weights or "
            f"settings: {', '.join(missing)}; profile it"
        )
    return prices


def _window(
    generator: Generator,
    store: CallStore,
    model: str,
    design: Design,
    rounds: int,
    rng: random.Random,
) -> PricedLoad:
    requests = [
        Request(
            model,
            (Message("user", _prompt(rng, design)),),
            Sampling(0.0, design.max_tokens, logprobs=True),
        )
        for _ in range(generator.concurrency * rounds)
    ]
    jobs = [(request, 0) for request in requests]
    phase = generator.phase(store, model, jobs, f"calibration: {design.name}")
    calls = [drawn.completions[0] for r in requests if (drawn := store.drawn(r)) is not None]
    failed = [call.error for call in calls if call.error is not None]
    if failed:
        raise ArchonError(f"calibration: {len(failed)} calls failed, the first: {failed[0]}")
    if phase.joules is None:
        raise ArchonError(f"calibration: {_reason(phase.window.domains)}; see `archon energy`")
    return PricedLoad(
        prefill_tokens=sum(call.prompt_tokens - (call.cached_tokens or 0) for call in calls),
        decode_tokens=sum(call.completion_tokens for call in calls),
        calls=len(calls),
        joules=phase.joules,
        seconds=phase.window.seconds,
    )


def _prompt(rng: random.Random, design: Design) -> str:
    """Return a prompt no other call shares a prefix with, which asks for a long answer."""
    words = " ".join(str(rng.randrange(10, 100)) for _ in range(design.words))
    return f"{words}\nContinue this list with as many numbers as you can."


def _reason(domains: Sequence[object]) -> str:
    reasons = [getattr(domain, "reason", None) for domain in domains]
    return "energy could not be read: " + "; ".join(r for r in reasons if r)
