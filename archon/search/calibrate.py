"""Calibration: windows that separate prefill from decode, fitted to a price list.

One token in a batch of 32 costs a fraction of a token alone, so a call has no joules of its own;
a workload at a load has. The windows therefore run at the target's concurrency.
"""

import hashlib
import itertools
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from archon.energy import Basis, PriceList, fit_model_price
from archon.energy import Load as PricedLoad
from archon.engines.base import Request, Sampling
from archon.errors import ArchonError, UsageError
from archon.ledger import Ledger
from archon.messages import Message
from archon.pipeline import CallStore
from archon.profile import Profile
from archon.search.calibration_windows import Design, joules_of, measure_idle, windows_to_fit
from archon.search.generate import Generator

VERSION = 3
"""Part of the fingerprint: raise it when the windows change."""


@dataclass(frozen=True, slots=True)
class CallDesign(Design):
    """Words per prompt, most tokens per answer."""

    words: int
    max_tokens: int


DESIGNS = (
    CallDesign("short prompts, one token", 3, 8, 1),
    CallDesign("long prompts, one token", 1, 120, 1),
    CallDesign("short prompts, long answers", 1, 8, 48),
    CallDesign("long prompts, short answers", 1, 60, 12),
)
"""Prompt length, answer length and number of calls vary independently over these."""


def price_key(
    models: Sequence[str],
    facts: Mapping[str, str],
    basis: Basis,
    concurrency: int,
    extra: object,
    programs: str | None = None,
) -> str:
    """Return the fingerprint under which a price list is stored and found again.

    Args:
        programs: Identity of what runs programs; None for a list without a price for that.
    """
    content = [VERSION, sorted(models), dict(facts), basis.label, concurrency, repr(extra)]
    if programs is not None:
        content.append(programs)
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

    Args:
        model: Identity of a model that is up.
        repeats: Windows of each design.
        tell: Told the name of each window that ended.

    Raises:
        ArchonError: See `windows_to_fit`.
    """
    return windows_to_fit(
        DESIGNS,
        lambda design, rounds: _window(generator, store, model, design, rounds, rng),
        fit_model_price,
        recorder=generator.recorder,
        repeats=repeats,
        what=model,
        tell=tell,
    )


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
    design: CallDesign,
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
    return PricedLoad(
        prefill_tokens=sum(call.prompt_tokens - (call.cached_tokens or 0) for call in calls),
        decode_tokens=sum(call.completion_tokens for call in calls),
        calls=len(calls),
        joules=joules_of(phase),
        seconds=phase.window.seconds,
    )


def _prompt(rng: random.Random, design: CallDesign) -> str:
    """Return a prompt no other call shares a prefix with, which asks for a long answer."""
    words = " ".join(str(rng.randrange(10, 100)) for _ in range(design.words))
    return f"{words}\nContinue this list with as many numbers as you can."
