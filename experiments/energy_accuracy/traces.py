"""Power traces whose energy over any window is known exactly."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate


@dataclass(frozen=True, slots=True)
class Piece:
    """Power that goes in a straight line from one value to another."""

    seconds: float
    start_watts: float
    end_watts: float

    @property
    def joules(self) -> float:
        """The exact joules of the piece."""
        return self.seconds * (self.start_watts + self.end_watts) / 2


@dataclass(frozen=True)
class Trace:
    """Straight pieces of power, one after the other and over again; it jumps where they differ."""

    name: str
    pieces: tuple[Piece, ...]
    _starts: Sequence[float] = field(init=False, repr=False)
    _joules: Sequence[float] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        starts = accumulate((piece.seconds for piece in self.pieces), initial=0.0)
        joules = accumulate((piece.joules for piece in self.pieces), initial=0.0)
        object.__setattr__(self, "_starts", tuple(starts))
        object.__setattr__(self, "_joules", tuple(joules))

    @property
    def period_s(self) -> float:
        """Seconds after which the trace begins again."""
        return self._starts[-1]

    @property
    def shortest_s(self) -> float:
        """Seconds of the shortest piece: what samples must not step over."""
        return min(piece.seconds for piece in self.pieces)

    def watts(self, at_s: float) -> float:
        """Return the power at a moment; at a jump, the power after it."""
        piece, into_s, _ = self._locate(at_s)
        return self._watts_in(piece, into_s)

    def energy(self, at_s: float) -> float:
        """Return the exact joules from second 0 to a moment (negative before it)."""
        piece, into_s, before_j = self._locate(at_s)
        return before_j + into_s * (piece.start_watts + self._watts_in(piece, into_s)) / 2

    def joules(self, start_s: float, end_s: float) -> float:
        """Return the exact joules between two moments."""
        return self.energy(end_s) - self.energy(start_s)

    def _locate(self, at_s: float) -> tuple[Piece, float, float]:
        """Return the piece at a moment, the seconds into it, and the joules before it."""
        rounds, phase_s = divmod(at_s, self.period_s)
        index = min(bisect_right(self._starts, phase_s), len(self.pieces)) - 1
        before_j = rounds * self._joules[-1] + self._joules[index]
        return self.pieces[index], phase_s - self._starts[index], before_j

    @staticmethod
    def _watts_in(piece: Piece, into_s: float) -> float:
        slope = (piece.end_watts - piece.start_watts) / piece.seconds
        return piece.start_watts + slope * into_s


def _flat(seconds: float, watts: float) -> Piece:
    return Piece(seconds, watts, watts)


def _phases() -> tuple[Piece, ...]:
    """A server's minute: idle, weights loaded, then prefill and decode in turns, idle again."""
    batches: list[Piece] = []
    for prefill_s, decode_s in ((0.12, 1.7), (0.31, 2.9), (0.08, 0.9), (0.55, 4.3)):
        batches += [_flat(prefill_s, 690.0), Piece(decode_s, 430.0, 350.0)]
        batches += [_flat(0.07, 120.0)]  # the next batch is being put together
    return (_flat(4.0, 72.0), Piece(6.0, 110.0, 160.0), *batches * 3, Piece(9.0, 120.0, 70.0))


TRACES = (
    Trace("constant", (_flat(1.0, 310.0),)),
    Trace("step", (_flat(7.3, 10.0), _flat(5.9, 700.0))),
    Trace("ramp", (Piece(40.0, 10.0, 700.0), Piece(25.0, 700.0, 10.0))),
    Trace("bursts", (_flat(0.05, 300.0), _flat(0.15, 60.0))),
    Trace("phases", _phases()),
)
"""Watts from 10 to 700."""
