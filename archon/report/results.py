"""What a results folder holds, read and checked: summary, trials, ladder, exported spec."""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from archon.errors import UsageError


def printable(text: str) -> str:
    """Replace what neither a terminal nor XML may show; names come from other people's files."""
    return "".join(c if c.isprintable() else " " for c in text)


def _whole_interval(value: object) -> object:
    """An interval with an unmeasured end is no interval."""
    return None if isinstance(value, list | tuple) and None in value else value


Text = Annotated[str, AfterValidator(printable)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Number = Finite | None
Interval = Annotated[tuple[Finite, Finite] | None, BeforeValidator(_whole_interval)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


_R = TypeVar("_R", bound=_Record)


class Quality(_Record):
    """The quality record of a study's windows: what disturbed them, how sharp they are."""

    windows: int | None = None
    cut_off: int | None = None
    invalid: int | None = None
    flags: dict[Text, int] = {}
    shortest_s: Number = None
    tick_s: Number = None
    error: Number = None
    temperature_c: Number = None
    others_share: Number = None
    idle_drift: Number = None
    left_out: tuple[Text, ...] = ()


class Energy(_Record):
    """How the study's joules were got; `basis` names the domains they cover."""

    basis: Text | None = None
    method: Text | None = None
    domains: tuple[Text, ...] = ()
    idle_watts: Number = None
    idle_watts_after: Number = None
    quality: Quality = Quality()

    @property
    def label(self) -> str:
        """What stands in every title: `energy: cpu+dram estimated`."""
        if self.method is None or self.basis is None:
            return "energy: unmeasured"
        if "estimated" in self.basis or "measured" in self.basis:
            return f"energy: {self.basis}"
        if self.method in ("counter", "polled"):
            return f"energy: {self.basis} measured ({self.method})"
        return f"energy: {self.basis} {self.method}"


class Target(_Record):
    """The load: queries in flight, and queries per second."""

    concurrency: int | None = None
    rate: Number = None

    @property
    def label(self) -> str:
        """The load in words."""
        rate = "–" if self.rate is None else f"{self.rate:g}"
        queries = "query" if rate == "1" else "queries"
        return f"at {rate} {queries}/s, {self.concurrency or '–'} in flight"


class Objective(_Record):
    """What was searched for, and the accuracy (0 to 1) a winner had to reach."""

    metric: Text = "ipw"
    floor: Number = None
    floor_rule: Text | float | None = None


class Measures(_Record):
    """The metrics of one pipeline: accuracy 0 to 1, energy in J per query, ipw 1/W, ipj 1/J."""

    accuracy: Number = None
    accuracy_ci: Interval = None
    energy_j: Number = None
    energy_ci: Interval = None
    energy_net_j: Number = None
    ipw: Number = None
    ipw_ci: Interval = None
    ipj: Number = None
    ipj_ci: Interval = None
    ipw_busy: Number = None
    queries: int | None = None

    @property
    def j_per_correct(self) -> float | None:
        """Joules per query over accuracy; None when either is unmeasured or nothing is right."""
        if self.energy_j is None or not self.accuracy:
            return None
        return self.energy_j / self.accuracy


class Best(Measures):
    """The winner as the search saw it: on the select split, joules from the price list."""

    name: Text


class Confirm(Measures):
    """The winner run live on the test split."""

    repeats: int | None = None
    floor: Number = None
    meets_floor: bool | None = None
    priced_error: Number = None


class Baseline(Measures):
    """A baseline; `difference_ci` is the winner's objective minus this one's."""

    name: Text
    confirmed: bool = False
    difference_ci: Interval = None
    beaten: bool | None = None


class Verdict(_Record):
    """What the comparison on the test split came to."""

    kind: Text
    text: Text


class Drift(_Record):
    """One window's joules beside the priced sum of its calls."""

    label: Text
    seconds: Number = None
    joules: Number = None
    priced_j: Number = None
    ratio: Number = None


class Certainty(_Record):
    """A confirmed pipeline's calibrated P(correct) beside how many answers were correct."""

    name: Text
    answers: int
    mean: Number = None
    accuracy: Number = None
    error: Number = None


class ComponentEnergy(_Record):
    """Joules one component of the winner spent in the confirm run."""

    component: Text
    model: Text | None = None
    calls: int | None = None
    joules: Number = None


class SearchCost(_Record):
    """What the search did and spent; charged is what it would have cost without reuse."""

    trials: int | None = None
    distinct: int | None = None
    pruned: int | None = None
    calls_generated: int | None = None
    calls_fit: int | None = None
    calls_reused: int | None = None
    joules_charged: Number = None
    joules: Number = None
    seconds: Number = None
    payback_queries: Number = None


@dataclass(frozen=True)
class Row:
    """One pipeline of the final comparison; `confirmed` means live on the test split."""

    name: str
    measures: Measures
    winner: bool
    confirmed: bool
    difference_ci: tuple[float, float] | None = None
    beaten: bool | None = None


class Summary(_Record):
    """`summary.json`."""

    study: Text
    task: Text
    hardware: Text | None = None
    created: Text | None = None
    energy: Energy
    target: Target
    objective: Objective
    best: Best | None = None
    confirm: Confirm | None = None
    exported: Text | None = None
    verdict: Verdict | None = None
    baselines: tuple[Baseline, ...] = ()
    certainty: tuple[Certainty, ...] = ()
    drift: tuple[Drift, ...] = ()
    components: tuple[ComponentEnergy, ...] = ()
    importance: dict[Text, Number] = {}
    rank_correlation: Number = None
    search: SearchCost = SearchCost()

    def rows(self) -> list[Row]:
        """The winner first, then every baseline that is not the winner itself."""
        rows = []
        if self.best is not None:
            measures = self.confirm or self.best
            rows.append(Row(self.best.name, measures, True, self.confirm is not None))
        winner = self.best.name if self.best is not None else None
        rows += [
            Row(b.name, b, False, b.confirmed, b.difference_ci, b.beaten)
            for b in self.baselines
            if b.name != winner
        ]
        return rows


class Trial(_Record):
    """One line of `trials.csv` (the columns the report draws)."""

    state: Text
    name: Text
    accuracy: Number = None
    energy_j: Number = None


class Rung(Measures):
    """One line of `pareto.csv`: the least joules found for this accuracy or more."""

    name: Text


@dataclass(frozen=True)
class Results:
    """A results folder in memory; `spec_yaml` is None when nothing was exported."""

    summary: Summary
    trials: tuple[Trial, ...]
    ladder: tuple[Rung, ...]
    spec_yaml: str | None


def parse_summary(summary: Mapping[str, Any], where: str = "summary") -> Summary:
    """Check a summary against its form.

    Args:
        summary: the content of `summary.json`.
        where: named in the error.

    Raises:
        UsageError: a field is missing or of the wrong kind.
    """
    return _checked(Summary, summary, where)


def load_results(folder: Path) -> Results:
    """Read a results folder.

    Raises:
        UsageError: a file is missing, unreadable or malformed (the file and place are named).
    """
    path = folder / "summary.json"
    try:
        raw = json.loads(_read(path))
    except json.JSONDecodeError as error:
        raise UsageError(
            f"{path}: not JSON (line {error.lineno}: {error.msg}); run the search again"
        ) from None
    summary = parse_summary(raw, str(path))
    trials = _rows(folder / "trials.csv", Trial)
    ladder = _rows(folder / "pareto.csv", Rung)
    spec_yaml = None if summary.exported is None else _read(folder / "best.yaml")
    return Results(summary, trials, ladder, spec_yaml)


def _rows(path: Path, form: type[_R]) -> tuple[_R, ...]:
    reader = csv.DictReader(io.StringIO(_read(path), newline=""))
    rows = []
    try:
        for line in reader:
            # An empty cell is unmeasured; a cell beyond the header has no name.
            fields = {name: cell or None for name, cell in line.items() if name}
            rows.append(_checked(form, fields, f"{path}:{reader.line_num}"))
    except csv.Error as error:
        raise UsageError(
            f"{path}:{reader.line_num + 1}: {error}; correct it or run the search again"
        ) from None
    return tuple(rows)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(
            f"{path} is missing; give the folder of a finished search, such as outputs/latest"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read ({error}); check the file") from None


def _checked(form: type[_R], data: object, where: str) -> _R:
    try:
        return form.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "top level"
        raise UsageError(
            f"{where}: {place}: {first['msg']}; correct it or run the search again"
        ) from None
