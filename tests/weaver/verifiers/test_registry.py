"""Verifiers by name, in text and in mappings."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from archon.errors import UsageError
from weaver.verifiers import (
    VERIFIERS,
    AnyVerifier,
    Format,
    Free,
    RubricJudge,
    SelfConsistency,
    YesNoJudge,
    names,
    parse,
    registry,
)


@pytest.mark.parametrize(
    ("text", "verifier"),
    [
        ("consistency", SelfConsistency()),
        (" consistency() ", SelfConsistency()),
        ("judge(model=qwen2.5-coder-1.5b)", YesNoJudge(model="qwen2.5-coder-1.5b")),
        ('judge( model = "a, b" ,reads=answer)', YesNoJudge(model="a, b", reads="answer")),
        ('judge(model="7")', YesNoJudge(model="7")),
        (
            'rubric(model=m, criteria=["right, [fully]", "clear"])',
            RubricJudge(model="m", criteria=("right, [fully]", "clear")),
        ),
        (r'format(pattern="(\\d+)\"$")', Format(pattern=r'(\d+)"$')),
    ],
)
def test_a_verifier_is_written_as_its_type_and_settings(text, verifier):
    assert parse(text) == verifier
    assert parse(verifier.name) == verifier


def test_a_name_holds_what_differs_from_the_defaults():
    assert YesNoJudge(model="m", reads="text").name == "judge(model=m)"
    assert YesNoJudge(model="m", reads="answer").name == "judge(model=m, reads=answer)"
    assert Format(pattern="a, b").name == 'format(pattern="a, b")'


@given(st.text())
def test_any_setting_can_be_written_and_read(model):
    assert parse(YesNoJudge(model=model).name) == YesNoJudge(model=model)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "write type or type"),
        ("judge(", "write type or type"),
        ("judgment(model=m)", r"unknown verifier 'judgment': did you mean judge\? known: .*reward"),
        ("judge", "model: Field required"),
        ("judge(m)", r"cannot read 'm'; write setting=value"),
        ("judge(model=m, model=n)", "model is given twice"),
        ("judge(model=m, tokens=3)", "tokens: Extra inputs are not permitted"),
        ("judge(model=7)", "model: Input should be a valid string"),
        ("judge(model=m, reads=all)", "reads: Input should be 'text' or 'answer'"),
        ("reasoned(model=m, max_tokens=2)", "max_tokens: Input should be greater than or equal"),
        ('reasoned(model=m, max_tokens="99")', "max_tokens: Input should be a valid integer"),
        ("rubric(model=m, criteria=right)", "criteria: Input should be a valid tuple"),
        ("format(pattern=[)", "cannot read"),
        ('format(pattern="[")', "pattern: no regular expression"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text, message):
    with pytest.raises(UsageError, match=message) as caught:
        parse(text)
    assert str(caught.value).startswith(f"verifier {text!r}: ")
    assert "\n" not in str(caught.value)


class Holder(BaseModel):
    verifiers: tuple[AnyVerifier, ...]


def test_a_field_takes_text_mappings_and_verifiers_and_writes_mappings():
    rubric = {"type": "rubric", "model": "m", "criteria": ["right"]}
    holder = Holder(verifiers=["judge(model=m)", rubric, SelfConsistency()])
    assert holder.verifiers == (
        YesNoJudge(model="m"),
        RubricJudge(model="m", criteria=("right",)),
        SelfConsistency(),
    )
    assert Holder.model_validate_json(holder.model_dump_json()) == holder


@pytest.mark.parametrize("raw", [7, {"type": ["judge"]}, {"model": "m"}, "judge(model=m, x=1)"])
def test_a_field_refuses_anything_else(raw):
    with pytest.raises(ValidationError):
        Holder(verifiers=[raw])


# Verifiers of other packages


class Shouting(Free):
    """Half the score for capital letters."""

    type: Literal["shouting"] = "shouting"

    def rate(self, samples):
        return [0.5 if sample.text.isupper() else 1.0 for sample in samples]


@pytest.fixture
def entry_point(tmp_path, monkeypatch):
    """Install a distribution whose entry point is what the test says."""

    def install(name, value):
        folder = tmp_path / "shouting-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text("Name: shouting\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(f"[weaver.verifiers]\n{name} = {value}\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        registry._load_entry_points.cache_clear()

    known = dict(VERIFIERS)
    yield install
    VERIFIERS.clear()
    VERIFIERS.update(known)
    registry._load_entry_points.cache_clear()


def test_an_entry_point_adds_a_verifier(entry_point):
    entry_point("shouting", f"{__name__}:Shouting")
    assert "shouting" in names()
    assert parse("shouting") == Shouting()


def test_an_entry_point_that_is_no_verifier_is_named(entry_point):
    entry_point("shouting", "pathlib:Path")
    with pytest.raises(
        UsageError, match=r"weaver\.verifiers shouting: pathlib:Path is no Verifier"
    ):
        parse("consistency")


def test_an_entry_point_cannot_take_a_name(entry_point):
    entry_point("judge", f"{__name__}:Shouting")
    with pytest.raises(UsageError, match=r"weaver\.verifiers judge: the name is taken"):
        parse("consistency")
