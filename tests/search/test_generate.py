"""Calls made in metered phases, with scripted models and a meter that counts their calls."""

import asyncio

import pytest

from archon.energy import Domain, Meter, Reading, Recorder, choose_basis
from archon.engines.base import Completion, Request, Sampling
from archon.engines.pool import EnginePool
from archon.engines.scripted import ScriptedEngine
from archon.errors import EngineError
from archon.ledger import Ledger
from archon.messages import Message
from archon.pipeline import CallStore
from archon.search.generate import REVIVALS, Generator

J_PER_CALL, J_PER_START = 2.0, 50.0


class Bench:
    """A generator over one scripted model; the meter counts calls and starts."""

    def __init__(self, ledger, runner, *, script=lambda *_: "4", up=True):
        self.sent, self.salts = [], set()
        self.joules = 0.0
        self.age, self.deaths = 0, 0  # a server that is to die does so at its third call
        self.up, self.starts, self.revived = up, 0, 0
        self.script, self.ledger = script, ledger
        bench = self

        class Counting(Meter):
            domains = (Domain("cpu:0", "cpu", "counter", tick_s=1.0),)

            def read(self):
                return {"cpu:0": Reading(bench.joules)}

        class Engine(ScriptedEngine):
            async def complete(self, messages, sampling, seed, salt):
                bench.age += 1
                if bench.deaths and bench.age > 2:
                    raise EngineError("the server is gone")
                bench.sent.append((messages[-1].content, seed))
                bench.salts.add(salt)
                bench.joules += J_PER_CALL
                await asyncio.sleep(0)
                return await super().complete(messages, sampling, seed, salt)

        class Pool(EnginePool):
            def is_up(self, _identity):
                return bench.up

            def start(self, _identities):
                bench.starts, bench.up = bench.starts + 1, True
                bench.joules += J_PER_START

            def revive(self, _identity):
                bench.revived, bench.age, bench.deaths = bench.revived + 1, 0, bench.deaths - 1
                return True

        meter = Counting()
        pool = Pool({"m": Engine("m", script)})
        recorder = Recorder(meter, choose_basis(meter.domains), check_every_s=1e9)
        self.generator = Generator("study", pool, ledger, recorder, runner, concurrency=4)
        self.store = CallStore(ledger)

    def phase(self, jobs):
        return self.generator.phase(self.store, "m", jobs, "m: 1")


@pytest.fixture
def bench(tmp_path):
    made = []

    def make(**options):
        runner = asyncio.Runner()
        ledger = Ledger(tmp_path / "ledger.sqlite")
        made.extend([ledger, runner])
        return Bench(ledger, runner, **options)

    yield make
    for one in made:
        one.close()


def jobs(prompts, samples):
    """Jobs as a step lists them: prompt by prompt."""
    requests = [
        Request("m", (Message("user", prompt),), Sampling(0.7, 8), samples) for prompt in prompts
    ]
    return [(request, sample) for request in requests for sample in range(samples)]


def test_the_first_sample_of_every_prompt_is_sent_before_the_second_of_any(bench):
    made = bench()
    asked = jobs("abc", 3)
    phase = made.phase(asked)
    assert [prompt for prompt, _ in made.sent] == list("abcabcabc")
    seeds = [seed for _, seed in made.sent]
    assert seeds == [request.seed(sample, 0) for request, sample in phase.jobs]
    assert [sample for _, sample in phase.jobs] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert set(phase.jobs) == set(asked)


def test_a_phase_is_one_window_and_its_calls_are_stored_with_it(bench):
    made = bench()
    told = []
    made.generator.on_call = lambda: told.append("call")
    phase = made.phase(jobs("ab", 2))
    assert phase.joules == 4 * J_PER_CALL
    assert phase.window.concurrency == 4
    assert [call.text for call in phase.calls] == ["4"] * 4
    assert told == ["call"] * 4
    tally = made.generator.tally
    assert (tally.calls, tally.joules, tally.unmetered_s) == (4, 4 * J_PER_CALL, 0.0)
    assert tally.seconds == phase.window.seconds > 0
    assert made.generator.phases == [phase]
    made.ledger.flush()
    assert made.ledger.count(0) == 4
    ((label, record),) = made.ledger.windows("study")
    assert (label, record) == ("m: 1", phase.window.to_json())


def test_calls_of_other_settings_or_epochs_share_no_cache(bench):
    made = bench()
    made.phase(jobs("a", 1))
    hot = Request("m", (Message("user", "a"),), Sampling(1.5, 8))
    made.phase([(hot, 0)])
    made.store = CallStore(made.ledger, 3)
    made.phase(jobs("a", 1))
    assert len(made.salts) == 3


def test_a_cold_server_is_started_and_warmed_up_in_a_window_of_its_own(bench):
    made = bench(up=False)
    phase = made.phase(jobs("a", 1))
    assert made.starts == 1
    assert phase.joules == J_PER_CALL
    warm_up = len(made.sent) - 1
    assert warm_up == 4  # as many calls as will be in flight
    assert made.generator.loading.joules == J_PER_START + warm_up * J_PER_CALL
    made.ledger.flush()
    assert made.ledger.count() == 1
    assert made.generator.tally.calls == 1
    assert [label for label, _ in made.ledger.windows("study")] == ["loading", "m: 1"]
    made.phase(jobs("b", 1))
    assert made.starts == 1


def test_a_server_that_dies_is_revived_and_no_call_is_made_twice(bench):
    made = bench()
    made.deaths = REVIVALS
    phase = made.phase(jobs("abcd", 3))
    assert made.revived == REVIVALS
    assert [call.text for call in phase.calls] == ["4"] * 12
    stored = {seed for _, seed in made.sent}
    assert stored == {request.seed(sample, 0) for request, sample in phase.jobs}
    assert made.generator.tally.calls == 12


def test_a_server_that_keeps_dying_ends_the_phase_and_what_came_back_is_kept(bench):
    made = bench()
    made.deaths = REVIVALS + 1
    with pytest.raises(EngineError, match="gone"):
        made.phase(jobs("abcd", 3))
    assert made.revived == REVIVALS
    made.ledger.flush()
    kept = made.ledger.count()
    assert kept == sum(len(one) for one in stored(made, "abcd"))
    assert made.ledger.windows("study") == [("m: 1", None)]  # cut off
    made.deaths = 0
    left = [job for job in jobs("abcd", 3) if job[1] in made.store.missing(job[0])]
    assert len(left) == 12 - kept
    made.phase(left)
    made.ledger.flush()
    assert made.ledger.count() == 12


def stored(made, prompts):
    keys = [request.key for request, _ in jobs(prompts, 1)]
    return made.ledger.fetch(keys).values()


def test_failed_calls_are_returned_but_not_stored(bench):
    failed = Completion("", "error", 0, 0, attempts=4, error="HTTP 500")
    made = bench(script=lambda *_: failed)
    phase = made.phase(jobs("ab", 1))
    assert phase.calls == [failed, failed]
    assert phase.joules == 2 * J_PER_CALL
    made.ledger.flush()
    assert made.ledger.count() == 0
