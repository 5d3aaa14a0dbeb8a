"""The price list of a study: found in its ledger, taken from a profile, or calibrated."""

from collections.abc import Mapping
from dataclasses import replace

from archon.energy import PriceList
from archon.errors import UsageError
from archon.profile import load_profile
from archon.progress import Progress
from archon.search.calibrate import calibrate, load_prices, price_key, profiled_prices
from archon.search.calibrate_programs import measure_programs
from archon.search.config import StudyConfig
from archon.search.generate import Generator
from archon.search.space import Space


def study_prices(
    config: StudyConfig,
    space: Space,
    generator: Generator,
    identities: Mapping[str, str],
    facts: Mapping[str, str],
    progress: Progress,
) -> tuple[PriceList, str]:
    """Return the price list of a study, and the key it is stored under.

    Args:
        identities: Zoo name → model identity.
        facts: Fingerprint of this machine.

    Raises:
        UsageError: The profile named for it is of something else.
        ArchonError: See `calibrate` and `measure_programs`.
    """
    models = list(identities.values())
    basis, concurrency = generator.recorder.basis, config.target.concurrency
    key = price_key(
        models,
        facts,
        basis,
        concurrency,
        config.energy.coefficients,
        generator.pool.programs.identity if space.runs_programs else None,
    )
    section = config.calibration
    if section.profile is not None:
        if space.runs_programs:
            raise UsageError(
                "calibration.profile: a profile has no price for running programs, as pipelines "
                f"of the space {space.name} do; leave it out, and the study measures its own"
            )
        prices = profiled_prices(load_profile(section.profile), facts, basis, models, concurrency)
        progress.say(f"calibration: prices come from {section.profile}")
        generator.ledger.save_prices(key, prices.to_json())
        return prices, key
    known = None if section.refresh else load_prices(generator.ledger, key)
    if known is not None:
        progress.say("calibration: prices of this machine and load are in the ledger")
        return known, key

    def tell(what: str, done: float) -> None:
        progress.show("calibration", what, done=done)

    prices = calibrate(
        generator,
        models,
        facts,
        repeats=section.repeats,
        idle_seconds=section.idle_seconds,
        seed=config.study.seed,
        tell=tell,
    )
    if space.runs_programs:
        programs = measure_programs(generator, repeats=section.repeats, tell=tell)
        prices = replace(prices, programs=programs)
    generator.ledger.save_prices(key, prices.to_json())
    for name, identity in identities.items():
        price = prices.models[identity]
        progress.say(
            f"price of {name}, {prices.basis}: {price.prefill_j.value * 1000:.1f} mJ per "
            f"prefill token, {price.decode_j.value * 1000:.1f} mJ per decode token, "
            f"{price.call_j.value * 1000:.0f} mJ per call; idle {prices.idle_watts:.1f} W"
        )
    if prices.programs is not None:
        progress.say(
            f"price of running programs, {prices.basis}: {prices.programs.cpu_j.value:.2f} J per "
            f"CPU second, {prices.programs.run_j.value * 1000:.0f} mJ per run"
        )
    return prices, key
