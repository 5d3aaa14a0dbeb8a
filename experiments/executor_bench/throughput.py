"""Tokens per second through the executor and through a bare client, block by block in turn."""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import httpx

from archon.components import Context
from archon.components.generator import Generator as GeneratorSpec
from archon.energy import Recorder, basis_of, open_meter
from archon.energy.proc import busy_seconds, own_busy_seconds
from archon.engines.base import Request
from archon.engines.client import OpenAIEngine
from archon.engines.pool import ZooPool
from archon.engines.zoo import Device, load_zoo
from archon.hardware import device
from archon.ledger import Ledger
from archon.messages import Message
from archon.pipeline import CallStore, Job, Pipeline, run_live, run_phases
from archon.pipeline.gather import gather_or_cancel
from archon.search.generate import Generator
from archon.spec import PipelineSpec, ZooModel
from archon.tasks import FreeTask, Query

SAMPLES = 8
MAX_TOKENS = 64
QUIET_CORES = 0.05
MOST_ROUNDS = 3
"""Rounds run at most, per round asked for, when others disturb."""


@dataclass(frozen=True, slots=True)
class Round:
    """Completion tokens per second of the same requests sent in three ways.

    Attributes:
        others: Mean cores that programs other than this one and its server kept busy meanwhile.
    """

    bare: float
    phase: float
    live: float
    others: float

    @property
    def quiet(self) -> bool:
        """Whether the machine was ours, so that the ratios mean something."""
        return self.others <= QUIET_CORES


def measure_throughput(
    model: str,
    *,
    rounds: int,
    requests: int,
    concurrency: int,
    folder: Path,
    tell: Callable[[str], None],
) -> list[Round]:
    """Serve a zoo model and send it the same requests in three ways, round after round.

    Every block has a prefix-cache salt and a ledger of its own, so none finds work already done;
    the order of the three changes from round to round. Rounds in which other programs kept the
    machine busy are returned too, and repeated until `rounds` were quiet or three times as many
    were run.
    """
    with ExitStack() as stack:
        pool = ZooPool(
            load_zoo([model]),
            device=cast("Device", device()),
            concurrency=concurrency,
            log_dir=folder,
            tell=tell,
        )
        stack.callback(pool.close)
        identity = pool.identity(model)
        pool.start([identity])
        bench = _Bench(pool, model, requests // SAMPLES, concurrency, folder)
        stack.enter_context(bench.runner)
        bench.bare(epoch=-1)  # warms the server up
        ways = {"bare": bench.bare, "phase": bench.phase, "live": bench.live}
        found: list[Round] = []
        for number in range(MOST_ROUNDS * rounds):
            names = list(ways)
            order = names[number % 3 :] + names[: number % 3]
            began, others_s = time.perf_counter(), bench.others_s()
            rates = {name: ways[name](number) for name in order}
            others = (bench.others_s() - others_s) / (time.perf_counter() - began)
            found.append(Round(**rates, others=others))
            shown = ", ".join(f"{name} {rate:.0f}" for name, rate in rates.items())
            quiet = sum(one.quiet for one in found)
            tell(f"{quiet}/{rounds} quiet rounds; tokens/s: {shown}; others {others:.2f} cores")
            if quiet == rounds:
                break
        return found


class _Bench:
    def __init__(
        self, pool: ZooPool, model: str, queries: int, concurrency: int, folder: Path
    ) -> None:
        self.runner = asyncio.Runner()
        self._pool = pool
        self._concurrency = concurrency
        self._folder = folder
        self._identity = pool.identity(model)
        self._task = FreeTask()
        self._queries = [_query(index) for index in range(queries)]
        generator = GeneratorSpec(
            model=model, style="steps", samples=SAMPLES, temperature=0.9, max_tokens=MAX_TOKENS
        )
        self._spec = PipelineSpec(models={model: ZooModel(zoo=model)}, layers=((generator,),))

    def phase(self, epoch: int) -> float:
        """As the search makes calls: one phase, metered, into the ledger."""
        with ExitStack() as stack:
            ledger = stack.enter_context(Ledger(self._folder / f"phase-{epoch}.sqlite"))
            meter = open_meter()
            stack.callback(meter.close)
            generator = Generator(
                study="executor_bench",
                pool=self._pool,
                ledger=ledger,
                recorder=Recorder(meter, basis_of(meter), own_pids=self._pool.pids),
                runner=self.runner,
                concurrency=self._concurrency,
            )
            store = CallStore(ledger, epoch)

            def generate(model: str, jobs: Sequence[Job]) -> None:
                generator.phase(store, model, jobs, "bench")

            began = time.perf_counter()
            run_phases(self._pipeline(), self._queries, store, generate)
            ledger.flush()
            seconds = time.perf_counter() - began
            (phase,) = generator.phases
            return sum(call.completion_tokens for call in phase.calls) / seconds

    def live(self, epoch: int) -> float:
        """As the confirmation makes calls: queries in flight, into the ledger."""
        with Ledger(self._folder / f"live-{epoch}.sqlite") as ledger:
            began = time.perf_counter()
            results = self.runner.run(
                run_live(
                    self._pipeline(),
                    self._queries,
                    CallStore(ledger, epoch),
                    self._pool.engine,
                    concurrency=self._concurrency,
                )
            )
            ledger.flush()
            seconds = time.perf_counter() - began
        spends = [spend for result in results for spend in result.spent.values()]
        return sum(c.completion_tokens for spend in spends for c in spend.completions()) / seconds

    def bare(self, epoch: int) -> float:
        """The same requests by a bare client: a semaphore, and the replies' token counts."""
        jobs = [(request, sample) for sample in range(SAMPLES) for request in self._requests()]
        engine = cast("OpenAIEngine", self._pool.engine(self._identity))
        bodies = [_body(engine.model, request, sample, epoch) for request, sample in jobs]
        began = time.perf_counter()
        tokens = self.runner.run(_post_all(engine.base_url, bodies, self._concurrency))
        return tokens / (time.perf_counter() - began)

    def others_s(self) -> float:
        """Return the CPU seconds other programs have used since boot."""
        return busy_seconds() - own_busy_seconds([os.getpid(), *self._pool.pids()])

    def _pipeline(self) -> Pipeline:
        models = dict.fromkeys(self._spec.models, self._identity)
        return Pipeline(self._spec, Context(self._task, models))

    def _requests(self) -> list[Request]:
        pipeline = self._pipeline()
        return [next(pipeline.walk(query))[0].request for query in self._queries]


def _query(index: int) -> Query:
    text = f"What is {index + 12} + {3 * index + 5} - {index // 2 + 1}?"
    return Query(f"q{index}", (Message("user", text),), None)


def _body(model: str, request: Request, sample: int, epoch: int) -> dict[str, object]:
    sampling = request.sampling
    return {
        "model": model,
        "messages": [message._asdict() for message in request.messages],
        "temperature": sampling.temperature,
        "max_tokens": sampling.max_tokens,
        "seed": request.seed(sample, epoch),
        "logprobs": True,
        "top_logprobs": 0,
        "cache_salt": f"bare {epoch}",
    }


async def _post_all(base_url: str, bodies: Sequence[dict[str, object]], concurrency: int) -> int:
    slots = asyncio.Semaphore(concurrency)
    async with httpx.AsyncClient(timeout=300, trust_env=False) as client:

        async def post(body: dict[str, object]) -> int:
            async with slots:
                reply = await client.post(f"{base_url}/chat/completions", json=body)
            tokens: int = reply.raise_for_status().json()["usage"]["completion_tokens"]
            return tokens

        return sum(await gather_or_cancel([post(body) for body in bodies]))
