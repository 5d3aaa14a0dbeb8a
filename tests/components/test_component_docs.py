"""The pages of the pipeline language say what the components are, and nothing they are not."""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

import search_spaces
from archon import components
from archon.components import COMPONENTS, Component
from archon.search.space import Space
from archon.spec import PipelineSpec, parse_spec

PAGE = (Path(components.__file__).parent / "README.md").read_text(encoding="utf-8")
OWN = {name: cls for name, cls in COMPONENTS.items() if cls.__module__.startswith("archon.")}
STYLES = {"plain": [8]}
SMALL: dict[str, dict[str, Any]] = {
    "single": {"styles": STYLES},
    "ensemble": {"styles": STYLES, "samples": [2], "temperatures": [0.5], "methods": ["mean"]},
    "adaptive": {"styles": STYLES, "samples": [4], "thresholds": [0.5]},
    "programs": {"styles": STYLES, "samples": [2], "temperatures": [0.5], "tests": [2]},
    "archon_itas": {"styles": STYLES, "samples": [1, 2], "fusion_layers": [1], "fusers": [2]},
}
"""Every packaged space, with few values for the axes that give no other components."""
REQUIRED = "required"

every_type = pytest.mark.parametrize("kind", OWN)


@cache
def sections() -> dict[str, str]:
    """Component type → its section."""
    parts = re.split(r"^### `(\w+)`\n", PAGE, flags=re.M)
    bodies = [re.split(r"^#", body, maxsplit=1, flags=re.M)[0] for body in parts[2::2]]
    return dict(zip(parts[1::2], bodies, strict=True))


def table(section: str, header: str) -> list[list[str]]:
    """The cells of the rows below a header line."""
    lines = section.partition(f"{header}\n")[2].splitlines()[1:]
    rows = lines[: next(i for i, line in enumerate(lines) if not line.startswith("|"))]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def as_tables_tell(fields: Mapping[str, Any]) -> dict[str, object]:
    """Name → default of a model's fields, in the types YAML has."""
    return {
        name: REQUIRED if one.is_required() else json.loads(json.dumps(one.default))
        for name, one in fields.items()
        if name != "type"
    }


def told(rows: list[list[str]]) -> dict[str, object]:
    return {
        name.strip("`"): default if default == REQUIRED else yaml.safe_load(default.strip("`"))
        for name, default, _ in rows
    }


def blocks(text: str) -> list[Any]:
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.S)]


def opened(name: str, **axes: list[Any]) -> Iterator[PipelineSpec]:
    space = Space(name, ["a", "b"], SMALL[name] | axes)
    return (space.at(point) for point in space.enumerate())


def all_parts(spec: PipelineSpec) -> Iterator[Component]:
    """The components of a spec and those they hold."""
    for layer in spec.layers:
        for component in layer:
            yield from {id(one): one for one in (component, *component.parts)}.values()


@cache
def parts_of(name: str) -> list[Component]:
    return [part for spec in opened(name) for part in all_parts(spec)]


def claims(kind: str) -> dict[str, dict[str, list[Any]]]:
    """Space → the axes that are said to give the component."""
    (said,) = re.findall(r"^\| tried in \| (.*) \|$", sections()[kind], re.M)
    return {
        name: yaml.safe_load(f"{{{axes}}}")
        for name, axes in re.findall(r"`(\w+)`(?: with `([^`]*)`)?", said)
    }


def test_there_is_a_section_for_each_type_and_no_other() -> None:
    assert sections().keys() == OWN.keys()
    overview = table(PAGE, "| type | reads | writes | calls per query |")
    assert [re.sub(r"\[`(\w+)`\]\(#\1\)", r"\1", row[0]) for row in overview] == list(sections())


@every_type
def test_its_table_holds_its_settings_and_their_defaults(kind: str) -> None:
    rows = table(sections()[kind], "| setting | default | meaning |")
    assert told(rows) == as_tables_tell(OWN[kind].model_fields)
    assert all(meaning for _, _, meaning in rows)


def test_the_fields_of_a_spec_are_told_likewise() -> None:
    rows = table(PAGE, "| field | default | meaning |")
    assert told(rows) == as_tables_tell(PipelineSpec.model_fields)


@every_type
def test_its_counts_are_those_the_code_makes(kind: str) -> None:
    source = Path(sys.modules[OWN[kind].__module__].__file__ or "").read_text(encoding="utf-8")
    made = set(re.findall(rf'(?:``|counts\[f?"){kind}\.(\w+)', source))
    assert set(re.findall(rf"^\| `{kind}\.(\w+)", sections()[kind], re.M)) == made


@every_type
def test_its_examples_are_pipelines_that_load(kind: str) -> None:
    (whole,) = blocks(PAGE.partition("\n## ")[0])
    assert parse_spec(json.dumps(whole), "the first example").layers
    examples = blocks(sections()[kind])
    assert examples
    for layers in examples:
        spec = parse_spec(json.dumps(whole | {"layers": layers}), kind)
        assert any(component.type == kind for layer in spec.layers for component in layer)


def test_every_packaged_space_is_looked_at() -> None:
    files = Path(search_spaces.__file__).parent.glob("*.py")
    assert {file.stem for file in files if "def suggest(" in file.read_text()} == SMALL.keys()


def test_links_lead_somewhere() -> None:
    folder = Path(components.__file__).parent
    headings = {
        re.sub(r"[^\w -]", "", h).lower().replace(" ", "-")
        for h in re.findall(r"^#+ (.*)$", PAGE, re.M)
    }
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        assert target[1:] in headings if target[0] == "#" else (folder / target).exists(), target


@every_type
def test_it_is_tried_where_that_is_said_and_nowhere_else(kind: str) -> None:
    holding = {name for name in SMALL if any(part.type == kind for part in parts_of(name))}
    assert claims(kind).keys() == holding


@every_type
def test_each_value_of_the_axes_that_are_said_to_give_it_does(kind: str) -> None:
    for name, axes in claims(kind).items():
        for values in product(*axes.values()):
            narrowed = {axis: [value] for axis, value in zip(axes, values, strict=True)}
            found = (part for spec in opened(name, **narrowed) for part in all_parts(spec))
            assert any(part.type == kind for part in found), narrowed


@every_type
def test_what_is_said_to_be_tried_nowhere_is_not(kind: str) -> None:
    said = re.findall(r"^\| tried in no space \| (.*) \|$", sections()[kind], re.M)
    for setting in re.findall(r"`([^`]*)`", "".join(said)):
        ((name, value),) = yaml.safe_load(setting).items()
        parts = [part for space in SMALL for part in parts_of(space) if part.type == kind]
        assert value not in {getattr(part, name) for part in parts}
