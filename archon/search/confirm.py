"""Confirmation: the frozen winner and the baselines, live on *test*, interleaved and repeated.

A block is one pipeline over all *test* queries in one metered window. Blocks go round by repeat,
shuffled within each, so that drift of the machine hits all pipelines alike. Every block has an
epoch of its own: its calls are fresh, and its prompts share no cache with any other block.
"""

import hashlib
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from archon.energy import share
from archon.engines.programs import SANDBOX
from archon.errors import ArchonError
from archon.metrics import Sample
from archon.pipeline import CallStore, Pipeline, QueryResult, run_live
from archon.pipeline.pricing import Pricer
from archon.search.evaluate import weights
from archon.search.generate import Generator
from archon.spec import PipelineSpec
from archon.tasks import Query, Task

TRIES = 2
"""Times a block is run when its window turns out invalid."""


@dataclass(frozen=True, slots=True)
class Block:
    """One pipeline over the *test* queries in one window.

    Attributes:
        pipeline: SHA-256 of the canonical spec.
        joules: Of the window; None when it was invalid.
        score: [queries].
        query_joules: [queries] shares of the window by priced cost; NaN without joules.
        query_s: [queries] shares of the window's seconds.
        p_correct: [queries] calibrated P(correct) of the answers, None where there is none; empty
            in blocks of versions that did not record it.
        components: Joules by ``place type @ model``, shared like the queries'.
    """

    pipeline: str
    repeat: int
    epoch: int
    seconds: float
    joules: float | None
    priced_j: float
    score: Sequence[float]
    query_joules: Sequence[float]
    query_s: Sequence[float]
    components: Mapping[str, tuple[int, float]]
    counts: Mapping[str, int]
    failed: int
    p_correct: Sequence[float | None] = ()


class Confirmation:
    """Runs blocks and remembers them, so that a killed confirmation goes on where it was.

    Args:
        path: JSON Lines file of finished blocks.
        bind: Makes a spec ready to run.
    """

    def __init__(
        self,
        path: Path,
        task: Task,
        queries: Sequence[Query],
        generator: Generator,
        pricer: Pricer,
        bind: Callable[[PipelineSpec], Pipeline],
    ) -> None:
        self._path = path
        self._task = task
        self._queries = queries
        self._generator = generator
        self._pricer = pricer
        self._bind = bind
        self.blocks = _read_blocks(path)

    def run(
        self,
        specs: Sequence[PipelineSpec],
        repeats: int,
        seed: int,
        on_block: Callable[[int, int, str], None],
    ) -> None:
        """Run every block that is not there yet, or whose energy could not be read.

        Args:
            on_block: Told blocks done, blocks in all and the pipeline that comes next.

        Raises:
            EngineError: A server is gone; finished blocks are kept.
        """
        rng = random.Random(seed)
        plan = []
        for repeat in range(repeats):
            order = list(specs)
            rng.shuffle(order)
            plan += [(repeat, spec) for spec in order]
        have = {(b.pipeline, b.repeat) for b in self.blocks if b.joules is not None}
        todo = [(r, spec) for r, spec in plan if (digest(spec), r) not in have]
        for index, (repeat, spec) in enumerate(todo):
            on_block(len(plan) - len(todo) + index, len(plan), spec.name)
            for _ in range(TRIES):
                block = self._block(spec, repeat)
                if block.joules is not None:
                    break
            self.blocks.append(block)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(_block_json(block)) + "\n")
        if todo:
            on_block(len(plan), len(plan), "")

    def of(self, spec: PipelineSpec, repeats: int) -> list[Block]:
        """Return the blocks of a pipeline, one per repeat."""
        mark = digest(spec)
        found = {b.repeat: b for b in self.blocks if b.pipeline == mark and b.repeat < repeats}
        return [found[repeat] for repeat in sorted(found)]

    def sample(self, spec: PipelineSpec, repeats: int) -> Sample:
        """Return what was seen of a pipeline, [repeats, queries]."""
        blocks = self.of(spec, repeats)
        return Sample(
            score=np.array([block.score for block in blocks], dtype=float),
            joules=np.array([block.query_joules for block in blocks], dtype=float),
            busy_s=np.array([block.query_s for block in blocks], dtype=float),
            weight=weights(self._queries),
            value=np.array([query.value for query in self._queries], dtype=float),
        )

    def _block(self, spec: PipelineSpec, repeat: int) -> Block:
        generator = self._generator
        pipeline = self._bind(spec)
        identities = set(pipeline.context.models.values())
        generator.ready(identities)
        epoch = generator.ledger.new_epoch(generator.study, f"confirm {spec.name} #{repeat}")
        store = CallStore(generator.ledger, epoch, fresh=True)
        with generator.window(f"confirm {spec.name} #{repeat}") as metered:
            results = generator.runner.run(
                run_live(
                    pipeline,
                    self._queries,
                    store,
                    generator.pool.engine,
                    concurrency=generator.concurrency,
                    window=metered.id,
                    on_done=lambda _: generator.on_call(),
                )
            )
        calls = sum(spend.samples for result in results for spend in result.spent.values())
        generator.tally.add(metered.window, metered.joules, calls)
        return self._account(spec, repeat, epoch, pipeline, results, metered)

    def _account(
        self,
        spec: PipelineSpec,
        repeat: int,
        epoch: int,
        pipeline: Pipeline,
        results: Sequence[QueryResult],
        metered: Any,
    ) -> Block:
        priced = [self._pricer.query(result) for result in results]
        joules: float | None = metered.joules
        query_joules = np.full(len(results), np.nan)
        if joules is not None:
            query_joules = share(joules, [cost.joules for cost in priced])
        priced_j = sum(cost.joules for cost in priced)
        components: dict[str, tuple[int, float]] = {}
        failed = 0
        for result in results:
            for spend in result.spent.values():
                model = spend.drawn.request.model
                models = pipeline.context.models.items()
                alias = next((a for a, identity in models if identity == model), SANDBOX)
                label = f"{spend.place.split(' ', 1)[1]} @ {alias}"
                calls, spent = components.get(label, (0, 0.0))
                cost = self._pricer.spent(spend.drawn, spend.samples).joules
                components[label] = (calls + spend.samples, spent + cost)
                failed += sum(not call.ok for call in spend.completions())
        scale = joules / priced_j if joules is not None and priced_j > 0 else float("nan")
        return Block(
            pipeline=digest(spec),
            repeat=repeat,
            epoch=epoch,
            seconds=metered.window.seconds,
            joules=joules,
            priced_j=priced_j,
            score=[self._task.score(result.query, result.answer) for result in results],
            query_joules=query_joules.tolist(),
            query_s=share(metered.window.seconds, [cost.seconds for cost in priced]).tolist(),
            components={label: (n, spent * scale) for label, (n, spent) in components.items()},
            counts=dict(pipeline.context.counts),
            failed=failed,
            p_correct=[_certainty(result) for result in results],
        )


def _certainty(result: QueryResult) -> float | None:
    first = result.candidates[0] if result.candidates else None
    return first.score if first is not None and first.calibrated else None


def digest(spec: PipelineSpec) -> str:
    """Return the SHA-256 of a spec's canonical form, in hex."""
    return hashlib.sha256(spec.canonical.encode()).hexdigest()


def _read_blocks(path: Path) -> list[Block]:
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:  # a crash cut the last line off
        path.write_text(whole, encoding="utf-8")
    try:
        return [Block(**json.loads(line)) for line in whole.splitlines()]
    except (ValueError, TypeError) as error:
        raise ArchonError(f"{path}: a damaged block; remove the file to confirm anew") from error


def _block_json(block: Block) -> dict[str, Any]:
    return {name: getattr(block, name) for name in Block.__dataclass_fields__}
