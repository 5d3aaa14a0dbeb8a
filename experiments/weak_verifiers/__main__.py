"""Weak verifiers on real candidates: make the data set, and compare what can be made of it."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from archon.errors import UsageError
from archon.exits import exit_status
from archon.progress import Progress
from experiments.weak_verifiers.collect import collect
from experiments.weak_verifiers.show import show
from experiments.weak_verifiers.standings import DataSet
from weaver.score_files import load_scores

HERE = Path(__file__).parent
WIDTH = 150
"""Columns where there is no terminal."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the part asked for; returns the exit status."""
    args = _parser().parse_args(argv)
    return exit_status("experiments.weak_verifiers", lambda: args.act(args))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.weak_verifiers", description=(__doc__ or "").splitlines()[0]
    )
    parts = parser.add_subparsers(required=True, metavar="PART")
    one = parts.add_parser("collect", help="run models and verifiers (a quarter of an hour)")
    one.add_argument("--per-kind", type=int, default=60, help="queries of each kind (60)")
    one.add_argument("--seed", type=int, default=12, help="of the queries (12)")
    one.add_argument("--work", type=Path, default=Path("outputs/weak_verifiers"))
    one.add_argument("--output", type=Path, default=HERE / "fresh")
    one.set_defaults(act=_collect)
    one = parts.add_parser("compare", help="compare ways to choose, on the data set")
    one.add_argument("--folder", type=Path, default=HERE / "fresh", help="where the data set is")
    one.set_defaults(act=_compare)
    return parser


def _collect(args: argparse.Namespace) -> int:
    if args.per_kind < 1:
        raise UsageError("--per-kind: at least 1")
    for folder in (args.work, args.output):
        folder.mkdir(parents=True, exist_ok=True)
    progress = Progress()
    try:
        collect(args.output, args.work, args.per_kind, args.seed, progress)
    finally:
        progress.close()
    return 0


def _compare(args: argparse.Namespace) -> int:
    folder: Path = args.folder
    collected = json.loads((folder / "collected.json").read_text(encoding="utf-8"))
    scores = load_scores(folder / "scores.npz")
    lines = (folder / "samples.jsonl").read_text(encoding="utf-8").splitlines()
    kinds = tuple(json.loads(line)["id"].rpartition("-")[0] for line in lines)
    accounts = collected["verifiers"]
    if unmeasured := [one["name"] for one in accounts if one["judged"] and one["cost_j"] is None]:
        raise UsageError(f"{folder}: the joules of {unmeasured[0]} were not measured; collect anew")
    energy = [(one["cost_j"] or 0.0) * one["judged"] / len(kinds) for one in accounts]
    progress = Progress()
    try:
        data = DataSet(scores, kinds, np.array(energy))
        shown = show(data, collected, lambda what: progress.show("compare", what))
    finally:
        progress.close()
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH
    for sheet in shown.sheets:
        console.print(sheet.rich())
    for line in shown.lines:
        console.print(line, markup=False, highlight=False)
    text = "\n".join(
        [*(sheet.markdown() for sheet in shown.sheets), *(f"{line}\n" for line in shown.lines)]
    )
    (folder / "table.md").write_text(text, encoding="utf-8")
    (folder / "joules.svg").write_text(shown.picture, encoding="utf-8")
    results = json.dumps(shown.results, indent=1)
    (folder / "results.json").write_text(results + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
