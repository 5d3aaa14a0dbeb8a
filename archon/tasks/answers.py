"""Finding the answer a completion states, and the form in which answers are compared."""

import re
from fractions import Fraction
from typing import Literal

AnswerKind = Literal["number", "choice", "text", "math"]

_LONGEST_NUMBER = 400  # characters; keeps exact arithmetic on model output cheap

_THINK_OPEN, _THINK_CLOSE = "<think>", "</think>"
_BOX = re.compile(r"\\boxed\s*\{")
_ANSWER_TAG = re.compile(r"<answer>(.*?)(</answer>|\Z)", re.IGNORECASE | re.DOTALL)
_STATEMENT = re.compile(
    r"^[ \t>#*_-]*(?:(?:so|thus|hence|therefore)\b,?[ \t]+)?"
    r"(?:the[ \t]+)?(?:final[ \t]+|correct[ \t]+)?answer[ \t*_]*(?::|(?P<verb>is)\b[ \t]*:?)"
    r"(?P<said>.*)$",
    re.IGNORECASE | re.MULTILINE,
)
_WRAPPERS = (
    re.compile(r"^\*\*(?P<inner>(?:(?!\*\*).)*)\*\*$", re.DOTALL),
    re.compile(r"^(?P<ticks>`{1,3})(?P<inner>[^`]+)(?P=ticks)$"),
    re.compile(r"^\$\$?(?P<inner>[^$]+?)\$?\$$"),
    re.compile(r"^\\\((?P<inner>.*)\\\)$", re.DOTALL),
    re.compile(r"^\\\[(?P<inner>.*)\\\]$", re.DOTALL),
    re.compile(r"^\\(?:text|textbf|mathrm|mathbf)\s*\{(?P<inner>[^{}]*)\}$"),
)
_DELIMITER = re.compile(r"\$\$|\\\[|\\\]|```\w*|\*\*")

_LATEX_FRACTION = re.compile(r"\\[dt]?frac\s*(?:\{([^{}]+)\}\s*\{([^{}]+)\}|(\d)\s*(\d))")
_POWER_OF_TEN = re.compile(
    r"(?<=\d)\s*(?:\\times|\\cdot|×|\*)\s*10\s*(?:\^|\*\*)\s*\{?([-+]?\d{1,3})\}?"
)
_TEXT_COMMAND = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\s*\{([^{}]*)\}")
_UNSIGNED = r"(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d{1,3}(?!\d))?"
# A sign right after a digit, word or closing bracket is an operator: "12-5" ends in 5.
_NUMBER = re.compile(
    rf"(?<![\w.)\]])(?P<sign>[-+]?)[$€£¥]?(?P<late_sign>[-+]?)"
    rf"(?P<top>{_UNSIGNED})(?:\s*/\s*(?P<bottom>{_UNSIGNED}))?"
)
_LETTER_ALONE = re.compile(r"\W*(?:(?:option|choice)\s\W*)?([A-J])\W*", re.IGNORECASE)
_LETTER_LEADING = re.compile(r"\W*(?:(?i:option|choice)\s\W*)?([A-HJ])(?![\w'])")
# "A" and "I" are also words: unmarked, they only count where they are the whole answer.
_LETTER = re.compile(r"\(([A-J])\)|(?<![A-Za-z'])(?:([A-J])[).:](?!\w)|([B-HJ])(?![\w']))")

_QUOTES = "\"'`“”‘’"


def extract_answer(text: str, kind: AnswerKind) -> str | None:
    r"""Return the final answer a completion states, or None when it states none.

    The first of these that occurs decides, and when it was cut off there is no answer: the last
    ``\boxed{…}``; the last ``<answer>…</answer>``; the last line that begins "Answer:", "Final
    answer:" or "The answer is" (the next non-empty line when nothing follows on that line).
    Otherwise: the last number; the last option letter A–J; or, for text and maths, the last
    non-empty line. A ``<think>…</think>`` block is not part of the completion.
    """
    spoken = after_thinking(text)
    if spoken is None:
        return None
    stated = stated_answer(spoken)
    match kind:
        case "number":
            return last_number(spoken if stated is None else stated)
        case "choice":
            return _last_letter(spoken) if stated is None else _first_letter(stated)
        case "text" | "math":
            return (last_line(spoken) if stated is None else stated) or None


def after_thinking(text: str) -> str | None:
    """Return what follows the ``<think>`` block, or None when the text ends inside it."""
    _, closed, tail = text.rpartition(_THINK_CLOSE)
    if closed:
        return tail
    return None if _THINK_OPEN in tail else tail


def stated_answer(text: str) -> str | None:
    """Return what the text explicitly gives as its answer.

    Returns:
        The words of the statement, ``""`` when it is empty or cut off, None without a statement.
    """
    boxes = list(_BOX.finditer(text))
    if boxes:
        return unwrap(_balanced(text, boxes[-1].end()))
    tags = list(_ANSWER_TAG.finditer(text))
    if tags:
        return tags[-1][1].strip() if tags[-1][2] else ""
    statements = list(_STATEMENT.finditer(text))
    if not statements:
        return None
    last = statements[-1]
    said = unwrap(last["said"])
    if not said:
        following = (unwrap(line) for line in text[last.end() :].splitlines())
        return next((line for line in following if line), "")
    # "The answer is Paris." is a sentence; "Answer: Paris." may quote one.
    return unwrap(said.removesuffix(".")) if last["verb"] else said


def last_line(text: str) -> str:
    """Return the last non-empty line without Markdown and LaTeX wrappers, or ``""``."""
    lines = (unwrap(line) for line in reversed(text.splitlines()))
    return next((line for line in lines if line), "")


def last_number(text: str) -> str | None:
    """Return the last number in the text as plain digits (``-1234.5``, ``1/2``), or None."""
    found = list(_NUMBER.finditer(_plain(text)))
    return _digits(found[-1]) if found else None


def parse_number(text: str) -> Fraction | None:
    """Return the exact value of a text that is one number and nothing else, or None.

    Understands signs, decimals, exponents, fractions, thousands separators, currency and percent
    signs (both dropped), LaTeX wrappers and a trailing period.
    """
    plain = _plain(unwrap(text)).strip()
    if plain.endswith("."):
        plain = plain[:-1].rstrip()
    match = _NUMBER.fullmatch(plain.removesuffix("%").rstrip(" $€£¥"))
    if match is None or len(plain) > _LONGEST_NUMBER:
        return None
    top, _, bottom = _digits(match).partition("/")
    denominator = Fraction(bottom or 1)
    return Fraction(top) / denominator if denominator else None


def canonical_answer(answer: str, kind: AnswerKind) -> str:
    """Return the form in which two answers of this kind are equal or not."""
    match kind:
        case "number":
            return canonical_number(answer)
        case "choice":
            return _last_letter(answer) or canonical_text(answer)
        case "math":
            return canonical_math(answer)
        case "text":
            return canonical_text(answer)


def canonical_number(text: str) -> str:
    """Return a number in lowest terms (``7.0`` → ``7``, ``0.5`` → ``1/2``), else canonical text."""
    value = parse_number(text)
    return canonical_text(text) if value is None else str(value)


def canonical_text(text: str) -> str:
    """Return the text casefolded, blanks collapsed, without outer quotes and final period."""
    words = " ".join(text.casefold().split())
    while (bare := words.strip(_QUOTES + " ").removesuffix(".").rstrip()) != words:
        words = bare
    return words


def canonical_math(text: str) -> str:
    """Return a number in lowest terms, else the formula without spacing and sizing commands."""
    formula, before = text, None
    while formula != before:  # taking one thing off can lay another bare
        value = parse_number(formula)
        if value is not None:
            return str(value)
        before = formula
        formula = re.sub(r"\\(?:left|right)(?![A-Za-z])|\\[,;:! ]|\s", "", unwrap(formula))
        formula = re.sub(r"\\[dt]frac", r"\\frac", formula).rstrip(".")
    return formula


def unwrap(text: str) -> str:
    r"""Strip blanks, bold, code and LaTeX wrappers (``**7**``, ``$7$``, ``\text{seven}``)."""
    while True:
        bare = text.strip()
        if bare.count("**") == 1:  # "**Answer: 7**" leaves one behind
            bare = bare.removeprefix("**").removesuffix("**").strip()
        for wrapper in _WRAPPERS:
            if match := wrapper.match(bare):
                bare = match["inner"].strip()
        if _DELIMITER.fullmatch(bare):
            return ""
        if bare == text:
            return text
        text = bare


def _balanced(text: str, start: int) -> str:
    """Return the text from ``start`` to the brace that closes it, ``""`` when none does."""
    depth = 1
    for brace in re.finditer(r"\\.|[{}]", text[start:], re.DOTALL):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if depth == 0:
            return text[start : start + brace.start()]
    return ""


def _plain(text: str) -> str:
    """Rewrite LaTeX and typographic notation of numbers in ASCII."""
    for old, new in (("−", "-"), ("{,}", ","), (r"\,", ""), (r"\!", ""), (r"\;", "")):
        text = text.replace(old, new)
    text = text.replace(r"\$", "$").replace(r"\%", "%")
    text = _TEXT_COMMAND.sub(r"\1", text)
    text = _LATEX_FRACTION.sub(lambda m: f"{(m[1] or m[3]).strip()}/{(m[2] or m[4]).strip()}", text)
    return _POWER_OF_TEN.sub(r"e\1", text)


def _digits(match: re.Match[str]) -> str:
    sign = "-" if (match["sign"] == "-") != (match["late_sign"] == "-") else ""
    number = f"{match['top']}/{match['bottom']}" if match["bottom"] else match["top"]
    return sign + number.replace(",", "")


def _last_letter(text: str) -> str | None:
    """Return the option letter: the whole text, else the last unmistakable letter."""
    alone = _LETTER_ALONE.fullmatch(text)
    found = [alone[1].upper()] if alone else [m[m.lastindex or 0] for m in _LETTER.finditer(text)]
    return found[-1] if found else None


def _first_letter(statement: str) -> str | None:
    """Return the option letter of an explicit statement; reasons may follow it."""
    leading = _LETTER_LEADING.match(statement)
    if leading and not _LETTER_ALONE.fullmatch(statement):
        return leading[1]
    found = _LETTER.search(statement)
    return found[found.lastindex or 0] if found else _last_letter(statement)
