"""One self-contained page about a device profile: no scripts, nothing fetched."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from archon.energy import Coef, Window
from archon.hardware import describe
from archon.profile import Figures, LoadProfile, Profile
from archon.profile.figures import STEADY_SPREAD
from archon.report.page import (
    count,
    document,
    facts,
    heading,
    interval_below,
    percent,
    section,
    table,
    terms,
    text,
    write_page,
)
from archon.report.profile_table import Rows, profile_energy, profile_rows
from archon.report.results import Energy, printable
from archon.report.svg import inline_svg
from archon.report.tables import UNMEASURED, format_ci, format_number

_IDLE_DRIFT = 0.10
"""Change of idle watts over a load's runs beyond which it is said first."""

Column = tuple[str, Callable[[Figures, LoadProfile], str]]
"""A heading and the HTML of its cells."""


def write_profile_page(profile: Profile, path: Path) -> None:
    """Write a profile as one HTML document.

    Raises:
        UsageError: the path is not writable, or matplotlib is missing.
    """
    write_page(path, render_profile(profile))


def render_profile(profile: Profile) -> str:
    """Return a profile as one HTML document.

    Raises:
        UsageError: matplotlib is missing.
    """
    rows, energy = profile_rows(profile), profile_energy(profile)
    title = f"Profile of {printable(describe(profile.hardware))}"
    asked = ", ".join(f"{name} {value}" for name, value in profile.prompt.items())
    about = (profile.task, asked, profile.created)
    return document(
        title,
        (
            heading(title, map(printable, about), energy),
            _care(rows),
            _hardware(profile),
            _answers(profile, rows, energy),
            _plots(rows, energy),
            _speed(profile, rows, energy),
            _prices(profile, rows, energy),
            _quality(profile, rows, energy),
            _engines(profile),
        ),
    )


def _care(rows: Rows) -> str:
    """What a reader must know before using the numbers."""
    warnings = []
    for name, load, one in rows:
        found = []
        if one.metrics.energy_j is None:
            found.append("its joules are not known")
        if one.steady is False:
            found.append(f"runs are not steady, they differ by {one.spread:.0%}")
        if one.idle_drift is not None and abs(one.idle_drift) > _IDLE_DRIFT:
            found.append(f"idle watts drifted by {one.idle_drift:+.0%}")
        if one.failed:
            found.append(f"failed calls: {one.failed}")
        found += one.flags
        if found:
            where = f"<b>{text(name)}</b> at {load} in flight"
            warnings.append(f"{where}: {text('; '.join(found))}.")
    if warnings:
        return f'<div class="verdict bad">Take care: {"<br>".join(warnings)}</div>'
    if all(one.steady for _, _, one in rows):
        return (
            '<p class="verdict good">Every number below stands on steady runs (within '
            f"{STEADY_SPREAD:.0%}), valid windows and answered calls.</p>"
        )
    return (
        '<p class="verdict plain">No call failed and no window was flagged; of one run per load, '
        "it is not known whether it repeats.</p>"
    )


def _hardware(profile: Profile) -> str:
    names = {
        "cpu": "processor",
        "cores": "cores used",
        "memory_gib": "memory (GiB)",
        "os": "system",
    }
    known = {names.get(name, _gpu_fact(name)): value for name, value in profile.hardware.items()}
    note = "The numbers hold for this machine with these versions and limits, and for no other."
    return f'<section><h2>The machine</h2><p class="note">{note}</p>{facts(known)}</section>'


def _gpu_fact(name: str) -> str:
    return (
        name.removesuffix(".name").replace(".power_limit_w", " power limit (W)").replace(".", " ")
    )


def _answers(profile: Profile, rows: Rows, energy: Energy) -> str:
    columns: list[Column] = [
        ("accuracy (0 to 1)", lambda one, _: _metric(one, "accuracy", 3)),
        ("energy (J/query)", lambda one, _: _metric(one, "energy_j")),
        ("above idle (J/query)", lambda one, _: format_number(one.metrics.energy_net_j)),
        ("J per correct answer", lambda one, _: format_number(one.metrics.j_per_correct)),
        ("ipw (1/W)", lambda one, _: _metric(one, "ipw")),
        ("ipj (1/J)", lambda one, _: _metric(one, "ipj")),
        ("ipw_busy (1/W)", lambda one, _: _metric(one, "ipw_busy")),
    ]
    note = (
        f"{count(len(profile.weight))} queries, one answer each. In flight: how many are worked "
        "on at once. Brackets: 95% intervals over queries and runs."
    )
    explained = {
        "accuracy": "share of the answers that are right; failed and empty ones count as wrong",
        "energy": "what the counted rails spend, over the queries",
        "above idle": "without what the machine would have drawn doing nothing",
        "ipw": f"accuracy per watt a power meter shows while {profile.rate:g} queries/s are served",
        "ipj": "accuracy per joule spent on the queries",
        "ipw_busy": "accuracy per watt while busy; beware, it rewards being slow and idle",
    }
    body = _table(profile, rows, columns) + terms(explained)
    return section(energy, "What an answer costs", note, body)


def _plots(rows: Rows, energy: Energy) -> str:
    # Imported here: the other sections' numbers need no matplotlib.
    from archon.report.drawing import INK
    from archon.report.profile_plots import model_marks, profile_plots

    marks = model_marks(list(dict.fromkeys(name for name, _, _ in rows)))
    key = "".join(
        f'<li><span style="color:{mark.colour}">{mark.glyph}</span> {text(name)}</li>'
        for name, mark in marks.items()
    )
    figures = ""
    plots = profile_plots(rows, energy.label)
    for index, plot in enumerate(plots):
        if plot.svg is None:
            figures += f"<p><b>{plot.title}</b>: {UNMEASURED}, not measured.</p>"
        else:
            drawn = inline_svg(plot.svg, f"plot{index}", plot.title, INK)
            figures += f"<figure>{drawn}<figcaption>{plot.caption}</figcaption></figure>"
    if len(plots) == 1:
        figures += "<p>Measured at one load: there is nothing to draw over the load.</p>"
    return section(
        energy, "Over the load", "", f'<ul class="key">{key}</ul><div class="plots">{figures}</div>'
    )


def _speed(profile: Profile, rows: Rows, energy: Energy) -> str:
    columns: list[Column] = [
        ("queries/s", lambda one, _: format_number(one.metrics.capacity)),
        ("output tokens/s", lambda one, _: format_number(one.output_tokens_per_s)),
        ("first token, p50 / p95 / p99 (s)", lambda one, _: _percentiles(one.ttft_s)),
        ("answer, p50 / p95 / p99 (s)", lambda one, _: _percentiles(one.latency_s)),
        ("mean (W)", lambda one, _: format_number(one.watts["mean"])),
        ("peak (W)", lambda one, _: format_number(one.watts["peak"])),
        ("idle (W)", lambda one, _: format_number(one.watts["idle"])),
        ("really in flight", lambda one, _: format_number(one.in_flight)),
    ]
    explained = {
        "p50, p95, p99": "half, 95% and 99% of the calls take no longer",
        "first token": "from sending the question to the first word of the answer",
        "output tokens/s": "of all queries together: what one reader sees, times those served",
        "peak": "the highest mean power over any short stretch of the runs",
        "idle": "the model loaded and nothing asked",
        "really in flight": "calls under way on average; less where the last ones finish alone",
    }
    body = _table(profile, rows, columns) + terms(explained)
    return section(energy, "Speed and power", "Whole runs, warm-up left out.", body)


def _prices(profile: Profile, rows: Rows, energy: Energy) -> str:
    columns: list[Column] = [
        ("mJ per prompt token", lambda one, _: _price(one.price.prefill_j)),
        ("mJ per output token", lambda one, _: _price(one.price.decode_j)),
        ("mJ per call", lambda one, _: _price(one.price.call_j)),
        ("prompt tokens/s", lambda one, _: _per_second(one.price.prefill_s)),
        ("output tokens/s", lambda one, _: _per_second(one.price.decode_s)),
        ("price error", lambda one, _: percent(one.priced_error)),
    ]
    note = (
        "What a token costs at each load, fitted to calibration windows of long and short prompts "
        "and answers. With these a search charges its calls."
    )
    explained = {
        "prompt token": "read by the model; those remembered from an earlier call cost nothing",
        "output token": "written by the model",
        "call": "what every call costs besides its tokens",
        "tokens/s": "how fast the machine reads alone and writes alone",
        "price error": "the runs' joules by these prices over those measured, minus 1",
    }
    return section(energy, "Prices", note, _table(profile, rows, columns) + terms(explained))


def _quality(profile: Profile, rows: Rows, energy: Energy) -> str:
    basis = profile.basis

    def steady(one: Figures, _: LoadProfile) -> str:
        words = {True: "steady", False: "<b>not steady</b>", None: "one run"}
        if one.spread is None:
            return UNMEASURED if one.metrics.energy_j is None else words[None]
        return f"{one.spread:.1%}<small>{words[one.steady]}</small>"

    def windows(_: Figures, load: LoadProfile) -> str:
        seconds = [run.window.seconds for run in load.counted]
        return f"{format_number(min(seconds))} to {format_number(max(seconds))}"

    columns: list[Column] = [
        ("runs counted / made", lambda _, load: f"{len(load.counted)} / {len(load.runs)}"),
        ("runs differ by", steady),
        ("warm-up calls left out", lambda _, load: count(load.warm_up_calls)),
        ("windows (s)", windows),
        ("tick (s)", lambda _, load: _tick(load, basis.domains)),
        ("tick error", lambda _, load: _bound(load, basis.domains)),
        ("idle drift", lambda one, _: percent(one.idle_drift)),
        (
            "others' CPU time",
            lambda one, _: UNMEASURED if one.others_share is None else f"{one.others_share:.1%}",
        ),
        ("failed calls", lambda one, _: count(one.failed)),
        ("flags", lambda one, _: text("; ".join(one.flags)) or "none"),
    ]
    note = (
        f"Energy of {text(', '.join(basis.domains))}, {basis.method}. Runs are steady when their "
        f"joules differ by at most {STEADY_SPREAD:.0%}; until they are, more are made and the "
        "last ones count."
    )
    if basis.left_out:
        note += f" Not counted: {text('; '.join(basis.left_out))}."
    explained = {
        "runs differ by": "largest minus smallest joules of the counted runs, over their mean",
        "windows": "how long each run was metered",
        "tick, tick error": "time between the meter's updates, and at most what one adds or hides; "
        "a model's own error (estimated) comes on top",
        "idle drift": "idle watts after the runs over those before, minus 1",
        "others' CPU time": "spent by other programs during the runs; their joules are counted too",
    }
    body = _table(profile, rows, columns, words=(0, len(columns) + 1)) + terms(explained)
    return section(energy, "How good the measurement is", note, body)


def _engines(profile: Profile) -> str:
    blocks = "".join(
        f"<h3>{text(name)}</h3>{facts(model.engine)}" for name, model in profile.models.items()
    )
    note = "What served each model; identity is all that determines its answers."
    return f'<section><h2>The models</h2><p class="note">{note}</p>{blocks}</section>'


def _table(
    profile: Profile, rows: Rows, columns: Sequence[Column], words: Sequence[int] = (0,)
) -> str:
    """One line per model and load; a model's name stands in its first."""
    lines, marks, previous = [], [], None
    for name, load, one in rows:
        first = name != previous
        previous = name
        measured = profile.models[name].loads[load]
        cells = (cell(one, measured) for _, cell in columns)
        lines.append((text(name) if first else "", str(load), *cells))
        marks.append("first" if first else "")
    return table(("model", "in flight", *(head for head, _ in columns)), lines, marks, words)


def _metric(one: Figures, name: str, decimals: int | None = None) -> str:
    value: float | None = getattr(one.metrics, name)
    return interval_below(format_ci(value, one.intervals[name], decimals))


def _price(joules: Coef) -> str:
    value, low, high = (1000 * each for each in (joules.value, joules.ci_low, joules.ci_high))
    return interval_below(format_ci(value, (low, high)))


def _per_second(seconds: Coef) -> str:
    return format_number(1 / seconds.value if seconds.value > 0 else None)


def _percentiles(seconds: Mapping[int, float] | None) -> str:
    if seconds is None:
        return UNMEASURED
    return " / ".join(map(format_number, seconds.values()))


def _tick(load: LoadProfile, names: Iterable[str]) -> str:
    ticks = [d.tick_s for run in load.counted for d in run.window.domains if d.name in names]
    return f"{max(ticks):g}" if ticks else UNMEASURED


def _bound(load: LoadProfile, names: Sequence[str]) -> str:
    """The largest part of a run's joules that the meter's ticks may add or hide."""

    def part(window: Window) -> float | None:
        own = [domain for domain in window.domains if domain.name in names]
        errors = [domain.error_j for domain in own if domain.error_j is not None]
        joules = [domain.joules for domain in own if domain.joules is not None]
        if not sum(joules) or len(errors) < len(names) or len(joules) < len(names):
            return None
        return sum(errors) / sum(joules)

    parts = [part(run.window) for run in load.counted]
    known = [one for one in parts if one is not None]
    return f"≤ {max(known):.2%}" if known and len(known) == len(parts) else UNMEASURED
