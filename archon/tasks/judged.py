"""A task whose answers are all of one kind, with everything pure remembered."""

from abc import abstractmethod
from collections.abc import Mapping
from functools import lru_cache, partial

from archon.tasks.answers import AnswerKind, canonical_answer, extract_answer
from archon.tasks.task import Query, SplitName, Task

_REMEMBERED = 1 << 17


class JudgedTask(Task):
    """Extraction and comparison by answer kind; subclasses grade.

    Replayed trials ask the same three questions about the same texts over and over, so answers
    are remembered per task (the last 131,072 of each).
    """

    def __init__(
        self, name: str, kind: AnswerKind, splits: Mapping[SplitName, tuple[Query, ...]]
    ) -> None:
        self.name = name
        self.kind = kind
        self.splits = splits
        remember = lru_cache(maxsize=_REMEMBERED)
        self._extract = remember(partial(extract_answer, kind=kind))
        self._canonical = remember(partial(canonical_answer, kind=kind))
        self._grade = lru_cache(maxsize=_REMEMBERED)(self.grade)

    @abstractmethod
    def grade(self, query_id: str, answer: str) -> float:
        """Return the source's own score of an answer, in [0, 1]; must be pure."""

    def extract(self, text: str) -> str | None:
        """Return the final answer stated in a completion, or None when it states none."""
        return self._extract(text)

    def canonical(self, answer: str) -> str:
        """Return the form in which answers are compared when voting."""
        return self._canonical(answer)

    def score(self, query: Query, answer: str | None) -> float:
        """Return the score of an extracted answer in [0, 1]; None (no answer) scores 0."""
        return 0.0 if answer is None else self._grade(query.id, answer)
