"""A question without a reference, as ``archon run`` asks it."""

import re

from archon.errors import UsageError
from archon.tasks.answers import after_thinking, canonical_number, last_line, last_number, unwrap
from archon.tasks.answers import stated_answer as stated
from archon.tasks.task import SPLITS, Query, Task

_RESULT = re.compile(
    r"(?:^|[=≈:]|\b(?:is|equals))[\s*$€£¥]*[-+−]?[$€£¥]?[-+−]?[\d.,/]*\d[\s*$€£¥%.!]*$"
)


class FreeTask(Task):
    """No queries, no references: answers can be extracted and voted on, never scored."""

    def __init__(self) -> None:
        self.name = "free"
        self.splits = dict.fromkeys(SPLITS, ())

    def extract(self, text: str) -> str | None:
        """Return the stated answer, else the number that ends a calculation, else all of it."""
        spoken = after_thinking(text)
        if spoken is None:
            return None
        answer = stated(spoken)
        if answer is None:
            line = last_line(spoken)
            answer = last_number(line) if _RESULT.search(line) else unwrap(spoken)
        return answer or None

    def canonical(self, answer: str) -> str:
        """Return a number in lowest terms, else the text without case, quotes and final period."""
        return canonical_number(answer)

    def score(self, query: Query, answer: str | None) -> float:
        """Raise UsageError: there is nothing to compare with."""
        raise UsageError(
            f'query "{query.id}" has no reference to score {answer!r:.60}: use a task that has one'
        )
