"""``archon profile``: arguments in, profile folder and table out."""

import argparse
import json
import re
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from rich.console import Console

from archon.components.styles import STYLES
from archon.energy import basis_of, open_meter
from archon.engines.pool import ZooPool, require_metered
from archon.engines.zoo import Device, Zoo, ZooEntry, load_zoo
from archon.errors import UsageError
from archon.hardware import device, fingerprint
from archon.ledger import Ledger
from archon.options import add_unsafe_code
from archon.profile import Profile, save_profile, to_json
from archon.profiling.harness import Plan, Step, profile_models
from archon.progress import Progress, duration
from archon.report.profile_page import write_profile_page
from archon.report.profile_table import profile_tables, write_profile_csv
from archon.search.config import load_task_config
from archon.tasks import load_task

_EXAMPLES = """examples:
  archon profile smollm2-135m qwen2.5-coder-0.5b
  archon profile qwen2.5-coder-0.5b --concurrency 1,8,64 --task products --style steps
  archon profile http://127.0.0.1:11434/v1#llama3.2 --concurrency 1,4

A model is a name in the zoo, or URL#NAME of a server on this machine. Each one is loaded alone,
warmed up, calibrated (what does a prompt token cost, what an output token?) and then asked the
task's select queries, repeatedly, until runs agree. The folder gets profile.json (with every
measurement), profile.csv and profile.html. A study takes its prices from it with
calibration.profile=FILE, and `archon report STUDY --device FILE` ranks a study made elsewhere
for this machine.
"""


def add_profile(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the program."""
    parser = commands.add_parser(
        "profile",
        help="measure what models cost and do on this machine",
        description="Measure accuracy, joules, latency and speed of models at several "
        "concurrencies.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("models", nargs="+", metavar="MODEL", help="zoo name, or URL#NAME")
    add("--concurrency", default="1,4,16", help="queries in flight, separated by commas (1,4,16)")
    add(
        "--task",
        default="small_sums",
        help="packaged task, or a YAML file (small_sums)",
    )
    add("--queries", type=int, help="ask only the first so many")
    add("--style", default="equations", choices=sorted(STYLES), help="prompt style (equations)")
    add("--max-tokens", type=int, default=48, help="longest answer (48)")
    add("--repeats", type=int, default=3, help="runs the figures are of (3)")
    add("--rate", type=float, default=1.0, help="queries/s to serve, for ipw (1)")
    add("--idle", type=float, default=5.0, metavar="SECONDS", help="length of idle windows (5)")
    add("--meter", default="auto", help="see archon energy --help (auto)")
    add("--basis", default="auto", help="rails to count, such as gpu or cpu+dram (auto)")
    add("--zoo", type=Path, action="append", default=[], help="folder of further zoo files")
    add("-o", "--output", type=Path, help="folder to write (outputs/profiles/<time>)")
    add("--json", action="store_true", help="print profile.json instead of tables")
    add("--quiet", action="store_true", help="no progress on stderr")
    add_unsafe_code(parser)
    parser.set_defaults(act=run_profile)


def run_profile(args: argparse.Namespace) -> int:
    """Run the command; returns the exit status.

    Raises:
        UsageError: An argument does not hold.
        ArchonError: A server or the meter failed; loads finished before are in the folder.
    """
    zoo = _zoo(args.models, args.zoo)
    concurrencies = _concurrencies(args.concurrency)
    plan = _plan(args, concurrencies)
    folder = args.output or _fresh_folder()
    progress = Progress(quiet=args.quiet)
    with ExitStack() as stack:
        stack.callback(progress.close)
        meter = open_meter(args.meter)
        stack.callback(meter.close)
        basis = basis_of(meter, args.basis)
        basis.require_readable(meter)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{folder}: cannot write here ({error.strerror})") from error
        if (folder / "profile.json").exists():
            raise UsageError(f"{folder} holds a profile already; name another folder with -o")
        ledger = stack.enter_context(Ledger(folder / "ledger.sqlite"))

        def pool_of(name: str) -> ZooPool:
            return ZooPool(
                {name: zoo[name]},
                device=cast("Device", device()),
                concurrency=max(concurrencies),
                log_dir=folder / "logs",
                tell=progress.say,
            )

        progress.say(f"energy: {basis.label}")
        profile = profile_models(
            plan,
            list(zoo),
            pool_of,
            meter=meter,
            basis=basis,
            hardware=fingerprint(),
            ledger=ledger,
            on_step=_Shower(progress),
            on_load=lambda so_far: save_profile(so_far, folder / "profile.json"),
        )
    draw_profile(profile, folder)
    if args.json:
        print(json.dumps(to_json(profile)))
        return 0
    out = Console(highlight=False, width=None if sys.stdout.isatty() else 100)
    for table in profile_tables(profile):
        out.print(table)
    for name in ("profile.json", "profile.csv", "profile.html"):
        out.print(str(folder / name), markup=False, soft_wrap=True)
    return 0


def draw_profile(profile: Profile, folder: Path) -> Path:
    """Write ``profile.csv`` and ``profile.html`` into a folder; returns the page."""
    write_profile_csv(profile, folder / "profile.csv")
    page = folder / "profile.html"
    write_profile_page(profile, page)
    return page


class _Shower:
    """Shows steps with the time and joules that are left, judged by what is done."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._began = time.monotonic()

    def __call__(self, step: Step) -> None:
        text = f"{step.model}, {step.concurrency} in flight: {step.what}; {step.joules:.0f} J spent"
        if step.done > 0:
            rest = (1 - step.done) / step.done
            left_s = (time.monotonic() - self._began) * rest
            text += f"; about {duration(left_s)} and {step.joules * rest:.0f} J left"
        self._progress.show("profile", text, done=step.done)


def _zoo(names: Sequence[str], folders: Sequence[Path]) -> Zoo:
    found: dict[str, ZooEntry] = {}
    for name in names:
        url, mark, model = name.partition("#")
        if not mark and "://" not in name:
            known, entry = name, load_zoo([name], folders)[name]
        elif not re.match(r"https?://", url) or not re.search(r"[A-Za-z0-9]", model):
            raise UsageError(
                f"model {name!r}: give a zoo name, or URL#NAME such as "
                "http://127.0.0.1:8000/v1#my-model"
            )
        else:
            known = re.sub(r"^[^A-Za-z0-9]+", "", re.sub(r"[^A-Za-z0-9._-]", "-", model))
            entry = ZooEntry(name=known, base_url=url, model=model)
        if found.setdefault(known, entry) != entry:
            raise UsageError(f"model {name!r}: {known} is named already; profile one at a time")
    require_metered(found)
    return found


def _concurrencies(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise UsageError(f"--concurrency: {text!r} is not a list of numbers such as 1,4,16")
    return tuple(sorted({int(part) for part in parts}))


def _plan(args: argparse.Namespace, concurrencies: tuple[int, ...]) -> Plan:
    for name, least in (("max_tokens", 1), ("repeats", 1), ("queries", 1)):
        value = getattr(args, name)
        if value is not None and value < least:
            raise UsageError(f"--{name.replace('_', '-')}: at least {least}")
    for name in ("rate", "idle"):
        if not 0 < getattr(args, name) < float("inf"):
            raise UsageError(f"--{name}: a positive number")
    config = load_task_config(args.task)
    task = load_task(config, unsafe_code=args.unsafe_code)
    queries = task.splits["select"][: args.queries]
    if not queries:
        raise UsageError(f"--task {args.task}: sizes.select is 0, so there is nothing to ask")
    return Plan(
        task=task,
        label=f"{config.label}, {len(queries)} queries",
        queries=queries,
        style=args.style,
        max_tokens=args.max_tokens,
        concurrencies=concurrencies,
        repeats=args.repeats,
        rate=args.rate,
        idle_seconds=args.idle,
    )


def _fresh_folder() -> Path:
    return Path("outputs/profiles") / datetime.now(tz=UTC).strftime("%Y%m%d-%H%M%S")
