"""What the machinery around the models costs, in one run; see the README beside this file."""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from archon.errors import ArchonError
from archon.hardware import describe, fingerprint
from archon.ledger import Ledger
from experiments.executor_bench.corpus import Corpus
from experiments.executor_bench.ledger_speed import LedgerSpeed, measure_ledger
from experiments.executor_bench.replay import ReplayTimes, measure_replay
from experiments.executor_bench.throughput import QUIET_CORES, Round, measure_throughput

QUERIES = 200
PARTS = ("throughput", "replay", "ledger")


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    notes = Console(stderr=True)
    facts = fingerprint()
    found: dict[str, object] = {"hardware": facts}
    tables = []
    with tempfile.TemporaryDirectory(prefix="executor-bench-") as scratch:
        folder = Path(scratch)
        if "throughput" in args.parts:
            load = os.getloadavg()[0]
            notes.print(f"load average {load:.2f} on {facts['cores']} cores")
            rounds = measure_throughput(
                args.model,
                rounds=args.rounds,
                requests=args.requests,
                concurrency=args.concurrency,
                folder=folder,
                tell=notes.print,
            )
            found["throughput"] = {"load_before": load, "rounds": [asdict(one) for one in rounds]}
            tables.append(_throughput_table(args.model, args.concurrency, load, rounds))
        if "replay" in args.parts:
            notes.print(f"replay: {QUERIES} queries x 16 samples x 4 models, {args.trials} trials")
            with Ledger(folder / "replay.sqlite") as ledger:
                corpus = Corpus(ledger, QUERIES)
                calls = corpus.fill(corpus.evaluator())
                ledger.flush()
                times = measure_replay(corpus, args.trials, folder)
            found["replay"] = {"calls": calls, **asdict(times)}
            tables.append(_replay_table(calls, times))
        if "ledger" in args.parts:
            speed = measure_ledger(folder / "speed.sqlite", prompts=2000)
            found["ledger"] = asdict(speed)
            tables.append(_ledger_table(speed))
    if args.json:
        print(json.dumps(found))
        return 0
    console = Console()
    console.print(f"[bold]{describe(facts)}[/bold]")
    for table in tables:
        console.print(table)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.executor_bench.bench",
        description="Executor against a bare client, replayed trials, ledger: how fast they are.",
        epilog="example: python -m experiments.executor_bench.bench --parts replay ledger --json",
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="default: all")
    parser.add_argument("--model", default="smollm2-135m", help="zoo model (default: %(default)s)")
    parser.add_argument(
        "--rounds", type=int, default=6, help="undisturbed ones wanted (default: %(default)s)"
    )
    parser.add_argument(
        "--requests", type=int, default=96, help="per measured block (default: %(default)s)"
    )
    parser.add_argument("--concurrency", type=int, default=16, help="default: %(default)s")
    parser.add_argument("--trials", type=int, default=150, help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    return parser


def _throughput_table(model: str, concurrency: int, load: float, rounds: Sequence[Round]) -> Table:
    table = Table(
        title=f"{model}, {concurrency} in flight, completion tokens/s\n"
        f"(load average before: {load:.2f})"
    )
    for heading in ("round", "bare client", "phase", "live", "phase/bare", "live/bare", "others"):
        table.add_column(heading, justify="right")
    for number, one in enumerate(rounds, start=1):
        cells = [f"{rate:.1f}" for rate in (one.bare, one.phase, one.live)]
        cells += [f"{ratio:.3f}" for ratio in _ratios(one)]
        table.add_row(str(number), *cells, f"{one.others:.2f}", style=None if one.quiet else "dim")
    table.add_section()
    quiet = [one for one in rounds if one.quiet]
    columns = list(zip(*(_ratios(one) for one in quiet or rounds), strict=True))
    table.add_row("median", "", "", "", *(f"{statistics.median(c):.3f}" for c in columns))
    table.add_row("range", "", "", "", *(f"{min(c):.3f}-{max(c):.3f}" for c in columns))
    table.caption = (
        f"others: cores kept busy by other programs; median and range over the {len(quiet)} rounds "
        f"with at most {QUIET_CORES}"
        if quiet
        else "other programs kept the machine busy in every round: these ratios are noise"
    )
    return table


def _ratios(one: Round) -> tuple[float, float]:
    return one.phase / one.bare, one.live / one.bare


def _replay_table(calls: int, times: ReplayTimes) -> Table:
    table = Table(title=f"replayed trials, {QUERIES} queries, {calls} calls stored, ms per trial")
    table.add_column("what")
    for heading in ("trials", "median", "p90"):
        table.add_column(heading, justify="right")
    rows = {
        "evaluate, first touch (all from SQLite)": times.cold,
        "evaluate, warm": times.warm,
        "in a study: evaluate": times.evaluate,
        "in a study: sampler (TPE)": times.sampler,
        "in a study: storage (SQLite) and the rest": times.storage,
    }
    for what, ms in rows.items():
        median, p90 = np.percentile(ms, [50, 90])
        table.add_row(what, str(len(ms)), f"{median:.2f}", f"{p90:.2f}")
    return table


def _ledger_table(speed: LedgerSpeed) -> Table:
    table = Table(title="ledger (SQLite), calls/s")
    table.add_column("what")
    table.add_column("calls/s", justify="right")
    table.add_row("insert (put and flush)", f"{speed.inserts:,.0f}")
    table.add_row("look up, all requests at once", f"{speed.bulk:,.0f}")
    table.add_row("look up, request by request (16 calls each)", f"{speed.single:,.0f}")
    return table


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ArchonError as error:
        print(f"executor_bench: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
