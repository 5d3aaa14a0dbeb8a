"""What every page is made of: one self-contained document, sections, tables, cards."""

import os
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path

from archon.errors import UsageError
from archon.report.results import Energy, printable
from archon.report.tables import UNMEASURED, format_si


def write_page(path: Path, page: str) -> None:
    """Write a page whole or not at all.

    Raises:
        UsageError: the path is not writable.
    """
    part = path.with_suffix(f"{path.suffix}.part")
    try:
        part.write_text(page, encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        raise UsageError(f"cannot write {path} ({error.strerror}); make it writable") from None


def document(title: str, sections: Iterable[str]) -> str:
    """One HTML document of finished sections; it runs nothing and fetches nothing."""
    style = (resources.files("archon.report") / "report.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        # Names and specs come from other people's files: even if one slipped through the
        # escaping, nothing may run or be fetched.
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{style}</style></head>"
        f"<body><main>{''.join(sections)}</main></body></html>\n"
    )


def heading(title: str, about: Iterable[str | None], energy: Energy) -> str:
    """The head of a page; how the joules were got stands out where they were not measured."""
    basis = escape(energy.label)
    for word in ("estimated", "predicted", "unmeasured"):
        basis = basis.replace(word, f"<strong>{word}</strong>")
    if energy.idle_watts is not None:
        basis += f", idle {format_si(energy.idle_watts, 'W')}"
    return (
        f"<header><h1>{escape(title)}</h1>"
        f"<p>{' · '.join(escape(fact) for fact in about if fact)}</p>"
        f'<p class="basis">{basis}</p></header>'
    )


def section(energy: Energy, title: str, note: str, body: str) -> str:
    """A titled part; the energy label stands in every title.

    Args:
        energy: how the joules were got.
        title: HTML.
        note: HTML, said below the title.
        body: HTML.
    """
    return (
        f'<section><h2>{title} <span class="basis">{escape(energy.label)}</span></h2>'
        f'<p class="note">{note}</p>{body}</section>'
    )


def table(
    heads: Sequence[str],
    lines: Iterable[Sequence[str]],
    marks: Sequence[str] | None = None,
    words: Sequence[int] = (0,),
) -> str:
    """A table of finished HTML cells.

    Args:
        heads: the column titles.
        lines: the rows' cells.
        marks: the rows' classes.
        words: the columns that hold names, which may wrap; numbers never do.
    """
    body = ""
    for index, line in enumerate(lines):
        mark = f' class="{marks[index]}"' if marks and marks[index] else ""
        cells = (
            f'<td class="words">{cell}</td>' if column in words else f"<td>{cell}</td>"
            for column, cell in enumerate(line)
        )
        body += f"<tr{mark}>{''.join(cells)}</tr>"
    if not body:
        return f"<p>{UNMEASURED}</p>"
    head = "".join(f"<th>{cell}</th>" for cell in heads)
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def cards(pairs: Iterable[tuple[str, str]]) -> str:
    """Names with their values, both HTML."""
    inner = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in pairs)
    return f'<dl class="cards">{inner}</dl>'


def facts(known: Mapping[str, str]) -> str:
    """Names and values, both plain text, one a line."""
    items = "".join(
        f"<div><dt>{text(name)}</dt><dd>{text(value) or UNMEASURED}</dd></div>"
        for name, value in known.items()
    )
    return f'<dl class="facts">{items}</dl>'


def terms(explained: Mapping[str, str]) -> str:
    """What words mean, both HTML, in small print."""
    items = "".join(
        f"<div><dt>{name}</dt><dd>{said}</dd></div>" for name, said in explained.items()
    )
    return f'<dl class="terms">{items}</dl>'


def text(plain: str) -> str:
    """Someone else's text as HTML."""
    return escape(printable(plain))


def bar(share: float | None) -> str:
    """A bar of so much of the width, of 1."""
    width = 0.0 if share is None else 100 * min(max(share, 0.0), 1.0)
    return f'<div class="bar"><div style="width:{width:.1f}%"></div></div>'


def interval_below(value: str) -> str:
    """`3.21 [3.10, 3.35]` with its interval on a line of its own."""
    number, bracket, interval = value.partition(" [")
    return f"{number}<small>[{interval}</small>" if bracket else number


def count(number: float | None) -> str:
    """A whole number; "–" for None."""
    return UNMEASURED if number is None else f"{number:,.0f}"


def percent(ratio: float | None) -> str:
    """A signed percentage; "–" for None."""
    return UNMEASURED if ratio is None else f"{ratio:+.1%}"
