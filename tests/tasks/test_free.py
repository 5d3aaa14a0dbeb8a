import pytest

from archon.errors import UsageError
from archon.messages import Message
from archon.tasks import FreeTask, Query


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("43", "43"),
        ("12 + 31 = 43.", "43"),
        ("Add them.\n12 + 31 = **43**", "43"),
        ("The sum of 12 and 31 is 1,043.", "1043"),
        ("Hard.\nAnswer: Paris\nSure.", "Paris"),
        (r"\boxed{x + 1}", "x + 1"),
        ("Shakespeare wrote it in 1603.", "Shakespeare wrote it in 1603."),
        ("First line.\nSecond line.", "First line.\nSecond line."),
        ("Answer:", None),
        ("<think>43", None),
        ("<think>43</think>44", "44"),
        ("", None),
    ],
)
def test_extraction(text, answer):
    assert FreeTask().extract(text) == answer


def test_equal_numbers_and_equal_texts_vote_together():
    task = FreeTask()
    assert task.canonical("7.0") == task.canonical("7")
    assert task.canonical("Paris.") == task.canonical(" paris")


def test_there_is_nothing_to_score():
    query = Query("q", (Message("user", "?"),), None)
    with pytest.raises(UsageError, match='query "q" has no reference'):
        FreeTask().score(query, "7")
