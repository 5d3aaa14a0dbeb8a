"""Places text beside points so that labels cover neither each other nor what is drawn."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]
"""Shape [n, 4]: x0, y0, x1, y1 of each box, in points."""

_DISTANCES_PT = (8.0, 15.0, 26.0, 40.0, 58.0, 80.0)
_NEAR_PT = 12.0
# In order of preference: text reads best to the right of its point.
_DIRECTIONS = ((1, 0), (1, 1), (1, -1), (0, 1), (0, -1), (-1, 0), (-1, 1), (-1, -1))
_ALIGN: dict[int, Literal["left", "center", "right"]] = {1: "left", 0: "center", -1: "right"}


@dataclass(frozen=True)
class Placement:
    """Where a label goes: its anchor relative to the point, in points, centred vertically."""

    dx: float
    dy: float
    align: Literal["left", "center", "right"]
    box: tuple[float, float, float, float]
    far: bool
    """Whether it needs a line to its point."""


def place_labels(
    points: list[tuple[float, float]],
    sizes: list[tuple[float, float]],
    obstacles: Boxes,
    frame: tuple[float, float, float, float],
) -> list[Placement]:
    """Place labels greedily, in the order given.

    Args:
        points: the labelled points, in points (1/72 inch).
        sizes: width and height of each label.
        obstacles: boxes better not covered, shape [n, 4].
        frame: the box labels stay in.

    Returns:
        One placement per point: of all candidates around it the one that leaves the frame
        least, then covers other labels least, then obstacles, then is nearest.
    """
    placed: list[Placement] = []
    for index, (point, size) in enumerate(zip(points, sizes, strict=True)):
        # Text that starts at another's marker reads as that one's name.
        others = np.delete(np.array(points), index, axis=0)
        near_others = np.hstack([others - _NEAR_PT, others + _NEAR_PT])
        taken = np.array([p.box for p in placed]).reshape(-1, 4)
        candidates = [
            _candidate(point, size, distance, direction)
            for distance in _DISTANCES_PT
            for direction in _DIRECTIONS
        ]
        area = size[0] * size[1]
        costs = [
            1000 * (area - _overlap(c.box, np.array([frame])))
            + 100 * _overlap(c.box, taken)
            + 0.3 * _overlap(c.box, near_others)
            + 0.3 * _overlap(c.box, obstacles)
            + 0.7 * max(abs(c.dx), abs(c.dy))
            for c in candidates
        ]
        placed.append(candidates[int(np.argmin(costs))])
    return placed


def _candidate(
    point: tuple[float, float],
    size: tuple[float, float],
    distance: float,
    direction: tuple[int, int],
) -> Placement:
    width, height = size
    right, up = direction
    dx, dy = right * distance, up * (distance + height / 2)
    if right and up:
        dx = right * distance / 2
    x0 = point[0] + dx + (right - 1) / 2 * width
    y0 = point[1] + dy - height / 2
    return Placement(dx, dy, _ALIGN[right], (x0, y0, x0 + width, y0 + height), distance > 15)


def _overlap(box: tuple[float, float, float, float], others: Boxes) -> float:
    """Summed area the box shares with the others."""
    low = np.maximum(others[:, :2], box[:2])
    high = np.minimum(others[:, 2:], box[2:])
    return float(np.prod(np.clip(high - low, 0, None), axis=1).sum())
