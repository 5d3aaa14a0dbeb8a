"""The command ``archon energy``: joules of a stretch of time, or of another command."""

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, nullcontext, suppress
from pathlib import Path

from rich.console import Console

from archon.energy import child, view
from archon.energy.basis import basis_of
from archon.energy.combined import open_meter
from archon.energy.measured import Measured
from archon.energy.meter import Meter
from archon.energy.nvml import NvmlMeter
from archon.energy.recorder import Recorder
from archon.errors import ArchonError, MeterError, UsageError

SECONDS = 10.0
COMMAND_IDLE_S = 3.0
LONGEST_SLEEP_S = 3600.0  # the system refuses to sleep for centuries

_EXAMPLES = f"""examples:
  archon energy                                  watch this machine for {SECONDS:g} s
  archon energy --seconds 3 --json
  archon energy --seconds 60 --idle 10           gross joules, and net of the 10 s before
  archon energy -- python train.py --epochs 1
  archon energy --idle 0 -o joules.json -- make  the output of make stays alone on stdout

The total adds the rails of the energy basis: by default every measured rail, or the estimated
ones where nothing is measured; the others are shown beside it. A rail that cannot be read, or
whose counter fails meanwhile, has no joules but a reason, and then the total is not known either.

Without a COMMAND the result is printed on stdout. With one, its input, output and errors are left
alone: the table goes to stderr when it has ended, and the line of --json to stdout after its
output, or with -o FILE into FILE alone. Ctrl-C goes to the COMMAND; the numbers up to its end are
printed.

CUDA_VISIBLE_DEVICES says which NVIDIA GPUs are in use; ARCHON_POWERCAP names another folder to
read RAPL from than /sys/class/powercap, for example where a container has it mounted.

Exit status: that of COMMAND if it is not 0 (128 + n if signal n ended it); 0 if at least one
domain could be measured or estimated, 1 if none; 2 bad usage; 130 if Ctrl-C cut the window short.
"""


def add_energy(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``archon energy`` to a program's commands; its action is left in ``act``."""
    parser = commands.add_parser(
        "energy",
        help="joules of this machine, or of a command",
        usage="archon energy [options] [-- COMMAND ...]",
        description="Measure the joules of this machine's GPUs, CPUs and memory for some seconds, "
        "or while a command runs.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "argv", nargs="*", metavar="COMMAND", help="what to run and meter, after --"
    )
    parser.add_argument(
        "--seconds", metavar="S", help=f"length of the window without a COMMAND ({SECONDS:g})"
    )
    parser.add_argument(
        "--idle",
        metavar="S",
        help="measure the idle machine for so long before, to subtract it (0: do not; "
        f"{COMMAND_IDLE_S:g} before a COMMAND, else 0)",
    )
    parser.add_argument(
        "--meter",
        default="auto",
        metavar="KIND",
        help="auto (all there are), nvml, rapl, zeus, estimated, or a registered one",
    )
    parser.add_argument(
        "--basis",
        default="auto",
        metavar="RAILS",
        help="what the total counts: auto, or kinds such as gpu or gpu+cpu+dram",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, no table")
    parser.add_argument(
        "-o",
        dest="file",
        type=Path,
        metavar="FILE",
        help="write the JSON object into FILE, not to stdout",
    )
    parser.set_defaults(act=energy)


def energy(args: argparse.Namespace) -> int:
    """Run ``archon energy``; returns its exit status.

    Raises:
        UsageError: An option is wrong.
        ArchonError: Nothing here can be measured or estimated, or FILE cannot be written.
    """
    argv = tuple(args.argv)
    if argv and args.seconds is not None:
        raise UsageError("--seconds: a COMMAND is metered until it ends; give one of the two")
    seconds = _seconds("--seconds", args.seconds, SECONDS)
    if seconds == 0:
        raise UsageError("--seconds: 0 is no window; give more than 0")
    idle_s = _seconds("--idle", args.idle, COMMAND_IDLE_S if argv else 0.0)
    if argv:
        child.find(argv[0])
    if args.file is not None and not _writable(args.file):
        raise UsageError(f"-o {args.file}: no file can be written there; give another place")
    live = sys.stderr.isatty() and not argv and not args.json
    with closing(_open(args)) as meter:
        measured = _measure(meter, args.basis, argv, seconds, idle_s, live=live)
    _tell(measured, args)
    if measured.exit_status:
        return measured.exit_status
    if measured.interrupted:
        return 130
    return 0 if measured.anything else 1


def _open(args: argparse.Namespace) -> Meter:
    """Open the meter asked for.

    Raises:
        UsageError: There is no such meter here.
        MeterError: There is no meter at all here.
    """
    try:
        return open_meter(args.meter)
    except UsageError as error:
        if args.meter != "auto":
            raise
        if args.json:
            found = {"seconds": 0.0, "total_joules": None, "net_joules": None, "basis": None}
            print(json.dumps(found | {"domains": [], "flags": [str(error)]}))
        raise MeterError(str(error)) from error


def _measure(
    meter: Meter, wanted: str, argv: Sequence[str], seconds: float, idle_s: float, *, live: bool
) -> Measured:
    basis = basis_of(meter, wanted)
    recorder = Recorder(meter, basis)
    console = Console(stderr=True, highlight=False)
    flags = [f"left out: {reason}" for reason in basis.left_out]
    idle_watts: Mapping[str, float | None] = {}
    if idle_s > 0:
        with console.status(f"idle baseline: {idle_s:g} s") if live else nullcontext():
            idle_watts, idle = recorder.measure_idle(idle_s, _sleep)
        flags += [f"idle baseline {flag}" for flag in idle.flags]
    status, interrupted = None, True
    with suppress(KeyboardInterrupt), recorder.window("archon energy") as pending:
        if argv:
            status = child.run(argv)
        elif live:
            view.watch(pending, basis, seconds, console)
        else:
            _sleep(seconds)
        interrupted = False
    window = pending.window
    assert window is not None
    return Measured(
        window,
        basis,
        idle_watts,
        (*window.flags, *flags),
        command=tuple(argv),
        exit_status=status,
        interrupted=interrupted,
    )


def _tell(measured: Measured, args: argparse.Namespace) -> None:
    line = json.dumps(measured.to_json())
    if args.json and args.file is None:
        print(line, flush=True)
    elif not args.json:
        stream = sys.stderr if args.argv else sys.stdout
        out = Console(file=stream, highlight=False, width=None if stream.isatty() else 120)
        out.print(view.table(measured))
        for note in [*view.footnotes(measured), *_absent(measured, args.meter)]:
            out.print(note, markup=False, soft_wrap=True)
    if args.file is not None:
        try:
            args.file.write_text(f"{line}\n")
        except OSError as error:
            raise ArchonError(f"{args.file} cannot be written: {error.strerror}") from error


def _absent(measured: Measured, kind: str) -> list[str]:
    """Return why no GPU is among the rails, if one might be expected there."""
    if kind != "auto" or {domain.kind for domain in measured.window.domains} & {"gpu", "soc"}:
        return []
    try:
        NvmlMeter().close()
    except MeterError as error:
        return [f"no GPU: {error}"]
    return []


def _writable(file: Path) -> bool:
    return not file.is_dir() and os.access(file if file.exists() else file.parent, os.W_OK)


def _seconds(option: str, text: str | None, otherwise: float) -> float:
    try:
        seconds = otherwise if text is None else float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise UsageError(f"{option} {text}: not a length of time; give seconds, for example 3")
    return seconds


def _sleep(seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while (left_s := deadline - time.monotonic()) > 0:
        time.sleep(min(left_s, LONGEST_SLEEP_S))
