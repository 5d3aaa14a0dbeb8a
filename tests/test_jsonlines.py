"""JSON Lines: objects with their line numbers, and one message that names the place."""

import re

import pytest
from pydantic import BaseModel, ConfigDict

from archon.errors import UsageError
from archon.jsonlines import at_line, numbered_rows


class Point(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: str | int
    size: str | int | float | None = None


@pytest.fixture
def path(tmp_path):
    return tmp_path / "points.jsonl"


def read(path):
    return [(number, row.name) for number, row in numbered_rows(path, Point, "cannot read it")]


def test_lines_keep_their_numbers_and_blank_ones_are_skipped(path):
    path.write_text('\ufeff{"name": "a"}\n\n  \n{"name": 2}\r\n', encoding="utf-8")
    assert read(path) == [(1, "a"), (4, 2)]


def test_separators_inside_strings_do_not_end_a_line(path):
    path.write_text('{"name": "a\u2028b"}', encoding="utf-8")
    assert read(path) == [(1, "a\u2028b")]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "write one JSON object per line"),
        ("[1]", "not a JSON object: write one per line"),
        ("{}", '"name": Field required'),
        ('{"name": 1.5}', '"name": must be a text or a whole number'),
        ('{"name": 1, "size": true}', '"size": must be a text or a finite number'),
        ('{"name": 1, "colour": 2}', 'unknown key "colour": use name, size'),
        ('{"name": 1, "str": 2}', 'unknown key "str": use name, size'),
    ],
)
def test_a_bad_line_is_named_with_its_fault(path, line, says):
    path.write_text('{"name": 1}\n\n' + line, encoding="utf-8")
    with pytest.raises(UsageError, match=re.escape(f"{path}:3: ") + ".*" + re.escape(says)):
        read(path)


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "No such file or directory"), (b"\xe9", "it is not UTF-8 text")]
)
def test_a_file_that_cannot_be_read_is_said_as_the_caller_says_it(path, content, reason):
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=f"^cannot read it: {reason}$"):
        read(path)


def test_what_is_wrong_with_a_line_that_parses_is_named_likewise(path):
    with pytest.raises(UsageError, match=re.escape(f"{path}:7: too big")), at_line(path, 7):
        raise UsageError("too big")
