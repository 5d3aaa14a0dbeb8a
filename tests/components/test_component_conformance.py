"""What holds for every component type, whatever it is asked and whatever comes back."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from playing import MESSAGES, MODELS, candidate, completion, converse, failed

from archon.components import COMPONENTS, State
from archon.components.room import tokens_over
from archon.components.route import Router
from archon.components.state import UnitTest
from archon.engines.base import Completion
from archon.spec import parse_spec

TESTS = {"type": "unit_test_generator", "model": "m"}
GENERATOR = {"type": "generator", "model": "m", "samples": 3}
VERIFIER = {"type": "verifier", "model": "m"}

CASCADE = {
    "type": "cascade",
    "stages": [[[GENERATOR]], [[GENERATOR | {"temperature": 0.1}]]],
    "thresholds": [0.6],
}
ROUTE = {
    "type": "route",
    "branches": [[[GENERATOR]], [[GENERATOR | {"style": "steps"}], [VERIFIER]]],
}
ROUTER = Router.fit([[5, 20, 2, 3, 2, 1, 1], [9, 40, 3, 6, 2, 2, 1]], [True, False]).model_dump()

WAYS = [
    GENERATOR,
    {"type": "sequential", "model": "m", "samples": 3, "batch": 1},
    {"type": "sequential", "model": "m", "samples": 4, "batch": 1, "stop_when": "sure"},
    {
        "type": "cascade",
        "stages": [[[GENERATOR], [VERIFIER]], [[GENERATOR | {"temperature": 0.1}]]],
        "thresholds": [0.6],
    },
    CASCADE | {"accept": "agreement"},
    CASCADE | {"accept": "confidence", "keep": True},
    ROUTE | {"by": "words", "threshold": 3},
    ROUTE | {"by": "learned", "threshold": 0.5, "fitted": ROUTER},
    {"type": "fuser", "model": "m", "samples": 2, "max_words": 30, "max_tokens": 99},
    {"type": "critic", "model": "m"},
    {"type": "critic", "model": "m", "mode": "pointwise"},
    {"type": "ranker", "model": "m", "top_k": 2},
    {"type": "ranker", "model": "m", "mode": "pairwise", "top_k": 2},
    {"type": "ranker", "mode": "score", "top_k": 2},
    VERIFIER,
    {"type": "verifier", "model": "m", "mode": "reason", "first_k": 1},
    TESTS,
    TESTS | {"kind": "python", "samples": 2, "temperature": 0.5},
    {"type": "unit_test_evaluator", "model": "m", "top_k": 2},
    {"type": "unit_test_evaluator"},
    {"type": "vote"},
    {"type": "vote", "weight": "score"},
    {"type": "vote", "weight": "confidence"},
    {"type": "weaver", "verifiers": ["length", "judge(model=m)", "pairwise(model=m)"]},
]
"""Each way of working of each type."""


def told(way):
    named = ("mode", "kind", "accept", "by", "weight", "stop_when")
    return " ".join([way["type"], *(str(way[name]) for name in named if name in way)])


def made(way):
    return COMPONENTS[way["type"]].model_validate(way)


def reads_candidates(way):
    return not (made(way).first or made(way).writes_tests)


every_one = pytest.mark.parametrize("way", WAYS, ids=told)

ARRIVING = (
    candidate("a", score=0.5, critique="too short"),
    candidate("b", confidence=0.5),
    candidate("b"),
    candidate("c\n```python\ndef f(): return 1\n```"),
)
UNIT_TESTS = (
    UnitTest("assertions", "It is a number."),
    UnitTest("python", "assert f() == 1", "f"),
)
STATE = State("q1", MESSAGES, ARRIVING, UNIT_TESTS)


def critique_of(one):
    return getattr(one, "critique", None)


def go(way, answer, state=STATE, **options):
    return converse(made(way), state, lambda r: [answer(r)] * r.samples, **options)


def to_models(played):
    """What is asked of models, not of the sandbox."""
    return [request for request in played.requests if request.model in MODELS.values()]


def nonsense(_request):
    return completion("???")


def test_every_registered_type_is_here():
    assert set(COMPONENTS) == {way["type"] for way in WAYS}


@pytest.mark.parametrize("way", list(filter(reads_candidates, WAYS)), ids=told)
def test_without_candidates_nothing_is_asked_and_nothing_comes(way):
    played = go(way, nonsense, State("q1", MESSAGES, (), UNIT_TESTS))
    assert played.candidates == ()
    assert played.requests == []
    assert played.counts == {}


REFUSED = Completion("", "refused", 0, 0, error="HTTP 400: too long")


@pytest.mark.parametrize("reply", [failed(), REFUSED], ids=["failed", "refused"])
@every_one
def test_when_every_call_fails_it_ends_and_the_failure_is_counted(way, reply):
    played = go(way, lambda _: reply)
    if played.requests:
        assert sum(played.counts.values()) > 0
    if reads_candidates(way) and way["type"] != "fuser":
        assert played.candidates
    else:
        assert played.candidates == ()


@pytest.mark.parametrize("text", ["???", "", "[1", '{"tests": ["f() =='], ids=repr)
@every_one
def test_a_reply_that_cannot_be_read_is_counted_where_it_is_more_than_text(way, text):
    played = go(way, lambda _: Completion(text, "length", 5, 2))
    said = {part for one in played.candidates for part in (one.text, critique_of(one))}
    assert not played.requests or played.counts or text in said


replies = st.builds(
    lambda text, reason, tops: (
        completion(text, top_logprobs=tops, mean_logprob=-0.5) if reason else failed()
    ),
    st.one_of(
        st.text(),
        st.sampled_from(
            [
                "[2] > [1]",
                "[1] Good.\n[3] Bad.",
                "Verdict: Correct",
                '{"tests": ["f() == 1"]}',
                '{"function": "f", "tests": ["assert f() == 1", "f()"]}',
            ]
        ),
    ),
    st.integers(0, 9),
    st.none()
    | st.lists(
        st.tuples(st.sampled_from(["Yes", " no", "A", "B", "so"]), st.floats(-9, 0)), max_size=3
    ).map(lambda pairs: (tuple(pairs),)),
)


@every_one
@settings(max_examples=30)
@given(st.lists(replies, min_size=1, max_size=5))
def test_any_replies_give_what_came_or_what_was_drawn_the_same_each_time(way, said):
    drawn = []

    def answer(_request):
        drawn.append(said[len(drawn) % len(said)])
        return drawn[-1]

    played = go(way, answer)
    texts = {one.text for one in drawn}
    if made(way).writes_tests:
        assert {test.kind for test in played.candidates} <= {made(way).writes_tests}
    else:
        came = {one.text for one in ARRIVING} if reads_candidates(way) else set()
        assert set(played.texts) <= came | texts
        most = made(way).most_candidates(len(ARRIVING))
        assert len(played.candidates) <= most or made(way).needs_fit
        new = [one for one in played.candidates if one.text not in came]
        assert way["type"] in {"cascade", "route"} or all(
            one.critique is one.score is None for one in new
        )
    drawn.clear()
    assert repr(go(way, answer)) == repr(played)


@every_one
def test_the_callers_system_message_and_question_stay(way):
    for request in to_models(go(way, nonsense)):
        assert request.messages[0] == MESSAGES[0]
        assert len(request.messages) == len(MESSAGES)
        assert request.messages[-1].content.startswith(MESSAGES[-1].content)


@every_one
def test_what_it_shows_is_shortened_to_what_the_model_takes(way):
    long = tuple(candidate(f"{letter} so" * 800, critique="no " * 300) for letter in "abc")
    state = State("q1", MESSAGES, long, UNIT_TESTS)
    played = go(way, nonsense, state, limits={"m": 600})
    if way["type"] == "weaver":
        return
    for request in to_models(played):
        assert tokens_over(request.messages, request.sampling.max_tokens, 600) == 0
    if reads_candidates(way) and to_models(played):
        assert played.counts[f"{way['type']}.shortened"] > 0


@every_one
def test_it_survives_being_written_to_a_file(way):
    written = parse_spec(json.dumps({"models": {"m": {"zoo": "tiny"}}, "layers": around(way)}), "x")
    again = parse_spec(written.to_yaml(), "x")
    assert again == written
    assert again.canonical == written.canonical


def around(way):
    """Layers in which a component makes sense."""
    component = made(way)
    if component.writes_tests:
        evaluator = {"type": "unit_test_evaluator"}
        if component.writes_tests == "assertions":
            evaluator["model"] = "m"
        return [[way], [GENERATOR], [evaluator]]
    if component.first:
        return [[way]]
    tests = [[TESTS | {"kind": component.reads_tests}]] if component.reads_tests else []
    consumer = [[{"type": "fuser", "model": "m"}]] if way["type"] == "critic" else []
    return [*tests, [GENERATOR], [way], *consumer]
