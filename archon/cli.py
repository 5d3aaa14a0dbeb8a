"""The program ``archon``: one place for its commands and their errors."""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import cast, get_args

from rich.console import Console
from rich.table import Table

from archon.answer import Answer, answer_one
from archon.energy import Recorder, basis_of, open_meter
from archon.energy.command import add_energy
from archon.engines.base import Engine
from archon.engines.client import OpenAIEngine, is_loopback
from archon.engines.pool import ZooPool
from archon.engines.programs import SandboxEngine
from archon.engines.zoo import Device, load_zoo
from archon.errors import ArchonError, UsageError
from archon.exits import exit_status
from archon.hardware import device
from archon.interchange.command import add_export, add_import
from archon.messages import Message
from archon.options import add_unsafe_code
from archon.profile import load_profile
from archon.profiling.command import add_profile, draw_profile
from archon.progress import Progress
from archon.report.html import write_report
from archon.report.show_command import add_show
from archon.search.command import search_command
from archon.search.replay import replay
from archon.search.rerank import rerank
from archon.search.results import priced_figures
from archon.spec import EndpointModel, PipelineSpec, ZooModel, load_spec
from archon.tasks import FreeTask, Query, SplitName

_EXAMPLES = """examples:
  archon search conf=quickstart
  archon run outputs/latest/best.yaml "What is 12 + 31?"
  archon run outputs/latest/best.yaml --split select
  archon show outputs/latest/best.yaml
  archon report outputs/latest
  archon profile smollm2-135m qwen2.5-coder-0.5b
  archon energy -- python train.py
"""
_RUN_EXAMPLES = """examples:
  archon run outputs/latest/best.yaml "What is 12 + 31?"
  archon run best.yaml "What is 12 + 31?" --json
  archon run outputs/latest/best.yaml --split select     (from the ledger, no model is called)
"""
_REPORT_EXAMPLES = """examples:
  archon report outputs/latest
  archon report outputs/profiles/20260101-120000
  archon report outputs/latest --device laptop/profile.json
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status: 0 done, 1 failed, 2 bad input."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments[:1] == ["search"]:
        return search_command(arguments[1:])
    args = _parser().parse_args(arguments)
    return exit_status(f"archon {args.command}", lambda: args.act(args))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="archon",
        description="Inference-time pipelines with the most accuracy per joule.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("search", help="find the best pipeline (see archon search --help)")
    run = commands.add_parser(
        "run",
        help="answer a question with a pipeline",
        description="Answer a question with a pipeline and account for every call, or replay the "
        "pipeline over a split of its study from the ledger.",
        epilog=_RUN_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument("spec", type=Path, metavar="SPEC", help="pipeline file (YAML or JSON)")
    run.add_argument("question", nargs="?", help="what to ask")
    run.add_argument("--split", choices=get_args(SplitName), help="replay over this split instead")
    run.add_argument("--json", action="store_true", help="print one JSON object")
    run.add_argument(
        "--zoo", type=Path, action="append", default=[], help="folder of further zoo files"
    )
    run.add_argument("--concurrency", type=int, default=16, help="calls in flight per model")
    add_unsafe_code(run)
    run.set_defaults(act=_run)
    report = commands.add_parser(
        "report",
        help="draw the report of a study or a profile again, or rank a study for another device",
        description="Draw the report of a results folder or of a profile again. With --device, "
        "rank a study's pipelines at the prices of another device's profile (predicted).",
        epilog=_REPORT_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    report.add_argument("folder", type=Path, metavar="FOLDER", help="results or profile folder")
    report.add_argument("--device", type=Path, metavar="PROFILE", help="profile.json of a device")
    report.add_argument("--json", action="store_true", help="with --device: print JSON")
    report.set_defaults(act=_report)
    add_energy(commands)
    add_profile(commands)
    add_import(commands)
    add_export(commands)
    add_show(commands)
    return parser


def _report(args: argparse.Namespace) -> int:
    if args.device is None:
        if args.json:
            raise UsageError("--json goes with --device: without it, a page is drawn")
        if (args.folder / "profile.json").is_file():
            print(draw_profile(load_profile(args.folder), args.folder))
        else:
            print(write_report(args.folder))
        return 0
    ranking = rerank(args.folder, load_profile(args.device))
    if args.json:
        print(json.dumps(ranking.to_json(), indent=2))
    else:
        _console().print(ranking.table())
    return 0


def _run(args: argparse.Namespace) -> int:
    if (args.question is None) == (args.split is None):
        raise UsageError("give either a question or --split")
    if args.split is not None:
        return _replay(args)
    if not args.question.strip():
        raise UsageError("the question is empty")
    if args.concurrency < 1:
        raise UsageError("--concurrency: at least 1")
    spec = load_spec(args.spec)
    progress = Progress()
    try:
        answer = _ask(spec, args, progress)
    finally:
        progress.close()
    if args.json:
        print(json.dumps(answer.to_json(), ensure_ascii=False))
    else:
        _print_answer(answer)
    if answer.answer is None:
        errors = [call.error for call in answer.calls if call.error]
        raise ArchonError(f"no answer: {errors[0] if errors else 'no candidate was left'}")
    return 0


def _replay(args: argparse.Namespace) -> int:
    evaluation = replay(args.spec, args.split, unsafe_code=args.unsafe_code)
    figures = priced_figures(evaluation) | {"method": "priced", "calls": evaluation.calls}
    if args.json:
        print(json.dumps({"split": args.split, **figures}))
    else:
        print(
            f"{evaluation.spec.name} on {args.split}: accuracy {figures['accuracy']:.4f}, "
            f"{figures['energy_j']:.4f} J/query (priced), {evaluation.calls} calls from the ledger"
        )
    return 0


def _ask(spec: PipelineSpec, args: argparse.Namespace, progress: Progress) -> Answer:
    refs = [spec.models[alias] for alias in spec.used_models()]
    zoo = load_zoo([ref.zoo for ref in refs if isinstance(ref, ZooModel)], args.zoo)
    limits = {
        alias: zoo[ref.zoo].max_model_len
        for alias, ref in spec.models.items()
        if isinstance(ref, ZooModel) and ref.zoo in zoo and not zoo[ref.zoo].remote
    }
    programs = SandboxEngine(unsafe=args.unsafe_code)
    # What cannot run is refused before a server is waited for.
    spec.require_fitted()
    spec.require_room(limits)
    if spec.runs_programs:
        programs.require()
    with ExitStack() as stack:
        meter = open_meter()
        stack.callback(meter.close)
        pool = ZooPool(
            zoo,
            device=cast("Device", device()),
            concurrency=args.concurrency,
            log_dir=Path("outputs/logs"),
            tell=progress.say,
        )
        stack.callback(pool.close)
        pool.start([pool.identity(name) for name in zoo])
        engines: dict[str, Engine] = {}
        for alias in spec.used_models():
            ref = spec.models[alias]
            if isinstance(ref, ZooModel):
                engines[alias] = pool.engine(pool.identity(ref.zoo))
            else:
                engines[alias] = _endpoint(ref, args.concurrency)
        query = Query("question", (Message("user", args.question),), None)
        progress.show("answering", spec.name)
        runner = stack.enter_context(asyncio.Runner())
        stack.callback(lambda: [runner.run(engine.aclose()) for engine in engines.values()])
        return answer_one(
            spec,
            query,
            FreeTask(),
            engines=engines,
            recorder=Recorder(meter, basis_of(meter), own_pids=pool.pids),
            runner=runner,
            concurrency=args.concurrency,
            limits=limits,
            programs=programs,
            metered=all(isinstance(ref, ZooModel) or is_loopback(ref.base_url) for ref in refs),
        )


def _endpoint(ref: EndpointModel, concurrency: int) -> OpenAIEngine:
    key = os.environ.get(ref.api_key_env) if ref.api_key_env else "none"
    if key is None:
        raise UsageError(f"set {ref.api_key_env} to the API key of {ref.base_url}")
    return OpenAIEngine(
        ref.base_url,
        ref.model,
        ref.model_dump_json(),
        api_key=key,
        concurrency=concurrency,
    )


def _print_answer(answer: Answer) -> None:
    out = _console()
    if answer.answer is not None:
        out.print(answer.answer, markup=False)
    if answer.p_correct is not None:
        doubt = "" if answer.calibrated else " (not calibrated)"
        out.print(f"P(correct) {answer.p_correct:.3f}{doubt}")
    if answer.counts:
        counted = ", ".join(f"{what} {times}" for what, times in answer.counts.items())
        out.print(f"counted: {counted}", markup=False)
    joules = "–" if answer.energy_j is None else f"{answer.energy_j:.2f} J"
    table = Table(title=f"{joules} in {answer.seconds:.1f} s (energy: {answer.basis})")
    for column in ("component", "model"):
        table.add_column(column)
    for column in ("prompt", "cached", "generated", "latency", "joules (share)"):
        table.add_column(column, justify="right")
    for call in answer.calls:
        table.add_row(
            call.component,
            call.model,
            str(call.prompt_tokens),
            "–" if call.cached_tokens is None else str(call.cached_tokens),
            call.error or str(call.completion_tokens),
            f"{call.latency_s:.2f} s",
            "–" if call.energy_j is None else f"{call.energy_j:.2f}",
        )
    out.print(table)


def _console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else 100)


if __name__ == "__main__":
    sys.exit(main())
