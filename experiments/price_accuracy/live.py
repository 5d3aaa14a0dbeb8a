"""Live pipelines: confirmation blocks, priced in several ways, and their shares audited."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from archon.components import Context
from archon.energy import Window, share
from archon.errors import ArchonError
from archon.pipeline import CallStore, Job, Pipeline, run_phases
from archon.pipeline.pricing import Pricer
from archon.search.confirm import Block, Confirmation
from archon.search.generate import Generator
from archon.spec import PipelineSpec, ZooModel
from archon.tasks import Query, Task


@dataclass(frozen=True, slots=True)
class LiveBlock:
    """One pipeline over all queries in one window.

    Attributes:
        joules: Of the window.
        priced_j: The price list's sum over the block's calls.
        per_token_j: The naive price's.
        prefill_tokens: Prompt tokens computed.
        share_gap: Sum of the window's shares over its calls against the window, relative.
        in_flight: Mean calls in flight: their latencies over the window's seconds.
        others_share: Part of the processor time spent by other programs; None if unknown.
        flags: The window's.
    """

    repeat: int
    seconds: float
    joules: float
    priced_j: float
    per_token_j: float
    calls: int
    prefill_tokens: int
    decode_tokens: int
    share_gap: float
    in_flight: float
    others_share: float | None
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LivePipeline:
    """A pipeline and its blocks.

    Attributes:
        left_out: Blocks whose energy could not be read or in which calls failed.
    """

    name: str
    blocks: tuple[LiveBlock, ...]
    left_out: int

    def mean(self, field: str) -> float:
        """Return the mean of a number over the blocks, at least one."""
        return statistics.fmean(getattr(block, field) for block in self.blocks)


class Front:
    """Runs pipelines live and reads back from the ledger what they spent.

    Args:
        identities: Zoo name → model identity.
        prices: The price list's pricer.
        per_token: The naive price's.
    """

    def __init__(
        self,
        generator: Generator,
        task: Task,
        queries: Sequence[Query],
        identities: Mapping[str, str],
        prices: Pricer,
        per_token: Pricer,
    ) -> None:
        self._generator = generator
        self._task = task
        self._queries = queries
        self._identities = identities
        self._prices = prices
        self._per_token = per_token

    def run(
        self,
        specs: Sequence[PipelineSpec],
        repeats: int,
        seed: int,
        path: Path,
        on_block: Callable[[int, int, str], None],
    ) -> list[LivePipeline]:
        """Run the blocks, interleaved and shuffled, as a study's confirmation does.

        Args:
            path: File of finished blocks.
            on_block: See `Confirmation.run`.
        """
        confirmation = Confirmation(
            path, self._task, self._queries, self._generator, self._prices, self._bind
        )
        confirmation.run(specs, repeats, seed, on_block)
        ledger = self._generator.ledger
        ledger.flush()
        windows = {
            label: Window.from_json(record)
            for label, record in ledger.windows(self._generator.study)
            if record is not None
        }
        found = []
        for spec in specs:
            blocks = [
                self._account(spec, block, windows[f"confirm {spec.name} #{block.repeat}"])
                for block in confirmation.of(spec, repeats)
                if block.joules is not None and not block.failed
            ]
            found.append(LivePipeline(spec.name, tuple(blocks), repeats - len(blocks)))
        return found

    def _bind(self, spec: PipelineSpec) -> Pipeline:
        models = {
            alias: self._identities[ref.zoo]
            for alias, ref in spec.models.items()
            if isinstance(ref, ZooModel)
        }
        return Pipeline(spec, Context(self._task, models))

    def _account(self, spec: PipelineSpec, block: Block, window: Window) -> LiveBlock:
        """Walk the block's calls again, out of the ledger, and price each."""
        store = CallStore(self._generator.ledger, block.epoch)
        results = run_phases(self._bind(spec), self._queries, store, _refuse)
        spends = [spend for result in results for spend in result.spent.values()]
        calls = [
            (spend.drawn.request.model, call, sample > 0)
            for spend in spends
            for sample, call in enumerate(spend.completions())
        ]
        costs = [self._prices.call(model, call, again=again).joules for model, call, again in calls]
        assert block.joules is not None
        shares = share(block.joules, costs)
        return LiveBlock(
            repeat=block.repeat,
            seconds=block.seconds,
            joules=block.joules,
            priced_j=block.priced_j,
            per_token_j=sum(self._per_token.query(result).joules for result in results),
            calls=len(calls),
            prefill_tokens=sum(c.prompt_tokens - (c.cached_tokens or 0) for _, c, _ in calls),
            decode_tokens=sum(call.completion_tokens for _, call, _ in calls),
            share_gap=abs(math.fsum(shares) / block.joules - 1),
            in_flight=sum(call.latency_s for _, call, _ in calls) / block.seconds,
            others_share=None if window.own_share is None else 1 - window.own_share,
            flags=window.flags,
        )


def _refuse(model: str, jobs: Sequence[Job]) -> None:  # noqa: ARG001
    raise ArchonError(f"the ledger lacks {len(jobs)} calls of a live block; run it again")
