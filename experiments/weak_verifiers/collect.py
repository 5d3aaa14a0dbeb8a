"""Makes the data set: candidates of real models, judged by real verifiers, metered."""

import asyncio
import json
import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from archon.components.context import ask_about
from archon.components.styles import STYLES
from archon.energy import Basis, Recorder, Window, basis_of, open_meter
from archon.engines.base import Completion, Request, Sampling
from archon.engines.pool import ZooPool
from archon.engines.zoo import Device, load_zoo
from archon.hardware import describe, device, fingerprint
from archon.ledger import Ledger
from archon.pipeline import CallStore
from archon.progress import Progress
from archon.search.config import load_task_config
from archon.search.generate import Generator
from archon.tasks import Query, Task, load_task
from weaver import Scores
from weaver.score_files import save_scores
from weaver.verifiers import Sample, SampledQuestion, Step, parse, score_samples

STUDY = "weak_verifiers"
KINDS = ("small_sums", "letter_counting", "products")
MOST_ANSWERS = 8
TOP_LOGPROBS = 5
CONCURRENCY = 16

BIG, MIDDLE, SMALL = "qwen2.5-coder-1.5b", "qwen2.5-coder-0.5b", "smollm2-135m"
EMBEDDER = "qwen2.5-coder-0.5b-embed"
VERIFIERS = (
    f"judge(model={SMALL}, reads=answer)",
    f"judge(model={MIDDLE}, reads=answer)",
    f"judge(model={BIG}, reads=answer)",
    f"judge(model={MIDDLE})",
    f"reasoned(model={MIDDLE}, reads=answer, max_tokens=128)",
    f"pairwise(model={MIDDLE}, reads=answer, pairs=4)",
    f"medoid(model={EMBEDDER})",
    "consistency",
    "logprob",
    "entropy",
    "length",
    "format",
)


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes candidates, and how it is asked."""

    model: str
    style: str
    max_tokens: int
    samples: int
    temperature: float = 0.8

    @property
    def name(self) -> str:
        """As tables show it."""
        return f"{self.model} {self.style}"


WRITERS = (
    Writer(MIDDLE, "number_only", 8, 4),
    Writer(MIDDLE, "equations", 48, 4),
    Writer(SMALL, "number_only", 8, 4),
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A candidate: who wrote it, what, and whether it is right."""

    writer: str
    sample: Sample
    correct: bool


def collect(folder: Path, work: Path, per_kind: int, seed: int, progress: Progress) -> None:
    """Write ``samples.jsonl``, ``scores.npz`` and ``collected.json`` into a folder.

    Args:
        folder: Where the data set goes.
        work: Where the ledger and the servers' logs go; what is in the ledger is not made again.
        per_kind: Queries of each kind.
        seed: Of the queries.
        progress: Told what is going on.

    Raises:
        ArchonError: A server or meter failed; the same call goes on.
    """
    with ExitStack() as stack:
        zoo = load_zoo([SMALL, MIDDLE, BIG, EMBEDDER], [Path(__file__).parent / "zoo"])
        pool = ZooPool(
            zoo,
            device=cast("Device", device()),
            concurrency=CONCURRENCY,
            log_dir=work / "logs",
            tell=progress.say,
        )
        stack.callback(pool.close)
        meter = open_meter()
        stack.callback(meter.close)
        basis = basis_of(meter)
        basis.require_readable(meter)
        progress.say(f"energy: {basis.label}")
        recorder = Recorder(meter, basis, own_pids=pool.pids)
        ledger = stack.enter_context(Ledger(work / "ledger.sqlite"))
        for name in zoo:
            pool.identity(name)
        runner = stack.enter_context(asyncio.Runner())
        stack.callback(lambda: runner.run(pool.aclose()))
        generator = Generator(
            study=STUDY,
            pool=pool,
            ledger=ledger,
            recorder=recorder,
            runner=runner,
            concurrency=CONCURRENCY,
        )
        tasks = [_task(kind, per_kind, seed) for kind in KINDS]
        written, phases = _write(tasks, generator, ledger, progress)
        asked = [(task, query) for task in tasks for query in task.splits["test"]]
        kept = [_keep(_candidates(task, query, written)) for task, query in asked]
        questions = [
            SampledQuestion(query.messages, [candidate.sample for candidate in row])
            for (_, query), row in zip(asked, kept, strict=True)
        ]
        verifiers = [parse(text) for text in VERIFIERS]
        progress.say(
            f"{len(questions)} queries, {sum(map(len, kept))} candidates, "
            f"{sum(len({c.sample.answer for c in row}) for row in kept)} distinct answers"
        )

        def show(step: Step) -> None:
            text = f"{step.verifier}: {step.made} of {step.needed} calls"
            progress.show("verifiers", text, done=step.made / step.needed)

        scored = runner.run(
            score_samples(
                questions,
                verifiers,
                pool=pool,
                ledger=ledger,
                recorder=recorder,
                concurrency=CONCURRENCY,
                study=STUDY,
                on_step=show,
            )
        )
        ids = [f"{kind}-{index}" for kind in KINDS for index in range(per_kind)]
        save_scores(_full(scored.scores, kept), folder / "scores.npz")
        _write_samples(folder / "samples.jsonl", ids, [query for _, query in asked], kept)
        record = {
            "energy": basis.label,
            "hardware": describe(fingerprint()),
            "concurrency": CONCURRENCY,
            "seed": seed,
            "writers": phases,
            "verifiers": [
                {"name": verifier.name, **_plain(asdict(account))}
                for verifier, account in zip(verifiers, scored.accounts, strict=True)
            ],
            "written_by": [[candidate.writer for candidate in row] for row in kept],
        }
        text = json.dumps(record, indent=1)
        (folder / "collected.json").write_text(text + "\n", encoding="utf-8")


def _task(kind: str, per_kind: int, seed: int) -> Task:
    sizes: Any = {"fit": 0, "select": 0, "test": per_kind}
    return load_task(load_task_config(kind).model_copy(update={"seed": seed, "sizes": sizes}))


Written = dict[tuple[str, tuple[Any, ...]], list[Completion]]


def _write(
    tasks: Sequence[Task], generator: Generator, ledger: Ledger, progress: Progress
) -> tuple[Written, list[dict[str, Any]]]:
    """Return the completions by writer and question, and what each writer's window cost."""
    store = CallStore(ledger)
    written: Written = {}
    told = []
    for writer in WRITERS:
        progress.show("candidates", writer.name, done=None)
        sampling = Sampling(
            writer.temperature, writer.max_tokens, logprobs=True, top_logprobs=TOP_LOGPROBS
        )
        model = generator.pool.identity(writer.model)
        requests = {
            query.messages: Request(
                model, ask_about(query.messages, STYLES[writer.style]), sampling, writer.samples
            )
            for task in tasks
            for query in task.splits["test"]
        }
        store.load(requests.values())
        jobs = [(r, index) for r in requests.values() for index in store.missing(r)]
        label = f"writer {writer.name}"
        if jobs:
            generator.phase(store, model, jobs, label)
        calls = sum(request.samples for request in requests.values())
        cost = _cost(ledger, label, calls, generator.recorder.basis)
        told.append({"name": writer.name, "calls": calls, "j_per_call": cost})
        for messages, request in requests.items():
            drawn = store.drawn(request)
            assert drawn is not None
            written[writer.name, messages] = drawn.completions
    return written, told


def _cost(ledger: Ledger, label: str, calls: int, basis: Basis) -> float | None:
    """Return joules per call of a writer's windows, None if one has none or was cut off."""
    joules = [
        None if record is None else Window.from_json(record).joules(basis)
        for name, record in ledger.windows(STUDY)
        if name == label
    ]
    known = [one for one in joules if one is not None]
    return sum(known) / calls if known and len(known) == len(joules) else None


def _candidates(task: Task, query: Query, written: Written) -> list[Candidate]:
    found = []
    for writer in WRITERS:
        for completion in written[writer.name, query.messages]:
            if not completion.ok:
                continue
            raw = task.extract(completion.text)
            sample = Sample(
                completion.text,
                None if raw is None else task.canonical(raw),
                completion.mean_logprob,
                completion.top_logprobs,
            )
            found.append(Candidate(writer.name, sample, task.score(query, raw) == 1))
    return found


def _keep(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates whose answers are among the first `MOST_ANSWERS` distinct ones."""
    answers = list(dict.fromkeys(candidate.sample.answer for candidate in candidates))
    kept = set(answers[:MOST_ANSWERS])
    return [candidate for candidate in candidates if candidate.sample.answer in kept]


def _full(scores: Scores, kept: Sequence[Sequence[Candidate]]) -> Scores:
    correct = np.full(scores.scores.shape[:2], -1, dtype=np.int8)
    for index, row in enumerate(kept):
        correct[index, : len(row)] = [candidate.correct for candidate in row]
    return replace(scores, correct=correct)


def _write_samples(
    path: Path, ids: Sequence[str], queries: Sequence[Query], kept: Sequence[Sequence[Candidate]]
) -> None:
    with path.open("w", encoding="utf-8") as file:
        for name, query, row in zip(ids, queries, kept, strict=True):
            line = {
                "id": name,
                "prompt": query.messages[-1].content,
                "samples": [candidate.sample.text for candidate in row],
                "answers": [candidate.sample.answer for candidate in row],
                "correct": [int(candidate.correct) for candidate in row],
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _plain(account: dict[str, Any]) -> dict[str, Any]:
    cost = account["cost_j"]
    return account | {"cost_j": None if math.isnan(cost) else cost}
