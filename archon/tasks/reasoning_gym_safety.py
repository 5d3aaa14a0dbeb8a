"""Keeping reasoning-gym's scorers from running a model's answer as a program.

Some of its scorers hand the answer to Python's ``eval``, directly or through sympy's
``parse_expr``. Where the answer is a list or sum, the scorer's module gets a parser for just that
under the same name; the others are refused.
"""

import ast
import importlib
import operator
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from archon.errors import UsageError

REFUSED = frozenset({"intermediate_integration", "polynomial_multiplication", "simple_integration"})
LITERALS = (
    "reasoning_gym.algorithmic.binary_matrix",
    "reasoning_gym.algorithmic.number_sorting",
    "reasoning_gym.algorithmic.spiral_matrix",
    "reasoning_gym.algorithmic.string_insertion",
    "reasoning_gym.games.n_queens",
)
ARITHMETIC = ("reasoning_gym.games.countdown", "reasoning_gym.games.puzzle24")

_OPERATORS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def refuse_code_runners(name: str, params: Mapping[str, Any]) -> None:
    """Raise UsageError when the data set, or one that a composite mixes, is not safe to score."""
    members = [name]
    if isinstance(mixed := params.get("datasets"), list):
        members += [str(spec.get("name")) for spec in mixed if isinstance(spec, Mapping)]
    for member in members:
        if member in REFUSED:
            raise UsageError(
                f"reasoning_gym {member}: its scorer evaluates a model's answer as Python code, "
                "which is refused; choose another data set"
            )


def disarm_scorers() -> None:
    """Replace the evaluators of the scorers that need one; calling it again changes nothing."""
    for module in LITERALS:
        vars(importlib.import_module(module))["eval"] = ast.literal_eval
    for module in ARITHMETIC:
        vars(importlib.import_module(module))["parse_expr"] = arithmetic_value


def arithmetic_value(text: str) -> Fraction:
    """Return the exact value of a text of numbers, ``+ - * /`` and brackets.

    Raises:
        ValueError: It holds anything else (powers too: they can take forever).
        SyntaxError: It is not an expression.
        ZeroDivisionError: It divides by zero.
    """

    def value(node: ast.expr) -> Fraction:
        match node:
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                return Fraction(str(number))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -value(operand)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return value(operand)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)](value(left), value(right))
        raise ValueError(f"not plain arithmetic: {text!r:.80}")

    if len(text) > 1000:
        raise ValueError("not plain arithmetic: over 1,000 characters")
    return value(ast.parse(text.strip(), mode="eval").body)
