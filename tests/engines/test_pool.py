"""Pools of models: names, identities, and what is up; nothing here starts a server."""

import json

import pytest

from archon.engines.pool import EnginePool, ZooPool
from archon.engines.scripted import ScriptedEngine
from archon.engines.zoo import ZooEntry
from archon.errors import UsageError

SMALL = ScriptedEngine("identity of small", lambda *_: "4", prefix_block=16)
BIG = ScriptedEngine("identity of big", lambda *_: "4")


def remote(name, **fields):
    return ZooEntry.model_validate(
        {"name": name, "license": "MIT", "base_url": "http://127.0.0.1:9/v1"} | fields
    )


def zoo_pool(tmp_path, *entries):
    zoo = {entry.name: entry for entry in entries}
    told = []
    pool = ZooPool(zoo, device="cpu", concurrency=4, log_dir=tmp_path, tell=told.append)
    return pool, told


def test_engines_are_found_by_the_identity_of_their_name():
    pool = EnginePool({"small": SMALL, "big": BIG})
    assert pool.identity("small") == "identity of small"
    assert pool.engine("identity of small") is SMALL
    assert pool.engine(pool.identity("big")) is BIG
    assert pool.prefix_blocks() == {"identity of small": 16, "identity of big": 0}


def test_given_engines_are_up_and_nobody_can_revive_them():
    pool = EnginePool({"small": SMALL})
    assert pool.is_up("identity of small")
    assert not pool.is_up("small")
    assert not pool.is_up("identity of big")
    pool.start(["identity of small"])
    assert not pool.revive("identity of small")
    assert pool.pids() == []
    pool.close()


@pytest.mark.parametrize("kind", ["given", "zoo"])
def test_an_unknown_name_is_told_with_the_known_ones(tmp_path, kind):
    pool = EnginePool({"a": SMALL, "b": BIG})
    if kind == "zoo":
        pool, _ = zoo_pool(tmp_path, remote("a"), remote("b"))
    with pytest.raises(UsageError, match=r"no model 'c'.*; there are: a, b$"):
        pool.identity("c")


def test_a_remote_model_needs_no_server_of_ours(tmp_path):
    pool, told = zoo_pool(tmp_path, remote("far", model="gpt"), remote("other"))
    identity = pool.identity("far")
    assert json.loads(identity) == {"base_url": "http://127.0.0.1:9/v1", "model": "gpt"}
    assert not pool.is_up(identity)
    pool.start(iter([identity]))
    assert pool.is_up(identity)
    engine = pool.engine(identity)
    assert (engine.identity, engine.model, engine.prefix_block) == (identity, "gpt", 0)
    assert pool.prefix_blocks() == {identity: 0}
    assert pool.pids() == []
    assert told == []
    assert not pool.revive(identity)
    assert pool.is_up(identity)
    pool.close()
    assert not pool.is_up(identity)


def test_only_what_is_asked_for_is_started_and_only_once(tmp_path):
    pool, _ = zoo_pool(tmp_path, remote("far"), remote("farther"))
    far, farther = pool.identity("far"), pool.identity("farther")
    pool.start(iter([far]))
    engine = pool.engine(far)
    assert not pool.is_up(farther)
    pool.start(iter([farther, far]))
    assert pool.engine(far) is engine
    assert pool.engine(farther).model == "farther"


def test_two_names_of_one_endpoint_share_an_identity_and_an_engine(tmp_path):
    pool, _ = zoo_pool(tmp_path, remote("far", model="gpt"), remote("same", model="gpt"))
    assert pool.identity("far") == pool.identity("same")
    pool.start([pool.identity("far")])
    assert pool.engine(pool.identity("same")).model == "gpt"


@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_api_key_is_told_before_any_call(tmp_path, monkeypatch, value):
    monkeypatch.delenv("FAR_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("FAR_KEY", value)
    pool, _ = zoo_pool(tmp_path, remote("far", api_key_env="FAR_KEY"))
    with pytest.raises(UsageError, match="far: set FAR_KEY to the endpoint's API key"):
        pool.start([pool.identity("far")])
    monkeypatch.setenv("FAR_KEY", "secret")
    pool.start([pool.identity("far")])
    assert pool.is_up(pool.identity("far"))
