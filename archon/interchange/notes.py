"""What was changed on the way from one language to the other, for the reader."""

import re
from collections.abc import Sequence


class Notes:
    """Remarks with their places; equal remarks about several places become one line."""

    def __init__(self) -> None:
        self._places: dict[str, list[str]] = {}

    def add(self, place: str, text: str) -> None:
        """Add a remark about a place such as ``layers[1][0]``."""
        self._places.setdefault(text, []).append(place)

    def lines(self) -> list[str]:
        """Return one line per remark, in the order in which they were first made."""
        return [f"{_joined(places)}: {text}" for text, places in self._places.items()]


def _joined(places: Sequence[str]) -> str:
    """Return places in few words: ``layers[0][0-5], layers[1][0]``."""
    runs: list[tuple[str, int | None, int | None]] = []
    for place in places:
        match = re.fullmatch(r"(.*)\[(\d+)\]", place)
        prefix, index = (match[1], int(match[2])) if match else (place, None)
        before = runs[-1] if runs else None
        if before and index is not None and before[0] == prefix and before[2] == index - 1:
            runs[-1] = (prefix, before[1], index)
        else:
            runs.append((prefix, index, index))
    return ", ".join(_shown(*run) for run in runs)


def _shown(prefix: str, first: int | None, last: int | None) -> str:
    if first is None:
        return prefix
    return f"{prefix}[{first}]" if first == last else f"{prefix}[{first}-{last}]"
