"""Adaptive pipelines: measure, show, and write the results; see the README beside this file."""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from archon.errors import ArchonError, UsageError
from archon.metrics import Sample
from archon.progress import Progress
from experiments.adaptive.measure import Found, Plan, Row, measure
from experiments.adaptive.plot import bars
from experiments.adaptive.tables import notes, sheets
from experiments.adaptive.ways import KINDS

HERE = Path(__file__).parent
WIDTH = 150
"""Columns where there is no terminal."""


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    unknown = [name for name in args.kinds if name not in KINDS]
    if unknown:
        raise UsageError(f"--kinds {unknown[0]}: there are {', '.join(KINDS)}")
    plan = Plan(
        model=args.model,
        kinds=tuple(KINDS[name] for name in args.kinds),
        concurrency=args.concurrency,
        sizes={"fit": args.fit, "select": args.select, "test": args.test},
        repeats=args.repeats,
        seed=args.seed,
    )
    try:
        args.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"-o {args.output}: cannot be made ({error.strerror})") from error
    progress = Progress()
    try:
        with tempfile.TemporaryDirectory(prefix="adaptive-") as scratch:
            found = measure(plan, args.work or Path(scratch), progress)
    finally:
        progress.close()
    report(found, args.output)
    return 0


def report(found: Found, folder: Path) -> None:
    """Print the tables, and write them with results.json and joules.svg."""
    tables, lines = sheets(found), notes(found)
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH
    for table in tables:
        console.print(table.rich())
    for line in lines:
        console.print(line, markup=False, highlight=False)
    text = "\n".join([*(f"{line}\n" for line in lines), *(table.markdown() for table in tables)])
    (folder / "table.md").write_text(text, encoding="utf-8")
    data = json.dumps(_results(found), indent=1)
    (folder / "results.json").write_text(data + "\n", encoding="utf-8")
    (folder / "joules.svg").write_text(bars(found), encoding="utf-8")


def _results(found: Found) -> dict[str, Any]:
    plan = found.plan
    return {
        "model": plan.model,
        "concurrency": plan.concurrency,
        "sizes": dict(plan.sizes),
        "repeats": plan.repeats,
        "seed": plan.seed,
        "seconds": round(found.seconds, 1),
        "calls": found.calls,
        "price_list": found.prices.to_json(),
        "kinds": {title: [_row(row) for row in rows] for title, rows in found.rows.items()},
    }


def _row(row: Row) -> dict[str, Any]:
    fields = {name: getattr(row, name) for name in Row.__slots__ if name != "sample"}
    return fields | {"sample": _sample(row.sample)}


def _sample(sample: Sample) -> dict[str, Any]:
    return {
        "score": sample.score.tolist(),
        "joules": [[float(f"{joules:.5g}") for joules in row] for row in sample.joules.tolist()],
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.adaptive",
        description="At equal accuracy, do sequential sampling and cascades spend less than "
        "drawing n samples and voting?",
        epilog="example: python -m experiments.adaptive --kinds sums --test 50",
    )

    def number(name: str, default: int, told: str) -> None:
        parser.add_argument(
            f"--{name}", type=_positive, default=default, help=f"{told} (default: %(default)s)"
        )

    parser.add_argument("--model", default="qwen2.5-coder-0.5b", help="default: %(default)s")
    parser.add_argument(
        "--kinds", nargs="+", default=list(KINDS), metavar="KIND", help="default: %(default)s"
    )
    number("concurrency", 16, "queries in flight")
    number("fit", 48, "queries that weavers are fitted on")
    number("select", 80, "queries that settings are chosen on")
    number("test", 100, "queries of each live block")
    number("repeats", 3, "live blocks of each pipeline")
    parser.add_argument("--seed", type=int, default=11, help="default: %(default)s")
    parser.add_argument(
        "--work", type=Path, metavar="FOLDER", help="keep ledger and blocks here, and go on there"
    )
    parser.add_argument(
        *("-o", "--output"), type=Path, default=HERE, metavar="FOLDER", help="default: here"
    )
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return int(text)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ArchonError as error:
        print(f"adaptive: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        print("adaptive: stopped; with --work FOLDER the same command goes on", file=sys.stderr)
        sys.exit(130)
