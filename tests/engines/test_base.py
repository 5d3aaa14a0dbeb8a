"""Requests and their keys, seeds, and the engine that answers from a function."""

import asyncio
import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archon.engines.base import Completion, Request, Sampling
from archon.engines.scripted import ScriptedEngine
from archon.messages import Message

QUESTION = (Message("user", "What is 2 + 2?"),)
WARM = Sampling(0.7, 8)


def test_equal_content_gives_an_equal_key():
    again = (Message("user", "What is 2 + 2?"),)
    assert Request("m", QUESTION, WARM).key == Request("m", again, Sampling(0.7, 8)).key


def test_a_key_once_stored_is_found_again():
    stored = "258fb9f31869d50e9a9124008c6c49e92df94dbe12485f340b3e55e5ac8e3e81"
    assert Request("m", QUESTION, WARM).key.hex() == stored


def test_the_number_of_samples_is_not_part_of_the_key():
    assert Request("m", QUESTION, WARM, 1).key == Request("m", QUESTION, WARM, 9).key


@pytest.mark.parametrize(
    "changed",
    [
        {"temperature": 0.8},
        {"max_tokens": 9},
        {"top_p": 0.9},
        {"stop": ("x",)},
        {"logprobs": True},
        {"top_logprobs": 1},
        {"json_schema": "{}"},
    ],
)
def test_every_sampling_parameter_is_part_of_the_key(changed):
    assert {*changed} <= {field.name for field in dataclasses.fields(Sampling)}
    other = dataclasses.replace(WARM, **changed)
    assert Request("m", QUESTION, WARM).key != Request("m", QUESTION, other).key


def test_no_sampling_parameter_was_forgotten_above():
    assert len(dataclasses.fields(Sampling)) == 7


def test_model_and_messages_are_part_of_the_key():
    system = (Message("system", "What is 2 + 2?"),)
    keys = {
        Request(model, messages, WARM).key
        for model in ("m", "n")
        for messages in (QUESTION, system, (*QUESTION, *QUESTION))
    }
    assert len(keys) == 6


texts = st.text(st.characters(exclude_categories=["Cs"]))
conversations = st.lists(st.builds(Message, texts, texts), max_size=3).map(tuple)


@given(conversations, conversations)
def test_different_conversations_have_different_keys(one, other):
    equal = Request("m", one, WARM).key == Request("m", other, WARM).key
    assert equal == (one == other)


def test_keys_do_not_change_between_versions_and_processes():
    # a ledger outlives the program that wrote it
    request = Request("m", (Message("user", "ä"),), Sampling(0.5, 3, 0.9, ("\n",), True, 2))
    assert request.key.hex() == "ddf8bee315b3271530b2fcad7c8ab0e02d1c881961e668021af1dc803cc946e1"
    assert request.seed(3, 1) == 1423851839


def test_every_sample_and_epoch_has_a_seed_of_its_own():
    request = Request("m", QUESTION, WARM)
    seeds = {request.seed(sample, epoch) for sample in range(30) for epoch in range(10)}
    assert len(seeds) == 300
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert Request("m", QUESTION, WARM, 5).seed(2, 1) == request.seed(2, 1)


def test_a_completion_with_an_error_has_no_text_to_use():
    assert Completion("", "stop", 1, 1).ok
    assert not Completion("", "refused", 0, 0, error="HTTP 400").ok


def say(script, sampling=WARM):
    engine = ScriptedEngine("m", script)
    messages = (Message("system", "You add."), Message("user", "two and two"))
    done = asyncio.run(engine.complete(messages, sampling, 5, "salt"))
    assert engine.calls == 1
    return done


def test_a_scripted_engine_counts_words_as_tokens():
    done = say(lambda messages, sampling, seed: f"{messages[1].content} {sampling.top_p} {seed}")
    assert done == Completion("two and two 1.0 5", "stop", 5, 5)


def test_a_scripted_engine_stops_at_the_token_limit():
    done = say(lambda *_: "a b c d", Sampling(0.0, 3))
    assert done == Completion("a b c", "length", 5, 3)


def test_a_scripted_engine_passes_completions_through():
    failed = Completion("", "error", 0, 0, attempts=4, error="HTTP 500")
    assert say(lambda *_: failed) is failed
