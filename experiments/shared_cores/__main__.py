"""Shared cores: a pipeline of two models live, in turns and at once; see the README beside this.

python -m experiments.shared_cores
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from rich.console import Console

from archon.components import Context
from archon.components.generator import Generator
from archon.components.vote import Vote
from archon.engines.client import OpenAIEngine
from archon.errors import ArchonError
from archon.hardware import describe, fingerprint
from archon.pipeline import CallStore, Pipeline, run_live
from archon.progress import Progress
from archon.search.config import load_config
from archon.spec import PipelineSpec, ZooModel
from archon.tasks import Query, load_task
from archon.tasks.task import Task
from experiments.rig import Rig, open_rig
from experiments.sheet import Sheet

HERE = Path(__file__).parent
TURNS, AT_ONCE = "both, in turns", "both, at once"


@dataclass(frozen=True, slots=True)
class Block:
    """One pipeline over all queries in one window."""

    seconds: float
    joules: float


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    config = load_config(["conf=quickstart"]).model_copy(update={"models": tuple(args.models)})
    task = load_task(config.task)
    progress = Progress()
    with tempfile.TemporaryDirectory(prefix="shared-cores-") as folder:
        update = {"study": config.study.model_copy(update={"dir": folder})}
        with open_rig(config.model_copy(update=update), Path(folder), progress) as rig:
            queries = task.splits["select"][: args.queries]
            found = measure(rig, task, queries, args.repeats, progress)
            basis = rig.basis.label
    progress.close()
    lines = [
        f"Hardware: {describe(fingerprint())}; energy: {basis}; {args.queries} queries, "
        f"{config.target.concurrency} in flight, {args.repeats} blocks each, medians."
    ]
    sheet = _sheet(found, args.queries, basis)
    console = Console()
    console.print(sheet.rich())
    console.print(*lines, markup=False, highlight=False)
    text = "\n".join([*lines, "", sheet.markdown()])
    (args.output / "table.md").write_text(text, encoding="utf-8")
    return 0


def measure(
    rig: Rig, task: Task, queries: Sequence[Query], repeats: int, progress: Progress
) -> dict[str, list[Block]]:
    """Run each model's part alone, then both, in turns and at once, block by block in rotation.

    Raises:
        ArchonError: A window's energy could not be read.
    """
    small, big = rig.identities
    parts = {
        small: Generator(model=small, samples=2, temperature=0.5, max_tokens=48, style="equations"),
        big: Generator(model=big, samples=2, temperature=0.5, max_tokens=48, style="equations"),
    }
    rig.generator.ready(rig.identities.values())
    plans = {
        f"{small} alone": ((small,), True),
        f"{big} alone": ((big,), True),
        TURNS: ((small, big), True),
        AT_ONCE: ((small, big), False),
    }
    found: dict[str, list[Block]] = {name: [] for name in plans}
    for repeat in range(repeats):
        for done, (name, (models, in_turns)) in enumerate(plans.items()):
            share = (repeat * len(plans) + done) / (repeats * len(plans))
            progress.show("blocks", name, done=share)
            spec = PipelineSpec(
                models={model: ZooModel(zoo=model) for model in models},
                layers=(tuple(parts[model] for model in models), (Vote(),)),
            )
            found[name].append(_block(rig, task, queries, spec, in_turns=in_turns))
    return found


def _block(
    rig: Rig, task: Task, queries: Sequence[Query], spec: PipelineSpec, *, in_turns: bool
) -> Block:
    generator = rig.generator
    engines = [cast("OpenAIEngine", rig.pool.engine(one)) for one in rig.identities.values()]
    known = [engine.turns for engine in engines]
    epoch = generator.ledger.new_epoch(generator.study, "shared cores")
    store = CallStore(generator.ledger, epoch, fresh=True)
    try:
        if not in_turns:
            for engine in engines:
                engine.turns = None
        with generator.window("shared cores") as metered:
            generator.runner.run(
                run_live(
                    Pipeline(spec, Context(task, rig.identities)),
                    queries,
                    store,
                    rig.pool.engine,
                    concurrency=generator.concurrency,
                )
            )
    finally:
        for engine, turns in zip(engines, known, strict=True):
            engine.turns = turns
    if metered.joules is None:
        raise ArchonError("energy could not be read; see `archon energy`")
    return Block(metered.window.seconds, metered.joules)


def _sheet(found: dict[str, list[Block]], queries: int, basis: str) -> Sheet:
    medians = {
        name: Block(
            statistics.median(block.seconds for block in blocks),
            statistics.median(block.joules for block in blocks),
        )
        for name, blocks in found.items()
    }
    alone = [block for name, block in medians.items() if name.endswith("alone")]
    whole = Block(sum(b.seconds for b in alone), sum(b.joules for b in alone))
    rows = [
        [
            name,
            f"{block.seconds:.1f}",
            f"{block.joules / queries:.2f}",
            f"{block.joules / whole.joules:.2f}",
            f"{block.joules / medians[TURNS].joules:.2f}",
        ]
        for name, block in medians.items()
    ]
    headings = ["", "seconds", "J/query", "J / sum alone", "J / in turns"]
    return Sheet(f"Two models on the same cores (energy: {basis})", headings, rows)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.shared_cores",
        description="What do two models cost that share processor cores: in turns, or at once?",
    )
    models = ["smollm2-135m", "qwen2.5-coder-0.5b"]
    parser.add_argument("--models", nargs=2, default=models, help="default: %(default)s")
    parser.add_argument("--queries", type=int, default=32, help="default: %(default)s")
    parser.add_argument("--repeats", type=int, default=3, help="default: %(default)s")
    parser.add_argument("-o", "--output", type=Path, default=HERE, metavar="FOLDER")
    return parser


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ArchonError as error:
        print(f"shared_cores: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
