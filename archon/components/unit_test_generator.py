"""The unit test generator: what a correct reply satisfies, by a model that reads the question."""

import ast
import json
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from archon.components.base import Component, Steps, register
from archon.components.context import Context, ask_about
from archon.components.generator import require_variety
from archon.components.state import State, TestKind, UnitTest
from archon.engines.base import Sampling

_ASSERTIONS = """Write {n} statements that a correct reply to the request above satisfies and a \
wrong one breaks. Each is one sentence that can be checked by reading the reply. Reply with JSON \
only: {{"tests": ["…", …]}}"""

_PYTHON = """Write {n} tests of the Python function that the request above asks for. Each is a few \
lines of Python that call the function and assert what it returns; they do not define it. Reply \
with JSON only: {{"function": "its name", "tests": ["assert …", …]}}"""

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class _Assertions(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    tests: list[Text] = Field(min_length=1)


class _Scripts(_Assertions):
    function: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*$")]


@register
class UnitTestGenerator(Component):
    """Writes tests of the replies to the question, before there are any or after.

    Reads messages, writes unit tests; candidates stay as they are. Calls: `samples`. A reply is
    one JSON object (the schema goes with the request); one that is not, also because it was cut
    off or its call failed, gives no tests and counts as ``unit_test_generator.unparsed``. Equal
    tests are kept once. A script that does not call the function, or gives its name to something
    else, says nothing of it, and counts as ``unit_test_generator.pointless``.

    Attributes:
        kind: ``assertions``: sentences, for an evaluator with a model to judge. ``python``:
            scripts that call one function, for an evaluator without a model to run.
        tests: Most tests of one sample.
    """

    type: Literal["unit_test_generator"] = "unit_test_generator"
    model: str
    kind: TestKind = "assertions"
    tests: int = Field(5, ge=1, le=64)
    samples: int = Field(1, ge=1, le=64)
    temperature: float = Field(0.0, ge=0, le=2)
    max_tokens: int = Field(384, ge=16)

    shares_layer: ClassVar[bool] = True

    @model_validator(mode="after")
    def _check(self) -> "UnitTestGenerator":
        require_variety(self.samples, self.temperature)
        return self

    @property
    def writes_tests(self) -> TestKind:
        """See `Component.writes_tests`."""
        return self.kind

    def run(self, state: State, context: Context) -> Steps:
        """See `Component.run`."""
        prompt = (_ASSERTIONS if self.kind == "assertions" else _PYTHON).format(n=self.tests)
        sampling = Sampling(self.temperature, self.max_tokens, json_schema=self._schema())
        request = context.request(
            self.model, ask_about(state.messages, prompt), sampling, self.samples
        )
        (drawn,) = yield (request,)
        found: dict[UnitTest, None] = {}
        for completion in drawn.completions[: self.samples]:
            tests = parse_tests(completion.text, self.kind)
            if tests is None:
                context.counts["unit_test_generator.unparsed"] += 1
                continue
            for test in tests[: self.tests]:
                if _says_something(test):
                    found[test] = None
                else:
                    context.counts["unit_test_generator.pointless"] += 1
        return tuple(found)

    def most_candidates(self, arriving: int) -> int:
        """Return `arriving`: it leaves candidates alone."""
        return arriving

    def _schema(self) -> str:
        listed = {
            "type": "array",
            "items": {"type": "string"},
            "minItems": 1,
            "maxItems": self.tests,
        }
        properties: dict[str, object] = {"tests": listed}
        if self.kind == "python":
            properties = {"function": {"type": "string"}, **properties}
        schema = {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }
        return json.dumps(schema)


def parse_tests(text: str, kind: TestKind) -> list[UnitTest] | None:
    """Return the tests in a reply that is the JSON object asked for and nothing else, or None."""
    try:
        if kind == "assertions":
            return [UnitTest(kind, one) for one in _Assertions.model_validate_json(text).tests]
        scripts = _Scripts.model_validate_json(text)
    except ValueError:
        return None
    return [UnitTest(kind, one, scripts.function) for one in scripts.tests]


def _says_something(test: UnitTest) -> bool:
    """Return whether a test can tell one reply from another: a script calls the function, as it is.

    One that gives the function's name to something else would be a test of that.
    """
    if test.kind == "assertions":
        return True
    try:
        nodes = list(ast.walk(ast.parse(test.text)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    calls = any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == test.entry_point
        for node in nodes
    )
    return calls and test.entry_point not in {name for node in nodes for name in _bound(node)}


def _bound(node: ast.AST) -> Iterator[str | None]:
    """Yield the names that a piece of a program gives a value to, or takes it from."""
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.arg(arg=name) | ast.ExceptHandler(name=name):
            yield name
        case ast.MatchAs(name=name) | ast.MatchStar(name=name) | ast.MatchMapping(rest=name):
            yield name
        case ast.alias(name=module, asname=name):
            yield name or module.partition(".")[0]
        case ast.Global(names=names) | ast.Nonlocal(names=names):
            yield from names
