"""Finding the Python code a completion gives, and the form in which code is compared."""

import io
import re
import textwrap
import tokenize

from archon.tasks.answers import after_thinking

_FENCED = re.compile(
    r"^(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})[^`\n]*\n"
    r"(?P<code>.*?)(?:^[ \t]*(?P=fence)[ \t]*$|\Z)",
    re.MULTILINE | re.DOTALL,
)
_DEFINITION = re.compile(r"^[ \t]*(?:async[ \t]+)?def[ \t]", re.MULTILINE)
_LAYOUT = {tokenize.INDENT: "{", tokenize.DEDENT: "}", tokenize.NEWLINE: ";"}
_UNSEEN = {tokenize.COMMENT, tokenize.NL, tokenize.ENDMARKER}


def extract_code(text: str) -> str | None:
    """Return the code of a completion, or None when there is none.

    Of fenced blocks it is the last that defines a function (examples of its use may follow), or
    the first when none does; a block that was cut off counts as far as it goes. Without fences
    it is the whole text. Indentation stays: the code may go on where a prompt ended.
    """
    spoken = after_thinking(text) or ""
    blocks = [
        textwrap.dedent(match["code"]) if match["indent"] else match["code"]
        for match in _FENCED.finditer(spoken)
    ]
    defining = [block for block in blocks if _DEFINITION.search(block)]
    code = (defining[-1:] or blocks[:1] or [spoken])[0]
    return code.strip("\n").rstrip() or None


def canonical_code(code: str) -> str:
    """Return the code's tokens, equal for code that differs in comments and layout alone."""
    lines = io.StringIO(textwrap.dedent(code)).readline
    try:
        tokens = list(tokenize.generate_tokens(lines))
    except (tokenize.TokenError, SyntaxError):
        return code.strip()
    return " ".join(_LAYOUT.get(t.type, t.string) for t in tokens if t.type not in _UNSEEN)


def complete_programs(prompt: str, code: str, function: str) -> list[str]:
    """Return the programs that code can mean as an answer to a prompt, likeliest first.

    Args:
        prompt: Code that ends with the head and docstring of a function.
        code: Defines that function anew, or goes on with its body; models often drop the
            indentation of a body, or that of its first line.
        function: Its name.
    """
    if re.search(rf"^(?:async[ \t]+)?def[ \t]+{re.escape(function)}\b", code, re.MULTILINE):
        return [f"{prompt}\n\n{code}\n", f"{code}\n"]
    bodies = (code, " " * 4 + code.lstrip(), textwrap.indent(textwrap.dedent(code), " " * 4))
    return [f"{prompt.rstrip()}\n{body}\n" for body in bodies]
