"""The quality record of a study's energy: how its joules were got, and what disturbed them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from archon.energy import Basis, Window

IDLE_TOLERANCE = 0.10
"""Relative change of idle watts over a study beyond which it is reported."""

Labelled = tuple[str, Mapping[str, Any] | None]
"""A window as the ledger has it: its label, and its record unless a crash cut it off."""


def quality(
    stored: Sequence[Labelled], basis: Basis, *, idle_watts: float, idle_watts_after: float
) -> dict[str, Any]:
    """Return what a reader needs to judge the joules of a study.

    Args:
        stored: All windows of the study.
        idle_watts: Before the search.
        idle_watts_after: After the confirmation.

    Returns:
        Plain JSON types:

        - ``windows``, ``cut_off`` (by a crash), ``invalid`` (joules unknown) and ``flags``: counts
        - ``shortest_s`` and ``tick_s``: the shortest window's length, the coarsest counter's tick
        - ``error``: largest part of a window's joules that ticks may have added or hidden, over
          the windows that are long enough for such a bound
        - ``temperature_c``: highest seen on a rail of the basis
        - ``others_share``: part of the processor time in windows that other programs spent
        - ``idle_drift``: idle watts after over before, minus 1
        - ``left_out``: measured rails the basis does not count, with reasons
    """
    windows = [Window.from_json(record) for _, record in stored if record is not None]
    rails = [rail for w in windows for rail in w.domains if rail.name in basis.domains]
    known = [(w, joules) for w in windows if (joules := w.joules(basis)) is not None]
    errors = [
        ([rail.error_j for rail in w.domains if rail.name in basis.domains], joules)
        for w, joules in known
        if joules > 0
    ]
    bounds = [
        sum(one for one in parts if one is not None) / joules
        for parts, joules in errors
        if None not in parts
    ]
    shared = [(w.own_share, w.seconds) for w in windows if w.own_share is not None]
    seconds = sum(length for _, length in shared)
    return {
        "windows": len(stored),
        "cut_off": len(stored) - len(windows),
        "invalid": len(windows) - len(known),
        "flags": dict(Counter(flag.partition(":")[0] for w in windows for flag in w.flags)),
        "shortest_s": min((w.seconds for w in windows), default=None),
        "tick_s": max((rail.tick_s for rail in rails), default=None),
        "error": max(bounds, default=None),
        "temperature_c": max((r.temperature_c for r in rails if r.temperature_c), default=None),
        "others_share": 1 - sum(own * length for own, length in shared) / seconds
        if seconds
        else None,
        "idle_drift": idle_watts_after / idle_watts - 1 if idle_watts else None,
        "left_out": list(basis.left_out),
    }
