"""The client against a real HTTP server that misbehaves on request."""

import asyncio
import email.utils
import json
import math
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from archon.engines.base import Sampling
from archon.engines.client import OpenAIEngine, RetryPolicy, _retry_after_s
from archon.errors import EngineError
from archon.messages import Message

QUESTION = (Message("system", "Be brief."), Message("user", "What is 2 + 2?"))
GREEDY = Sampling(0.0, 8)
AT_ONCE = RetryPolicy(attempts=4, first_s=0.0, longest_s=0.0)

GOOD = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": "4"},
        }
    ],
    "usage": {"prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13},
}


class Server:
    """Answers chat requests with the scripted replies in turn, the last one for ever.

    A reply is (status, body, headers), or a function of the handler that does what it likes.
    """

    def __init__(self):
        self.replies = [(200, GOOD, {})]
        self.alive = (200, {"object": "list", "data": []}, {})
        self.bodies, self.headers, self.paths = [], [], []
        self.in_flight = self.most_in_flight = 0
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                served.paths.append(self.path)
                self.give(*served.alive)

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with served.lock:
                    served.bodies.append(body)
                    served.headers.append(self.headers)
                    index = min(len(served.bodies), len(served.replies)) - 1
                    served.in_flight += 1
                    served.most_in_flight = max(served.most_in_flight, served.in_flight)
                reply = served.replies[index]
                if isinstance(reply, Callable):
                    reply(self)
                else:
                    self.give(*reply)

            def give(self, status, content, headers):
                with served.lock:
                    served.in_flight -= self.command == "POST"
                raw = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                headers = {"Content-Type": "application/json"} | headers
                for name, value in (headers | {"Content-Length": str(len(raw))}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.handle_error = lambda *_: None  # clients that hang up are the point here
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()
        self.root = f"http://127.0.0.1:{self._http.server_port}"
        self.url = f"{self.root}/v1"

    def stop(self):
        self.stopping.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.stop()


def complete(url, sampling=GREEDY, *, seed=7, salt="s", **options):
    async def run():
        engine = OpenAIEngine(url, "m", "identity", **{"retry": AT_ONCE} | options)
        try:
            return await engine.complete(QUESTION, sampling, seed, salt)
        finally:
            await engine.aclose()

    return asyncio.run(run())


def good(**changes):
    return json.loads(json.dumps(GOOD | changes))


def with_choice(**changes):
    return good(choices=[GOOD["choices"][0] | changes])


def with_logprob(logprob, token="4"):
    top = {"token": token, "logprob": logprob, "bytes": None}
    return with_choice(logprobs={"content": [top | {"top_logprobs": [top]}], "refusal": None})


ODD_COUNTS = [-3, 1.5, "7", [1], True, None, 2**31]


# What is sent


def test_the_request_holds_messages_sampling_and_seed(server):
    sampling = Sampling(0.7, 32, top_p=0.9, stop=("\n", "END"), logprobs=True, top_logprobs=3)
    complete(server.url, sampling, seed=123, api_key="secret")
    assert server.bodies == [
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "What is 2 + 2?"},
            ],
            "temperature": 0.7,
            "max_tokens": 32,
            "top_p": 0.9,
            "stop": ["\n", "END"],
            "logprobs": True,
            "top_logprobs": 3,
            "seed": 123,
        }
    ]
    assert server.headers[0]["Authorization"] == "Bearer secret"


def test_a_reply_can_be_held_to_a_schema(server):
    complete(server.url, Sampling(0.0, 8, json_schema='{"type": "object"}'))
    schema = {"name": "reply", "schema": {"type": "object"}, "strict": True}
    assert server.bodies[0]["response_format"] == {"type": "json_schema", "json_schema": schema}


def test_fields_at_their_defaults_are_left_out(server):
    complete(server.url)
    assert server.bodies[0].keys() == {"model", "messages", "temperature", "max_tokens", "seed"}


def test_only_vllm_is_sent_a_cache_salt(server):
    complete(server.url, salt="epoch 3", vllm=True)
    complete(server.url, salt="epoch 3")
    assert [body.get("cache_salt") for body in server.bodies] == ["epoch 3", None]


def test_a_proxy_in_the_environment_is_not_asked_for_a_server_on_this_machine(server, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert complete(server.url).text == "4"


# What comes back


def test_everything_told_is_recorded(server):
    token = {"bytes": None, "top_logprobs": [{"token": "4", "logprob": -0.5, "bytes": None}]}
    choice = GOOD["choices"][0] | {
        "finish_reason": "length",
        "logprobs": {
            "content": [
                {"token": "4", "logprob": -0.5, **token},
                {"token": ".", "logprob": -1.5, **token},
            ]
        },
    }
    usage = GOOD["usage"] | {"prompt_tokens_details": {"cached_tokens": 8}}
    metrics = {"time_to_first_token_ms": 250.0}
    server.replies = [(200, good(choices=[choice], usage=usage, metrics=metrics), {})]
    done = complete(server.url, Sampling(0.0, 8, top_logprobs=1))
    assert (done.text, done.finish_reason, done.ok, done.error) == ("4", "length", True, None)
    assert (done.prompt_tokens, done.completion_tokens, done.cached_tokens) == (11, 2, 8)
    assert (done.ttft_s, done.mean_logprob) == (0.25, -1.0)
    assert done.top_logprobs == ((("4", -0.5),), (("4", -0.5),))
    assert 0 < done.latency_s < 10


def test_what_is_not_told_is_none(server):
    done = complete(server.url)
    assert (done.attempts, done.cached_tokens, done.ttft_s) == (1, None, None)
    assert (done.mean_logprob, done.top_logprobs) == (None, None)


def test_an_empty_answer_is_an_answer(server):
    message = {"role": "assistant", "content": None}
    server.replies = [(200, good(choices=[GOOD["choices"][0] | {"message": message}]), {})]
    done = complete(server.url)
    assert (done.text, done.ok, done.attempts) == ("", True, 1)


def test_half_a_surrogate_pair_is_replaced(server):
    raw = json.dumps(GOOD).replace('"4"', '"\\ud83d 4 \\ud83d\\ude00"').encode()
    server.replies = [(200, raw, {})]
    assert complete(server.url).text == "? 4 😀"


# Failures that pass


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503])
def test_a_passing_failure_is_tried_again_and_attempts_are_counted(server, status):
    server.replies = [(status, {"error": {"message": "busy"}}, {})] * 2 + [(200, GOOD, {})]
    done = complete(server.url)
    assert (done.text, done.attempts) == ("4", 3)
    assert server.bodies[0] == server.bodies[1] == server.bodies[2]


def cut_before_the_reply(handler):
    handler.close_connection = True


def cut_in_the_reply(handler):
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"id": "c", "choi')


@pytest.mark.parametrize("cut", [cut_before_the_reply, cut_in_the_reply])
def test_a_cut_connection_is_tried_again(server, cut):
    server.replies = [cut, (200, GOOD, {})]
    done = complete(server.url)
    assert (done.text, done.attempts) == ("4", 2)


@pytest.mark.parametrize(
    "reply",
    [
        (200, b"{not json", {}),
        (200, b"<html>a proxy's page</html>", {"Content-Type": "text/html"}),
        (200, b"null", {}),
        (200, b"[1]", {}),
        (200, good(choices=[]), {}),
        (200, good(choices=[{}]), {}),
        (200, good(choices=None), {}),
        (200, good(usage=None), {}),
        (200, good(usage={}), {}),
        (200, {}, {}),
        (200, b"[" * 200_000, {}),
        *((200, good(usage={"prompt_tokens": n, "completion_tokens": 1}), {}) for n in ODD_COUNTS),
        *((200, good(usage={"prompt_tokens": 1, "completion_tokens": n}), {}) for n in ODD_COUNTS),
        (200, with_choice(finish_reason=["stop"]), {}),
        (200, with_choice(message={"role": "assistant", "content": ["4"]}), {}),
        *((200, with_logprob(logprob), {}) for logprob in ("zz", 0.5, 5000.0, math.nan, [1], None)),
        (200, with_logprob(-0.1, token=5), {}),
    ],
)
def test_a_reply_that_is_none_is_tried_again(server, reply):
    server.replies = [reply, (200, GOOD, {})]
    done = complete(server.url)
    assert (done.text, done.attempts) == ("4", 2)


def test_a_request_beyond_its_deadline_is_given_up(server):
    server.replies = [lambda _: server.stopping.wait(60), (200, GOOD, {})]
    started = time.monotonic()
    done = complete(server.url, deadline_s=0.2)
    assert (done.text, done.attempts) == ("4", 2)
    assert 0.2 <= time.monotonic() - started < 10
    assert done.latency_s < 0.2  # of the last attempt, not of all


def test_bytes_that_trickle_do_not_put_the_deadline_off(server):
    def trickle(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        for _ in range(300):
            if server.stopping.wait(0.02):
                break
            handler.wfile.write(b" ")

    server.replies = [trickle, (200, GOOD, {})]
    started = time.monotonic()
    done = complete(server.url, deadline_s=0.3)
    assert (done.text, done.attempts) == ("4", 2)
    assert time.monotonic() - started < 5


def test_retry_after_is_waited_for(server):
    server.replies = [(429, {}, {"Retry-After": "0.3"}), (200, GOOD, {})]
    started = time.monotonic()
    assert complete(server.url).attempts == 2
    assert time.monotonic() - started >= 0.3


def test_a_retry_after_beyond_reason_is_cut(server):
    server.replies = [(503, {}, {"Retry-After": "86400"}), (200, GOOD, {})]
    policy = RetryPolicy(attempts=2, first_s=0.0, longest_s=0.0, longest_retry_after_s=0.01)
    assert complete(server.url, retry=policy).attempts == 2


def test_retry_after_may_be_a_date_and_rubbish_is_ignored(server):
    soon = email.utils.formatdate(time.time() + 60, usegmt=True)
    assert _retry_after_s({"retry-after": soon}) == pytest.approx(60, abs=5)
    assert _retry_after_s({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0
    server.replies = [
        (429, {}, {"Retry-After": "in a while, perhaps"}),
        (429, {}, {"Retry-After": "nan"}),
        (429, {}, {"Retry-After": "-5"}),
        (200, GOOD, {}),
    ]
    assert complete(server.url).attempts == 4


def test_waits_grow_and_stay_under_their_limit():
    policy = RetryPolicy(first_s=1.0, longest_s=5.0)
    longest = [max(policy.wait_s(attempt, None) for _ in range(200)) for attempt in (1, 2, 3, 9)]
    assert longest[0] <= 2 < longest[1] <= 4 < longest[2] <= 5
    assert 4 < longest[3] <= 5
    assert policy.wait_s(1, 3.0) == 3.0


# Failures that stay


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refused_request_is_not_tried_again(server, status):
    server.replies = [(status, {"error": {"message": "the prompt\nis too long"}}, {})]
    done = complete(server.url)
    assert (done.finish_reason, done.ok, done.attempts) == ("refused", False, 1)
    assert (done.text, done.prompt_tokens, done.completion_tokens) == ("", 0, 0)
    assert f"HTTP {status}" in done.error
    assert "is too long" in done.error
    assert "\n" not in done.error
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("status", "message"), [(404, "The model `m` does not exist."), (401, "Incorrect API key")]
)
def test_a_wrong_model_or_key_is_the_engines_failure_and_no_reply(server, status, message):
    # as a completion it would be stored, and still be there when the key has been put right
    server.replies = [(status, {"error": {"message": message}}, {})]
    with pytest.raises(EngineError) as caught:
        complete(server.url)
    assert f"m at {server.url}: HTTP {status}" in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(server.bodies) == 1


def test_a_request_that_keeps_failing_on_a_live_server_fails_alone(server):
    server.replies = [(500, {"error": {"message": "overflow"}}, {})]
    done = complete(server.url)
    assert (done.finish_reason, done.ok, done.attempts) == ("error", False, 4)
    assert "HTTP 500" in done.error
    assert len(server.bodies) == 4
    assert server.paths == ["/v1/models"]


def test_a_live_server_need_not_list_its_models(server):
    server.replies, server.alive = [(500, {}, {})], (404, {}, {})
    assert complete(server.url).finish_reason == "error"


def test_a_vllm_whose_engine_died_is_dead_though_it_lists_its_models(server):
    server.replies = [(500, {}, {})]
    assert complete(server.url, vllm=True).finish_reason == "error"
    assert server.paths == ["/health"]
    server.alive = (503, b"", {})
    with pytest.raises(EngineError, match="does not answer"):
        complete(server.url, vllm=True)


def test_a_server_that_fails_at_everything_is_dead(server):
    server.replies, server.alive = [(500, {}, {})], (500, {}, {})
    with pytest.raises(EngineError, match="does not answer"):
        complete(server.url)


def test_a_server_that_is_gone_is_told_in_one_line(server):
    url = server.url
    server.replies = [cut_before_the_reply]
    gone = Server()
    gone.stop()
    with pytest.raises(EngineError) as caught:
        complete(gone.url)
    assert f"m at {gone.url} does not answer (connection failed: " in str(caught.value)
    assert "\n" not in str(caught.value)
    assert complete(url).finish_reason == "error"  # while this one still answers


# Concurrency


def test_no_more_requests_are_in_flight_than_allowed(server):
    full, gate = threading.Semaphore(0), threading.Event()

    def wait_for_the_gate(handler):
        full.release()
        gate.wait(60)
        handler.give(200, GOOD, {})

    server.replies = [wait_for_the_gate]

    async def run():
        engine = OpenAIEngine(server.url, "m", "identity", concurrency=3, retry=AT_ONCE)
        tasks = [
            asyncio.create_task(engine.complete(QUESTION, GREEDY, seed, "s")) for seed in range(12)
        ]
        for _ in range(3):
            assert await asyncio.to_thread(full.acquire, timeout=10)
        async with httpx.AsyncClient(trust_env=False) as other:
            for _ in range(5):  # round trips in which a fourth request would have come
                await other.get(f"{server.root}/health")
        seen = server.in_flight
        gate.set()
        done = await asyncio.gather(*tasks)
        await engine.aclose()
        return seen, done

    seen, done = asyncio.run(run())
    assert seen == server.most_in_flight == 3
    assert [one.text for one in done] == ["4"] * 12
    assert sorted(body["seed"] for body in server.bodies) == list(range(12))
