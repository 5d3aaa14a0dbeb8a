"""The figures as tables, for the terminal and as Markdown."""

from archon.energy import Coef
from archon.hardware import describe
from archon.report.tables import UNMEASURED, format_ci
from experiments.price_accuracy.errors import Agreement, Errors
from experiments.price_accuracy.measure import Found
from experiments.price_accuracy.summary import PER_TOKEN, PRICES, Summary
from experiments.sheet import Sheet


def sheets(found: Found, summary: Summary) -> list[Sheet]:
    """Return every table; each title says how energy was got."""
    energy = energy_label(found)
    return [
        _ways(summary, energy),
        _pipelines(found, summary, energy),
        _models(found, summary, energy),
        _windows(summary, energy),
    ]


def notes(found: Found, summary: Summary) -> list[str]:
    """Return what else a reader should know, a line each."""
    plan = found.plan
    others = [w.window.others_share for w in summary.windows]
    others += [block.others_share for one in found.pipelines for block in one.blocks]
    known = [share for share in others if share is not None]
    flags = [f for one in found.pipelines for block in one.blocks for f in block.flags]
    lines = [
        f"Hardware: {describe(found.prices.fingerprint)}; energy: {energy_label(found)}, idle "
        f"{found.prices.idle_watts:.1f} W; {plan.concurrency} in flight; {plan.queries} queries; "
        f"blocks per pipeline: {plan.repeats}; {found.seconds / 60:.1f} minutes in all.",
        f"Audit: shares of each of {summary.blocks} blocks over its calls sum to the block's "
        f"window, at worst up to {summary.share_gap:.1e} of it."
        if summary.share_gap is not None
        else "Audit: no live block was measured.",
    ]
    changes = ", ".join(
        f"{name} {was.prefill_j.value * 1000:.1f} → {now.prefill_j.value * 1000:.1f} and "
        f"{was.decode_j.value * 1000:.1f} → {now.decode_j.value * 1000:.1f}"
        for name, now in found.after.items()
        for was in [found.prices.models[name]]
    )
    lines.append(
        f"Calibrated again at the end, mJ per prefill and per decode token: {changes}. So much "
        "the machine itself changed meanwhile."
    )
    if known:
        lines.append(
            f"Other programs took {sum(known) / len(known):.1%} of the processor time spent, "
            f"{max(known):.1%} in the worst window."
        )
    if summary.left_out:
        lines.append(f"{summary.left_out} blocks left out: calls failed, or energy not read.")
    if flags:
        lines.append(f"{len(flags)} flags on live windows, the first: {flags[0]}.")
    return lines


def energy_label(found: Found) -> str:
    """Return the basis and whether it was measured or estimated."""
    basis = found.basis
    return basis.label if basis.method == "estimated" else f"{basis.label} ({basis.method})"


def _ways(summary: Summary, energy: str) -> Sheet:
    rows = []
    for name, way in summary.ways.items():
        order = way.order
        rows.append(
            [
                name,
                *_errors(way.mixed),
                *_errors(way.live),
                UNMEASURED
                if order.spearman is None
                else _interval(order.spearman, order.spearman_ci, 2),
                UNMEASURED if order.kendall is None else f"{order.kendall:.2f}",
                _right(order),
            ]
        )
    headings = (
        "joules by",
        "held out: mean error",
        "worst",
        "live: mean error",
        "worst",
        "Spearman [95%]",
        "Kendall",
        "order right",
    )
    return Sheet(f"Predicted against measured joules (energy: {energy})", headings, rows)


def _pipelines(found: Found, summary: Summary, energy: str) -> Sheet:
    queries = found.plan.queries
    rows = []
    for number, one in enumerate(summary.pipelines, start=1):
        low, high = one.spread
        rows.append(
            [
                str(number),
                one.pipeline.name,
                f"{one.pipeline.mean('prefill_tokens') / queries:.0f}",
                f"{one.pipeline.mean('decode_tokens') / queries:.0f}",
                f"{one.live / queries:.2f}",
                f"{one.joules[PRICES] / queries:.2f}",
                f"{one.error(PRICES):+.1%}",
                f"{low:+.1%} to {high:+.1%}" if len(one.pipeline.blocks) > 1 else UNMEASURED,
                f"{one.error(PER_TOKEN):+.1%}",
                f"{one.pipeline.mean('in_flight'):.1f}",
            ]
        )
    headings = (
        "",
        "pipeline",
        "prefill tokens",
        "decode tokens",
        "live J",
        "priced J",
        "error",
        "over blocks",
        "by J per token",
        "calls in flight",
    )
    return Sheet(f"Live pipelines, per query (energy: {energy})", headings, rows, left=2)


def _models(found: Found, summary: Summary, energy: str) -> Sheet:
    rows = []
    for name, (joules, seconds) in summary.by_model.items():
        price = found.prices.models[name]
        within = [w.within for w in summary.windows if w.window.model == name]
        rows.append(
            [
                name,
                *(_milli(coef) for coef in (price.prefill_j, price.decode_j, price.call_j)),
                *_errors(joules),
                f"{sum(within)}/{len(within)}",
                *_errors(seconds),
            ]
        )
    headings = (
        "model",
        "mJ/prefill token [95%]",
        "mJ/decode token [95%]",
        "mJ/call [95%]",
        "joules: mean error",
        "worst",
        "within",
        "seconds: mean error",
        "worst",
    )
    return Sheet(
        f"Fitted prices, and their errors on held-out windows (energy: {energy})", headings, rows
    )


def _windows(summary: Summary, energy: str) -> Sheet:
    rows = []
    for one in sorted(summary.windows, key=lambda w: w.window.model):
        load, others = one.window.load, one.window.others_share
        rows.append(
            [
                one.window.model,
                *(f"{count:,}" for count in (load.calls, load.prefill_tokens, load.decode_tokens)),
                f"{load.joules:.1f}",
                _interval(one.joules[PRICES], one.bounds, 1),
                f"{one.error(PRICES):+.1%}",
                f"{one.error(PER_TOKEN):+.1%}",
                f"{one.seconds_error:+.1%}",
                f"{one.window.in_flight:.1f}",
                UNMEASURED if others is None else f"{others:.0%}",
            ]
        )
    headings = (
        "model",
        "calls",
        "prefill tokens",
        "decode tokens",
        "J",
        "priced J [bounds]",
        "error",
        "by J per token",
        "of seconds",
        "in flight",
        "others",
    )
    return Sheet(f"Held-out mixed windows (energy: {energy})", headings, rows)


def _interval(value: float, ci: tuple[float, float] | None, decimals: int | None = None) -> str:
    """Return a value with its interval, which has no space a narrow column could break at."""
    return format_ci(value, ci, decimals).replace(", ", ",")


def _errors(errors: Errors | None) -> tuple[str, str]:
    if errors is None:
        return UNMEASURED, UNMEASURED
    return f"{errors.mean_absolute:.1%}", f"{errors.worst:.1%}"


def _right(order: Agreement) -> str:
    return f"{order.right}/{order.pairs}" if order.pairs else UNMEASURED


def _milli(coef: Coef) -> str:
    return _interval(coef.value * 1000, (coef.ci_low * 1000, coef.ci_high * 1000))
