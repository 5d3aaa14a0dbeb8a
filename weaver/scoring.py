"""``weaver score``: a samples file in, a scores file and an account of every verifier out."""

import argparse
import asyncio
import json
import re
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import cast

import numpy as np
from rich.table import Table

from archon.energy import Recorder, basis_of, open_meter
from archon.engines.client import is_loopback
from archon.engines.pool import ZooPool
from archon.engines.zoo import Device, Zoo, load_zoo
from archon.errors import ArchonError, UsageError
from archon.hardware import describe, device, fingerprint
from archon.ledger import Ledger
from archon.progress import Progress, duration
from weaver.output import replacing
from weaver.sample_files import Samples, load_samples
from weaver.score_files import save_scores
from weaver.scores import Scores
from weaver.tables import cells, figure, print_table
from weaver.verifiers import Scored, Step, Verifier, parse, score_samples

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_ONE = re.compile(rf'(?:{_QUOTED}|\((?:{_QUOTED}|[^")])*\)|[^,])+')
_UNSAID = ("mean_logprob", "top_logprobs")

EXAMPLES = """examples:
  weaver score answers.jsonl --verifiers consistency,length -o scores.npz
  weaver score answers.jsonl -o scores.npz \\
      --verifiers "judge(model=qwen2.5-coder-1.5b, reads=answer),consistency"

A line of answers.jsonl, its last three keys optional (1 correct, 0 wrong, -1 unknown; methods may
read labels, correct is for judging alone):
  {"id": "q1", "prompt": "What is 2 + 2?", "samples": ["2 + 2 = 4", "5"], "answers": ["4", "5"],
   "labels": [1, -1], "correct": [1, 0]}

Calls are kept in the ledger: the same command again makes only those that are missing.
"""


def score(args: argparse.Namespace) -> int:
    """Run the command; returns the exit status.

    Raises:
        UsageError: A file, a verifier or a model is not as said; nothing is written.
        ArchonError: A server failed; calls that came back are in the ledger.
    """
    if args.concurrency < 1:
        raise UsageError("--concurrency: at least 1")
    samples = load_samples(args.answers)
    verifiers = _verifiers(args.verifiers, samples)
    names = dict.fromkeys(name for verifier in verifiers for name in verifier.model_names())
    zoo = load_zoo(names, args.zoo)
    with replacing(args.output, ".npz", ".parquet") as draft:
        ledger = args.ledger or str(args.output.with_suffix(".ledger.sqlite"))
        # What cannot be written shows now, not when all calls are made.
        columns = tuple(verifier.name for verifier in verifiers)
        save_scores(Scores(np.zeros((1, 1, len(columns))), columns), draft)
        scored, energy = _run(samples, verifiers, zoo, ledger, args.concurrency, args.meter)
        silent = np.asarray(np.isnan(scored.scores.scores).all(axis=(0, 1)))
        for verifier, account, none in zip(verifiers, scored.accounts, silent, strict=True):
            if account.failed and none:
                raise ArchonError(
                    f"verifier {verifier.name}: {account.failed} calls failed and no other gave a "
                    f"verdict, so {args.output} is not written; calls made are kept in {ledger}"
                )
        full = replace(scored.scores, labels=samples.labels, correct=samples.correct)
        save_scores(full, draft)
    _tell(args, scored, energy)
    return 0


def _verifiers(text: str, samples: Samples) -> list[Verifier]:
    verifiers = [parse(one.strip()) for one in _ONE.findall(text) if one.strip()]
    if not verifiers:
        raise UsageError("--verifiers: name at least one")
    stated = any(sample.answer for one in samples.questions for sample in one.samples)
    for verifier in verifiers:
        if unsaid := [name for name in verifier.needs if name in _UNSAID]:
            raise UsageError(
                f"verifier {verifier.name}: needs {unsaid[0]}, which a samples file does not hold"
            )
        by_answer = verifier.needs == ("answer",) or getattr(verifier, "reads", "") == "answer"
        if by_answer and not stated:
            raise UsageError(f"verifier {verifier.name}: needs answers, and no line holds any")
    return verifiers


def _run(
    samples: Samples,
    verifiers: Sequence[Verifier],
    zoo: Zoo,
    location: str,
    concurrency: int,
    meter: str,
) -> tuple[Scored, str]:
    """Return the scores, and how the joules were got."""
    progress = Progress()
    with ExitStack() as stack:
        stack.callback(progress.close)
        pool = ZooPool(
            zoo,
            device=cast("Device", device()),
            concurrency=concurrency,
            log_dir=Path("outputs/logs"),
            tell=progress.say,
        )
        stack.callback(pool.close)
        recorder, energy = _recorder(zoo, meter, pool, stack, progress.say)
        ledger = stack.enter_context(Ledger(location))
        # This may fetch weights for minutes; inside the loop Ctrl-C would wait for its end.
        for name in zoo:
            pool.identity(name)
        runner = stack.enter_context(asyncio.Runner())
        stack.callback(lambda: runner.run(pool.aclose()))
        work = score_samples(
            samples.questions,
            verifiers,
            pool=pool,
            ledger=ledger,
            recorder=recorder,
            concurrency=concurrency,
            study=f"weaver score, {concurrency} in flight, {describe(fingerprint())}"[:200],
            on_step=Shower(progress, [verifier.name for verifier in verifiers], energy),
        )
        return runner.run(work), energy


class Shower:
    """Shows how far the verifier at work is, and the time and joules its known calls will take.

    Args:
        progress: Where it is shown.
        verifiers: The names of all, in order.
        energy: Basis of the joules.
    """

    def __init__(self, progress: Progress, verifiers: Sequence[str], energy: str) -> None:
        self._progress = progress
        self._verifiers = verifiers
        self._energy = energy
        self._began = time.monotonic()

    def __call__(self, step: Step) -> None:
        """Show a step."""
        if step.made == 0:
            self._began = time.monotonic()
        text = f"{step.made}/{step.needed} calls"
        if step.made:
            rest = (step.needed - step.made) / step.made
            text += f"; about {duration((time.monotonic() - self._began) * rest)}"
            text += " left" if step.joules is None else f" and {step.joules * rest:.0f} J left"
        if step.joules is not None:
            text += f"; {step.joules:.0f} J spent ({self._energy})"
        number = self._verifiers.index(step.verifier) + 1
        self._progress.show(
            f"verifier {number}/{len(self._verifiers)}",
            f"{text}; {step.verifier}",
            done=step.made / step.needed,
        )


def _recorder(
    zoo: Zoo, kind: str, pool: ZooPool, stack: ExitStack, say: Callable[[str], None]
) -> tuple[Recorder | None, str]:
    """Return what meters the calls, if anything does, and how the joules are got."""
    if not zoo:
        return None, "no calls"
    for name, entry in zoo.items():
        try:
            here = entry.base_url is None or is_loopback(entry.base_url)
        except ValueError as error:
            raise UsageError(f"model {name}: {entry.base_url} is no address ({error})") from error
        if not here:
            say(f"joules are not measured: {name} runs on another machine")
            return None, "not measured"
    try:
        meter = open_meter(kind)
    except UsageError as error:
        if kind != "auto":
            raise
        say(f"joules are not measured: {error}")
        return None, "not measured"
    stack.callback(meter.close)
    basis = basis_of(meter)
    say(f"energy: {basis.label}")
    return Recorder(meter, basis, own_pids=pool.pids), basis.label


def _tell(args: argparse.Namespace, scored: Scored, energy: str) -> None:
    names = scored.scores.verifiers
    if args.json:
        told = [
            {"name": name, **asdict(account)}
            | {"cost_j": None if np.isnan(account.cost_j) else account.cost_j}
            for name, account in zip(names, scored.accounts, strict=True)
        ]
        print(json.dumps({"output": str(args.output), "energy": energy, "verifiers": told}))
        return
    queries, width, _ = scored.scores.scores.shape
    table = Table(title=f"{queries} queries, up to {width} samples (energy: {energy})")
    table.add_column("verifier", overflow="fold")
    for column in ("judged", "unparsed", "failed", "calls", "new", "J per judged"):
        table.add_column(column, justify="right")
    for name, account in zip(names, scored.accounts, strict=True):
        counts = (account.judged, account.unparsed, account.failed, account.calls, account.made)
        cost = None if np.isnan(account.cost_j) else account.cost_j
        table.add_row(*cells(name, *map(str, counts), figure(cost, ".4g")))
    print_table(table, [str(args.output)])
