"""Makes calls in metered phases: one model, one window, everything into the ledger."""

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from archon.energy import Recorder, Window
from archon.engines.base import Completion, Sampling
from archon.engines.pool import ModelPool
from archon.errors import EngineError
from archon.ledger import Ledger
from archon.messages import Message
from archon.pipeline import CallStore, Job
from archon.pipeline.gather import gather_or_cancel

REVIVALS = 2
"""Times a dead server of ours is started again within one phase."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A metered phase: its window, its jobs and what came back for each."""

    model: str
    window: Window
    jobs: Sequence[Job]
    calls: Sequence[Completion]
    joules: float | None


@dataclass(slots=True)
class Tally:
    """What has been spent so far.

    Attributes:
        joules: Of the windows whose energy is known.
        unmetered_s: Seconds of windows whose energy is not.
    """

    calls: int = 0
    joules: float = 0.0
    seconds: float = 0.0
    unmetered_s: float = 0.0

    def add(self, window: Window, joules: float | None, calls: int) -> None:
        """Count one window."""
        self.calls += calls
        self.seconds += window.seconds
        if joules is None:
            self.unmetered_s += window.seconds
        else:
            self.joules += joules


@dataclass
class Generator:
    """Generates calls with the pool's engines, window by window.

    Attributes:
        tally: What the phases have spent.
        loading: What starting servers has spent.
        phases: The phases made by this process, for the comparison with their priced sum.
        on_call: Told after each call that came back.
    """

    study: str
    pool: ModelPool
    ledger: Ledger
    recorder: Recorder
    runner: asyncio.Runner
    concurrency: int
    tally: Tally = field(default_factory=Tally)
    loading: Tally = field(default_factory=Tally)
    phases: list[Phase] = field(default_factory=list)
    on_call: Callable[[], None] = lambda: None

    def phase(self, store: CallStore, model: str, jobs: Sequence[Job], label: str) -> Phase:
        """Make jobs of one model in one window.

        The first sample of every prompt is sent before the second of any, so that the one that
        pays for the prefill is the first.

        Raises:
            EngineError: The server is gone and could not be brought back; calls that came back
                are stored.
        """
        self.ready([model])
        in_order = sorted(jobs, key=lambda job: job[1])
        made: dict[Job, Completion] = {}
        slots = asyncio.Semaphore(self.concurrency)  # the engine may allow more

        async def one(job: Job, window: int) -> None:
            request, sample = job
            seed = request.seed(sample, store.epoch)
            # Servers limit the length of a salt and the characters in it.
            salt = hashlib.sha256(f"{store.epoch} {request.sampling}".encode()).hexdigest()
            async with slots:
                completion = await self.pool.engine(model).complete(
                    request.messages, request.sampling, seed, salt
                )
            store.add(request, sample, completion, window)
            made[job] = completion
            self.on_call()

        with self.window(label) as metered:
            for revival in range(REVIVALS + 1):
                todo = [job for job in in_order if job not in made]
                try:
                    self.runner.run(gather_or_cancel([one(job, metered.id) for job in todo]))
                    break
                except EngineError:
                    if revival == REVIVALS or not self.pool.revive(model):
                        raise
        phase = Phase(
            model, metered.window, in_order, [made[job] for job in in_order], metered.joules
        )
        self.phases.append(phase)
        self.tally.add(metered.window, metered.joules, len(made))
        return phase

    def ready(self, models: Iterable[str]) -> None:
        """Start and warm up the servers of models that are not up.

        Loading is metered as a line of its own; the warm-up belongs to it, for a server's first
        batch is slow.
        """
        cold = [model for model in models if not self.pool.is_up(model)]
        if cold:
            with self.window("loading") as metered:
                self.pool.start(cold)
                self.warm_up(cold)
            self.loading.add(metered.window, metered.joules, 0)

    def warm_up(self, models: Iterable[str]) -> None:
        """Send each model a batch at full load, of calls that nothing is made of."""
        sampling = Sampling(0.0, 8, logprobs=True)
        prompts = [(Message("user", f"{index} is a number."),) for index in range(self.concurrency)]
        calls = [
            self.pool.engine(model).complete(prompt, sampling, 0, "warm-up")
            for model in models
            for prompt in prompts
        ]
        self.runner.run(gather_or_cancel(calls))

    @contextmanager
    def window(self, label: str) -> "Iterator[Metered]":
        """Open a window in the recorder and in the ledger; the ledger's stays open on a crash."""
        metered = Metered(self.ledger.open_window(self.study, label))
        with self.recorder.window(label, self.concurrency) as pending:
            yield metered
        assert pending.window is not None
        metered.window = pending.window
        metered.joules = pending.window.joules(self.recorder.basis)
        record: dict[str, Any] = pending.window.to_json()
        self.ledger.close_window(metered.id, record)


class Metered:
    """A window being recorded; `window` and `joules` are set when it closes."""

    window: Window
    joules: float | None

    def __init__(self, id: int) -> None:
        self.id = id
