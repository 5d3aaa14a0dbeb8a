"""A pipeline as a tree of facts: what stands where, what it may take, what it was seen to take."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict

from archon.report.results import Number, Text, printable
from archon.report.tables import UNMEASURED, format_si, shorten

_LONGEST = 60
"""Characters of a setting that are shown."""
_RATES = ("tpr", "tnr")
Rows = tuple[tuple["Node", ...], ...]


class _Seen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class SeenPart(_Seen):
    """One component in the confirmation, per query; its joules are a share of the windows'."""

    component: Text
    model: Text
    calls: Number = None
    energy_j: Number = None


class OnSelect(_Seen):
    """What the search expected: joules from the price list."""

    accuracy: Number = None
    energy_j: Number = None


class Measured(_Seen):
    """What a spec says was seen of it."""

    accuracy: Number = None
    energy_j: Number = None
    basis: Text | None = None
    split: Text | None = None
    queries: int | None = None
    repeats: int | None = None
    on_select: OnSelect | None = None
    components: tuple[SeenPart, ...] | None = None


@dataclass(frozen=True, slots=True)
class Spent:
    """What a part was seen to spend, per query.

    Attributes:
        alike: Parts that this is the sum of: those of one type and model in one pipeline are
            accounted together.
    """

    calls: float | None
    energy_j: float | None
    alike: int = 1


@dataclass(frozen=True, slots=True)
class Node:
    """A component, a pipeline inside one (such as ``stage 1``), or a verifier.

    Attributes:
        kind: Its type.
        settings: Those that are not as they would be anyway.
        found: What fitting found out, in words and numbers.
        calls: Least and most calls of a query; None where that is not known.
        tokens: The most it writes for a query.
        priced_j: What so many calls and tokens cost; prompts come on top.
        measured: None where nobody looked.
        layers: What it holds, in order; the parts of a layer run at once.
    """

    kind: str
    model: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    found: Mapping[str, float | str] = field(default_factory=dict)
    calls: tuple[int, int] | None = None
    tokens: int | None = None
    priced_j: float | None = None
    measured: Spent | None = None
    layers: Rows = ()

    @property
    def asks(self) -> bool:
        """Whether it may call a model."""
        return self.calls is None or self.calls[1] > 0

    @property
    def settings_told(self) -> str:
        """The settings in words, such as ``samples 4, temperature 0.8``."""
        return ", ".join(_told(name, value) for name, value in self.settings.items())

    @property
    def found_told(self) -> str:
        """What fitting found out in words.

        The share of yes to what is correct (TPR), of no to what is wrong (TNR), and how far a
        yes moves the log-odds (weight).
        """
        return ", ".join(
            f"{name}: {_plain(value)}"
            if isinstance(value, str)
            else f"{name.upper() if name in _RATES else name} {_plain(value)}"
            for name, value in self.found.items()
        )

    @property
    def takes_told(self) -> str:
        """Calls and tokens of a query in words."""
        if self.calls is None:
            return f"{UNMEASURED} calls"
        least, most = self.calls
        if not most:
            return "no calls"
        calls = f"{most} call{'s' if most > 1 else ''}"
        if 0 < least < most:
            calls = f"{least} to {calls}"
        elif least < most:
            calls = f"at most {calls}"
        return f"{calls}, at most {self.tokens:,} token{'s' if self.tokens != 1 else ''}"


@dataclass(frozen=True, slots=True)
class Tree:
    """A pipeline.

    Attributes:
        total: All its layers.
    """

    name: str
    measured: Measured | None
    total: Node

    @property
    def layers(self) -> Rows:
        """What runs one after the other."""
        return self.total.layers

    def share(self, node: Node) -> float | None:
        """Return the share of the measured joules that a part took, of 1; None if not known."""
        total, own = self.total.measured, node.measured
        if total is None or own is None or own.energy_j is None or not total.energy_j:
            return None
        return own.energy_j / total.energy_j

    def measured_told(self, node: Node) -> str:
        """Return what a part was seen to take, in words."""
        seen, share = node.measured, self.share(node)
        if seen is None:
            return UNMEASURED
        calls = UNMEASURED if seen.calls is None else f"{seen.calls:.3g}"
        told = f"{calls} calls, {format_si(seen.energy_j, 'J')}"
        told += "" if share is None else f" ({share:.0%})"
        return told if seen.alike == 1 else f"{told} by {seen.alike} such together"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        measured = None if self.measured is None else self.measured.model_dump(mode="json")
        return {"name": self.name, "measured": measured, "pipeline": asdict(self.total)}


def _told(name: str, value: object) -> str:
    name = name.replace("_", " ")
    if value is True:
        return name
    return f"{name} {_plain(value)}"


def _plain(value: object) -> str:
    """Return a setting as people write it, on one line."""
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list | tuple):
        return " ".join(map(_plain, value)) or "none"
    words = {"True": "yes", "False": "no", "None": "none"}
    text = value if isinstance(value, str) else words.get(str(value), str(value))
    return shorten(printable(text), _LONGEST)
