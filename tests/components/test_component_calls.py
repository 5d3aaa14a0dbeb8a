"""The calls that components say they make are those they make."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from playing import MESSAGES, candidate, completion, converse

from archon.components import COMPONENTS, State
from archon.components.state import UnitTest

ASKED = {"model": "m"}
WAYS = [
    {"type": "generator", "samples": 3, **ASKED},
    {"type": "sequential", "samples": 5, "batch": 2, **ASKED},
    {"type": "sequential", "samples": 5, "batch": 2, "stop_when": "sure", "sure": 0.6, **ASKED},
    {"type": "fuser", "samples": 2, **ASKED},
    {"type": "critic", **ASKED},
    {"type": "critic", "mode": "pointwise", **ASKED},
    {"type": "ranker", **ASKED},
    {"type": "ranker", "mode": "pairwise", **ASKED},
    {"type": "ranker", "mode": "pairwise", "pairs": 2, **ASKED},
    {"type": "ranker", "mode": "score"},
    {"type": "verifier", **ASKED},
    {"type": "verifier", "mode": "reason", "first_k": 1, **ASKED},
    {"type": "unit_test_generator", "samples": 2, "temperature": 0.5, **ASKED},
    {"type": "unit_test_evaluator", **ASKED},
    {"type": "unit_test_evaluator"},
    {"type": "vote"},
]
TOPS = (("Yes", -0.2), ("No", -1.8))
TESTS = (
    UnitTest("assertions", "It is even."),
    UnitTest("assertions", "It is short."),
    UnitTest("python", "assert f() == 1", "f"),
    UnitTest("python", "assert f() == 2", "f"),
)


def told(way):
    return " ".join(str(value) for name, value in way.items() if name != "model")


@pytest.mark.parametrize("way", WAYS, ids=told)
@settings(max_examples=40)
@given(
    texts=st.lists(st.sampled_from("abcde"), min_size=1, max_size=5),
    replies=st.lists(
        st.sampled_from(["a", "b", "[2] > [1]", "Verdict: Correct", ""]), min_size=1, max_size=7
    ),
)
def test_they_lie_within_what_is_told_and_write_no_more(way, texts, replies):
    component = COMPONENTS[way["type"]].model_validate(way)
    made = []

    def answer(request):
        made.append(replies[len(made) % len(replies)])
        return [
            completion(replies[(len(made) + n) % len(replies)], top_logprobs=(TOPS,))
            for n in range(request.samples)
        ]

    arriving = tuple(candidate(text) for text in texts)
    state = State("q1", MESSAGES, () if component.first else arriving, TESTS)
    requests = converse(component, state, answer).requests
    calls = {request.key: request.samples for request in requests}  # later ones ask for more
    said = component.calls(len(arriving), len(TESTS) // 2)
    assert said.least <= sum(calls.values()) <= said.most
    assert all(request.sampling.max_tokens <= said.tokens for request in requests)


@pytest.mark.parametrize("way", WAYS, ids=told)
def test_the_most_is_made_where_candidates_differ_and_nothing_is_settled(way):
    component = COMPONENTS[way["type"]].model_validate(way)
    drawn = iter(range(1000))

    def answer(request):
        return [completion(f"{next(drawn)}") for _ in range(request.samples)]

    state = State("q1", MESSAGES, tuple(map(candidate, "abcd")), TESTS)
    requests = converse(component, state, answer).requests
    calls = {request.key: request.samples for request in requests}
    assert sum(calls.values()) == component.calls(4, len(TESTS) // 2).most
