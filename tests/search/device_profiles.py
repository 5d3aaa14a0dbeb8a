"""Profiles of devices whose prices are given."""

from collections.abc import Mapping

from scripted_world import BUSY_S, CONCURRENCY, DECODE_J, IDLE_WATTS, PREFILL_J
from scripted_world import CALL_J as STUDY_CALL_J

from archon.energy import Basis, DomainEnergy, Window
from archon.energy import Load as PricedLoad
from archon.hardware import fingerprint
from archon.profile import Call, LoadProfile, ModelProfile, Profile, Run

Prices = tuple[float, float, float]
"""Joules per prefill token, decode token and call."""
STUDYS: Prices = (PREFILL_J, DECODE_J, STUDY_CALL_J)
"""What the scripted world charges."""
CHEAP: Prices = (1e-5, 1e-4, 1e-4)
LAPTOP = {"cpu": "M9", "cores": "10", "memory_gib": "16", "os": "Darwin"}
WINDOWS = ((300, 20, 20), (4000, 20, 20), (300, 900, 20), (2000, 300, 25), (900, 90, 60))


def device_profile(
    prices: Mapping[str, Prices],
    *,
    concurrency: int = CONCURRENCY,
    idle_watts: float = IDLE_WATTS,
    hardware: Mapping[str, str] | None = None,
    basis: str = "cpu",
) -> Profile:
    """A profile by zoo name; the identity of ``small`` is ``small@1``, as in the scripted world."""
    rail = Basis((f"{basis}:0",), basis, "counter")

    def window(joules: float, seconds: float) -> Window:
        energy = DomainEnergy(rail.domains[0], "cpu", "counter", joules, None, 0.01)
        return Window("w", 0.0, seconds, (energy,))

    def load(price: Prices) -> LoadProfile:
        call = Call(20, 0, 10, None, 0.1, 1, failed=False)
        return LoadProfile(
            concurrency=concurrency,
            warm_up_calls=concurrency,
            calibration=tuple(
                PricedLoad(
                    *work,
                    joules=sum(one * amount for one, amount in zip(price, work, strict=True)),
                    seconds=BUSY_S * sum(work),
                )
                for work in WINDOWS
            ),
            idle=(window(idle_watts * 5, 5.0),) * 2,
            runs=(Run(window(1.0, 1.0), (1.0,), (call,)),),
            repeats=1,
        )

    return Profile(
        created="2026-03-01T10:20:30+00:00",
        hardware=fingerprint() if hardware is None else hardware,
        basis=rail,
        task="sums, 1 query",
        prompt={"style": "plain"},
        rate=1.0,
        weight=(1.0,),
        value=(1.0,),
        models={
            name: ModelProfile({"identity": f"{name}@1"}, {concurrency: load(price)})
            for name, price in prices.items()
        },
    )
