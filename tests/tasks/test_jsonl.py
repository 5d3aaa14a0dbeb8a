import json
import re

import pytest

from archon.errors import UsageError
from archon.messages import Message
from archon.tasks.jsonl import load_jsonl

ONE_QUERY = {"fit": 0, "select": 1, "test": 0}


@pytest.fixture
def task_file(tmp_path):
    def write(*rows):
        path = tmp_path / "sums.jsonl"
        lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


def row(n, **more):
    return {"prompt": f"What is {n} + 1?", "answer": str(n + 1), "scorer": "numeric"} | more


def only_query(path, scorer=None):
    task = load_jsonl(path, ONE_QUERY, 0, scorer)
    return task, task.splits["select"][0]


def test_a_complete_line(task_file):
    path = task_file(row(1, id="q1", weight=2, value=0.5, private=True))
    task, query = only_query(path)
    assert task.name == "sums"
    assert query.id == "q1"
    assert query.messages == (Message("user", "What is 1 + 1?"),)
    assert query.reference == "2"
    assert (query.weight, query.value, query.private) == (2.0, 0.5, True)


def test_the_least_a_line_must_hold(task_file):
    task, query = only_query(task_file("", {"prompt": "1 + 1?", "answer": 2}), "numeric")
    assert query.id == "line-2"
    assert (query.weight, query.value, query.private) == (1.0, 1.0, False)
    assert task.score(query, "2.0") == 1.0


def test_messages_instead_of_a_prompt(task_file):
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1 + 1?"}]
    _, query = only_query(task_file({"messages": turns, "answer": "2", "scorer": "exact"}))
    assert query.messages == (Message("system", "Be brief."), Message("user", "1 + 1?"))


def test_answers_are_extracted_compared_and_scored_by_the_kind_of_the_scorer(task_file):
    task, query = only_query(task_file(row(1)))
    answer = task.extract("1 + 1 = 2.0")
    assert answer == "2.0"
    assert task.canonical(answer) == "2"
    assert task.score(query, answer) == 1.0
    assert task.score(query, "3") == 0.0
    assert task.score(query, None) == 0.0
    assert task.partial_score(query, answer) is None


def test_scorers_of_one_kind_may_mix_and_each_line_keeps_its_own(task_file):
    path = task_file(
        {"prompt": "Capital?", "answer": "Paris", "scorer": "contains"},
        {"prompt": "Capital of Italy?", "answer": "Rome"},
    )
    task = load_jsonl(path, {"fit": 0, "select": 2, "test": 0}, 0, "exact")
    scores = {q.reference: task.score(q, f"in {q.reference}") for q in task.splits["select"]}
    assert scores == {"Paris": 1.0, "Rome": 0.0}


def test_a_repeated_prompt_is_used_once(task_file):
    path = task_file(row(1), row(1), row(2))
    task = load_jsonl(path, {"fit": 0, "select": 1, "test": 1}, 0)
    assert {q.id for split in task.splits.values() for q in split} == {"line-1", "line-3"}
    with pytest.raises(UsageError, match=r"sums\.jsonl: the task has 2 distinct queries"):
        load_jsonl(path, {"fit": 1, "select": 1, "test": 1}, 0)


def test_line_separators_inside_strings_do_not_end_a_line(task_file):
    text = '{"prompt": "a\u2028b?", "answer": "2", "scorer": "exact"}'
    _, query = only_query(task_file(text))
    assert query.messages[0].content == "a\u2028b?"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('{"prompt": "x"', "Invalid JSON: EOF while parsing an object at line 1 column 14"),
        ("[1, 2]", "not a JSON object"),
        (row(3, anwser="4"), 'unknown key "anwser": use id, prompt, messages, answer'),
        (row(3, answer=None), 'no reference: add "answer"'),
        ({"prompt": "3?", "scorer": "exact"}, 'no reference: add "answer"'),
        ({"answer": "4", "scorer": "exact"}, 'give either "prompt" or "messages"'),
        (row(3, messages=[]), 'give either "prompt" or "messages"'),
        ({"messages": [], "answer": "4", "scorer": "exact"}, "the last message must be the user's"),
        (row(3, prompt=" "), "the last message must be the user's and not blank"),
        (row(3, prompt=3), '"prompt": Input should be a valid string'),
        (row(3, answer=True), '"answer": must be a text or a finite number'),
        (row(3, answer="three"), '"answer" is \'three\', but scorer "numeric" needs a number'),
        (row(3, answer="", scorer="exact"), 'scorer "exact" needs a text that is not empty'),
        (row(3, weight=0), '"weight": Input should be greater than 0'),
        (row(3, value="1"), '"value": Input should be a valid number'),
        ('{"prompt": "x", "answer": NaN}', '"answer": must be a text or a finite number'),
        (row(3, private=1), '"private": Input should be a valid boolean'),
        (row(3, scorer="numerc"), 'unknown scorer "numerc": use one of exact, numeric'),
        (row(3, scorer=None), 'no scorer: add "scorer" to the line or set task.scorer'),
        (row(3, scorer="exact"), 'scorer "exact" compares text answers, the lines before number'),
        (row(3, id="q1"), 'id "q1" is taken by line 1: give each its own'),
        (row(1, answer="3"), "the prompt of line 1 again, with another answer"),
        (
            {"messages": [{"role": "human", "content": "x"}], "answer": "1"},
            "\"messages.0.role\": Input should be 'system', 'user' or 'assistant'",
        ),
    ],
)
def test_a_bad_line_three_is_named_with_its_fault(task_file, line, complaint):
    path = task_file(row(1, id="q1"), row(2), line, row(4))
    with pytest.raises(UsageError, match=re.escape(f"{path}:3: ") + ".*" + re.escape(complaint)):
        load_jsonl(path, ONE_QUERY, 0)


def test_an_unknown_default_scorer_is_refused(task_file):
    with pytest.raises(UsageError, match='unknown scorer "numerc"'):
        load_jsonl(task_file(row(1)), ONE_QUERY, 0, "numerc")


def test_an_empty_file_is_refused(task_file):
    with pytest.raises(UsageError, match=r"sums\.jsonl: the task file is empty"):
        load_jsonl(task_file("", "  "), ONE_QUERY, 0)


def test_an_unreadable_file_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"none\.jsonl: No such file"):
        load_jsonl(tmp_path / "none.jsonl", ONE_QUERY, 0)
    with pytest.raises(UsageError, match="Is a directory"):
        load_jsonl(tmp_path, ONE_QUERY, 0)
    (tmp_path / "latin.jsonl").write_bytes(b'{"prompt": "caf\xe9"}')
    with pytest.raises(UsageError, match="not UTF-8"):
        load_jsonl(tmp_path / "latin.jsonl", ONE_QUERY, 0)
