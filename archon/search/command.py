"""The search as a command: arguments in, table on stdout, exit status out."""

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from rich.console import Console

from archon.errors import ArchonError
from archon.options import add_unsafe_code
from archon.progress import Progress
from archon.search.config import load_config, packaged
from archon.search.run import run_study

_EPILOG = """examples:
  python -m archon.search conf=quickstart
  python -m archon.search conf=quickstart search.budget.trials=300
  python -m archon.search conf=my.yaml study.name=second objective.metric=ipj

Running a command again continues its study: nothing generated is generated twice. Results are in
STUDY.DIR/STUDY.NAME/<timestamp> and behind the link STUDY.DIR/latest. Exit status: 0 done,
1 failed at run time, 2 bad input, 130 stopped by Ctrl-C (everything known is kept).
"""


def search_command(arguments: Sequence[str]) -> int:
    """Run a study from command-line arguments; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="archon search",
        description="Find the pipeline with the most accuracy per joule, and prove it on held-out "
        "queries.",
        epilog=_EPILOG + f"\npackaged configurations: {', '.join(packaged())}\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("conf", metavar="conf=NAME", nargs="?", help="configuration, or a path")
    parser.add_argument("overrides", metavar="key=value", nargs="*", help="settings to change")
    parser.add_argument("--json", action="store_true", help="print summary.json instead of a table")
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")
    add_unsafe_code(parser)
    args = parser.parse_intermixed_args(arguments)
    signal.signal(signal.SIGTERM, _as_interrupt)
    progress = Progress(quiet=args.quiet)
    try:
        config = load_config([item for item in (args.conf, *args.overrides) if item is not None])
        outcome = run_study(config, progress, unsafe_code=args.unsafe_code)
    except ArchonError as error:
        progress.close()
        print(f"archon search: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        progress.close()
        print("archon search: stopped; the same command continues", file=sys.stderr)
        return 130
    finally:
        progress.close()
    if args.json:
        print(json.dumps(outcome.summary, indent=2))
        return 0
    out = Console(highlight=False, width=None if sys.stdout.isatty() else 100)
    if outcome.nothing_new:
        out.print("Nothing left to do: the study is finished; raise search.budget to go on.")
    out.print(outcome.table)
    out.print(outcome.summary["verdict"]["text"], markup=False)
    out.print(f"pipeline: {outcome.folder / 'best.yaml'}", markup=False, soft_wrap=True)
    out.print(f"report:   {outcome.folder / 'report.html'}", markup=False, soft_wrap=True)
    return 0


def _as_interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt
