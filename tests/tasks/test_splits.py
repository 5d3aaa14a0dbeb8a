import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archon.errors import UsageError
from archon.messages import Message
from archon.tasks.splits import prompt_key, split_queries
from archon.tasks.task import SPLITS, Query

prompts = st.lists(st.text(alphabet="abc \n", max_size=4), max_size=40)
seeds = st.integers(0, 3)


def queries_of(texts):
    return [Query(str(i), (Message("user", text),), "r") for i, text in enumerate(texts)]


def keys(queries):
    return [prompt_key(query.messages) for query in queries]


@st.composite
def pools(draw):
    """Queries, and sizes that they suffice for."""
    queries = queries_of(draw(prompts))
    left = len(set(keys(queries)))
    sizes = {}
    for split in SPLITS:
        sizes[split] = draw(st.integers(0, left))
        left -= sizes[split]
    return queries, sizes


@given(pools(), seeds)
def test_splits_have_their_sizes_and_share_no_prompt(pool, seed):
    queries, sizes = pool
    splits = split_queries(queries, sizes, seed)
    assert {name: len(split) for name, split in splits.items()} == sizes
    drawn = [key for split in splits.values() for key in keys(split)]
    assert len(drawn) == len(set(drawn))


@given(pools(), seeds, st.randoms())
def test_the_order_of_the_file_does_not_matter(pool, seed, random):
    queries, sizes = pool
    shuffled = random.sample(queries, len(queries))
    before, after = (split_queries(order, sizes, seed) for order in (queries, shuffled))
    assert all(keys(before[name]) == keys(after[name]) for name in SPLITS)


@given(pools(), seeds, st.data())
def test_test_and_select_depend_on_no_other_size_and_fit_on_test_alone(pool, seed, data):
    queries, sizes = pool
    full = split_queries(queries, sizes, seed)
    smaller = {name: data.draw(st.integers(0, size)) for name, size in sizes.items()}
    fewer = split_queries(queries, smaller, seed)
    for name in ("test", "select"):
        assert fewer[name] == full[name][: smaller[name]]
    same_test = split_queries(queries, smaller | {"test": sizes["test"]}, seed)
    assert same_test["fit"] == full["fit"][: smaller["fit"]]


def test_another_seed_gives_another_assignment():
    queries = queries_of(f"question {i}" for i in range(50))
    sizes = {"fit": 10, "select": 10, "test": 10}
    assert split_queries(queries, sizes, 0) != split_queries(queries, sizes, 1)


def test_prompts_equal_up_to_blanks_and_composition_are_one():
    assert prompt_key((Message("user", "caf\u00e9  au\nlait "),)) == prompt_key(
        (Message("user", "cafe\u0301 au lait"),)
    )
    assert prompt_key((Message("user", "Cafe"),)) != prompt_key((Message("user", "cafe"),))
    assert prompt_key((Message("user", "a"),)) != prompt_key((Message("system", "a"),))


def test_too_few_distinct_queries_says_how_many():
    queries = queries_of(["a", "b", "a ", "b"])
    expected = "the task has 2 distinct queries, but its splits ask for 3 "
    expected += "(fit 1 + select 1 + test 1)"
    with pytest.raises(UsageError, match=re.escape(expected)):
        split_queries(queries, {"fit": 1, "select": 1, "test": 1}, 0)
