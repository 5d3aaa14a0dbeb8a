"""What a space names as the pipelines to compare with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Baseline:
    """One point of the space that everybody would try first.

    Attributes:
        family: Name under which it competes, for example ``qwen alone``; of each family the
            best point on *select* is confirmed.
        single: Whether it is one model answering once; ``best_single`` is the best of these.
        params: The choices that make up the point.
    """

    family: str
    single: bool
    params: Mapping[str, Any]
