"""Windows on traces of known energy: what each meter says of them."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from random import Random

from archon.energy import Basis, Recorder, Window, choose_basis
from experiments.energy_accuracy.naive import Naive
from experiments.energy_accuracy.rigs import Rig, World
from experiments.energy_accuracy.simulation import Simulation
from experiments.energy_accuracy.traces import Trace

LENGTHS_S = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
_STRETCH = (0.95, 1.05)  # work does not last a whole number of ticks
_START_S = (60.0, 600.0)
_WARM_S = 1.5
_LOOK_S = 1.0
_NEVER_S = 3600.0  # the recorder's own looks come in real time


@dataclass(frozen=True, slots=True)
class Measured:
    """One window, as a meter saw it and as it was.

    Attributes:
        seconds: Nominal length; windows are up to 5% shorter or longer.
        joules: None when the meter refused.
        bound_j: How far off the meter says it may be; None where it says nothing.
        short: Whether the window was flagged as too short.
        seen: Whether the trace is slow enough for the meter's samples.
    """

    meter: str
    ours: bool
    trace: str
    seconds: float
    true_j: float
    joules: float | None
    bound_j: float | None
    short: bool
    seen: bool

    @property
    def error(self) -> float | None:
        """The relative error, signed."""
        return None if self.joules is None else self.joules / self.true_j - 1

    @property
    def bound_used(self) -> float | None:
        """The error as a part of the stated bound."""
        if self.joules is None or self.bound_j is None:
            return None
        return abs(self.joules - self.true_j) / self.bound_j


def measure_ours(rigs: Sequence[Rig], traces: Sequence[Trace], offsets: int) -> Iterator[Measured]:
    """Record windows of every length at random moments of every trace with every meter."""
    for rig in rigs:
        for drawn in _windows(traces, offsets):
            clock = Simulation(drawn.start_s - _WARM_S)
            window, basis = _record(rig, World(drawn.trace, clock, drawn.chance), drawn)
            yield Measured(
                meter=rig.name,
                ours=True,
                trace=drawn.trace.name,
                seconds=drawn.nominal_s,
                true_j=drawn.true_j,
                joules=window.joules(basis),
                bound_j=_bound_j(window, basis),
                short=any(flag.startswith("short") for flag in window.flags),
                seen=drawn.trace.shortest_s > rig.blind_s,
            )


def measure_naive(
    ways: Sequence[Naive], traces: Sequence[Trace], offsets: int
) -> Iterator[Measured]:
    """Measure the same windows in the naive ways."""
    for way in ways:
        for drawn in _windows(traces, offsets):
            yield Measured(
                meter=way.name,
                ours=False,
                trace=drawn.trace.name,
                seconds=drawn.nominal_s,
                true_j=drawn.true_j,
                joules=way.measure(drawn.trace, drawn.start_s, drawn.seconds, drawn.chance),
                bound_j=None,
                short=False,
                seen=True,
            )


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A window to be measured, and chance for whatever else is random in it."""

    trace: Trace
    nominal_s: float
    start_s: float
    seconds: float
    chance: Random

    @property
    def true_j(self) -> float:
        return self.trace.joules(self.start_s, self.start_s + self.seconds)


def _windows(traces: Sequence[Trace], offsets: int) -> Iterator[_Drawn]:
    """Yield the windows, the same at every call."""
    for trace in traces:
        for nominal_s in LENGTHS_S:
            for number in range(offsets):
                chance = Random(f"{trace.name} {nominal_s} {number}")
                start_s, stretch = chance.uniform(*_START_S), chance.uniform(*_STRETCH)
                yield _Drawn(trace, nominal_s, start_s, nominal_s * stretch, chance)


def _record(rig: Rig, world: World, drawn: _Drawn) -> tuple[Window, Basis]:
    clock = world.clock
    with closing(rig.open(world)) as meter:
        meter.read()
        clock.advance(_WARM_S)
        basis = choose_basis(meter.domains, rig.basis)
        recorder = Recorder(meter, basis, clock=clock, wall=clock, check_every_s=_NEVER_S)
        with recorder.window(rig.name) as pending:
            left_s = drawn.seconds
            while left_s > _LOOK_S:
                clock.advance(_LOOK_S)
                pending.look()
                left_s -= _LOOK_S
            clock.advance(left_s)
    assert pending.window is not None
    return pending.window, basis


def _bound_j(window: Window, basis: Basis) -> float | None:
    bounds = [domain.error_j for domain in window.domains if domain.name in basis.domains]
    known = [bound for bound in bounds if bound is not None]
    return sum(known) if len(known) == len(bounds) else None
