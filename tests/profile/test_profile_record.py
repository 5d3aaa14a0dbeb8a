"""What a profile holds, and the prices that come out of it."""

from dataclasses import replace

import numpy as np
import pytest
from profile_content import BASIS, BIG, IDLE_WATTS, SMALL, Truth, load_profile_of, profile, window

from archon.energy import Basis
from archon.errors import UsageError
from archon.profile import Call, LoadProfile, Profile

PRICES = ("prefill_j", "decode_j", "call_j", "prefill_s", "decode_s", "call_s")


def true_prices(truth: Truth, concurrency: int) -> list[float]:
    seconds = [truth.seconds(*unit, concurrency) for unit in ((1, 0, 0), (0, 1, 0), (0, 0, 1))]
    return [each * truth.watts(concurrency) for each in seconds] + seconds


def with_loads(whole: Profile, name: str, loads: dict[int, LoadProfile]) -> Profile:
    model = replace(whole.models[name], loads=loads)
    return replace(whole, models={**whole.models, name: model})


@pytest.mark.parametrize("concurrency", [1, 16])
@pytest.mark.parametrize("truth", [SMALL, BIG])
def test_prices_are_recovered_from_exact_windows(truth: Truth, concurrency: int) -> None:
    load = load_profile_of(truth, concurrency, np.random.default_rng(0), noise=0.0)
    fitted = [getattr(load.price, name).value for name in PRICES]
    assert fitted == pytest.approx(true_prices(truth, concurrency), rel=1e-6)


def test_intervals_of_noisy_prices_hold_the_truth_at_their_rate() -> None:
    true = true_prices(BIG, 4)
    hits = []
    for seed in range(60):
        price = load_profile_of(BIG, 4, np.random.default_rng(seed), noise=0.03).price
        coefs = [getattr(price, name) for name in PRICES]
        hits += [c.ci_low <= t <= c.ci_high for c, t in zip(coefs, true, strict=True)]
    assert 0.88 < np.mean(hits) < 0.99


def test_a_failed_attempt_pays_its_prompt_and_its_call_again() -> None:
    price = load_profile_of(BIG, 4, np.random.default_rng(0), noise=0.0).price
    once = Call(40, 0, 10, 0.1, 1.0, attempts=1, failed=False)
    thrice = replace(once, attempts=3)
    more = thrice.cost(price).joules - once.cost(price).joules
    assert more == pytest.approx(80 * price.prefill_j.value + 2 * price.call_j.value)


def test_tokens_from_the_prefix_cache_cost_no_prefill() -> None:
    price = load_profile_of(BIG, 4, np.random.default_rng(0), noise=0.0).price
    cold = Call(40, None, 10, 0.1, 1.0, attempts=1, failed=False)
    warm = replace(cold, cached_tokens=32)
    saved = cold.cost(price).joules - warm.cost(price).joules
    assert saved == pytest.approx(32 * price.prefill_j.value)


def test_figures_are_of_the_last_runs() -> None:
    load = load_profile_of(BIG, 4, np.random.default_rng(0), repeats=5)
    assert replace(load, repeats=2).counted == load.runs[3:]


def test_the_spread_of_runs_is_their_range_over_their_mean() -> None:
    load = load_profile_of(BIG, 4, np.random.default_rng(0))
    runs = tuple(
        replace(run, window=window(joules, 10.0))
        for run, joules in zip(load.runs, (90.0, 100.0, 110.0), strict=True)
    )
    assert replace(load, runs=runs).spread(BASIS) == pytest.approx(0.2)


def test_the_spread_of_one_run_or_of_unknown_joules_is_unknown() -> None:
    load = load_profile_of(BIG, 4, np.random.default_rng(0))
    assert replace(load, repeats=1).spread(BASIS) is None
    lost = replace(load.runs[1], window=window(None, 10.0))
    assert replace(load, runs=(load.runs[0], lost, load.runs[2])).spread(BASIS) is None
    nothing = replace(load.runs[0], window=window(0.0, 10.0))
    assert replace(load, runs=(nothing,) * 3).spread(BASIS) is None


def test_rails_outside_the_basis_do_not_count() -> None:
    one_rail = Basis(("cpu:0",), "cpu estimated", "estimated")
    whole = replace(profile(), basis=one_rail)
    assert whole.idle_watts == pytest.approx(0.9 * 1.005 * IDLE_WATTS)


def test_a_price_list_is_of_one_load_and_names_models_by_identity() -> None:
    whole = profile()
    prices = whole.price_list(4)
    assert prices.concurrency == 4
    assert prices.models == {
        model.engine["identity"]: model.loads[4].price for model in whole.models.values()
    }
    assert prices.idle_watts == whole.idle_watts == pytest.approx(1.005 * IDLE_WATTS)
    assert (prices.basis, prices.method) == ("cpu+dram estimated", "estimated")
    assert prices.fingerprint == whole.hardware


def test_a_model_without_that_load_is_left_out_of_the_price_list() -> None:
    whole = profile()
    some = with_loads(whole, "smollm2-135m", {1: whole.models["smollm2-135m"].loads[1]})
    assert list(some.price_list(4).models) == [
        whole.models["qwen2.5-coder-0.5b"].engine["identity"]
    ]


def test_a_load_that_was_not_measured_has_no_price_list() -> None:
    expected = r"profile: measured at 1, 4, 16 in flight, not at 8; profile it with --concurrency 8"
    with pytest.raises(UsageError, match=expected):
        profile().price_list(8)


def test_without_idle_watts_there_is_no_price_list() -> None:
    whole = profile(concurrencies=(4,))
    load = whole.models["smollm2-135m"].loads[4]
    lost = replace(load, idle=(load.idle[0], window(None, 5.0)))
    with pytest.raises(UsageError, match="idle watts could not be read"):
        with_loads(whole, "smollm2-135m", {4: lost}).price_list(4)
