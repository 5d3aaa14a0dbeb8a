"""One query's walk through the layers, driven by hand."""

import re
from typing import ClassVar, Literal

import pytest
from pipeline_kit import CRITIC, FUSER, GENERATORS, RANKER, VOTE, bound, generators, pipeline, query

from archon.components import Component, Drawn
from archon.components.generator import Generator
from archon.engines.base import Completion, Sampling
from archon.messages import Message
from archon.pipeline.walk import Ask, QueryResult
from archon.spec import PipelineSpec, ZooModel


def draw(ask, *texts):
    return Drawn(ask.request, [Completion(text, "stop", 5, 2) for text in texts])


def finish(walk, drawn):
    with pytest.raises(StopIteration) as stop:
        walk.send(drawn)
    return stop.value.value


def test_components_of_a_layer_ask_together_and_their_outputs_follow_in_order():
    walk = pipeline(GENERATORS).walk(query(1))
    first, second = next(walk)
    assert (first.place, second.place) == ("0.0 generator", "0.1 generator")
    assert (first.request.model, second.request.model) == ("identity of m", "identity of n")
    candidates = finish(walk, [draw(first, "a", "b", "c"), draw(second, "d", "e")])
    assert [(c.text, c.origin) for c in candidates] == [
        ("a", "m"),
        ("b", "m"),
        ("c", "m"),
        ("d", "n"),
        ("e", "n"),
    ]


def test_a_layer_reads_what_the_one_before_it_wrote():
    walk = pipeline(generators(2), [CRITIC], [FUSER], [RANKER | {"top_k": 1}]).walk(query(1))
    (asked,) = next(walk)
    (critic,) = walk.send([draw(asked, "2", "3")])
    assert critic.place == "1.0 critic"
    (fuser,) = walk.send([draw(critic, "[1] right\n[2] wrong")])
    assert fuser.place == "2.0 fuser"
    assert "Critique of [2]: wrong" in fuser.request.messages[-1].content
    (ranker,) = walk.send([draw(fuser, "two", "four")])
    assert ranker.place == "3.0 ranker"
    assert "Critique" not in ranker.request.messages[-1].content
    assert [c.text for c in finish(walk, [draw(ranker, "[2] > [1]")])] == ["four"]


def test_unit_tests_stay_while_candidates_change():
    tests = {"type": "unit_test_generator", "model": "n"}
    evaluator = {"type": "unit_test_evaluator", "model": "m"}
    other = tests | {"model": "m"}
    warm = tests | {"temperature": 1}
    walk = pipeline([tests, other], generators(1), [warm], [FUSER], [evaluator]).walk(query(1))
    first, second = next(walk)
    assert (first.place, second.place) == ("0.0 unit_test_generator", "0.1 unit_test_generator")
    said = ['{"tests": ["even"]}', '{"tests": ["even", "small"]}', '{"tests": ["small", "odd"]}']
    (asked,) = walk.send([draw(first, said[0]), draw(second, said[1])])
    (third,) = walk.send([draw(asked, "2")])
    (fuser,) = walk.send([draw(third, said[2])])
    judged = walk.send([draw(fuser, "two", "three")])
    assert [
        re.search("Statement: (.*)", one.request.messages[-1].content)[1] for one in judged
    ] == [
        "even",
        "small",
        "odd",
    ] * 2
    yes = Completion("Yes", "stop", 5, 1, top_logprobs=((("Yes", -0.1),),))
    no = Completion("No", "stop", 5, 1, top_logprobs=((("No", -0.1),),))
    replies = [no, no, no, yes, no, no]
    drawn = [Drawn(one.request, [reply]) for one, reply in zip(judged, replies, strict=True)]
    assert [c.text for c in finish(walk, drawn)] == ["three", "two"]


def test_every_layer_is_asked_about_the_messages_of_the_query():
    messages = (Message("system", "Be brief."), Message("user", "What is 1 + 1?"))
    asked = query(1)
    asked = type(asked)("q", messages, None)
    walk = pipeline(generators(2), [FUSER]).walk(asked)
    (first,) = next(walk)
    (fuser,) = walk.send([draw(first, "2", "3")])
    assert first.request.messages == messages
    assert fuser.request.messages[0] == messages[0]
    assert fuser.request.messages[1].content.startswith("What is 1 + 1?\n\n")


def test_a_component_that_needs_no_call_makes_no_step():
    walk = pipeline(generators(3), [VOTE]).walk(query(1))
    (asked,) = next(walk)
    assert [c.text for c in finish(walk, [draw(asked, "1", "2", "2")])] == ["2"]


def test_when_no_candidate_is_left_the_walk_ends_without_a_call():
    walk = pipeline(generators(2), [CRITIC], [FUSER], [RANKER]).walk(query(1))
    (asked,) = next(walk)
    failed = Completion("", "error", 0, 0, error="HTTP 500")
    assert finish(walk, [Drawn(asked.request, [failed, failed])]) == ()


class Steps(Component):
    """Asks so many times, one question after the other."""

    type: Literal["steps"] = "steps"
    model: str
    times: int

    first: ClassVar[bool] = True
    shares_layer: ClassVar[bool] = True

    def run(self, state, context):
        """Return what was drawn last, or nothing."""
        last = ()
        for number in range(self.times):
            messages = (*state.messages, Message("user", f"{self.times}.{number}"))
            (drawn,) = yield (context.request(self.model, messages, Sampling(0.0, 8)),)
            last = context.candidates(drawn, 1, self.model)
        return last

    def most_candidates(self, _arriving):
        """Return 1."""
        return 1


def test_components_of_a_layer_may_take_different_numbers_of_steps():
    layer = tuple(Steps(model="m", times=times) for times in (2, 0, 3, 1))
    spec = PipelineSpec(models={"m": ZooModel(zoo="m")}, layers=(layer,))
    walk = bound(spec).walk(query(1))
    drawn, seen = None, []
    while True:
        try:
            asks = walk.send(drawn)
        except StopIteration as stop:
            candidates = stop.value
            break
        seen.append([ask.request.messages[-1].content for ask in asks])
        drawn = [draw(ask, ask.request.messages[-1].content) for ask in asks]
    assert seen == [["2.0", "3.0", "1.0"], ["2.1", "3.1"], ["3.2"]]
    assert [c.text for c in candidates] == ["2.1", "3.2", "1.0"]


# What a query has spent


def request(samples, question=1):
    asked = Generator(model="m", samples=samples)
    context = pipeline(generators(1)).context
    return context.request("m", query(question).messages, asked.sampling, samples)


def test_the_answer_is_the_first_candidates():
    walk = pipeline(generators(2)).walk(query(1))
    (asked,) = next(walk)
    result = QueryResult(query(1))
    assert result.answer is None
    result.candidates = finish(walk, [draw(asked, "It is 2", "It is 3")])
    assert result.answer == "2"


def test_the_same_request_twice_is_spent_once_at_its_most_samples():
    result = QueryResult(query(1))
    drawn = Drawn(request(4), [Completion(str(i), "stop", 5, 2) for i in range(4)])
    for place, samples in [("0.0 generator", 2), ("1.0 fuser", 4), ("2.0 fuser", 3)]:
        result.note(Ask(place, request(samples)), drawn)
    result.note(Ask("3.0 fuser", request(1, question=2)), Drawn(request(1, question=2)))
    first, second = result.spent.values()
    assert (first.place, first.samples, second.samples) == ("1.0 fuser", 4, 1)
    assert [call.text for call in first.completions()] == ["0", "1", "2", "3"]
