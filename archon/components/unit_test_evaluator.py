"""The unit test evaluator: candidates ranked by the tests they pass."""

import re
from collections.abc import Generator, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from typing import ClassVar, Literal

from pydantic import Field

from archon.components.base import Calls, Component, Steps, register
from archon.components.context import Context
from archon.components.state import (
    Candidate,
    Drawn,
    State,
    TestKind,
    UnitTest,
    distinct,
    known_score,
)
from archon.engines.base import Request, Sampling
from archon.engines.programs import program_request, read_verdict
from archon.tasks.code import complete_programs, extract_code
from weaver.verifiers.reading import TOP_LOGPROBS, yes_probability

_PROMPT = """Proposed reply:

{candidate}

Statement: {test}

Is the statement true of the proposed reply? Answer Yes or No."""

Passed = dict[str, int]
"""Text of a candidate → how many tests it passes."""


@register
class UnitTestEvaluator(Component):
    """Orders the candidates by the tests they pass and keeps the first `top_k`.

    Reads candidates and unit tests, writes candidates, the share of tests passed as their score;
    ties go to the higher score they came with, then to the one that came first. Where no test was
    written for a query, candidates stay as they are (``unit_test_evaluator.untested``).

    With a `model`, it judges assertions: each is true of a reply where the probability of Yes
    against No at the first token reaches one half. Calls: distinct texts times assertions, one
    token each. Texts that would not fit the model's context are shortened
    (``unit_test_evaluator.shortened``).

    Without a model, it runs Python tests in the sandbox, each on the code of a reply; a reply
    without code passes none. Calls: distinct texts times tests, each a run of about 60 ms, charged
    for its CPU time; ``unit_test_evaluator.sandbox_runs`` and
    ``unit_test_evaluator.sandbox_cpu_ms`` count them.

    A judgement or verdict that cannot be read, also because the call failed, is no pass and counts
    as ``unit_test_evaluator.unparsed``.
    """

    type: Literal["unit_test_evaluator"] = "unit_test_evaluator"
    model: str | None = None
    top_k: int | None = Field(None, ge=1)

    gives_scores: ClassVar[bool] = True

    @property
    def reads_tests(self) -> TestKind:
        """See `Component.reads_tests`."""
        return "python" if self.model is None else "assertions"

    @property
    def runs_programs(self) -> bool:
        """See `Component.runs_programs`."""
        return self.model is None

    def run(self, state: State, context: Context) -> Steps:
        """See `Component.run`."""
        if not state.candidates:
            return ()
        tests = [test for test in state.unit_tests if test.kind == self.reads_tests]
        if not tests:
            context.counts["unit_test_evaluator.untested"] += 1
            return state.candidates[: self.top_k]
        texts = [group[0] for group in distinct(state.candidates).values()]
        if self.model is None:
            passed = yield from self._put_to(texts, tests, state, context)
        else:
            passed = yield from self._judge(self.model, texts, tests, state, context)
        ranked = sorted(state.candidates, key=lambda one: (-passed[one.text], -known_score(one)))
        return tuple(
            replace(one, score=passed[one.text] / len(tests), calibrated=False)
            for one in ranked[: self.top_k]
        )

    def _judge(
        self,
        model: str,
        texts: Sequence[Candidate],
        tests: Sequence[UnitTest],
        state: State,
        context: Context,
    ) -> Generator[Sequence[Request], Sequence[Drawn], Passed]:
        sampling = Sampling(0.0, 1, top_logprobs=TOP_LOGPROBS)
        judged = yield [
            context.about(self.type, model, state, [one], partial(_prompt, test), sampling)
            for one, test in product(texts, tests)
        ]
        passed = {one.text: 0 for one in texts}
        for (one, _), drawn in zip(product(texts, tests), judged, strict=True):
            said = yes_probability(drawn.completions[0])
            context.counts["unit_test_evaluator.unparsed"] += said is None
            passed[one.text] += said is not None and said >= 0.5
        return passed

    def _put_to(
        self,
        texts: Sequence[Candidate],
        tests: Sequence[UnitTest],
        state: State,
        context: Context,
    ) -> Generator[Sequence[Request], Sequence[Drawn], Passed]:
        question = state.messages[-1].content
        passed = {one.text: 0 for one in texts}
        runs = [
            (one.text, program_request(forms, test.text, test.entry_point, context.sandbox))
            for one, test in product(texts, tests)
            if (forms := programs(question, one.text, test.entry_point))
        ]
        if not runs:
            return passed
        ended = yield [request for _, request in runs]
        for (text, _), drawn in zip(runs, ended, strict=True):
            verdict = read_verdict(drawn.completions[0])
            context.counts["unit_test_evaluator.unparsed"] += verdict is None
            passed[text] += verdict is True
        cpu_s = sum(drawn.completions[0].cpu_s or 0.0 for drawn in ended)
        context.counts["unit_test_evaluator.sandbox_runs"] += len(runs)
        context.counts["unit_test_evaluator.sandbox_cpu_ms"] += round(1000 * cpu_s)
        return passed

    def most_candidates(self, arriving: int) -> int:
        """Return at most `top_k`."""
        return arriving if self.top_k is None else min(arriving, self.top_k)

    def calls(self, arriving: int, tests: int) -> Calls:
        """See `Component.calls`."""
        return Calls(0, arriving * tests, 0 if self.model is None else 1)


def programs(question: str, reply: str, function: str) -> tuple[str, ...]:
    """Return what may be meant as the program of a reply, the likeliest first; none without code.

    Where the question shows the head of the function, the reply may go on from there, or leave out
    what stands before it.
    """
    code = extract_code(reply)
    if code is None:
        return ()
    shown = extract_code(question) or ""
    if re.search(rf"^(?:async[ \t]+)?def[ \t]+{function}\b", shown, re.MULTILINE):
        return tuple(complete_programs(shown, code, function))
    return (code,)


def _prompt(test: UnitTest, candidates: Sequence[Candidate]) -> str:
    return _PROMPT.format(candidate=candidates[0].text.strip(), test=test.text)
