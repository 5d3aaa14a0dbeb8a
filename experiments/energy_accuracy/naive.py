"""How energy is often measured elsewhere, for comparison."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from experiments.energy_accuracy.powercap import ZONES
from experiments.energy_accuracy.traces import Trace

_PERIOD_S = 0.05
_AVERAGED_S = 1.0
_LATE_S = 0.002
_FAILING = 0.01
_SINCE_BOOT_J = 5e6
_TICK_S = 0.1
_IDLE_S = (0.5, 3.0)

Measure = Callable[[Trace, float, float, Random], float]
"""(trace, start in s, length in s, chance) -> joules."""


@dataclass(frozen=True, slots=True)
class Naive:
    """A way to measure the energy of a window that goes wrong."""

    name: str
    measure: Measure


def averaged_power(trace: Trace, start_s: float, seconds: float, chance: Random) -> float:
    """Each sample of the one-second mean power, times the time since the sample before it."""
    joules, last_s = 0.0, start_s
    now_s = start_s + chance.uniform(0, _PERIOD_S)
    while now_s <= start_s + seconds:
        watts = trace.joules(now_s - _AVERAGED_S, now_s) / _AVERAGED_S
        joules += watts * (now_s - last_s)
        last_s = now_s
        now_s += _PERIOD_S + chance.uniform(0, _LATE_S)
    return joules


def failed_read_is_zero(trace: Trace, start_s: float, seconds: float, chance: Random) -> float:
    """The counter's difference; a read that fails, one in a hundred, counts as 0."""
    phase_s = chance.uniform(0, _TICK_S)

    def counter(now_s: float) -> float:
        ticked_s = math.floor((now_s - phase_s) / _TICK_S) * _TICK_S + phase_s
        return 0.0 if chance.random() < _FAILING else _SINCE_BOOT_J + trace.energy(ticked_s)

    before = counter(start_s)
    return counter(start_s + seconds) - before


def since_last_query(trace: Trace, start_s: float, seconds: float, chance: Random) -> float:
    """Last sample less the *previous* query's last sample: the idle time between is charged."""
    ended_s = start_s - chance.uniform(*_IDLE_S)
    sampled_s = start_s + seconds - chance.uniform(0, _PERIOD_S)
    return trace.joules(ended_s - chance.uniform(0, _PERIOD_S), sampled_s)


def zones_and_packages(trace: Trace, start_s: float, seconds: float, _: Random) -> float:
    """Every RAPL zone but ``psys``: cores lie inside their package and count twice."""
    parts = sum(share for name, share in ZONES.values() if name != "psys")
    return parts * trace.joules(start_s, start_s + seconds)


NAIVE = (
    Naive("naive: 20 Hz samples of 1 s mean power", averaged_power),
    Naive("naive: counter, a failed read is 0 (1%)", failed_read_is_zero),
    Naive("naive: since the previous query's end", since_last_query),
    Naive("naive: RAPL packages and their cores", zones_and_packages),
)
