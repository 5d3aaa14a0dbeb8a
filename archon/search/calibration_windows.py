"""Windows that prices are fitted to: long enough for the counters, and enough for a fit."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from archon.energy import Load, ProgramLoad, Recorder
from archon.errors import ArchonError
from archon.search.generate import Phase

ATTEMPTS = 3
"""Rounds of windows before a fit that does not separate the terms is given up."""
MIN_WINDOW_S = 1.0
MIN_TICKS = 20
"""A window is at least so long: the counters' ticks then blur it by no more than a twentieth."""
MAX_GROWTH = 200
"""Most times a design's rounds are multiplied to make its windows long enough."""


@dataclass(frozen=True, slots=True)
class Design:
    """One kind of window, and its rounds at full load unless it turns out too short."""

    name: str
    rounds: int


D = TypeVar("D", bound=Design)
L = TypeVar("L", Load, ProgramLoad)


def windows_to_fit(
    designs: Sequence[D],
    window: Callable[[D, int], L],
    fit: Callable[[Sequence[L]], object],
    *,
    recorder: Recorder,
    repeats: int,
    what: str,
    tell: Callable[[str], None],
) -> list[L]:
    """Measure windows until prices can be fitted to them.

    A design whose first window is too short for the counters is given more rounds; that window is
    left out.

    Args:
        window: Measures a design in so many rounds.
        repeats: Windows of each design.
        what: What is calibrated, for errors.
        tell: Told the name of each window that ended.

    Raises:
        ArchonError: A window's energy could not be read, or the windows do not separate the
            terms.
    """
    ticks = [d.tick_s for d in recorder.meter.domains if d.name in recorder.basis.domains]
    least_s = max(MIN_WINDOW_S, MIN_TICKS * max(ticks))
    rounds = {design: design.rounds for design in designs}
    loads: list[L] = []
    for attempt in range(1, ATTEMPTS + 1):
        for repeat in range(repeats):
            for design in designs:
                load = window(design, rounds[design])
                if attempt == 1 and repeat == 0 and load.seconds < least_s:
                    growth = min(MAX_GROWTH, 1.2 * least_s / load.seconds)
                    rounds[design] = math.ceil(rounds[design] * growth)
                    load = window(design, rounds[design])
                loads.append(load)
                tell(design.name)
        try:
            fit(loads)
        except ValueError as error:  # disturbed windows: more of them steady the fit
            if attempt == ATTEMPTS:
                raise ArchonError(f"calibration of {what}: {error}") from error
        else:
            break
    return loads


def joules_of(phase: Phase) -> float:
    """Return the joules of a calibration window.

    Raises:
        ArchonError: They could not be read.
    """
    if phase.joules is None:
        raise ArchonError(f"calibration: {_reason(phase.window.domains)}; see `archon energy`")
    return phase.joules


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


def _reason(domains: Sequence[object]) -> str:
    reasons = [getattr(domain, "reason", None) for domain in domains]
    return "energy could not be read: " + "; ".join(r for r in reasons if r)
