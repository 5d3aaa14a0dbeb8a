"""What a task is: queries with references, answer extraction, voting form, score."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from archon.messages import Message

SplitName = Literal["fit", "select", "test"]
SPLITS: tuple[SplitName, ...] = ("fit", "select", "test")


@dataclass(frozen=True, slots=True)
class Query:
    """One question. ``weight`` is its traffic weight t, ``value`` its value weight v."""

    id: str
    messages: tuple[Message, ...]
    reference: str | None
    weight: float = 1.0
    value: float = 1.0
    private: bool = False


class Task(ABC):
    """Queries in three disjoint, deduplicated splits, and how their answers are judged.

    Attributes:
        name: Shown in tables, for example ``chain_sum``.
        splits: Queries of *fit* (models and calibration), *select* (the search) and *test*
            (read only by confirmation).
    """

    name: str
    splits: Mapping[SplitName, tuple[Query, ...]]

    @abstractmethod
    def extract(self, text: str) -> str | None:
        """Return the final answer stated in a completion, or None when it states none."""

    @abstractmethod
    def canonical(self, answer: str) -> str:
        """Return the form in which answers are compared when voting (``7.0`` → ``7``)."""

    @abstractmethod
    def score(self, query: Query, answer: str | None) -> float:
        """Return the score of an extracted answer in [0, 1]; None (no answer) scores 0."""

    def partial_score(self, query: Query, answer: str | None) -> float | None:  # noqa: ARG002
        """Return the source's own partial credit, or None; it never enters accuracy."""
        return None
