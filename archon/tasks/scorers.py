"""The named ways to compare an answer with its reference."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from archon.errors import UsageError
from archon.tasks.answers import AnswerKind, canonical_answer, canonical_text, parse_number
from archon.tasks.math_equivalence import equivalent, require_math_verify


@dataclass(frozen=True, slots=True)
class Scorer:
    """A comparison of an extracted answer with its reference.

    Attributes:
        name: As written in task files, for example ``numeric`` or ``numeric:0.01``.
        kind: What answers look like; decides extraction and the voting form.
        score: (answer, reference) → score in [0, 1].
        accepts: Whether a text can be a reference of this scorer.
        reference: What a reference must be, for messages.
    """

    name: str
    kind: AnswerKind
    score: Callable[[str, str], float]
    accepts: Callable[[str], bool] = lambda text: bool(text.strip())
    reference: str = "a text that is not empty"


def scorer_named(name: str) -> Scorer:
    """Return a scorer by name.

    ``exact``: equal texts (case, blanks, quotes and final period aside). ``numeric``: equal
    numbers, exactly; ``numeric:0.01`` allows that relative error. ``choice``: the same option
    letter. ``contains``: the reference occurs in the answer as whole words. ``math``: equivalent
    formulas.

    Raises:
        UsageError: No such scorer, a bad tolerance, or ``math`` without math-verify installed.
    """
    if name == "math":
        require_math_verify()
    if name in _SCORERS:
        return _SCORERS[name]
    base, _, argument = name.partition(":")
    tolerance = parse_number(argument)
    if base == "numeric" and tolerance is not None and 0 <= tolerance < 1:
        return _numeric(name, tolerance)
    raise UsageError(
        f'unknown scorer "{name}": use one of {", ".join(_SCORERS)}, or numeric:T with a relative '
        "tolerance T in [0, 1)"
    )


def _same(kind: AnswerKind) -> Callable[[str, str], float]:
    def score(answer: str, reference: str) -> float:
        return float(canonical_answer(answer, kind) == canonical_answer(reference, kind))

    return score


def _numeric(name: str, tolerance: Fraction) -> Scorer:
    def score(answer: str, reference: str) -> float:
        value, target = parse_number(answer), parse_number(reference)
        if value is None or target is None:
            return 0.0
        return float(abs(value - target) <= tolerance * abs(target))

    return Scorer(name, "number", score, lambda text: parse_number(text) is not None, "a number")


def _contains(answer: str, reference: str) -> float:
    words = re.escape(canonical_text(reference))
    return float(re.search(rf"(?<!\w){words}(?!\w)", canonical_text(answer)) is not None)


def _math(answer: str, reference: str) -> float:
    same_form = _same("math")(answer, reference) == 1.0
    return float(same_form or equivalent(answer, reference))


def _is_choice(text: str) -> bool:
    return re.fullmatch(r"[A-J]", canonical_answer(text, "choice")) is not None


_SCORERS = {
    scorer.name: scorer
    for scorer in (
        Scorer("exact", "text", _same("text")),
        _numeric("numeric", Fraction(0)),
        Scorer("choice", "choice", _same("choice"), _is_choice, "an option letter A to J"),
        Scorer("contains", "text", _contains),
        Scorer("math", "math", _math),
    )
}
