"""Pipelines on a server that fails one component of one query, in every way a server can."""

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pipeline_kit import (
    CRITIC,
    FUSER,
    MODELS,
    RANKER,
    VERIFIER,
    VOTE,
    generators,
    pipeline,
    queries,
)
from pipeline_kit import script as say

from archon.components.state import fault_of
from archon.engines.base import Completion, Sampling
from archon.engines.client import OpenAIEngine, RetryPolicy
from archon.errors import EngineError
from archon.messages import Message
from archon.pipeline import CallStore, run_live

QUESTIONS = queries(3)
ILL_FATED = QUESTIONS[1]
TESTS = {"type": "unit_test_generator", "model": "m"}
EVALUATOR = {"type": "unit_test_evaluator", "model": "m"}
POINTWISE = CRITIC | {"mode": "pointwise"}
PAIRWISE = RANKER | {"mode": "pairwise", "pairs": 1}
FIRST = VERIFIER | {"first_k": 1}
REASONED = VERIFIER | {"mode": "reason"}
TOURNAMENT = RANKER | {"mode": "pairwise"}
WEAVER = {"type": "weaver", "verifiers": ["judge(model=m)"], "top_k": 3}
WEAVER_OF_PAIRS = WEAVER | {"verifiers": ["pairwise(model=m)"]}
SEQUENTIAL = {"type": "sequential", "model": "m", "samples": 3, "batch": 2}
CASCADE = {
    "type": "cascade",
    "stages": [[generators(2)], [generators(3)]],
    "thresholds": [1.0],
    "accept": "agreement",
}
ROUTE = {
    "type": "route",
    "branches": [[generators(1, temperature=0)], [generators(2), [VOTE]]],
    "by": "words",
    "threshold": 0,
}

JUDGING = "reply correct?"
CHECKING = "Check the proposed"
TESTING = [[TESTS], generators(2), [EVALUATOR]]

# What is asked by whom (words of the prompt), in which pipeline, and where a failure is counted.
COMPONENTS = {
    "generator": ("", [generators(2), [VOTE]], "generation.failed"),
    "fuser": ("Using what is right", [generators(2), [FUSER]], "generation.failed"),
    "critic": ("Criticise each", [generators(2), [CRITIC], [FUSER]], "critic.missing"),
    "critic of one": ("Criticise the", [generators(2), [POINTWISE], [FUSER]], "critic.missing"),
    "ranker": ("Rank the replies", [generators(3), [RANKER]], "ranker.unparsed"),
    "ranker of pairs": ("Answer A or B", [generators(3), [PAIRWISE]], "ranker.unparsed"),
    "verifier": (JUDGING, [generators(2), [VERIFIER]], "verifier.unparsed"),
    "verifier in turn": (JUDGING, [generators(2), [FIRST]], "verifier.unparsed"),
    "unit test generator": ("Reply with JSON", TESTING, "unit_test_generator.unparsed"),
    "unit test evaluator": ("Statement:", TESTING, "unit_test_evaluator.unparsed"),
    "weaver": (JUDGING, [generators(2), [WEAVER]], "weaver.unparsed"),
    "weaver of pairs": ("Answer A or B", [generators(3), [WEAVER_OF_PAIRS]], "weaver.unparsed"),
    "verifier that reasons": (
        "Check the proposed",
        [generators(2), [REASONED]],
        "verifier.unparsed",
    ),
    "tournament": ("Answer A or B", [generators(3), [TOURNAMENT]], "ranker.unparsed"),
    "sequential": ("", [[SEQUENTIAL], [VOTE]], "generation.failed"),
    "cascade": ("", [[CASCADE], [VOTE]], "generation.failed"),
    "route": ("", [[ROUTE]], "generation.failed"),
}
COUNTED = {"critic": 2}
"""What one failed call is counted as, where it is asked for more than one thing."""


def answer(prompt, seed):
    """What a model that works says."""
    if "Answer A or B" in prompt:
        return Completion("A", "stop", 9, 1, top_logprobs=((("A", -0.2), ("B", -1.7)),))
    if "Reply with JSON" in prompt:
        return Completion('{"tests": ["It is even.", "It is small."]}', "stop", 9, 9)
    if "Check the proposed" in prompt:
        return Completion("It adds up.\nVerdict: Correct", "stop", 9, 6)
    said = say((Message("user", prompt),), Sampling(0.0, 9), seed)
    return said if isinstance(said, Completion) else Completion(said, "stop", 9, 3)


def body(completion):
    tokens = [
        {
            "token": completion.text,
            "logprob": -0.1,
            "bytes": None,
            "top_logprobs": [{"token": t, "logprob": p, "bytes": None} for t, p in pairs],
        }
        for pairs in completion.top_logprobs or ()
    ]
    choice = {
        "index": 0,
        "finish_reason": completion.finish_reason,
        "message": {"role": "assistant", "content": completion.text},
        "logprobs": {"content": tokens},
    }
    usage = {
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": completion.completion_tokens,
        "total_tokens": 0,
    }
    head = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
    return head | {"choices": [choice], "usage": usage}


GOOD = body(Completion("It is 4", "stop", 9, 3))
CUT = json.dumps(GOOD).encode()[:40]

# Status, body and headers of what comes instead of an answer.
FAULTS = {
    "error": (500, {"error": "overflow"}, {}),
    "refusal": (400, {"error": {"message": "too long"}}, {}),
    "too many": (429, {"error": "busy"}, {"Retry-After": "0"}),
    "cut stream": (200, CUT, {"Content-Length": "400"}),
    "no JSON": (200, b"<html>", {}),
    "no choices": (200, GOOD | {"choices": []}, {}),
    "no usage": (200, GOOD | {"usage": None}, {}),
    "odd usage": (200, GOOD | {"usage": {"prompt_tokens": [1], "completion_tokens": -2}}, {}),
    "nested without end": (200, b"[" * 200_000, {}),
}
USELESS = {
    "empty": (200, body(Completion("", "stop", 9, 0)), {}),
    "truncated": (200, body(Completion("[1", "length", 9, 9)), {}),
}


class Server:
    """Answers as the scripted models do, but what `fails` picks with `fault`, `times` times."""

    def __init__(self):
        self.fails = lambda _prompt: False
        self.fault = None
        self.times = 10**6
        self.asked = []
        self.released = threading.Event()
        served = self
        lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 1 << 16  # one packet per reply: the second would wait for a late ACK

            def do_GET(self):
                self.give(200, {"object": "list", "data": []}, {})

            def do_POST(self):
                sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                prompt = sent["messages"][-1]["content"]
                with lock:
                    if sent["model"] == "m":
                        served.asked.append(prompt)
                    failing = served.times > 0 and served.fails(prompt)
                    served.times -= failing
                if not failing:
                    self.give(200, body(answer(prompt, sent["seed"])), {})
                elif served.fault == "hang":
                    served.released.wait(60)
                else:
                    self.give(*served.fault)

            def give(self, status, content, headers):
                raw = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                told = {"Content-Type": "application/json", "Content-Length": str(len(raw))}
                for name, value in (told | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(raw)
                if len(raw) < int((told | headers)["Content-Length"]):
                    self.close_connection = True

            def log_message(self, *_):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.handle_error = lambda *_: None
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"

    def stop(self):
        self.released.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def fail(self, component, fault, times=10**6):
        """From now on fail what a component asks about the ill-fated question."""
        words = COMPONENTS[component][0]
        question = ILL_FATED.messages[-1].content
        self.fault, self.times = fault, times
        self.fails = lambda prompt: (
            prompt.startswith(question) and (words in prompt if words else prompt == question)
        )


class World:
    """The server, and the engines that talk to it in one event loop."""

    def __init__(self):
        self.server = Server()
        self.runner = asyncio.Runner()
        self.engines = {identity: self.engine(identity) for identity in MODELS.values()}
        self._undisturbed = {}

    def engine(self, identity, model="m", attempts=2, deadline_s=60.0):
        retry = RetryPolicy(attempts, 0.0, 0.0)
        return OpenAIEngine(self.server.url, model, identity, retry=retry, deadline_s=deadline_s)

    def run(self, layers, store, engines=None):
        """Run a pipeline over all questions, live; returns results and counts."""
        engine_of = (engines or self.engines).__getitem__
        bound = pipeline(*layers)
        live = run_live(bound, QUESTIONS, store, engine_of, concurrency=2)
        return self.runner.run(live), bound.context.counts

    def undisturbed(self, component):
        """Return what `run` returns where nothing fails."""
        if component not in self._undisturbed:
            self._undisturbed[component] = self.run(COMPONENTS[component][1], CallStore(None))
            self.server.asked.clear()
        return self._undisturbed[component]

    def close(self, engines):
        for engine in engines.values():
            self.runner.run(engine.aclose())


@pytest.fixture(scope="module")
def everything():
    world = World()
    yield world
    world.close(world.engines)
    world.runner.close()
    world.server.stop()


@pytest.fixture
def world(everything):
    everything.server.fails = lambda _prompt: False
    everything.server.asked.clear()
    return everything


def calls(results):
    return [
        call
        for result in results
        for spend in result.spent.values()
        for call in spend.completions()
    ]


def texts(result):
    return [candidate.text for candidate in result.candidates]


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("component", COMPONENTS)
def test_a_call_that_fails_is_counted_once_and_nothing_else_suffers(world, component, fault):
    _, layers, counter = COMPONENTS[component]
    undisturbed, before = world.undisturbed(component)
    world.server.fail(component, fault)
    store = CallStore(None)
    results, counts = world.run(layers, store)

    failed = [call for call in calls(results) if not call.ok]
    assert failed
    assert failed == [call for call in calls(results[1:2]) if not call.ok]
    assert {call.attempts for call in failed} == ({1} if fault is FAULTS["refusal"] else {2})
    assert counts[counter] - before[counter] == len(failed) * COUNTED.get(component, 1)
    for query in (0, 2):
        assert texts(results[query]) == texts(undisturbed[query])

    # Every request that reached the server is in the account, and is there once.
    assert len(world.server.asked) == sum(call.attempts for call in calls(results))
    again, _ = world.run(layers, store)
    assert len(world.server.asked) == sum(call.attempts for call in calls(results))
    assert [texts(result) for result in again] == [texts(result) for result in results]


@pytest.mark.parametrize("reply", USELESS)
@pytest.mark.parametrize("component", COMPONENTS)
def test_a_useless_reply_is_paid_for_counted_once_and_nothing_else_suffers(world, component, reply):
    _, layers, counter = COMPONENTS[component]
    undisturbed, before = world.undisturbed(component)
    world.server.fail(component, USELESS[reply])
    results, counts = world.run(layers, CallStore(None))
    assert all(call.ok and call.attempts == 1 for call in calls(results))
    assert len(world.server.asked) == len(calls(results))
    made = sum(fault_of(call) == reply for call in calls(results))
    assert made
    if counter == "generation.failed":
        counter = f"generation.{reply}"
    if (component, reply) == ("critic of one", "truncated"):
        made = 0  # half a critique is a critique
    assert counts[counter] - before[counter] == made * COUNTED.get(component, 1)
    assert [texts(results[query]) for query in (0, 2)] == [
        texts(undisturbed[query]) for query in (0, 2)
    ]


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_server_that_recovers_leaves_no_trace_but_the_attempt(world, component):
    layers = COMPONENTS[component][1]
    undisturbed, before = world.undisturbed(component)
    world.server.fail(component, FAULTS["too many"], times=1)
    results, counts = world.run(layers, CallStore(None))
    assert [texts(result) for result in results] == [texts(result) for result in undisturbed]
    assert counts == before
    assert sorted(call.attempts for call in calls(results))[-2:] == [1, 2]


def test_a_server_that_hangs_costs_its_deadline_and_no_more(world):
    world.server.fail("verifier", "hang")
    impatient = {
        identity: world.engine(identity, attempts=1, deadline_s=3.0) for identity in MODELS.values()
    }
    results, counts = world.run(COMPONENTS["verifier"][1], CallStore(None), impatient)
    world.close(impatient)
    failed = [call for call in calls(results) if not call.ok]
    assert {call.error for call in failed} == {"no reply within 3 s"}
    assert counts["verifier.unparsed"] == len(failed)
    assert all(result.candidates for result in results)


class Counted(CallStore):
    """Counts the calls it is given."""

    given = 0

    def add(self, *call):
        self.given += 1
        super().add(*call)


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_model_nobody_serves_stops_the_run_and_finished_calls_stay(world, component):
    layers = COMPONENTS[component][1]
    store = Counted(None)
    world.server.fail(component, (404, {"error": {"message": "no model m"}}, {}))
    # Calls cut off by the failure may still reach the server: they are not to be taken for others.
    lost = {identity: world.engine(identity, model="lost") for identity in MODELS.values()}
    with pytest.raises(EngineError, match="no model m"):
        world.run(layers, store, lost)
    world.close(lost)
    finished = store.given
    world.server.fail(component, None, times=0)
    results, _ = world.run(layers, store)
    assert all(call.ok for call in calls(results))
    assert store.given == len(calls(results))
    assert len(world.server.asked) == len(calls(results)) - finished
