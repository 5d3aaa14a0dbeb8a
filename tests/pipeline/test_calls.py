"""The store of calls in front of the ledger."""

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archon.engines.base import Completion, Request, Sampling
from archon.ledger import Ledger
from archon.messages import Message
from archon.pipeline import CallStore


def request(samples=1, question="q"):
    return Request("m", (Message("user", question),), Sampling(0.7, 8), samples)


def said(text):
    return Completion(str(text), "stop", 5, 2)


def texts(store, asked):
    drawn = store.drawn(asked)
    return None if drawn is None else [call.text for call in drawn.completions]


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger") as ledger:
        yield ledger


def test_a_new_store_misses_everything():
    store = CallStore(None)
    assert store.drawn(request(3)) is None
    assert store.missing(request(3)) == [0, 1, 2]


def test_a_request_is_drawn_when_all_its_samples_are_there():
    store = CallStore(None)
    store.add(request(2), 0, said("a"), None)
    assert store.drawn(request(2)) is None
    assert store.missing(request(2)) == [1]
    assert texts(store, request(1)) == ["a"]
    store.add(request(2), 1, said("b"), None)
    assert texts(store, request(2)) == ["a", "b"]
    assert store.missing(request(2)) == []
    assert store.missing(request(4)) == [2, 3]


@given(st.permutations(range(6)))
def test_samples_may_arrive_in_any_order(order):
    store = CallStore(None)
    for count, sample in enumerate(order):
        store.add(request(6), sample, said(sample), None)
        assert store.missing(request(6)) == sorted(order[count + 1 :])
    assert texts(store, request(6)) == list("012345")


def test_of_two_calls_with_one_address_the_first_stays(ledger):
    for store in (CallStore(None), CallStore(ledger)):
        for text in ("first", "second"):
            store.add(request(), 0, said(text), None)
            store.add(request(3), 2, said(text), None)
        store.add(request(3), 1, said("first"), None)
        assert texts(store, request(3)) == ["first"] * 3
    ledger.flush()
    assert texts(loaded(ledger, request(3)), request(3)) == ["first"] * 3


def loaded(ledger, *requests, epoch=0):
    store = CallStore(ledger, epoch)
    store.load(requests)
    return store


def test_what_the_ledger_holds_need_not_be_drawn(ledger):
    store = CallStore(ledger)
    for sample in range(3):
        store.add(request(3), sample, said(sample), None)
    store.add(request(question="other"), 0, said("x"), None)
    ledger.flush()
    again = loaded(ledger, request(2), request(question="other"))
    assert texts(again, request(2)) == ["0", "1", "2"]
    assert texts(again, request(question="other")) == ["x"]
    assert CallStore(ledger).missing(request(5)) == [3, 4]


def test_a_hole_in_the_ledger_is_filled_and_nothing_else(ledger):
    store = CallStore(ledger)
    for sample in (0, 2, 3):
        store.add(request(4), sample, said(sample), None)
    ledger.flush()
    again = CallStore(ledger)
    assert again.missing(request(5)) == [1, 4]
    assert again.drawn(request(2)) is None
    again.add(request(5), 1, said(1), None)
    assert texts(again, request(4)) == ["0", "1", "2", "3"]
    assert again.missing(request(5)) == [4]


def test_epochs_are_apart(ledger):
    CallStore(ledger, 1).add(request(), 0, said("of block 1"), None)
    ledger.flush()
    assert CallStore(ledger, 0).missing(request()) == [0]
    assert CallStore(ledger, 2).missing(request()) == [0]
    assert texts(loaded(ledger, request(), epoch=1), request()) == ["of block 1"]


def test_calls_go_to_the_ledger_with_their_window(ledger):
    window = ledger.open_window("study", "phase")
    CallStore(ledger).add(request(), 0, said("a"), window)
    ledger.flush()
    assert ledger.fetch([request().key]) == {request().key: {0: said("a")}}
    with closing(sqlite3.connect(ledger.location)) as plain:
        assert plain.execute("select window from calls").fetchall() == [(window,)]


def test_everyone_shares_what_was_drawn():
    store = CallStore(None)
    store.add(request(2), 0, said("a"), None)
    drawn = store.drawn(request(1))
    store.add(request(2), 1, said("b"), None)
    assert store.drawn(request(2)) is drawn
    assert [call.text for call in drawn.completions] == ["a", "b"]


def test_a_failed_call_is_not_made_again_in_this_run_but_in_the_next(ledger):
    failed = Completion("", "error", 0, 0, attempts=4, error="HTTP 500")
    store = CallStore(ledger)
    store.add(request(), 0, failed, None)
    ledger.flush()
    assert store.missing(request()) == []
    assert CallStore(ledger).missing(request()) == [0]
