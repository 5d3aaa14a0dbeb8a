"""Many questions through several verifiers: what is asked, kept, metered and counted."""

import asyncio
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from verdict_replies import failed, opinion, said, shown, tops

from archon.energy import Domain, Meter, Reading, Recorder, choose_basis
from archon.engines.base import Engine, Request, Sampling
from archon.engines.pool import EnginePool
from archon.errors import EngineError, UsageError
from archon.ledger import Ledger
from archon.messages import Message
from weaver.verifiers import (
    Logprob,
    PairwiseJudge,
    ReasonedJudge,
    Sample,
    SampledQuestion,
    SelfConsistency,
    Step,
    Verdicts,
    Verifier,
    YesNoJudge,
    score_samples,
)

CALL_J = 0.25


class Scale(Meter):
    """Counts what the engines spend."""

    domains = ()

    def __init__(self, tick_s=1e-6):
        self.domains = (Domain("cpu:0", "cpu", "counter", tick_s=tick_s),)
        self.spent_j = 0.0
        self.reads = 0

    def read(self):
        found = {"cpu:0": Reading(self.spent_j)}
        self.reads += 1
        return found


class RuledEngine(Engine):
    """Answers by a rule; each call spends `CALL_J`."""

    prefix_block = 0

    def __init__(self, name, rule, scale=None, dies_after=None):
        self.identity = f"identity of {name}"
        self.rule = rule
        self.scale = scale
        self.dies_after = dies_after
        self.asked = []
        self.in_flight = self.most_in_flight = 0

    async def complete(self, messages, sampling, seed, salt):  # noqa: ARG002
        if len(self.asked) == self.dies_after:
            raise EngineError("the server is gone")
        request = Request(self.identity, messages, sampling)
        assert seed == request.seed(0, 0)
        self.asked.append(request)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await asyncio.sleep(0)
        self.in_flight -= 1
        if self.scale is not None:
            self.scale.spent_j += CALL_J
        return self.rule(request)


def by_opinion(request):
    return tops(Yes=opinion(request), No=1 - opinion(request))


def questions(*texts):
    """One question per group of samples, whose answers are their texts."""
    return [
        SampledQuestion(
            (Message("user", f"Question {index}"),), [Sample(text, text or None) for text in group]
        )
        for index, group in enumerate(texts)
    ]


THREE = questions(["4", "5", "4"], ["7"], ["1", "2", "3", ""])


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "calls.db") as ledger:
        yield ledger


def run(ledger, verifiers, engines=(), asked=THREE, **options):
    names = {engine.identity.rsplit(" ", 1)[1]: engine for engine in engines}
    pool = EnginePool(names)
    return asyncio.run(score_samples(asked, verifiers, pool=pool, ledger=ledger, **options))


# Scores


def test_scores_stand_by_question_sample_and_verifier(ledger):
    engine = RuledEngine("m", lambda _: tops(Yes=0.9, No=0.1))
    scored = run(ledger, [SelfConsistency(), YesNoJudge(model="m", reads="answer")], [engine])
    nan = math.nan
    third, quarter = 1 / 3, 1 / 4
    consistency = [[2 * third, third, 2 * third, nan], [1, nan, nan, nan], [quarter] * 3 + [nan]]
    judged = [[0.9, 0.9, 0.9, nan], [0.9, nan, nan, nan], [0.9, 0.9, 0.9, nan]]
    expected = np.stack([consistency, judged], axis=2)
    np.testing.assert_allclose(scored.scores.scores, expected)
    assert scored.scores.verifiers == ("consistency", "judge(model=m, reads=answer)")
    answers = [["4", "5", "4", ""], ["7", "", "", ""], ["1", "2", "3", ""]]
    assert scored.scores.answers.tolist() == answers


def test_without_any_answer_there_are_none(ledger):
    asked = [SampledQuestion((Message("user", "?"),), [Sample("a", mean_logprob=-1.0)])]
    assert run(ledger, [Logprob()], asked=asked).scores.answers is None


def test_identical_samples_of_a_question_are_judged_once(ledger):
    engine = RuledEngine("m", by_opinion)
    scored = run(ledger, [YesNoJudge(model="m")], [engine], questions(["a", "a", "b"], ["a"]))
    assert [shown(request) for request in engine.asked] == ["a", "b", "a"]
    (account,) = scored.accounts
    assert (account.judged, account.calls, account.made) == (3, 3, 3)


def test_what_was_no_verdict_and_what_failed_is_counted_per_verifier(ledger):
    replies = {"1": said("Verdict: Correct"), "2": said("Hm."), "3": failed(), "4": failed()}
    engine = RuledEngine("m", lambda request: replies[shown(request)])
    verifiers = [Logprob(), ReasonedJudge(model="m")]
    scored = run(ledger, verifiers, [engine], questions(["1", "2"], ["3", "4"]))
    assert [(a.judged, a.unparsed, a.failed) for a in scored.accounts] == [(0, 0, 0), (4, 1, 2)]


@settings(max_examples=8, deadline=None)
@given(
    texts=st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=4), min_size=1),
    data=st.data(),
)
def test_scores_follow_questions_and_samples_in_any_order(tmp_path_factory, texts, data):
    def score(groups):
        asked = [
            SampledQuestion((Message("user", name),), [Sample(text) for text in group])
            for name, group in groups
        ]
        engine = RuledEngine("m", by_opinion)
        with Ledger(tmp_path_factory.mktemp("any") / "calls.db") as ledger:
            found = run(ledger, [YesNoJudge(model="m")], [engine], asked).scores.scores[:, :, 0]
        return {
            name: dict(zip(group, row, strict=False))
            for (name, group), row in zip(groups, found.tolist(), strict=True)
        }

    groups = [(f"question {index}", group) for index, group in enumerate(texts)]
    shuffled = [
        (name, data.draw(st.permutations(group)))
        for name, group in data.draw(st.permutations(groups))
    ]
    assert score(shuffled) == score(groups)


class InTurn(Verifier):
    """Asks about one sample after the other, the second time with what was said before."""

    type: str = "in_turn"
    model: str

    def score(self, question, samples, models):
        said_before, scores = "", []
        for sample in samples:
            prompt = (*question, Message("user", f"{said_before}|{sample.text}"))
            ((done,),) = yield [Request(models[self.model], prompt, Sampling(0.0, 4))]
            yield []  # to have nothing to ask is no end
            said_before = done.text
            scores.append(float(done.text))
        return Verdicts(tuple(scores), len(samples))


def count(request):
    before, _, _ = request.messages[-1].content.partition("|")
    return said(str(int(before or 0) + 1))


def test_a_verifier_may_ask_in_several_steps(ledger):
    engine = RuledEngine("m", count)
    scored = run(ledger, [InTurn(model="m")], [engine], questions(["a", "b"], ["a", "b", "c"]))
    np.testing.assert_array_equal(scored.scores.scores[:, :, 0], [[1, 2, math.nan], [1, 2, 3]])
    assert [label for label, _ in ledger.windows("weaver score")] == ["verifier in_turn(model=m)"]


# Calls


def test_a_call_in_the_ledger_is_not_made_again(ledger):
    engine = RuledEngine("m", by_opinion)
    verifiers = [YesNoJudge(model="m"), PairwiseJudge(model="m")]
    first = run(ledger, verifiers, [engine])
    made = len(engine.asked)
    again = run(ledger, verifiers, [engine])
    assert len(engine.asked) == made
    np.testing.assert_array_equal(first.scores.scores, again.scores.scores)
    assert [(a.calls, a.made) for a in again.accounts] == [(a.calls, 0) for a in first.accounts]


def test_a_call_that_failed_is_made_again_another_time(ledger):
    run(ledger, [YesNoJudge(model="m")], [RuledEngine("m", lambda _: failed())])
    scored = run(ledger, [YesNoJudge(model="m")], [RuledEngine("m", by_opinion)])
    assert scored.accounts[0].failed == 0


def test_no_more_calls_are_in_flight_than_allowed(ledger):
    engine = RuledEngine("m", by_opinion)
    run(ledger, [YesNoJudge(model="m")], [engine], concurrency=2)
    assert engine.most_in_flight == 2


def test_calls_made_before_a_server_died_are_kept(ledger):
    verifiers = [YesNoJudge(model="m")]
    with pytest.raises(EngineError, match="the server is gone"):
        run(ledger, verifiers, [RuledEngine("m", by_opinion, dies_after=3)], concurrency=1)
    ledger.flush()
    alive = RuledEngine("m", by_opinion)
    scored = run(ledger, verifiers, [alive])
    assert (len(alive.asked), scored.accounts[0].calls) == (4, 7)


def test_every_call_is_told_with_how_many_are_needed(ledger):
    told = []
    verifiers = [SelfConsistency(), YesNoJudge(model="m")]
    run(ledger, verifiers, [RuledEngine("m", by_opinion)], on_step=told.append)
    assert told == [Step("judge(model=m)", made, 7, None) for made in (0, 0, 1, 2, 3, 4, 5, 6, 7)]


def test_calls_that_follow_from_replies_are_needed_when_these_are_known(ledger):
    told = []
    asked = questions(["a", "b"], ["a", "b", "c"])
    run(ledger, [InTurn(model="m")], [RuledEngine("m", count)], asked, on_step=told.append)
    steps = [(0, 2), (0, 2), (1, 2), (2, 2), (2, 4), (3, 4), (4, 4), (4, 5), (5, 5)]
    assert [(step.made, step.needed) for step in told] == steps


# Joules


def metered(scale, **options):
    return Recorder(scale, choose_basis(scale.domains), **options)


def test_a_verifier_costs_the_joules_of_its_calls_per_judged_sample(ledger):
    scale = Scale()
    engine = RuledEngine("m", by_opinion, scale)
    verifiers = [SelfConsistency(), YesNoJudge(model="m"), PairwiseJudge(model="m", pairs=3)]
    scored = run(ledger, verifiers, [engine], recorder=metered(scale))
    _, judge, pairwise = scored.accounts
    assert scored.scores.cost_j.tolist() == [a.cost_j for a in scored.accounts]
    assert scored.accounts[0].cost_j == 0.0
    assert judge.cost_j == pytest.approx(CALL_J)
    # One pair of two texts and three of four, in both orders, over the six texts compared.
    assert pairwise.cost_j == pytest.approx(CALL_J * 2 * (1 + 3) / 6)
    assert len(ledger.windows("weaver score")) == 2


class SlowEngine(RuledEngine):
    """Its calls last until the recorder has seen what they spent."""

    async def complete(self, messages, sampling, seed, salt):
        completion = await super().complete(messages, sampling, seed, salt)
        # One look may have begun before; the next is over when that after it has read.
        enough = self.scale.reads + 3
        while self.scale.reads < enough:
            await asyncio.sleep(0.001)
        return completion


def test_joules_are_told_while_a_verifier_is_at_work(ledger):
    scale = Scale()
    told = []
    engine = SlowEngine("m", by_opinion, scale)
    recorder = metered(scale, check_every_s=0.001)
    options = {"recorder": recorder, "concurrency": 1, "on_step": told.append}
    run(ledger, [YesNoJudge(model="m")], [engine], THREE[:1], **options)
    assert [step.joules for step in told[2:]] == [CALL_J, 2 * CALL_J]


def test_scores_name_the_basis_of_their_joules(ledger):
    scale = Scale()
    engine = RuledEngine("m", by_opinion, scale)
    verifiers = [YesNoJudge(model="m")]
    assert run(ledger, verifiers, [engine], recorder=metered(scale)).scores.energy == "cpu"
    assert run(ledger, verifiers, [engine]).scores.energy is None


def test_the_cost_is_known_when_all_calls_are(ledger):
    scale = Scale()
    verifiers = [YesNoJudge(model="m")]
    engine = RuledEngine("m", by_opinion, scale)
    run(ledger, verifiers, [engine], THREE[:1], recorder=metered(scale))
    again = run(ledger, verifiers, [engine], THREE[:1], recorder=metered(scale))
    assert (again.accounts[0].made, again.accounts[0].cost_j) == (0, pytest.approx(CALL_J))


def test_the_windows_of_another_model_of_that_name_do_not_count(ledger):
    scale = Scale()
    verifiers = [YesNoJudge(model="m")]
    run(ledger, verifiers, [RuledEngine("m", by_opinion, scale)], recorder=metered(scale))
    free = RuledEngine("m", by_opinion)
    free.identity = "another m"
    pool = EnginePool({"m": free})
    scored = asyncio.run(
        score_samples(THREE, verifiers, pool=pool, ledger=ledger, recorder=metered(scale))
    )
    assert scored.accounts[0].cost_j == 0.0


def test_without_a_meter_the_cost_is_unknown(ledger):
    scored = run(ledger, [YesNoJudge(model="m"), Logprob()], [RuledEngine("m", by_opinion)])
    assert scored.scores.cost_j == pytest.approx([math.nan, 0.0], nan_ok=True)


def test_a_window_too_short_for_the_counter_tells_no_cost(ledger):
    scale = Scale(tick_s=3600.0)
    engine = RuledEngine("m", by_opinion, scale)
    scored = run(ledger, [YesNoJudge(model="m")], [engine], recorder=metered(scale))
    assert math.isnan(scored.accounts[0].cost_j)


class ColdPool(EnginePool):
    """A pool whose models are down until they are started."""

    def __init__(self, engines):
        super().__init__(engines)
        self.started = []

    def is_up(self, identity):
        return identity in self.started

    def start(self, identities):
        self.started += identities


class WarmingEngine(RuledEngine):
    """Notes the salts of its calls and does not mind the warm-up's seeds."""

    async def complete(self, messages, sampling, seed, salt):  # noqa: ARG002
        request = Request(self.identity, messages, sampling)
        self.asked.append((request.key, salt))
        self.scale.spent_j += CALL_J
        return self.rule(request)


def test_models_are_started_and_warmed_up_in_a_window_of_their_own(ledger):
    scale = Scale()
    engine = WarmingEngine("m", by_opinion, scale)
    pool = ColdPool({"m": engine})
    verifiers = [Logprob(), YesNoJudge(model="m"), PairwiseJudge(model="m")]
    scored = asyncio.run(
        score_samples(
            THREE, verifiers, pool=pool, ledger=ledger, recorder=metered(scale), concurrency=4
        )
    )
    assert pool.started == ["identity of m"]
    labels = [label for label, _ in ledger.windows("weaver score")]
    assert labels == ["loading", "verifier judge(model=m)", "verifier pairwise(model=m)"]
    assert [salt for _, salt in engine.asked].count("warm-up") == 4
    assert scored.accounts[1].cost_j == pytest.approx(CALL_J)


def test_a_server_that_fails_its_warm_up_is_one_error(ledger):
    pool = ColdPool({"m": RuledEngine("m", by_opinion, dies_after=0)})
    with pytest.raises(EngineError, match="the server is gone"):
        asyncio.run(score_samples(THREE, [YesNoJudge(model="m")], pool=pool, ledger=ledger))


def test_a_model_whose_calls_are_all_known_is_not_started(ledger):
    run(ledger, [YesNoJudge(model="m")], [RuledEngine("m", by_opinion)])
    pool = ColdPool({"m": RuledEngine("m", by_opinion)})
    asyncio.run(score_samples(THREE, [YesNoJudge(model="m")], pool=pool, ledger=ledger))
    assert pool.started == []


# Bad input


class Miscounting(Verifier):
    """Gives one score, whatever it is given."""

    type: str = "miscounting"

    def score(self, question, samples, models):  # noqa: ARG002
        return Verdicts((1.0,))
        yield


@pytest.mark.parametrize(
    ("asked", "verifiers", "message"),
    [
        ([], [Logprob()], "nothing to score"),
        (questions([]), [Logprob()], "nothing to score"),
        (THREE, [], "no verifiers: name at least one"),
        (THREE, [Logprob(), Logprob()], "verifier logprob is named 2 times"),
        (THREE, [YesNoJudge(model="x")], "no model 'x'; there are: m"),
        (THREE, [Miscounting()], "verifier miscounting: 1 scores for 3 samples"),
    ],
)
def test_bad_input_is_named_before_any_call(ledger, asked, verifiers, message):
    engine = RuledEngine("m", by_opinion)
    with pytest.raises(UsageError, match=message):
        run(ledger, verifiers, [engine], asked)
    assert engine.asked == []
