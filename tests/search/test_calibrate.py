"""Calibration gives back the prices that the calls were really charged."""

import asyncio
import random
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from device_profiles import LAPTOP, STUDYS, device_profile
from scripted_world import CONCURRENCY, Nature, Scale, World

from archon.energy import Domain, Load, Recorder, choose_basis
from archon.engines.base import Completion, Sampling
from archon.engines.pool import EnginePool
from archon.engines.programs import SandboxEngine
from archon.errors import ArchonError, UsageError
from archon.hardware import fingerprint
from archon.ledger import Ledger
from archon.messages import Message
from archon.search import calibration_windows as calibrating
from archon.search.calibrate import (
    DESIGNS,
    calibrate,
    load_prices,
    measure_loads,
    open_store,
    price_key,
    profiled_prices,
)
from archon.search.calibrate_programs import measure_programs
from archon.search.generate import Generator

J = (0.003, 0.04, 0.2)
S = (0.001, 0.02, 0.05)
IDLE = 12.5
"""Joules and seconds per prefill token, decode token and call; watts when idle."""


class Lister(Nature):
    """Writes as many words as it may."""

    def __call__(self, messages: tuple[Message, ...], sampling: Sampling, _: int) -> Completion:
        words = sum(len(message.content.split()) for message in messages)
        return Completion("1 " * sampling.max_tokens, "length", words, sampling.max_tokens)


class Bench:
    """A machine whose clock and counter move only by calls, and by waiting at idle power."""

    def __init__(self, folder: Path) -> None:
        self.now = 0.0
        self.world = World(folder, {"small": Lister(1.0, 1)}, self._charge)
        self.meter = Scale()

    async def _charge(self, _: object) -> None:
        pass

    def charge(self, prefill: int, decode: int) -> None:
        work = (prefill, decode, 1)
        self.meter.spent_j += sum(price * amount for price, amount in zip(J, work, strict=True))
        self.now += sum(price * amount for price, amount in zip(S, work, strict=True))

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.meter.spent_j += IDLE * seconds


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench(tmp_path)
    engine = bench.world.pool.engine("small@1")
    answer = engine.complete

    async def charged(
        messages: tuple[Message, ...], sampling: Sampling, seed: int, salt: str
    ) -> Completion:
        made = await answer(messages, sampling, seed, salt)
        bench.charge(made.prompt_tokens, made.completion_tokens)
        return made

    monkeypatch.setattr(engine, "complete", charged)
    return bench


@contextmanager
def generator(bench: Bench, tmp_path: Path) -> Iterator[Generator]:
    basis = choose_basis(bench.meter.domains)
    recorder = Recorder(bench.meter, basis, clock=lambda: bench.now, check_every_s=1000.0)
    waited = recorder.measure_idle
    recorder.measure_idle = lambda seconds: waited(seconds, bench.wait)  # type: ignore[method-assign, assignment]
    with Ledger(tmp_path / "ledger.sqlite") as ledger, asyncio.Runner() as runner:
        yield Generator("study", bench.world.pool, ledger, recorder, runner, CONCURRENCY)


def test_the_prices_of_every_term_are_recovered(bench: Bench, tmp_path: Path) -> None:
    told: list[float] = []
    with generator(bench, tmp_path) as maker:
        prices = calibrate(
            maker,
            ["small@1"],
            {"cpu": "this"},
            repeats=2,
            idle_seconds=4.0,
            seed=1,
            tell=lambda _, done: told.append(done),
        )
        price = prices.models["small@1"]
        for coef, true in zip((price.prefill_j, price.decode_j, price.call_j), J, strict=True):
            assert coef.value == pytest.approx(true, rel=1e-6)
        for coef, true in zip((price.prefill_s, price.decode_s, price.call_s), S, strict=True):
            assert coef.value == pytest.approx(true, rel=1e-6)
        assert prices.idle_watts == pytest.approx(IDLE)
        assert (prices.basis, prices.method, prices.concurrency) == ("cpu", "counter", CONCURRENCY)
        assert dict(prices.fingerprint) == {"cpu": "this"}
        assert told == sorted(told)
        assert told[-1] < 1 <= told[-1] + 2 / (2 * len(DESIGNS) + 1)

        maker.ledger.save_prices("key", prices.to_json())
        assert load_prices(maker.ledger, "key") == prices
        assert load_prices(maker.ledger, "other") is None
        labels = [label for label, record in maker.ledger.windows("study") if record]
    assert sum(label.startswith("calibration") for label in labels) >= 2 * len(DESIGNS)


class Busy(SandboxEngine):
    """Takes the CPU time that a calibration program asks for, on the bench's clock and meter."""

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self._bench = bench

    async def complete(self, messages: tuple[Message, ...], *_: object) -> Completion:
        cpu_s = 0.03 + float(re.findall(r"busy\((.*?)\)", messages[1].content)[0])
        self._bench.meter.spent_j += CPU_J * cpu_s + RUN_J
        self._bench.now += CPU_S * cpu_s + RUN_S
        text = '{"outcome": "passed", "reason": ""}'
        return Completion(text, "stop", 0, 0, cpu_s=cpu_s)


CPU_J, RUN_J, CPU_S, RUN_S = 4.0, 0.5, 0.6, 0.02
"""Joules and seconds per CPU second of a program and per run."""


def test_the_price_of_programs_is_recovered(bench: Bench, tmp_path: Path) -> None:
    told: list[float] = []
    bench.world.pool = EnginePool({}, programs=Busy(bench))
    tick(bench, 0.2)  # windows of 4 s
    with generator(bench, tmp_path) as maker:
        price = measure_programs(maker, repeats=2, tell=lambda _, done: told.append(done))
        assert min(phase.window.seconds for phase in maker.phases[-3:]) >= 4.0
        maker.ledger.flush()
        stored = maker.ledger.count()
    found = [coef.value for coef in (price.cpu_j, price.run_j, price.cpu_s, price.run_s)]
    assert found == pytest.approx([CPU_J, RUN_J, CPU_S, RUN_S], rel=1e-6)
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert stored == sum(len(phase.calls) for phase in maker.phases)


def test_no_two_prompts_share_a_beginning(bench: Bench, tmp_path: Path) -> None:
    with generator(bench, tmp_path) as maker:
        calibrate(maker, ["small@1"], {}, repeats=2, idle_seconds=1.0, seed=1, tell=lambda *_: None)
        made = sum(len(phase.jobs) for phase in maker.phases)
        keys = {request.key for phase in maker.phases for request, _ in phase.jobs}
    assert len(keys) == made == len(bench.world.calls)


def test_an_unreadable_meter_ends_it_in_one_line(bench: Bench, tmp_path: Path) -> None:
    with generator(bench, tmp_path) as maker:
        bench.meter.bad_reads = 1
        with pytest.raises(ArchonError, match="calibration: energy could not be read: broken"):
            calibrate(
                maker, ["small@1"], {}, repeats=2, idle_seconds=1.0, seed=1, tell=lambda *_: None
            )


def test_a_failed_call_ends_it_in_one_line(bench: Bench, tmp_path: Path) -> None:
    engine = bench.world.pool.engine("small@1")

    async def refuses(*_: object) -> Completion:
        return Completion("", "refused", 0, 0, error="HTTP 400: too long")

    engine.complete = refuses  # type: ignore[method-assign, assignment]
    with generator(bench, tmp_path) as maker, pytest.raises(ArchonError) as caught:
        calibrate(maker, ["small@1"], {}, repeats=2, idle_seconds=1.0, seed=1, tell=lambda *_: None)
    assert "calls failed, the first: HTTP 400: too long" in str(caught.value)


def test_prices_are_found_again_only_for_the_same_machine_models_and_load() -> None:
    basis = choose_basis(Scale.domains)

    def key(**changes: object) -> str:
        given = {"models": ["a", "b"], "facts": {"cpu": "x"}, "concurrency": 8, "extra": None}
        given |= changes
        return price_key(basis=basis, **given)  # type: ignore[arg-type]

    assert key() == key() == key(models=["b", "a"])
    others = [
        key(models=["a"]),
        key(facts={"cpu": "y"}),
        key(concurrency=16),
        key(extra="other coefficients"),
        key(programs="sandbox"),
        key(programs="other limits"),
    ]
    assert len({key(), *others}) == 7
    assert key(programs=None) == key()


def measured(bench: Bench, tmp_path: Path) -> tuple[list[Load], list[Load]]:
    """Return the loads prices are fitted on, and all the windows that were made."""
    with generator(bench, tmp_path) as maker:
        kept = measure_loads(
            maker,
            open_store(maker),
            "small@1",
            repeats=2,
            rng=random.Random(0),
            tell=lambda _: None,
        )
        made = [
            Load(
                sum(call.prompt_tokens for call in phase.calls),
                sum(call.completion_tokens for call in phase.calls),
                len(phase.calls),
                phase.joules or 0.0,
                phase.window.seconds,
            )
            for phase in maker.phases
        ]
    return kept, made


def tick(bench: Bench, seconds: float) -> None:
    bench.meter.domains = (Domain("cpu:0", "cpu", "counter", tick_s=seconds),)  # type: ignore[misc]


PLANNED = [design.rounds * CONCURRENCY for design in DESIGNS]
"""Calls of each design's window unless it is too short."""


def test_windows_long_enough_stay_as_they_were_planned(bench: Bench, tmp_path: Path) -> None:
    tick(bench, 0.01)
    kept, made = measured(bench, tmp_path)
    assert [load.calls for load in kept] == PLANNED * 2
    assert min(load.seconds for load in kept) > 1.0
    assert kept == made


def test_windows_too_short_for_the_counter_get_more_calls_and_the_first_is_left_out(
    bench: Bench, tmp_path: Path
) -> None:
    tick(bench, 0.2)  # twenty of them are 4 s
    kept, made = measured(bench, tmp_path)
    assert len(kept) == 2 * len(DESIGNS)
    assert min(load.seconds for load in kept) >= 4.0
    short = [load for load in made if load.seconds < 4.0]
    assert 0 < len(short) < len(DESIGNS)
    assert [load for load in made if load not in short] == kept
    planned = dict(zip(PLANNED, PLANNED, strict=True))
    assert all(load.calls in planned for load in short)
    assert sum(load.calls for load in kept[: len(DESIGNS)]) > sum(PLANNED)
    first, second = kept[: len(DESIGNS)], kept[len(DESIGNS) :]
    assert [load.calls for load in first] == [load.calls for load in second]


def test_windows_of_a_fast_machine_grow_only_so_far(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrating, "MAX_GROWTH", 2)
    tick(bench, 10.0)
    kept, _ = measured(bench, tmp_path)
    assert [load.calls for load in kept] == [2 * calls for calls in PLANNED] * 2


def prices_of(name: str = "small@1", **changes: object) -> Mapping[str, object]:
    facts = fingerprint()
    profile = device_profile({"small": STUDYS, "big": STUDYS})
    given = {"profile": profile, "facts": facts, "concurrency": CONCURRENCY} | changes
    return profiled_prices(  # type: ignore[arg-type]
        given["profile"], given["facts"], choose_basis(Scale.domains), [name], given["concurrency"]
    ).models


def test_a_profile_of_this_machine_gives_its_prices() -> None:
    price = prices_of()["small@1"]
    found = [price.prefill_j.value, price.decode_j.value, price.call_j.value]  # type: ignore[attr-defined]
    assert found == pytest.approx(list(STUDYS))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"facts": LAPTOP},
            r"is of another machine \(.*cpu, cpu_type, cores.* differ\).* --device FILE",
        ),
        ({"facts": fingerprint() | {"vllm": "9"}}, r"another machine \(vllm differ"),
        (
            {"profile": device_profile({"small": STUDYS}, basis="gpu")},
            "basis 'gpu', the study 'cpu'",
        ),
        ({"name": "tiny@1"}, "lacks a model of the study, or has it with other weights.*: tiny@1"),
        (
            {"concurrency": 16},
            "measured at 8 in flight, not at 16; profile it with --concurrency 16",
        ),
    ],
)
def test_a_profile_of_anything_else_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        prices_of(**changes)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_profile_whose_idle_power_is_unknown_is_refused() -> None:
    profile = device_profile({"small": STUDYS})
    load = profile.models["small"].loads[CONCURRENCY]
    rail = replace(load.idle[0].domains[0], joules=None, reason="broken")
    dark = replace(load, idle=(load.idle[0], replace(load.idle[1], domains=(rail,))))
    model = replace(profile.models["small"], loads={CONCURRENCY: dark})
    with pytest.raises(UsageError, match="its idle watts could not be read"):
        prices_of(profile=replace(profile, models={"small": model}))
