"""The client for pooling servers against a real HTTP server that misbehaves on request."""

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from archon.engines.base import Request, Sampling
from archon.engines.client import RetryPolicy
from archon.engines.pooling import POOLED, PoolingEngine
from archon.errors import EngineError
from archon.ledger import Ledger
from archon.messages import Message

QUESTION = (Message("system", "Be brief."), Message("user", "What is 2 + 2?"))
REPLIED = (*QUESTION, Message("assistant", "4"))
AT_ONCE = RetryPolicy(attempts=3, first_s=0.0, longest_s=0.0)
USAGE = {"prompt_tokens": 11, "total_tokens": 11, "completion_tokens": 0}


def reply(**data):
    return {"object": "list", "model": "m", "data": [{"index": 0, **data}], "usage": USAGE}


CLASSES = reply(label="LABEL_1", probs=[0.25, 0.75], num_classes=2)


class PoolingServer:
    """Answers POST requests with the scripted (status, body, headers) in turn, the last for ever.

    "hang up" and "hang" instead of them do that.
    """

    def __init__(self):
        self.replies = [(200, CLASSES, {})]
        self.healthy = 200
        self.asked = []
        self.stopping = threading.Event()
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.give(served.healthy, {}, {})

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                served.asked.append((self.path, body))
                scripted = served.replies[min(len(served.asked), len(served.replies)) - 1]
                if scripted == "hang":
                    served.stopping.wait()
                elif scripted != "hang up":
                    self.give(*scripted)

            def give(self, status, content, headers):
                raw = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(raw)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"

    def stop(self):
        self.stopping.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@pytest.fixture
def server():
    server = PoolingServer()
    yield server
    server.stop()


def complete(url, endpoint="classify", messages=QUESTION, sampling=POOLED, **options):
    async def run():
        engine = PoolingEngine(url, "m", "weights", endpoint, **{"retry": AT_ONCE} | options)
        try:
            return await engine.complete(messages, sampling, 7, "some salt")
        finally:
            await engine.aclose()

    return asyncio.run(run())


# The protocol


def test_a_conversation_is_classified(server):
    done = complete(server.url)
    chat = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is 2 + 2?"},
    ]
    body = {"model": "m", "messages": chat, "add_generation_prompt": True}
    assert server.asked == [("/classify", body)]
    assert json.loads(done.text) == [0.25, 0.75]
    assert (done.ok, done.finish_reason, done.attempts) == (True, "stop", 1)
    assert (done.prompt_tokens, done.completion_tokens, done.cached_tokens) == (11, 0, None)
    assert done.latency_s > 0


def test_a_conversation_that_ends_with_a_reply_is_taken_as_it_stands(server):
    complete(server.url, messages=REPLIED)
    ((_, body),) = server.asked
    assert body["messages"][-1] == {"role": "assistant", "content": "4"}
    assert body["add_generation_prompt"] is False


def test_a_pair_is_scored(server):
    server.replies = [(200, reply(object="score", score=-1.5), {})]
    done = complete(server.url, "score", REPLIED)
    pair = {"model": "m", "text_1": "Be brief.\n\nWhat is 2 + 2?", "text_2": "4"}
    assert server.asked == [("/score", pair)]
    assert json.loads(done.text) == [-1.5]


def test_a_text_is_embedded(server):
    server.replies = [(200, reply(object="embedding", embedding=[0.1, -2, 1 / 3]), {})]
    done = complete(server.url, "embeddings", (Message("user", "four"),))
    assert server.asked == [("/v1/embeddings", {"model": "m", "input": "four"})]
    assert json.loads(done.text) == [0.1, -2.0, 0.33333333]


def test_only_vllm_is_sent_the_salt(server):
    complete(server.url, vllm=True)
    assert server.asked[0][1]["cache_salt"] == "some salt"


def test_the_ledger_keeps_the_numbers(server, tmp_path):
    done = complete(server.url)
    request = Request("weights, classify", QUESTION, POOLED)
    with Ledger(tmp_path / "calls.db") as ledger:
        ledger.put(request, 0, 0, done, None)
        ledger.flush()
        assert ledger.fetch([request.key]) == {request.key: {0: done}}


# Faults


def test_a_pooling_model_cannot_be_asked_to_write(server):
    with pytest.raises(EngineError, match=r"gives numbers .*cannot write; name a model"):
        complete(server.url, sampling=Sampling(0.0, 1))
    assert server.asked == []


@pytest.mark.parametrize(
    "bad",
    [
        (503, {"error": {"message": "busy"}}, {}),
        (429, {"error": {"message": "slow down"}}, {"Retry-After": "0"}),
        (200, b"no JSON", {}),
        (200, [1, 2], {}),
        (200, {"usage": USAGE}, {}),
        (200, {"data": [], "usage": USAGE}, {}),
        (200, {"data": [{"probs": [0.5]}]}, {}),
        *(
            (200, {"data": [{"probs": [0.5]}], "usage": {"prompt_tokens": tokens}}, {})
            for tokens in (None, "7", 1.5, -3, True)
        ),
        (200, reply(probs=[True, False]), {}),
        (200, reply(probs=[]), {}),
        (200, reply(probs=["high"]), {}),
        (200, reply(probs=0.5), {}),
        (200, reply(probs=[None]), {}),
        (200, b'{"data": [{"probs": [NaN]}], "usage": {"prompt_tokens": 1}}', {}),
        (200, reply(score=0.5), {}),
        "hang up",
    ],
)
def test_a_passing_fault_is_tried_again(server, bad):
    server.replies = [bad, (200, CLASSES, {})]
    done = complete(server.url)
    assert (json.loads(done.text), done.attempts) == ([0.25, 0.75], 2)


def test_a_fault_that_stays_is_a_failed_call(server):
    server.replies = [(500, {"error": {"message": "overflow\nin line 3"}}, {})]
    done = complete(server.url)
    assert (done.ok, done.text, done.finish_reason) == (False, "", "error")
    assert (done.attempts, len(server.asked)) == (3, 3)
    assert "HTTP 500" in done.error
    assert "\n" not in done.error


def test_a_prompt_that_is_refused_is_not_sent_again(server):
    server.replies = [(400, {"error": {"message": "prompt too long"}}, {})]
    done = complete(server.url)
    assert (done.finish_reason, done.attempts, len(server.asked)) == ("refused", 1, 1)


@pytest.mark.parametrize("status", [401, 404])
def test_a_server_that_does_not_serve_this_ends_the_run(server, status):
    server.replies = [(status, {"detail": "Not Found"}, {})]
    with pytest.raises(EngineError, match=f"HTTP {status}.*check what it serves"):
        complete(server.url)
    assert len(server.asked) == 1


def test_a_reply_that_takes_too_long_is_given_up(server):
    server.replies = ["hang"]
    done = complete(server.url, deadline_s=0.2)
    assert (done.ok, done.attempts) == (False, 3)
    assert done.error == "no reply within 0.2 s"


def test_a_server_that_is_gone_ends_the_run():
    gone = PoolingServer()
    gone.stop()
    with pytest.raises(EngineError, match=r"does not answer .*is the server still running"):
        complete(gone.url)


def test_a_server_whose_engine_died_ends_the_run(server):
    server.replies, server.healthy = [(500, {"error": {"message": "dead"}}, {})], 503
    with pytest.raises(EngineError, match="does not answer"):
        complete(server.url, vllm=True)
