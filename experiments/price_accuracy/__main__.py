"""Price accuracy: measure, show, and write the results; see the README beside this file."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from archon.errors import ArchonError, UsageError
from archon.progress import Progress
from experiments.price_accuracy.measure import Found, Plan, measure
from experiments.price_accuracy.plot import scatter
from experiments.price_accuracy.summary import Summary, summarise_run
from experiments.price_accuracy.tables import notes, sheets

HERE = Path(__file__).parent
WIDTH = 110
"""Columns where there is no terminal."""


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    _make_folder(args.output)
    progress = Progress()
    plan = Plan(
        models=tuple(args.models.split(",")),
        concurrency=args.concurrency,
        queries=args.queries,
        repeats=args.repeats,
        windows=args.windows,
        seed=args.seed,
    )
    try:
        found = measure(plan, progress)
    finally:
        progress.close()
    report(found, args.output)
    return 0


def report(found: Found, folder: Path) -> None:
    """Print the tables, and write them with results.json and scatter.svg."""
    summary = summarise_run(found)
    tables, lines = sheets(found, summary), notes(found, summary)
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH
    for table in tables:
        console.print(table.rich())
    for line in lines:
        console.print(line, markup=False, highlight=False)
    text = "\n".join([*(f"{line}\n" for line in lines), *(table.markdown() for table in tables)])
    (folder / "table.md").write_text(text, encoding="utf-8")
    data = json.dumps(_results(found, summary), indent=1)
    (folder / "results.json").write_text(data + "\n", encoding="utf-8")
    picture = scatter(found, summary)
    if picture is not None:
        (folder / "scatter.svg").write_text(picture, encoding="utf-8")


def _results(found: Found, summary: Summary) -> dict[str, Any]:
    return {
        "plan": asdict(found.plan),
        "seconds": found.seconds,
        "energy": asdict(found.basis),
        "price_list": found.prices.to_json(),
        "calibration": {
            name: [asdict(load) for load in loads] for name, loads in found.calibration.items()
        },
        "price_list_after": {name: asdict(price) for name, price in found.after.items()},
        "held_out": [asdict(window) for window in summary.windows],
        "live": [asdict(pipeline) for pipeline in summary.pipelines],
        "by_model": {
            name: {"joules": asdict(joules), "seconds": asdict(seconds)}
            for name, (joules, seconds) in summary.by_model.items()
        },
        "ways": {name: asdict(way) for name, way in summary.ways.items()},
        "audit": {
            "blocks": summary.blocks,
            "left_out": summary.left_out,
            "worst_share_gap": summary.share_gap,
        },
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.price_accuracy",
        description="Do prices fitted on calibration windows predict the joules of held-out "
        "windows and of live pipelines?",
        epilog="example: python -m experiments.price_accuracy --models smollm2-135m --queries 16",
    )
    parser.add_argument(
        "--models",
        default="smollm2-135m,qwen2.5-coder-0.5b",
        help="zoo models, the smallest first (default: %(default)s)",
    )
    parser.add_argument("--concurrency", type=_positive, default=16, help="default: %(default)s")
    parser.add_argument(
        "--queries", type=_positive, default=48, help="per live block (default: %(default)s)"
    )
    parser.add_argument(
        "--repeats", type=_positive, default=2, help="blocks per pipeline (default: %(default)s)"
    )
    parser.add_argument(
        "--windows", type=_positive, default=6, help="held out per model (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=HERE,
        metavar="FOLDER",
        help="default: this experiment's",
    )
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return int(text)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"-o {folder}: cannot be made ({error.strerror})") from error


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ArchonError as error:
        print(f"price_accuracy: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        print("price_accuracy: stopped; nothing is kept", file=sys.stderr)
        sys.exit(130)
