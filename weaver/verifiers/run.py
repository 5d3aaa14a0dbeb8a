"""Runs verifiers over many questions: through the ledger, metered, one window per verifier."""

import asyncio
import hashlib
import math
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from archon.energy import Basis, Pending, Recorder, Window
from archon.engines.base import Completion, Request
from archon.engines.pool import ModelPool
from archon.errors import UsageError
from archon.ledger import SEARCH_EPOCH, Ledger
from weaver.scores import Scores, Strings
from weaver.verifiers.base import Question, Sample, Verdicts, Verifier
from weaver.verifiers.walk import Walk

Job = tuple[Request, int]


@dataclass(frozen=True, slots=True)
class SampledQuestion:
    """A question and the samples to be scored."""

    question: Question
    samples: Sequence[Sample]


@dataclass(frozen=True, slots=True)
class Step:
    """How far a verifier is.

    Attributes:
        verifier: Its name.
        made: Calls that came back.
        needed: Calls known to be needed; what these say may need more.
        joules: Of the calls made, until the recorder last looked; None where not known.
    """

    verifier: str
    made: int
    needed: int
    joules: float | None


@dataclass(frozen=True, slots=True)
class Account:
    """What one verifier did.

    Attributes:
        judged: Distinct texts or answers put to a model, over all questions.
        unparsed: Replies that were no verdict.
        failed: Calls that gave no reply.
        calls: Calls its verdicts rest on.
        made: Those of them that were not in the ledger.
        cost_j: Joules of its calls per judged text or answer, from the windows of this and earlier
            runs of the study; 0 where it makes no calls, NaN where not measured.
    """

    judged: int
    unparsed: int
    failed: int
    calls: int
    made: int
    cost_j: float


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores [questions, samples, verifiers], and one account per verifier."""

    scores: Scores
    accounts: tuple[Account, ...]


async def score_samples(
    questions: Sequence[SampledQuestion],
    verifiers: Sequence[Verifier],
    *,
    pool: ModelPool,
    ledger: Ledger,
    recorder: Recorder | None = None,
    concurrency: int = 16,
    study: str = "weaver score",
    on_step: Callable[[Step], None] = lambda _: None,
) -> Scored:
    """Score samples by several verifiers, one after the other.

    A call that is in the ledger is not made again. Models are started when first needed, in a
    window of their own; the pool stays the caller's to close, in this event loop.

    Args:
        questions: At least one, with at least one sample among them.
        verifiers: At least one; no two alike.
        pool: Has the models the verifiers name.
        ledger: Where calls come from and go to, and windows go to.
        recorder: Meters; None leaves the joules unknown.
        concurrency: Most calls in flight.
        study: What windows are filed under; costs are taken from all of them, so a study should
            be of one machine and one concurrency.
        on_step: Told before a verifier's model is made ready, before its calls, and after each.

    Raises:
        UsageError: There is nothing to score or no verifier, one stands there twice, or the pool
            lacks a model.
        EngineError: A server did not start or is gone; calls that came back are stored.
    """
    _check(questions, verifiers)
    models = {name: pool.identity(name) for v in verifiers for name in v.model_names()}
    run = _Run(pool, ledger, recorder, concurrency, study, on_step)
    found = [await run.verify(verifier, questions, models) for verifier in verifiers]
    ledger.flush()
    width = max(len(question.samples) for question in questions)
    scores = np.full((len(questions), width, len(verifiers)), math.nan)
    for column, (verdicts, _) in enumerate(found):
        for row, verdict in enumerate(verdicts):
            scores[row, : len(verdict.scores), column] = verdict.scores
    accounts = tuple(account for _, account in found)
    return Scored(
        Scores(
            scores,
            tuple(verifier.name for verifier in verifiers),
            answers=_answers(questions, width),
            cost_j=np.array([account.cost_j for account in accounts]),
            energy=None if recorder is None else recorder.basis.label,
        ),
        accounts,
    )


@dataclass(eq=False)
class _Run:
    pool: ModelPool
    ledger: Ledger
    recorder: Recorder | None
    concurrency: int
    study: str
    on_step: Callable[[Step], None]
    known: dict[bytes, dict[int, Completion]] = field(default_factory=dict)

    async def verify(
        self,
        verifier: Verifier,
        questions: Sequence[SampledQuestion],
        models: Mapping[str, str],
    ) -> tuple[list[Verdicts], Account]:
        """Return [questions] the verdicts of one verifier, and its account."""
        identities = [models[name] for name in verifier.model_names()]
        walks = [Walk(verifier.score(q.question, q.samples, models)) for q in questions]
        label = f"verifier {verifier.name}"[:200]
        calls: set[tuple[bytes, int]] = set()
        window: _Metered | None = None
        with ExitStack() as stack:
            while asks := [request for walk in walks for request in walk.asks]:
                jobs = {(r.key, sample): (r, sample) for r in asks for sample in range(r.samples)}
                calls |= jobs.keys()
                if missing := self._missing(list(jobs.values())):
                    if window is None:
                        self.on_step(Step(verifier.name, 0, len(missing), None))
                        await self._ready(identities, missing)
                        window = stack.enter_context(self._window(label, identities))
                    await self._make(missing, window, verifier.name)
                for walk in walks:
                    walk.go_on(self.known)
        verdicts = [walk.result() for walk in walks]
        for question, verdict in zip(questions, verdicts, strict=True):
            if len(verdict.scores) != len(question.samples):
                raise UsageError(
                    f"verifier {verifier.name}: {len(verdict.scores)} scores for "
                    f"{len(question.samples)} samples; it must give one for each"
                )
        judged = sum(verdict.judged for verdict in verdicts)
        per_call = self._joules_per_call(label, identities)
        return verdicts, Account(
            judged=judged,
            unparsed=sum(verdict.unparsed for verdict in verdicts),
            failed=sum(verdict.failed for verdict in verdicts),
            calls=len(calls),
            made=window.calls if window else 0,
            cost_j=per_call * len(calls) / judged if calls and judged else 0.0,
        )

    def _missing(self, jobs: Sequence[Job]) -> list[Job]:
        """Return the jobs neither in memory nor in the ledger; what the ledger has is loaded."""
        new = {request.key for request, _ in jobs} - self.known.keys()
        stored = self.ledger.fetch(list(new), SEARCH_EPOCH)
        self.known |= {key: stored.get(key, {}) for key in new}
        left = [job for job in jobs if job[1] not in self.known[job[0].key]]
        # The sample that pays for a prompt's prefill is the first.
        return sorted(left, key=lambda job: job[1])

    async def _ready(self, identities: Sequence[str], jobs: Sequence[Job]) -> None:
        """Start models that are not up; a server's first batch is slow, so it is thrown away."""
        cold = [identity for identity in identities if not self.pool.is_up(identity)]
        if not cold:
            return
        with self._window("loading", cold):
            self.pool.start(cold)
            await _all(
                self.pool.engine(request.model).complete(
                    request.messages, request.sampling, 0, "warm-up"
                )
                for request, _ in jobs[: self.concurrency]
            )

    async def _make(self, jobs: Sequence[Job], window: "_Metered", verifier: str) -> None:
        slots = asyncio.Semaphore(self.concurrency)
        needed = window.calls + len(jobs)

        def tell() -> None:
            self.on_step(Step(verifier, window.calls, needed, self._so_far(window)))

        async def one(request: Request, sample: int) -> None:
            seed = request.seed(sample, SEARCH_EPOCH)
            # Servers limit the length of a salt and the characters in it.
            salt = hashlib.sha256(f"{SEARCH_EPOCH} {request.sampling}".encode()).hexdigest()
            async with slots:
                completion = await self.pool.engine(request.model).complete(
                    request.messages, request.sampling, seed, salt
                )
            self.ledger.put(request, sample, SEARCH_EPOCH, completion, window.id)
            self.known[request.key][sample] = completion
            window.calls += 1
            tell()

        tell()
        await _all(one(*job) for job in jobs)

    @contextmanager
    def _window(self, label: str, identities: Sequence[str]) -> Iterator["_Metered"]:
        """Open a window in the recorder and in the ledger; the ledger's stays open on a crash."""
        metered = _Metered(self.ledger.open_window(self.study, label))
        if self.recorder is None:
            yield metered
            return
        with self.recorder.window(label, self.concurrency) as pending:
            metered.pending = pending
            yield metered
        assert pending.window is not None
        record = {"models": list(identities), "calls": metered.calls}
        self.ledger.close_window(metered.id, pending.window.to_json() | record)

    def _so_far(self, window: "_Metered") -> float | None:
        if self.recorder is None or window.pending is None:
            return None
        return _joules(window.pending.so_far(), self.recorder.basis)

    def _joules_per_call(self, label: str, identities: Sequence[str]) -> float:
        """Return the joules of a call in the windows of this label, NaN if none is known."""
        if self.recorder is None:
            return math.nan
        joules, calls = 0.0, 0
        for name, record in self.ledger.windows(self.study):
            if name == label and record is not None and record["models"] == identities:
                spent = _joules(Window.from_json(record), self.recorder.basis)
                if spent is not None:
                    joules += spent
                    calls += record["calls"]
        return joules / calls if calls else math.nan


@dataclass(slots=True)
class _Metered:
    """A window being recorded, and the calls made in it."""

    id: int
    calls: int = 0
    pending: Pending | None = None


def _joules(window: Window, basis: Basis) -> float | None:
    """Return the joules of a window, None also where its counters may not have ticked."""
    ticks = [domain.tick_s for domain in window.domains if domain.name in basis.domains]
    return window.joules(basis) if window.seconds > max(ticks, default=0.0) else None


async def _all(calls: Iterable[Coroutine[Any, Any, object]]) -> None:
    """Await all; at the first failure cancel the others and raise that failure."""
    try:
        async with asyncio.TaskGroup() as batch:
            for call in calls:
                batch.create_task(call)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


def _check(questions: Sequence[SampledQuestion], verifiers: Sequence[Verifier]) -> None:
    if not any(question.samples for question in questions):
        raise UsageError("nothing to score: there is no sample of any question")
    if not verifiers:
        raise UsageError("no verifiers: name at least one")
    name, times = Counter(verifier.name for verifier in verifiers).most_common(1)[0]
    if times > 1:
        raise UsageError(f"verifier {name} is named {times} times; name it once")


def _answers(questions: Sequence[SampledQuestion], width: int) -> Strings | None:
    """Return [questions, samples] answers, "" where there is none; None if there are none."""
    rows = [[sample.answer or "" for sample in question.samples] for question in questions]
    if not any(answer for row in rows for answer in row):
        return None
    return np.array([row + [""] * (width - len(row)) for row in rows])
