"""A task from a JSON Lines file: one query per line."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from archon.errors import UsageError
from archon.jsonlines import at_line, numbered_rows
from archon.messages import Message
from archon.tasks.judged import JudgedTask
from archon.tasks.scorers import Scorer, scorer_named
from archon.tasks.splits import SplitSizes, prompt_key, split_queries
from archon.tasks.task import Query, SplitName


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class _Turn(_Strict):
    role: Literal["system", "user", "assistant"]
    content: str


class _Row(_Strict):
    id: str | int | None = None
    prompt: str | None = None
    messages: list[_Turn] | None = None
    answer: str | int | float | None = None
    scorer: str | None = None
    weight: float = Field(default=1.0, gt=0)
    value: float = Field(default=1.0, ge=0)
    private: bool = False


def load_jsonl(
    path: Path, sizes: SplitSizes, seed: int, scorer_default: str | None = None
) -> "JsonlTask":
    """Read a task file.

    Every line is an object with ``prompt`` or ``messages`` (ending with the user's), ``answer``
    (the reference), ``scorer`` unless ``scorer_default`` is given, and optionally ``id``,
    ``weight``, ``value``, ``private``. Blank lines are skipped; a prompt that occurs again with
    the same answer is used once.

    Raises:
        UsageError: The file cannot be read, is empty, holds a bad line (the message begins with
            FILE:LINE), mixes kinds of answers, or has too few queries for the sizes.
    """
    if scorer_default is not None:
        scorer_named(scorer_default)
    queries: list[Query] = []
    scorers: dict[str, Scorer] = {}
    line_of_id: dict[str, int] = {}
    first_of_prompt: dict[str, tuple[int, Query]] = {}
    for number, row in numbered_rows(path, _Row, f"cannot read the task file {path}"):
        with at_line(path, number):
            query, scorer = _query(row, number, scorer_default)
            if query.id in line_of_id:
                raise UsageError(
                    f'id "{query.id}" is taken by line {line_of_id[query.id]}: give each its own'
                )
            line_of_id[query.id] = number
            key = prompt_key(query.messages)
            first_line, first = first_of_prompt.setdefault(key, (number, query))
            if first.reference != query.reference:
                raise UsageError(
                    f"the prompt of line {first_line} again, with another answer: keep one of them"
                )
            kind = next(iter(scorers.values()), scorer).kind
            if scorer.kind != kind:
                raise UsageError(
                    f'scorer "{scorer.name}" compares {scorer.kind} answers, the lines before '
                    f"{kind} answers: use one kind per file"
                )
        queries.append(query)
        scorers[query.id] = scorer
    if not queries:
        raise UsageError(f"{path}: the task file is empty: write one JSON object per line")
    try:
        splits = split_queries(queries, sizes, seed)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    return JsonlTask(path.stem, splits, scorers)


class JsonlTask(JudgedTask):
    """Queries of a task file, each graded by its own scorer."""

    def __init__(
        self,
        name: str,
        splits: Mapping[SplitName, tuple[Query, ...]],
        scorers: Mapping[str, Scorer],
    ) -> None:
        super().__init__(name, next(iter(scorers.values())).kind, splits)
        self._scorers = scorers
        self._references = {q.id: q.reference or "" for split in splits.values() for q in split}

    def grade(self, query_id: str, answer: str) -> float:
        """Return the score by the query's own scorer."""
        return self._scorers[query_id].score(answer, self._references[query_id])


def _query(row: _Row, number: int, scorer_default: str | None) -> tuple[Query, Scorer]:
    if (row.prompt is None) == (row.messages is None):
        raise UsageError('give either "prompt" or "messages"')
    turns = tuple(Message(turn.role, turn.content) for turn in row.messages or ())
    messages = turns if row.prompt is None else (Message("user", row.prompt),)
    if not messages or messages[-1].role != "user" or not messages[-1].content.strip():
        raise UsageError("the last message must be the user's and not blank: write the question")
    if row.answer is None:
        raise UsageError('no reference: add "answer"')
    name = row.scorer or scorer_default
    if name is None:
        raise UsageError('no scorer: add "scorer" to the line or set task.scorer for the file')
    scorer = scorer_named(name)
    reference = str(row.answer)
    if not scorer.accepts(reference):
        raise UsageError(
            f'"answer" is {reference!r:.60}, but scorer "{name}" needs {scorer.reference}: '
            "correct it or choose another scorer"
        )
    query_id = f"line-{number}" if row.id is None else str(row.id)
    query = Query(query_id, messages, reference, row.weight, row.value, row.private)
    return query, scorer
