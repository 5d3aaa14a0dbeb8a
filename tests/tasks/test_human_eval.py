"""HumanEval's own solutions, wrong ones, and answers as models write them."""

import ast
import random
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files

import pytest
import yaml

from archon.errors import UsageError
from archon.tasks import TaskConfig, load_task
from archon.tasks.human_eval import human_eval_problems
from archon.tasks.sandbox import require_sandbox, run_python

PROBLEMS = human_eval_problems()
WRONG = "    return 'a wrong sentinel'\n"
SIZES = {"fit": 32, "select": 48, "test": 84}


@pytest.fixture(scope="module")
def task():
    return load_task(TaskConfig(source="human_eval", seed=7, sizes=SIZES))


def in_parallel(judge, cases):
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(judge, cases))


def passes_plainly(problem, body):
    """Whether program and test, one script, run to their end in one plain interpreter."""
    script = f"{problem.prompt}{body}\n{problem.test}\ncheck({problem.function})\n"
    return run_python(script, unsafe=True).returncode == 0


def passes_here(problem, body):
    names = {}
    try:
        exec(f"{problem.prompt}{body}\n{problem.test}\ncheck({problem.function})\n", names)
    except Exception:
        return False
    return True


def test_every_reference_solution_passes():
    verdicts = in_parallel(lambda problem: problem.judge(problem.solution), PROBLEMS.values())
    assert len(verdicts) == 164
    assert [v for v in verdicts if not v.passed] == []


def test_no_wrong_sentinel_passes():
    verdicts = in_parallel(lambda problem: problem.judge(WRONG), PROBLEMS.values())
    assert {verdict.outcome for verdict in verdicts} == {"failed"}


def test_plain_execution_says_the_same_of_both():
    for problem in PROBLEMS.values():
        assert passes_here(problem, problem.solution)
        assert not passes_here(problem, WRONG)


class _Nudge(ast.NodeTransformer):
    """Changes the nth comparison or number of a function."""

    def __init__(self, n):
        self.n = n

    def visit_Compare(self, node):
        return self._nudge(node, lambda: setattr(node, "ops", [ast.LtE()] * len(node.ops)))

    def visit_Constant(self, node):
        if type(node.value) is int:
            return self._nudge(node, lambda: setattr(node, "value", node.value + 1))
        return node

    def _nudge(self, node, change):
        self.generic_visit(node)
        self.n -= 1
        if self.n == 0:
            change()
        return node


def test_plain_execution_says_the_same_of_slightly_wrong_solutions():
    dice = random.Random(0)
    cases = []
    for name in dice.sample(sorted(PROBLEMS), 20):
        problem = PROBLEMS[name]
        (function,) = ast.parse("def f():\n" + problem.solution).body
        _Nudge(dice.randint(1, 3)).visit(function)
        cases.append((problem, ast.unparse(function).partition("\n")[2]))
    sandboxed = in_parallel(lambda case: case[0].judge(case[1]).passed, cases)
    assert sandboxed == in_parallel(lambda case: passes_plainly(*case), cases)
    assert {True, False} == set(sandboxed)


def test_the_splits_are_disjoint_and_as_large_as_asked(task):
    assert {name: len(split) for name, split in task.splits.items()} == SIZES
    ids = [query.id for split in task.splits.values() for query in split]
    assert set(ids) == set(PROBLEMS)
    assert task.name == "human_eval"


def test_more_than_164_queries_are_refused():
    with pytest.raises(UsageError, match="the task has 164 distinct queries"):
        load_task(TaskConfig(source="human_eval", sizes=SIZES | {"fit": 33}))


def test_the_question_is_the_users_and_shows_the_prompt(task):
    query = task.splits["test"][0]
    (message,) = query.messages
    assert message.role == "user"
    assert PROBLEMS[query.id].prompt.strip() in message.content


def test_the_reference_is_a_whole_function_that_scores_1(task):
    query = task.splits["fit"][0]
    assert task.score(query, query.reference) == 1.0


@pytest.fixture
def add(task):
    return next(q for split in task.splits.values() for q in split if q.id == "HumanEval/53")


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("```python\ndef add(x: int, y: int):\n    return x + y\n```", 1.0),
        ("Sure!\n```python\ndef add(x, y):\n    return x + y\n```\nIt adds.", 1.0),
        ("    return x + y", 1.0),
        ("return x + y", 1.0),
        ("def add(x, y):\n    return sum([x, y])", 1.0),
        ("<think>x - y?</think>```\nreturn x + y\n```", 1.0),
        ("```python\ndef add(x, y):\n    return x - y\n```", 0.0),
        ("I do not know.", 0.0),
        ("", 0.0),
        ("```python\nimport os\nos._exit(0)\n```", 0.0),
    ],
)
def test_an_answer_as_models_write_it(task, add, text, score):
    assert task.score(add, task.extract(text)) == score


def test_a_whole_function_may_use_what_the_prompt_defines():
    problem = PROBLEMS["HumanEval/38"]  # its test needs encode_cyclic, too
    body = problem.solution
    whole = f"def decode_cyclic(s: str):\n{body}"
    assert "encode_cyclic" in body
    assert problem.judge(whole).passed


def test_votes_compare_code_without_comments(task):
    assert task.canonical("return x+y  # the sum") == task.canonical("return x + y")


def test_without_a_sandbox_it_is_refused_unless_told_otherwise(monkeypatch, tmp_path):
    config = TaskConfig(source="human_eval", sizes=SIZES)
    require_sandbox.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="--unsafe-code"):
        load_task(config)
    task = load_task(config, unsafe_code=True)
    query = task.splits["test"][0]
    assert task.score(query, query.reference) == 1.0
    assert task.score(query, "return None") == 0.0


def test_the_shipped_configuration_loads():
    text = files("conf").joinpath("task/human_eval.yaml").read_text()
    config = TaskConfig.model_validate(yaml.safe_load(text))
    assert len(load_task(config).splits["test"]) == config.sizes["test"]
