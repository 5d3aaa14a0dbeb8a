"""Tables of the commands on stdout."""

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from weaver.comparison import Comparison, Interval
from weaver.report import VerifierReport
from weaver.scores import Scores
from weaver.weaver import Decisions

SHOWN = 20
"""Most queries a table lists."""


def figure(value: float | None, form: str) -> str:
    """Return a number in a format, "–" for None."""
    return "–" if value is None else format(value, form)


def cells(*values: str) -> tuple[Text, ...]:
    """Return cells that show texts as they are, brackets too."""
    return tuple(map(Text, values))


def print_table(table: Table, lines: Iterable[str] = ()) -> None:
    """Print a table and lines below it."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 100)
    # Captured first: on a closed pipe rich would end the program by itself.
    with console.capture() as shown:
        console.print(table)
        for line in lines:
            console.print(line, markup=False, soft_wrap=True)
    print(shown.get(), end="")


def titled(title: str, costs_j: Iterable[float | None], energy: str | None) -> str:
    """Return a table's title with the energy basis of the joules in it, in rich's markup."""
    # Nothing is nothing in every basis.
    if energy is None and not any(costs_j):
        return escape(title)
    return escape(f"{title} (energy: {energy or 'basis unknown'})")


def verifier_table(report: Sequence[VerifierReport], title: str, energy: str | None) -> Table:
    """Return what is known of each verifier; `energy` is the basis of its joules."""
    table = Table(title=titled(title, [entry.cost_j for entry in report], energy))
    table.add_column("verifier", overflow="fold")
    for column in ("TPR", "TNR", "weight", "J per verdict"):
        table.add_column(column, justify="right")
    if any(entry.dropped for entry in report):
        table.add_column("left out because", overflow="fold")
    for entry in report:
        rates = [figure(value, ".3f") for value in (entry.tpr, entry.tnr)]
        numbers = (*rates, figure(entry.weight, "+.2f"), figure(entry.cost_j, ".4g"))
        table.add_row(*cells(entry.name, *numbers, *([entry.dropped] if entry.dropped else [])))
    return table


def selection_table(scores: Scores, decisions: Decisions) -> Table:
    """Return the first `SHOWN` selections."""
    table = Table(title="selected")
    for column in ("query", "sample", "P(correct)"):
        table.add_column(column, justify="right")
    table.add_column("answer", overflow="ellipsis", no_wrap=True)
    rows = zip(decisions.selected, decisions.probability, decisions.abstain, strict=True)
    for query, (sample, probability, abstain) in enumerate(rows):
        if query == SHOWN:
            break
        answer = "" if scores.answers is None else scores.answers[query, sample]
        shown = "abstains" if abstain else " ".join(answer.split()) or "–"
        table.add_row(*cells(str(query), str(sample), f"{probability:.3f}", shown))
    return table


def comparison_table(found: Comparison) -> Table:
    """Return all methods, one a row, and the oracle."""
    which = "" if found.labels_seen else " without labels"
    title = f"fitted to {found.queries} queries, judged on {found.judged}{which}"
    table = Table(
        title=titled(title, [one.cost_j for one in found.standings], found.energy),
        caption="interval: 95%, over queries; calibration: expected error of P(correct); "
        "J: one verdict by each verifier used",
    )
    table.add_column("method")
    for column in ("accuracy", "interval", "calibration", "fit", "J"):
        table.add_column(column, justify="right")
    for one in found.standings:
        table.add_row(
            one.method,
            figure(one.accuracy, ".3f"),
            _between(one.interval),
            figure(one.calibration_error, ".3f"),
            "–" if one.fit_s is None else f"{one.fit_s:.3f} s",
            figure(one.cost_j, ".4g"),
        )
    table.add_section()
    table.add_row("oracle", f"{found.oracle:.3f}", _between(found.oracle_interval), "–", "–", "–")
    return table


def _between(interval: Interval | None) -> str:
    return "–" if interval is None else f"{interval[0]:.3f} – {interval[1]:.3f}"
