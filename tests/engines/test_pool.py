"""Pools of models: names, identities, and what is up; nothing here starts a server."""

import json

import pytest

from archon.engines import pool as pool_module
from archon.engines import vllm_server
from archon.engines.client import OpenAIEngine
from archon.engines.fetch import LocalModel
from archon.engines.pool import EnginePool, ZooPool, require_metered
from archon.engines.pooling import PoolingEngine
from archon.engines.programs import SandboxEngine
from archon.engines.scripted import ScriptedEngine
from archon.engines.vllm_server import VllmServer
from archon.engines.zoo import ZooEntry
from archon.engines.zoo import identity as zoo_identity
from archon.errors import UsageError
from archon.hardware import native_dtype

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


def test_what_runs_programs_is_up_in_every_pool(tmp_path):
    programs = SandboxEngine(unsafe=True)
    given = EnginePool({"small": SMALL}, programs=programs)
    zoo, _ = zoo_pool(tmp_path)
    zoo.close()  # and stays
    for pool, engine in [(given, programs), (zoo, zoo.programs)]:
        assert pool.is_up(engine.identity)
        assert pool.engine(engine.identity) is engine
    assert zoo.programs.identity == SandboxEngine().identity != programs.identity


def test_a_model_that_gives_numbers_has_a_client_for_them(tmp_path):
    pool, _ = zoo_pool(tmp_path, remote("chats"), remote("judges", endpoint="classify"))
    chats, judges = (pool.identity(name) for name in ("chats", "judges"))
    assert chats != judges
    pool.start([chats, judges])
    assert type(pool.engine(chats)) is OpenAIEngine
    assert isinstance(pool.engine(judges), PoolingEngine)
    assert pool.engine(judges).identity == judges


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


def test_a_model_on_this_machine_can_be_metered():
    local = ZooEntry.model_validate({"name": "local", "sources": [{"hub": "owner/name"}]})
    here = [f"http://{host}:9/v1" for host in ("127.0.0.1", "localhost", "[::1]")]
    zoo = {url: remote("here", base_url=url) for url in here}
    require_metered({"local": local, **zoo})


def test_a_model_on_another_machine_is_refused_with_its_name_and_address():
    zoo = {"near": remote("near"), "far": remote("far", base_url="https://api.example.com/v1")}
    with pytest.raises(
        UsageError, match=r"^model far: https://api\.example\.com/v1 is another mac"
    ):
        require_metered(zoo)


def test_what_is_no_address_is_refused():
    with pytest.raises(UsageError, match=r"^model odd: http://\[::1/v1 is no address"):
        require_metered({"odd": remote("odd", base_url="http://[::1/v1")})


def test_facts_tell_a_reader_what_serves_a_model(tmp_path):
    assert EnginePool({"small": SMALL}).facts("identity of small") == {}
    pool, _ = zoo_pool(tmp_path, remote("far", model="gpt"), remote("unnamed"))
    far, unnamed = pool.identity("far"), pool.identity("unnamed")
    assert pool.facts(far) == {"engine": "http://127.0.0.1:9/v1", "model": "gpt"}
    assert pool.facts(unnamed)["model"] == "unnamed"


@pytest.mark.parametrize(
    ("args", "weights", "told"),
    [
        ([], {"hub": "owner/name", "commit": "c0ffee"}, "as published"),
        ([], {"gguf_sha256": "b179", "dequantised": "bfloat16"}, "GGUF, dequantised to bfloat16"),
        (["--quantization", "awq"], {"hub": "owner/name"}, "awq"),
        (["--seed", "1", "--quantization=fp8"], {"dequantised": "bfloat16"}, "fp8"),
        (["--quantization"], {"hub": "owner/name"}, "as published"),
    ],
)
def test_facts_of_a_server_of_ours(tmp_path, monkeypatch, args, weights, told):
    entry = ZooEntry.model_validate(
        {
            "name": "local",
            "sources": [{"hub": "owner/name"}],
            "max_model_len": 512,
            "serving": {"args": args},
        }
    )
    identity = zoo_identity(entry, weights)
    local = LocalModel(tmp_path, source="hub owner/name, c0ffee", identity=identity)
    monkeypatch.setattr(pool_module, "resolve", lambda *_, **__: local)
    monkeypatch.setattr(pool_module, "installed_version", lambda: "0.32.0")
    monkeypatch.setattr(vllm_server, "installed_device", lambda: "cpu")
    monkeypatch.setattr(VllmServer, "start", lambda _: None)
    monkeypatch.setattr(VllmServer, "wait_ready", lambda _: None)
    monkeypatch.setattr(VllmServer, "base_url", "http://127.0.0.1:9/v1")
    pool, _ = zoo_pool(tmp_path, entry)
    pool.start([pool.identity("local")])
    facts = pool.facts(identity)
    assert facts["engine"] == "vLLM 0.32.0 on cpu"
    assert facts["weights"] == "hub owner/name, c0ffee"
    assert (facts["dtype"], facts["max_model_len"]) == (native_dtype(), "512")
    assert facts["quantisation"] == told
    assert "--max-model-len 512" in facts["arguments"]
