"""One self-contained page about a finished search: no scripts, nothing fetched."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from archon.errors import UsageError
from archon.report.diagram import diagram
from archon.report.page import (
    bar,
    cards,
    count,
    document,
    heading,
    interval_below,
    percent,
    section,
    table,
    write_page,
)
from archon.report.pipeline_tree import pipeline_tree
from archon.report.results import ComponentEnergy, Results, Row, load_results
from archon.report.svg import inline_svg
from archon.report.tables import (
    UNMEASURED,
    format_ci,
    format_interval,
    format_number,
    format_si,
)
from archon.spec import parse_spec

_GOOD_VERDICTS = {"winner_beats_baselines", "winner_meets_alone"}


def write_report(folder: Path) -> Path:
    """Render a results folder into `report.html` beside its files.

    Raises:
        UsageError: the folder is malformed or not writable, or matplotlib is missing.
    """
    path = folder / "report.html"
    write_page(path, render_report(folder))
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
        _certainty(results),
        _search_cost(results),
        _price_check(results),
        _quality(results),
        _spec(results),
    )
    return document(results.summary.study, sections)


def _heading(results: Results) -> str:
    summary = results.summary
    facts = [summary.task, summary.hardware, summary.target.label, summary.created]
    return heading(summary.study, facts, summary.energy)


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
            interval_below(format_ci(row.measures.accuracy, row.measures.accuracy_ci, 3)),
            interval_below(format_ci(row.measures.energy_j, row.measures.energy_ci)),
            format_number(row.measures.energy_net_j),
            interval_below(format_ci(row.measures.ipw, row.measures.ipw_ci)),
            interval_below(format_ci(row.measures.ipj, row.measures.ipj_ci)),
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
        "net of idle (J/query)",
        "ipw (1/W)",
        "ipj (1/J)",
        "J per correct answer",
        f"winner's {escape(metric)} minus this",
    )
    note = f"Brackets: 95% intervals. ipw {escape(summary.target.label)}."
    if summary.confirm is not None:
        confirm = summary.confirm
        note += (
            f" Test: {count(confirm.queries)} queries, {count(confirm.repeats)} repeats, "
            "live at this load."
        )
        if confirm.floor is not None:
            verb = {True: "meets", False: "misses", None: "was not held against"}
            note += (
                f" The winner {verb[confirm.meets_floor]} the accuracy floor "
                f"{confirm.floor:.3f}{_rule(results)}."
            )
    marks = [("winner" if row.winner else "") for row in rows]
    return section(results.summary.energy, "Winner and baselines", note, table(heads, lines, marks))


def _rule(results: Results) -> str:
    rule = results.summary.objective.floor_rule
    return f" ({escape(rule)})" if isinstance(rule, str) else ""


def _difference(row: Row) -> str:
    words = {True: "beaten", False: "not beaten", None: UNMEASURED}
    if row.difference_ci is None:
        return words[row.beaten]
    return f"{words[row.beaten]}<small>{format_interval(row.difference_ci)}</small>"


def _scatter(results: Results) -> str:
    # Imported here: the other sections' numbers need no matplotlib.
    from archon.report.drawing import INK
    from archon.report.plots import NARROW, WIDE, scatter_svg

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
    return section(
        results.summary.energy, "The ladder", note, table(heads, lines, marks, words=(5,))
    )


def _importance(results: Results) -> str:
    shares = sorted(
        results.summary.importance.items(), key=lambda item: item[1] or 0.0, reverse=True
    )
    told = [(name, share) for name, share in shares if share is None or share >= 0.005]
    lines = [(escape(name), format_number(share, 2), bar(share)) for name, share in told]
    note = f"Share of the variation of {escape(results.summary.objective.metric)} over the trials."
    if len(told) < len(shares):
        note += f" {len(shares) - len(told)} more parameters have less than 0.005."
    body = table(("parameter", "importance (0 to 1)", ""), lines)
    return section(results.summary.energy, "What mattered", note, body)


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
                count(part.calls),
                format_si(part.joules, "J"),
                UNMEASURED if share is None else f"{share:.0%}",
                bar(share),
            )
        )
    heads = ("component", "model", "calls", "energy (J)", "share", "")
    body = table(heads, lines, words=(0, 1))
    models = dict.fromkeys(part.model for part in parts)
    if len(models) > 1:
        body += table(("model", "calls", "energy (J)", "share", ""), _by_model(parts, total))
    title = "Where the winner's joules go"
    return section(results.summary.energy, title, f"Confirm run. {sentence}", body)


def _by_model(parts: Sequence[ComponentEnergy], total: float) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = []
    for model in dict.fromkeys(part.model for part in parts):
        own = [part for part in parts if part.model == model]
        known = [part.joules for part in own if part.joules is not None]
        joules = sum(known) if len(known) == len(own) else None
        share = joules / total if joules is not None and total > 0 else None
        calls = sum(part.calls or 0 for part in own)
        shown = UNMEASURED if share is None else f"{share:.0%}"
        lines.append(
            (escape(model or UNMEASURED), count(calls), format_si(joules, "J"), shown, bar(share))
        )
    return lines


def _certainty(results: Results) -> str:
    summary = results.summary
    if not summary.certainty:
        return ""
    lines = [
        (
            escape(one.name),
            count(one.answers),
            format_number(one.mean, 3),
            format_number(one.accuracy, 3),
            format_number(one.error, 3),
        )
        for one in summary.certainty
    ]
    best = summary.best.name if summary.best is not None else None
    marks = ["winner" if one.name == best else "" for one in summary.certainty]
    heads = (
        "pipeline",
        "answers",
        "mean P(correct)",
        "share correct",
        "expected calibration error (0 to 1)",
    )
    note = "Test split, all repeats. P(correct) was fitted on the fit split."
    body = table(heads, lines, marks)
    return f'<section><h2>Does P(correct) hold?</h2><p class="note">{note}</p>{body}</section>'


def _search_cost(results: Results) -> str:
    cost = results.summary.search
    facts = (
        ("trials", count(cost.trials)),
        ("distinct pipelines", count(cost.distinct)),
        ("stopped early", count(cost.pruned)),
        ("calls generated", count(cost.calls_generated)),
        ("of these, to fit weavers and routers", count(cost.calls_fit)),
        ("calls reused", count(cost.calls_reused)),
        ("energy charged to trials", format_si(cost.joules_charged, "J")),
        ("energy spent", format_si(cost.joules, "J")),
        ("time", UNMEASURED if cost.seconds is None else f"{cost.seconds:,.0f} s"),
        ("queries until repaid", count(cost.payback_queries)),
    )
    note = "Charged: what the trials' calls cost by the price list, had none been reused."
    return section(results.summary.energy, "What the search cost", note, cards(facts))


def _price_check(results: Results) -> str:
    summary = results.summary
    best, confirm = summary.best, summary.confirm
    facts = (
        ("winner priced (select)", _joules(best.energy_j if best else None)),
        ("winner confirmed (test)", _joules(confirm.energy_j if confirm else None)),
        ("confirmed / priced − 1", percent(confirm.priced_error if confirm else None)),
        ("rank correlation over the front", format_number(summary.rank_correlation, 2)),
    )
    body = cards(facts)
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
        body += table(heads, lines)
    note = "How well the price list foretold the energy of whole windows."
    return section(results.summary.energy, "Priced against confirmed", note, body)


def _quality(results: Results) -> str:
    energy, record = results.summary.energy, results.summary.energy.quality
    idle = " → ".join(format_si(w, "W") for w in (energy.idle_watts, energy.idle_watts_after))
    facts = (
        ("method", escape(energy.method or UNMEASURED)),
        ("rails", escape(", ".join(energy.domains) or UNMEASURED)),
        ("windows", count(record.windows)),
        ("of them without joules", count(record.invalid)),
        ("cut off by a crash", count(record.cut_off)),
        ("shortest window", format_si(record.shortest_s, "s")),
        ("counter's tick", format_si(record.tick_s, "s")),
        ("most a tick can blur", _part(record.error)),
        ("idle, before → after", idle),
        ("other programs' processor time", _part(record.others_share)),
        (
            "highest temperature",
            UNMEASURED if record.temperature_c is None else f"{record.temperature_c:.0f} °C",
        ),
    )
    flags = [f"{name} ({times} windows)" for name, times in record.flags.items()]
    notes = ["Joules are read around windows of work, never guessed for a single call."]
    if energy.method == "estimated":
        notes.append("Estimated: a model of the processor's use and the memory's size.")
    notes += [f"Flagged: {escape(', '.join(flags))}."] if flags else []
    notes += [f"Not counted: {escape('; '.join(record.left_out))}."] if record.left_out else []
    return section(energy, "How the joules were got", " ".join(notes), cards(facts))


def _spec(results: Results) -> str:
    if results.spec_yaml is None:
        return "<section><p>Nothing was exported.</p></section>"
    try:
        picture = diagram(pipeline_tree(parse_spec(results.spec_yaml, "best.yaml")))
    except UsageError as error:
        picture = f"<p>Not drawn: {escape(str(error))}.</p>"
    note = (
        "From top to bottom; what stands side by side runs at once, or instead of each other. "
        "Calls and tokens: limits for one query. Measured: per query of the confirm run; a part's "
        "joules are its share of the windows', by price."
    )
    body = (
        f"{picture}<details><summary>best.yaml</summary>"
        f"<pre>{escape(results.spec_yaml)}</pre></details>"
    )
    return section(results.summary.energy, "The exported pipeline", note, body)


def _part(share: float | None) -> str:
    return UNMEASURED if share is None else f"{share:.1%}"


def _joules(energy_j: float | None) -> str:
    return UNMEASURED if energy_j is None else f"{format_number(energy_j)} J/query"
