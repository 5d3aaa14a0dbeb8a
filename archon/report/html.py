"""One self-contained page about a finished search: no scripts, nothing fetched."""

import os
from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources
from pathlib import Path

from archon.errors import UsageError
from archon.report.results import Results, Row, load_results
from archon.report.svg import inline_svg
from archon.report.tables import (
    UNMEASURED,
    format_ci,
    format_interval,
    format_number,
    format_si,
)

_GOOD_VERDICTS = {"winner_beats_baselines", "winner_meets_alone"}


def write_report(folder: Path) -> Path:
    """Render a results folder into `report.html` beside its files.

    Raises:
        UsageError: the folder is malformed or not writable, or matplotlib is missing.
    """
    path = folder / "report.html"
    page = render_report(folder)
    part = path.with_suffix(".html.part")
    try:
        part.write_text(page, encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        raise UsageError(f"cannot write {path} ({error.strerror}); make it writable") from None
    return path


def render_report(folder: Path) -> str:
    """The report of a results folder as one HTML document.

    Raises:
        UsageError: a file is missing or malformed, or matplotlib is missing.
    """
    results = load_results(folder)
    sections = (
        _heading(results),
        _verdict(results),
        _key_table(results),
        _scatter(results),
        _ladder(results),
        _importance(results),
        _components(results),
        _search_cost(results),
        _price_check(results),
        _spec(results),
    )
    style = (resources.files("archon.report") / "report.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        # Names and specs come from other people's files: even if one slipped through the
        # escaping, nothing may run or be fetched.
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(results.summary.study)}</title><style>{style}</style></head>"
        f"<body><main>{''.join(sections)}</main></body></html>\n"
    )


def _heading(results: Results) -> str:
    summary = results.summary
    facts = [summary.task, summary.hardware, summary.target.label, summary.created]
    energy = escape(summary.energy.label)
    for word in ("estimated", "predicted", "unmeasured"):
        energy = energy.replace(word, f"<strong>{word}</strong>")
    idle = summary.energy.idle_watts
    if idle is not None:
        energy += f", idle {format_si(idle, 'W')}"
    return (
        f"<header><h1>{escape(summary.study)}</h1>"
        f"<p>{' · '.join(escape(fact) for fact in facts if fact)}</p>"
        f'<p class="basis">{energy}</p></header>'
    )


def _verdict(results: Results) -> str:
    verdict = results.summary.verdict
    if verdict is None:
        return '<p class="verdict plain">The winner has not been confirmed yet.</p>'
    mood = "good" if verdict.kind in _GOOD_VERDICTS else "bad"
    text = escape(verdict.text)
    if results.summary.exported is not None:
        text += f" Exported: <b>{escape(results.summary.exported)}</b>."
    return f'<p class="verdict {mood}">{text}</p>'


def _key_table(results: Results) -> str:
    summary = results.summary
    rows = summary.rows()
    if not rows:
        return "<section><h2>Winner and baselines</h2><p>No pipeline was evaluated.</p></section>"
    metric = summary.objective.metric
    lines = [
        (
            escape(row.name) + (' <span class="tag">winner</span>' if row.winner else ""),
            "test" if row.confirmed else "select, priced",
            _interval_below(format_ci(row.measures.accuracy, row.measures.accuracy_ci, 3)),
            _interval_below(format_ci(row.measures.energy_j, row.measures.energy_ci)),
            _interval_below(format_ci(row.measures.ipw, row.measures.ipw_ci)),
            _interval_below(format_ci(row.measures.ipj, row.measures.ipj_ci)),
            format_number(row.measures.j_per_correct),
            "" if row.winner else _difference(row),
        )
        for row in rows
    ]
    heads = (
        "pipeline",
        "split",
        "accuracy (0 to 1)",
        "energy (J/query)",
        "ipw (1/W)",
        "ipj (1/J)",
        "J per correct answer",
        f"winner's {escape(metric)} minus this",
    )
    note = f"Brackets: 95% intervals. ipw {escape(summary.target.label)}."
    if summary.confirm is not None:
        confirm = summary.confirm
        note += (
            f" Test: {_count(confirm.queries)} queries, {_count(confirm.repeats)} repeats, "
            "live at this load."
        )
        if confirm.floor is not None:
            verb = {True: "meets", False: "misses", None: "was not held against"}
            note += (
                f" The winner {verb[confirm.meets_floor]} the accuracy floor "
                f"{confirm.floor:.3f}{_rule(results)}."
            )
    marks = [("winner" if row.winner else "") for row in rows]
    return _section(results, "Winner and baselines", note, _table(heads, lines, marks))


def _rule(results: Results) -> str:
    rule = results.summary.objective.floor_rule
    return f" ({escape(rule)})" if isinstance(rule, str) else ""


def _difference(row: Row) -> str:
    words = {True: "beaten", False: "not beaten", None: UNMEASURED}
    if row.difference_ci is None:
        return words[row.beaten]
    return f"{words[row.beaten]}<small>{format_interval(row.difference_ci)}</small>"


def _interval_below(value: str) -> str:
    number, bracket, interval = value.partition(" [")
    return f"{number}<small>[{interval}</small>" if bracket else number


def _scatter(results: Results) -> str:
    # Imported here: the other sections' numbers need no matplotlib.
    from archon.report.plots import INK, NARROW, WIDE, scatter_svg

    title = "Accuracy against energy per query"
    drawings = ""
    for name, size in (("wide", WIDE), ("narrow", NARROW)):
        svg = scatter_svg(results, size)
        if svg is None:
            text = "No pipeline has both an accuracy and joules: nothing to draw."
            return f"<section><h2>{title}</h2><p>{text}</p></section>"
        drawings += f'<div class="{name}">{inline_svg(svg, name, title, INK)}</div>'
    note = (
        "Up and to the left is better. Dots and front: the search's estimates on the select "
        "split, joules from the price list. Stopped early: estimates from part of it."
    )
    return f"<section><figure>{drawings}<figcaption>{note}</figcaption></figure></section>"


def _ladder(results: Results) -> str:
    summary = results.summary
    lines = [
        (
            format_number(rung.accuracy, 3),
            format_number(rung.energy_j),
            format_number(rung.ipw),
            format_number(rung.ipj),
            format_number(rung.j_per_correct),
            escape(rung.name),
        )
        for rung in results.ladder
    ]
    best = summary.best.name if summary.best is not None else None
    marks = ["winner" if rung.name == best else "" for rung in results.ladder]
    heads = (
        "accuracy (0 to 1)",
        "energy (J/query)",
        "ipw (1/W)",
        "ipj (1/J)",
        "J per correct answer",
        "pipeline",
    )
    note = "The least joules found for each accuracy. Select split, joules from the price list."
    return _section(results, "The ladder", note, _table(heads, lines, marks, words=(5,)))


def _importance(results: Results) -> str:
    shares = sorted(
        results.summary.importance.items(), key=lambda item: item[1] or 0.0, reverse=True
    )
    told = [(name, share) for name, share in shares if share is None or share >= 0.005]
    lines = [(escape(name), format_number(share, 2), _bar(share)) for name, share in told]
    note = f"Share of the variation of {escape(results.summary.objective.metric)} over the trials."
    if len(told) < len(shares):
        note += f" {len(shares) - len(told)} more parameters have less than 0.005."
    table = _table(("parameter", "importance (0 to 1)", ""), lines)
    return _section(results, "What mattered", note, table)


def _components(results: Results) -> str:
    parts = results.summary.components
    total = sum(part.joules for part in parts if part.joules is not None)
    lines, sentence = [], ""
    for part in sorted(parts, key=lambda part: part.joules or 0.0, reverse=True):
        share = part.joules / total if part.joules is not None and total > 0 else None
        if share is not None and not sentence:
            sentence = f"<b>{escape(part.component)}</b> takes {share:.0%} of the joules."
        lines.append(
            (
                escape(part.component),
                escape(part.model or UNMEASURED),
                _count(part.calls),
                format_si(part.joules, "J"),
                UNMEASURED if share is None else f"{share:.0%}",
                _bar(share),
            )
        )
    heads = ("component", "model", "calls", "energy (J)", "share", "")
    title = "Where the winner's joules go"
    return _section(results, title, f"Confirm run. {sentence}", _table(heads, lines, words=(0, 1)))


def _search_cost(results: Results) -> str:
    cost = results.summary.search
    facts = (
        ("trials", _count(cost.trials)),
        ("distinct pipelines", _count(cost.distinct)),
        ("stopped early", _count(cost.pruned)),
        ("calls generated", _count(cost.calls_generated)),
        ("calls reused", _count(cost.calls_reused)),
        ("energy charged to trials", format_si(cost.joules_charged, "J")),
        ("energy spent", format_si(cost.joules, "J")),
        ("time", UNMEASURED if cost.seconds is None else f"{cost.seconds:,.0f} s"),
        ("queries until repaid", _count(cost.payback_queries)),
    )
    cards = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    note = "Charged: what the trials' calls cost by the price list, had none been reused."
    return _section(results, "What the search cost", note, f'<dl class="cards">{cards}</dl>')


def _price_check(results: Results) -> str:
    summary = results.summary
    best, confirm = summary.best, summary.confirm
    facts = (
        ("winner priced (select)", _joules(best.energy_j if best else None)),
        ("winner confirmed (test)", _joules(confirm.energy_j if confirm else None)),
        ("confirmed / priced − 1", _percent(confirm.priced_error if confirm else None)),
        ("rank correlation over the front", format_number(summary.rank_correlation, 2)),
    )
    cards = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    body = f'<dl class="cards">{cards}</dl>'
    if summary.drift:
        heads = ("window", "time (s)", "energy (J)", "priced (J)", "energy / priced")
        lines = [
            (
                escape(window.label),
                format_number(window.seconds),
                format_number(window.joules),
                format_number(window.priced_j),
                format_number(window.ratio, 2),
            )
            for window in summary.drift
        ]
        body += _table(heads, lines)
    note = "How well the price list foretold the energy of whole windows."
    return _section(results, "Priced against confirmed", note, body)


def _spec(results: Results) -> str:
    if results.spec_yaml is None:
        return "<section><p>Nothing was exported.</p></section>"
    return (
        "<section><details><summary>The exported pipeline, best.yaml</summary>"
        f"<pre>{escape(results.spec_yaml)}</pre></details></section>"
    )


def _section(results: Results, title: str, note: str, body: str) -> str:
    """A titled part; the energy label stands in every title."""
    label = escape(results.summary.energy.label)
    return (
        f'<section><h2>{title} <span class="basis">{label}</span></h2>'
        f'<p class="note">{note}</p>{body}</section>'
    )


def _table(
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


def _bar(share: float | None) -> str:
    width = 0.0 if share is None else 100 * min(max(share, 0.0), 1.0)
    return f'<div class="bar"><div style="width:{width:.1f}%"></div></div>'


def _count(number: float | None) -> str:
    return UNMEASURED if number is None else f"{number:,.0f}"


def _joules(energy_j: float | None) -> str:
    return UNMEASURED if energy_j is None else f"{format_number(energy_j)} J/query"


def _percent(ratio: float | None) -> str:
    return UNMEASURED if ratio is None else f"{ratio:+.1%}"
