"""Fixed points of slow maps: SQUAREM extrapolation (Varadhan & Roland 2008, scheme S3)."""

from collections.abc import Callable

import numpy as np

from weaver.scores import Floats

TOLERANCE = 1e-4
MOST_ROUNDS = 100


def fixed_point(step: Callable[[Floats], Floats], start: Floats, limit: Floats) -> Floats:
    """Return a point that `step` moves by less than `TOLERANCE` in every coordinate.

    Each round takes two steps and extrapolates them. An extrapolation after which a step is more
    than twice as long as before led away, and is taken back. After `MOST_ROUNDS` the point
    reached is returned: with few data an expectation maximisation may creep for ever.

    Args:
        step: the map.
        start: where to start.
        limit: coordinates are held within ± this.
    """
    point = retreat = start
    last = np.inf
    for _ in range(MOST_ROUNDS):
        one = step(point)
        move = one - point
        size = float(np.abs(move).max())
        if size < TOLERANCE:
            return one
        if size > 2 * last:
            point, last = retreat, np.inf
            continue
        two = step(one)
        bend = (two - one) - move
        curve = float(np.linalg.norm(bend))
        length = np.clip(float(np.linalg.norm(move)) / max(curve, 1e-300), 1.0, 64.0)
        retreat, last = two, size
        point = np.clip(point + 2 * length * move + length**2 * bend, -limit, limit)
    return retreat
