"""Known-energy traces through every meter, and what metering costs; see the README beside this.

python -m experiments.energy_accuracy
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from archon.errors import ArchonError
from archon.hardware import describe
from experiments.energy_accuracy.accuracy import measure_naive, measure_ours
from experiments.energy_accuracy.cost import SETUPS, measure_costs
from experiments.energy_accuracy.naive import NAIVE
from experiments.energy_accuracy.plot import save_plot
from experiments.energy_accuracy.rigs import ReplayNvml, estimated, polled, rapl
from experiments.energy_accuracy.summary import broken_bounds, cells
from experiments.energy_accuracy.tables import Sheet, sheets
from experiments.energy_accuracy.traces import TRACES

HERE = Path(__file__).parent
_BEGIN, _END = "<!-- result -->", "<!-- end of result -->"


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    notes, console = Console(stderr=True), Console()
    facts = _hardware()
    with tempfile.TemporaryDirectory(prefix="energy-accuracy-") as scratch:
        folder = Path(scratch)
        nvml = ReplayNvml(folder)
        drawn = [nvml.counter(0.02), nvml.counter(0.1), polled(20), rapl(folder), estimated(folder)]
        rigs = [
            *drawn,
            *(polled(hertz) for hertz in (10, 50, 100)),
            polled(20, sensor_s=0.1),
            nvml.counter(0.1, failing=0.01),
        ]
        notes.print(f"{args.windows} windows per meter, trace and length")
        found = cells(
            [*measure_ours(rigs, TRACES, args.windows), *measure_naive(NAIVE, TRACES, args.windows)]
        )
        (folder / "cost").mkdir()
        notes.print(f"cost: {args.repeats} windows of {args.seconds:g} s each, side by side")
        costs = measure_costs(SETUPS, folder / "cost", seconds=args.seconds, windows=args.repeats)
    broken = [*broken_bounds(found), *filter(None, (cost.broken for cost in costs))]
    results = {"hardware": facts, "windows": args.windows, "broken": broken}
    tables = sheets(found, costs)
    _save_results(results, {"cells": map(asdict, found), "costs": map(asdict, costs)})
    save_plot(
        found, [*(rig.name for rig in drawn), *(way.name for way in NAIVE)], HERE / "error.svg"
    )
    _into_readme(describe(facts), tables, broken)
    console.print(f"[bold]{describe(facts)}[/bold]")
    for table in tables:
        console.print(table.rich())
    for claim in broken:
        notes.print(f"claim broken: {claim}", style="red")
    return 1 if broken else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.energy_accuracy",
        description="How wrong each meter is on traces of known energy, and what metering costs. "
        "Writes results.json, error.svg and the README's tables.",
    )
    parser.add_argument(
        "--windows",
        type=int,
        default=60,
        help="per meter, trace and length (default: %(default)s)",
    )
    parser.add_argument(
        "--seconds", type=float, default=6.0, help="of a cost window (default: %(default)s)"
    )
    parser.add_argument(
        "--repeats", type=int, default=5, help="cost windows per meter (default: %(default)s)"
    )
    return parser


def _hardware() -> dict[str, str]:
    """Return the fingerprint, found by another process: this one loads the stand-in for NVML."""
    code = "import json; from archon.hardware import fingerprint; print(json.dumps(fingerprint()))"
    printed = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    facts: dict[str, str] = json.loads(printed)
    return facts


def _save_results(head: Mapping[str, Any], rows: Mapping[str, Iterable[dict[str, Any]]]) -> None:
    """Write ``results.json``, one row of a table per line and numbers to four digits."""

    def text(value: Any) -> str:
        rounded = json.loads(
            json.dumps(value), parse_float=lambda number: float(f"{float(number):.4g}")
        )
        return json.dumps(rounded)

    parts = [f"{json.dumps(name)}: {text(value)}" for name, value in head.items()]
    for name, table in rows.items():
        lines = ",\n".join(text(row) for row in table)
        parts.append(f"{json.dumps(name)}: [\n{lines}\n]")
    (HERE / "results.json").write_text("{" + ",\n".join(parts) + "}\n", encoding="utf-8")


def _into_readme(hardware: str, tables: Sequence[Sheet], broken: Sequence[str]) -> None:
    readme = HERE / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    claims = [f"- claim broken: {claim}" for claim in broken] or ["Every claim held."]
    parts = [f"{hardware}.", *(table.markdown() for table in tables), "\n".join(claims)]
    result = "\n\n".join([_BEGIN, *parts, _END])
    readme.write_text(before + result + after, encoding="utf-8")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ArchonError as error:
        print(f"energy_accuracy: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
