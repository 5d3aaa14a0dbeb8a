"""The ledger on real SQLite files, one of them in a process that is killed."""

import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archon.engines.base import Completion, Request, Sampling
from archon.errors import LedgerError
from archon.ledger import FLUSH_S, SEARCH_EPOCH, Ledger
from archon.messages import Message

WARM = Sampling(0.7, 8)


def request(question, samples=1, model="m"):
    return Request(model, (Message("user", question),), WARM, samples)


def said(text, **fields):
    return Completion(text, "stop", 5, 2, **fields)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path):
    with Ledger(path) as ledger:
        yield ledger


def put_all(ledger, request, texts, epoch=SEARCH_EPOCH):
    for sample, text in enumerate(texts):
        ledger.put(request, sample, epoch, said(text), None)
    ledger.flush()


def texts(ledger, request, epoch=SEARCH_EPOCH):
    found = ledger.fetch([request.key], epoch).get(request.key, {})
    return {sample: call.text for sample, call in found.items()}


# Calls


def test_fewer_samples_of_a_prompt_are_the_first_of_more(ledger):
    put_all(ledger, request("q", samples=4), ["a", "b", "c", "d"])
    found = texts(ledger, request("q", samples=2))
    assert [found[sample] for sample in range(2)] == ["a", "b"]


def test_what_was_never_put_is_not_there(ledger):
    put_all(ledger, request("q"), ["a"])
    other = request("q", model="n")
    assert ledger.fetch([other.key]) == {}
    assert ledger.fetch([]) == {}
    assert ledger.count() == 1


logprobs = st.floats(-1e4, 0.0)
strings = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
tops = st.lists(
    st.lists(st.tuples(strings, logprobs), max_size=2).map(tuple), min_size=1, max_size=3
).map(tuple)
completions = st.builds(
    Completion,
    text=strings,
    finish_reason=st.sampled_from(["stop", "length", "refused", "unknown"]),
    prompt_tokens=st.integers(0, 10**6),
    completion_tokens=st.integers(0, 10**6),
    cached_tokens=st.none() | st.integers(0, 10**6),
    ttft_s=st.none() | st.floats(0, 1e6),
    latency_s=st.floats(0, 1e6),
    attempts=st.integers(1, 9),
    mean_logprob=st.none() | logprobs,
    top_logprobs=st.none() | tops,
    error=st.none() | strings,
)


@pytest.fixture(scope="module")
def numbered_ledger(tmp_path_factory):
    with Ledger(tmp_path_factory.mktemp("round_trip") / "ledger.sqlite") as ledger:
        yield ledger, itertools.count()


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(completion=completions)
def test_a_call_comes_back_exactly(numbered_ledger, completion):
    ledger, numbers = numbered_ledger
    asked = request(f"question {next(numbers)}")
    ledger.put(asked, 3, 2, completion, 7)
    ledger.flush()
    assert ledger.fetch([asked.key], 2) == {asked.key: {3: completion}}


def test_epochs_are_apart(ledger):
    put_all(ledger, request("q"), ["of the search"])
    put_all(ledger, request("q"), ["of block 1"], epoch=1)
    assert texts(ledger, request("q")) == {0: "of the search"}
    assert texts(ledger, request("q"), 1) == {0: "of block 1"}
    assert texts(ledger, request("q"), 2) == {}
    assert (ledger.count(), ledger.count(0), ledger.count(1), ledger.count(2)) == (2, 1, 1, 0)


def test_the_first_version_of_a_call_stays(path):
    with Ledger(path) as ledger:
        ledger.put(request("q"), 0, 0, said("first"), None)
        ledger.put(request("q"), 0, 0, said("second, in one batch"), None)
        ledger.flush()
        ledger.put(request("q"), 0, 0, said("third, in another"), None)
    with Ledger(path) as ledger:
        put_all(ledger, request("q"), ["fourth, by another process"])
        assert texts(ledger, request("q")) == {0: "first"}
        assert ledger.count() == 1


def test_calls_that_failed_are_not_stored_but_refused_ones_are(ledger):
    failed = Completion("", "error", 0, 0, attempts=4, error="HTTP 500")
    refused = Completion("", "refused", 0, 0, error="HTTP 400: too long")
    ledger.put(request("q"), 0, 0, failed, None)
    ledger.put(request("q"), 1, 0, refused, None)
    ledger.flush()
    assert ledger.fetch([request("q").key]) == {request("q").key: {1: refused}}


def test_more_keys_than_a_statement_takes_can_be_fetched(ledger):
    asked = [request(f"question {number}") for number in range(1000)]
    for one in asked:
        ledger.put(one, 0, 0, said(one.messages[0].content), None)
    ledger.flush()
    found = ledger.fetch([one.key for one in asked])
    assert {one.key: {0: said(one.messages[0].content)} for one in asked} == found


def test_prompts_and_windows_can_be_read_with_any_sqlite_tool(ledger, path):
    ledger.put(request("why?"), 0, 0, said("so"), 12)
    ledger.flush()
    with sqlite3.connect(path) as plain:
        rows = plain.execute(
            "select model, messages, text, window from calls join prompts using (key)"
        ).fetchall()
    plain.close()
    assert rows == [("m", '[["user", "why?"]]', "so", 12)]


# Durability


def test_a_flushed_call_is_seen_by_another_process_at_once(ledger, path):
    ledger.put(request("q"), 0, 0, said("a"), None)
    ledger.flush()
    with Ledger(path) as other:
        assert texts(other, request("q")) == {0: "a"}


def test_a_call_is_committed_without_being_asked(ledger, path):
    ledger.put(request("q"), 0, 0, said("a"), None)
    deadline = time.monotonic() + 10
    with Ledger(path) as other:
        while not other.count():
            assert time.monotonic() < deadline, "never committed"


def test_closing_commits(path):
    with Ledger(path) as ledger:
        for sample in range(500):
            ledger.put(request("q"), sample, 0, said(str(sample)), None)
    with Ledger(path) as ledger:
        assert len(texts(ledger, request("q"))) == 500


WRITER = """
import sys, threading, time
from archon.engines.base import Completion, Request, Sampling
from archon.ledger import Ledger
from archon.messages import Message

request = Request("m", (Message("user", "q"),), Sampling(0.7, 8))
ledger, pause = Ledger(sys.argv[1]), threading.Event()
ledger.open_window("study", "phase")
for sample in range(10**9):
    ledger.put(request, sample, 0, Completion(f"text {sample} " * 20, "stop", 5, 2), None)
    print(sample, time.monotonic(), flush=True)
    pause.wait(0.0005)
"""
SLACK_S = 0.25
"""What a commit may take on a busy machine, beyond `FLUSH_S`."""


def test_a_killed_process_leaves_every_call_but_the_last_few(path):
    assert FLUSH_S <= 0.05
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    )
    put_at = {}
    started = None
    for line in writer.stdout:
        sample, at = line.split()
        put_at[int(sample)] = float(at)
        started = started or float(at)
        if float(at) - started > 3 * SLACK_S:
            break
    killed = time.monotonic()
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    with Ledger(path) as ledger:
        found = texts(ledger, request("q"))
        assert {sample for sample, at in put_at.items() if at < killed - SLACK_S} <= set(found)
        assert set(found) == set(range(len(found)))  # what is lost is lost from the end
        assert all(text == f"text {sample} " * 20 for sample, text in found.items())
        assert ledger.windows("study") == [("phase", None)]
        put_all(ledger, request("next"), ["it goes on"])
    with sqlite3.connect(path) as plain:
        assert plain.execute("pragma integrity_check").fetchall() == [("ok",)]
    plain.close()


def test_two_ledgers_on_one_file_write_together(path):
    with Ledger(path) as one, Ledger(path) as other:
        for sample in range(200):
            one.put(request("q"), 2 * sample, 0, said("one"), None)
            other.put(request("q"), 2 * sample + 1, 0, said("other"), None)
        one.flush()
        other.flush()
        assert one.count() == other.count() == 400


# Windows, epochs, prices


def test_windows_come_back_in_order_and_open_ones_are_none(ledger):
    phase = ledger.open_window("study", "phase")
    ledger.open_window("study", "cut off")
    idle = ledger.open_window("study", "idle")
    ledger.open_window("another study", "phase")
    ledger.close_window(idle, {"seconds": 0.1})
    ledger.close_window(phase, {"seconds": 2.5, "domains": [{"joules": None}]})
    assert ledger.windows("study") == [
        ("phase", {"seconds": 2.5, "domains": [{"joules": None}]}),
        ("cut off", None),
        ("idle", {"seconds": 0.1}),
    ]
    assert ledger.windows("no study") == []


def test_new_epochs_are_never_used_before_and_never_the_searchs(path):
    with Ledger(path) as one, Ledger(path) as other:
        epochs = [side.new_epoch("study", "confirm") for side in (one, other, one, other)]
    with Ledger(path) as again:
        epochs.append(again.new_epoch("another study", "confirm"))
    assert len(set(epochs)) == 5
    assert min(epochs) > SEARCH_EPOCH


def test_price_lists_come_back_exactly_and_are_replaced(ledger):
    assert ledger.load_prices("here") is None
    ledger.save_prices("here", {"idle_watts": 0.1 + 0.2, "models": {"m": [1e-300, None]}})
    ledger.save_prices("there", {"idle_watts": 1.0})
    assert ledger.load_prices("here") == {
        "idle_watts": 0.1 + 0.2,
        "models": {"m": [1e-300, None]},
    }
    ledger.save_prices("here", {"idle_watts": 2.0})
    assert ledger.load_prices("here") == {"idle_watts": 2.0}
    assert ledger.load_prices("there") == {"idle_watts": 1.0}


# What can be wrong with a file


def one_line(error, *parts):
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert str(part) in message


def test_a_file_that_is_no_ledger_is_told_and_left_alone(path):
    path.write_bytes(b"my thesis, chapter 1\n" * 100)
    with pytest.raises(LedgerError) as error:
        Ledger(path)
    one_line(error, path, "file is not a database", "is it a ledger file")
    assert path.read_bytes() == b"my thesis, chapter 1\n" * 100


def test_a_file_damaged_later_is_told(path):
    with Ledger(path) as ledger:
        put_all(ledger, request("q"), ["x" * 3000] * 50)
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(LedgerError) as error, Ledger(path) as ledger:
        ledger.fetch([request("q").key])
    one_line(error, path, "malformed")


def test_another_version_is_told(path):
    Ledger(path).close()
    with sqlite3.connect(path) as plain:
        plain.execute("update meta set value = '99' where name = 'version'")
    plain.close()
    with pytest.raises(LedgerError) as error:
        Ledger(path)
    one_line(error, path, "version 99", "version 2", "storage.ledger")


VERSION_1 = """
create table meta (name varchar(40) not null primary key, value text not null);
create table prompts (key blob not null primary key, model text not null, messages text not null,
    sampling text not null);
create table calls (key blob not null, epoch integer not null, sample integer not null,
    text text not null, finish_reason varchar(20) not null, prompt_tokens integer not null,
    completion_tokens integer not null, cached_tokens integer, ttft_s float,
    latency_s float not null, attempts integer not null, mean_logprob float, top_logprobs text,
    error text, "window" integer, primary key (key, epoch, sample));
insert into meta values ('version', '1');
"""


def test_a_file_of_the_first_version_goes_on(path):
    old, new = request("old"), request("new")
    plain = sqlite3.connect(path)
    plain.executescript(VERSION_1)
    row = (old.key, 0, 0, "a", "stop", 5, 2, None, None, 0.5, 1, None, None, None, None)
    plain.execute(f"insert into calls values ({', '.join('?' * len(row))})", row)
    plain.commit()
    plain.close()
    for _ in range(2):
        with Ledger(path) as ledger:
            ledger.put(new, 0, 0, said("b", cpu_s=0.25), None)
            ledger.flush()
            found = ledger.fetch([old.key, new.key])
        assert found[old.key] == {0: Completion("a", "stop", 5, 2, latency_s=0.5)}
        assert found[new.key] == {0: said("b", cpu_s=0.25)}


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LedgerError) as error:
        Ledger(tmp_path / "file" / "ledger.sqlite")
    one_line(error, tmp_path / "file" / "ledger.sqlite", "writable")
    with pytest.raises(LedgerError) as error:
        Ledger(tmp_path)  # a folder
    one_line(error, tmp_path, "unable to open database file")


def test_a_read_only_file_is_told(path):
    Ledger(path).close()
    url = f"sqlite:///file:{path}?mode=ro&uri=true"
    with pytest.raises(LedgerError) as error, Ledger(url) as ledger:
        ledger.new_epoch("study", "confirm")
    one_line(error, "readonly")


@pytest.mark.parametrize(
    ("url", "part"),
    [("nosuchdb://host/name", "nosuchdb"), ("sqlite+nosuch:///x", "nosuch"), ("://", "://")],
)
def test_a_url_nothing_understands_is_told(url, part):
    with pytest.raises(LedgerError) as error:
        Ledger(url)
    one_line(error, part)


def test_a_file_name_may_hold_what_has_a_meaning_in_urls(tmp_path):
    path = tmp_path / "50% of what? #1.sqlite"
    with Ledger(path) as ledger:
        put_all(ledger, request("q"), ["a"])
    assert path.exists()
    with Ledger(path) as ledger:
        assert texts(ledger, request("q")) == {0: "a"}


def test_folders_on_the_way_are_made(tmp_path):
    with Ledger(tmp_path / "a" / "b" / "ledger.sqlite") as ledger:
        assert ledger.count() == 0


def test_a_write_that_failed_is_told_by_the_next_flush_and_put(path):
    with Ledger(path) as ledger:
        ledger.flush()
        with sqlite3.connect(path) as plain:
            plain.execute("drop table calls")
        plain.close()
        ledger.put(request("q"), 0, 0, said("a"), None)
        with pytest.raises(LedgerError) as error:
            ledger.flush()
        one_line(error, path, "no such table: calls")
        with pytest.raises(LedgerError):
            ledger.put(request("q"), 1, 0, said("b"), None)


def test_what_the_database_cannot_hold_is_told_and_hangs_nobody(ledger):
    ledger.put(request("q"), 0, 0, said("half a pair: \ud83d"), None)
    with pytest.raises(LedgerError, match="surrogates not allowed"):
        ledger.flush()
