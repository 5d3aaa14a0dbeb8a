"""What fits a model's context: how long a text is at most, and how it is shortened.

No tokenizer is at hand, and a fixed number of characters per token does not bound anything:
English prose has 3.7, sums have 1.15. So pieces are counted that the tokenizers of today's models
would not cut finer: four letters, one digit, one sign, one line break; two for a character
outside ASCII. Against the tokenizers of SmolLM2 and Qwen2.5 that is 1.3 times too many for
English, 1.4 for code, 1.2 for formulas; it falls short for long German words (0.9) and strings
that are no words (0.5). A prompt that still does not fit is refused by its server, and counted as
a failed call.
"""

import re
from collections.abc import Sequence

from archon.messages import Message

CUT = "\n[… cut …]\n"
"""Stands where the middle of a text was."""
_TURN = 16
"""Tokens a chat template adds per message; the templates in use add 4 to 10."""

_PIECE = re.compile(
    r"[^\x00-\x7f]|[A-Za-z]{1,4}|[0-9]|\n|[^\S\n](?=[0-9])|[^\S\n]{2,}|[^\sA-Za-z0-9]"
)


def tokens_in(text: str) -> int:
    """Return about how many tokens a text is, rather too many than too few."""
    count = len(_PIECE.findall(text))
    return count if text.isascii() else count + sum(not char.isascii() for char in text)


def tokens_over(messages: Sequence[Message], reply: int, limit: int) -> int:
    """Return by how many tokens a prompt and `reply` tokens exceed a limit; 0 if they fit."""
    # No tokenizer makes more tokens than there are bytes: most prompts need no counting.
    framing = _TURN * (len(messages) + 1) + reply
    if sum(len(message.content.encode()) for message in messages) + framing <= limit:
        return 0
    return max(0, sum(tokens_in(message.content) for message in messages) + framing - limit)


def shortened(texts: Sequence[str], most: int) -> list[str]:
    """Return the texts, the longest cut until all together are at most `most` tokens.

    All that are cut are cut to the same length, out of the middle, so that beginning and end
    stay: what was asked and what was concluded. At the least, `CUT` is left.
    """
    lengths = [tokens_in(text) for text in texts]
    left, level = max(most, 0), 0
    for index, length in enumerate(sorted(lengths)):
        level = left // (len(lengths) - index)
        if length > level:
            break
        left -= length
    else:
        return list(texts)
    return [
        text if length <= level else _cut(text, level)
        for text, length in zip(texts, lengths, strict=True)
    ]


def _cut(text: str, most: int) -> str:
    spans = [
        match.span() for match in _PIECE.finditer(text) for _ in range(1 + (match[0] > "\x7f"))
    ]
    half = max(0, most - tokens_in(CUT)) // 2
    if half == 0:
        return CUT.strip()
    return text[: spans[half][0]] + CUT + text[spans[-half - 1][1] :]
