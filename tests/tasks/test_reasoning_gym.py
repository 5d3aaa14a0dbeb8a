import inspect
import json
import os
import pkgutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import pytest
import reasoning_gym
from reasoning_gym.factory import DATASETS

from archon.errors import UsageError
from archon.tasks.reasoning_gym import ReasoningGymTask, create, load_reasoning_gym
from archon.tasks.reasoning_gym_safety import (
    ARITHMETIC,
    LITERALS,
    REFUSED,
    arithmetic_value,
    disarm_scorers,
)
from archon.tasks.splits import prompt_key
from archon.tasks.task import SPLITS

TERMS = {"min_terms": 2, "max_terms": 4}
SIZES = {"fit": 4, "select": 8, "test": 12}


@pytest.fixture(scope="module")
def sums():
    return load_reasoning_gym("chain_sum", TERMS, 7, SIZES)


def one(name, params=None):
    task = load_reasoning_gym(name, params or {}, 0, {"fit": 0, "select": 1, "test": 0})
    return task, task.splits["select"][0]


def test_splits_have_their_sizes_and_share_no_prompt(sums):
    assert {name: len(sums.splits[name]) for name in SPLITS} == SIZES
    queries = [query for split in sums.splits.values() for query in split]
    assert len({prompt_key(query.messages) for query in queries}) == 24
    assert len({query.id for query in queries}) == 24


def test_answers_are_numbers_scored_by_the_data_set(sums):
    query = sums.splits["select"][0]
    answer = sums.extract(f"Step by step … = {query.reference}.00.")
    assert sums.score(query, answer) == 1.0
    assert sums.canonical(answer) == query.reference
    assert sums.score(query, None) == 0.0


def test_partial_credit_never_enters_the_score(sums):
    query = sums.splits["select"][0]
    assert 0.0 < sums.partial_score(query, f"1{query.reference}") < 1.0
    assert sums.score(query, f"1{query.reference}") == 0.0


def test_another_seed_gives_other_queries(sums):
    other = load_reasoning_gym("chain_sum", TERMS, 8, SIZES)
    keys = [
        {prompt_key(query.messages) for split in task.splits.values() for query in split}
        for task in (sums, other)
    ]
    assert len(keys[0] & keys[1]) <= 2


def test_a_larger_split_extends_the_smaller_and_leaves_the_others(sums):
    larger = load_reasoning_gym("chain_sum", TERMS, 7, SIZES | {"select": 16})
    assert larger.splits["test"] == sums.splits["test"]
    assert larger.splits["select"][:8] == sums.splits["select"]
    assert larger.splits["fit"] == sums.splits["fit"]


def test_a_new_process_with_another_hash_seed_generates_the_same_queries():
    # ransom_note draws letters from a set
    script = (
        "import json; from archon.tasks.reasoning_gym import load_reasoning_gym as load;"
        "task = load('ransom_note', {}, 3, {'fit': 0, 'select': 3, 'test': 0});"
        "print(json.dumps([q.messages[0].content for q in task.splits['select']]))"
    )
    path = os.pathsep.join(sys.path)
    there = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONHASHSEED": "1", "PYTHONPATH": path},
        capture_output=True,
        check=True,
    )
    here = load_reasoning_gym("ransom_note", {}, 3, {"fit": 0, "select": 3, "test": 0})
    assert json.loads(there.stdout) == [q.messages[0].content for q in here.splits["select"]]


def test_scoring_works_from_many_threads(sums):
    queries = sums.splits["test"] * 20
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda q: sums.score(q, q.reference), queries)) == {1.0}


def test_answers_that_are_not_numbers_are_text():
    task, query = one("spell_backward")
    assert task.extract(f"Reversed:\n{query.reference}") == query.reference
    assert task.score(query, query.reference) == 1.0


def test_a_data_set_without_one_right_answer_scores_by_its_own_rules():
    task, query = one("graph_color", {"min_num_vertices": 3, "max_num_vertices": 3})
    assert query.reference is None
    assert task.score(query, '{"0": 1, "1": 2, "2": 3}') == 1.0
    assert task.score(query, '{"0": 1}') == 0.0


def test_an_answer_its_scorer_cannot_read_scores_zero():
    task, query = one("prime_factorization")
    assert task.score(query, "garbage") == 0.0


def test_a_composite_mixes_data_sets():
    specs = [{"name": "chain_sum", "weight": 1, "config": TERMS}]
    task, query = one("composite", {"datasets": specs})
    assert task.score(query, query.reference) == 1.0


@pytest.mark.parametrize(
    ("name", "params", "complaint"),
    [
        ("chain_sun", {}, 'no data set "chain_sun": set task.name, for example chain_sum'),
        ("", {}, 'no data set ""'),
        ("chain_sum", {"terms": 3}, "no parameter terms: task.params may hold allow_negation,"),
        ("chain_sum", {"seed": 3}, r"seed and size follow from task\.seed and task\.sizes"),
        ("chain_sum", {"min_terms": 9, "max_terms": 2}, "max_terms must be >= min_terms"),
        ("chain_sum", {"min_terms": "two"}, "does not take these params .TypeError"),
        ("composite", {}, "does not take these params"),
        ("polynomial_multiplication", {}, "evaluates a model's answer as Python code"),
        (
            "composite",
            {"datasets": [{"name": "simple_integration"}]},
            "simple_integration: its scorer evaluates",
        ),
    ],
)
def test_a_wrong_name_or_parameter_is_one_line(name, params, complaint):
    with pytest.raises(UsageError, match=complaint) as caught:
        load_reasoning_gym(name, params, 0, SIZES)
    assert "\n" not in str(caught.value)


def test_a_data_set_with_too_few_prompts_is_refused_with_the_number_there_are():
    digits = {"min_terms": 1, "max_terms": 1, "min_digits": 1, "max_digits": 1}
    with pytest.raises(UsageError, match=r"has 10 distinct queries, but its splits ask for 24"):
        load_reasoning_gym("chain_sum", digits, 0, SIZES)
    task = load_reasoning_gym("chain_sum", digits, 0, {"fit": 2, "select": 3, "test": 5})
    assert sorted(q.reference for split in task.splits.values() for q in split) == list(
        "0123456789"
    )


def test_a_missing_package_names_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    with pytest.raises(UsageError, match=r"pip install 'archon-ipw\[tasks\]'"):
        load_reasoning_gym("chain_sum", {}, 0, SIZES)


@pytest.mark.parametrize("name", ["string_insertion", "n_queens", "countdown", "puzzle24"])
def test_no_scorer_runs_an_answer_as_a_program(name, tmp_path):
    disarm_scorers()
    dataset = create(name, {}, seed=0, size=1)
    entry = dataset[0]
    trace = tmp_path / "ran"
    task = ReasoningGymTask(name, dataset, {"fit": [], "select": [entry], "test": []})
    query = task.splits["select"][0]
    assert task.score(query, f"[open({str(trace)!r}, 'w').write('x')]") == 0.0
    assert task.score(query, f"__import__('pathlib').Path({str(trace)!r}).touch()") == 0.0
    assert not trace.exists()
    assert task.score(query, query.reference) == 1.0


def test_every_scorer_that_evaluates_its_answer_is_refused_or_disarmed():
    evaluating = set()
    for name, (dataset, _) in DATASETS.items():
        source = inspect.getsource(dataset.score_answer)
        if any(call in source for call in ("eval(", "exec(", "parse_expr(", "sympify(")):
            evaluating.add((name, dataset.__module__))
    assert {module for name, module in evaluating if name not in REFUSED} == {
        *LITERALS,
        *ARITHMETIC,
    }
    modules = {m.name for m in pkgutil.walk_packages(reasoning_gym.__path__, "reasoning_gym.")}
    assert {*LITERALS, *ARITHMETIC} <= modules


def test_arithmetic_without_a_programming_language():
    assert arithmetic_value(" (1 + 2) * -3 / 4 ") == Fraction(-9, 4)
    for text in ("2**9", "x", "f(1)", "True", "'a'", "1 if 1 else 2", "1+" * 600 + "1"):
        with pytest.raises(ValueError, match="not plain arithmetic"):
            arithmetic_value(text)
