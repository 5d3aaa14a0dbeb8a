"""The models of a run: identities for keys, engines for calls, servers started when needed."""

import json
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from archon.engines.base import Engine
from archon.engines.client import OpenAIEngine, is_loopback
from archon.engines.fetch import LocalModel, resolve
from archon.engines.pooling import PoolingEngine
from archon.engines.programs import SandboxEngine
from archon.engines.vllm_command import installed_version
from archon.engines.vllm_server import VllmServer
from archon.engines.zoo import Device, Zoo, ZooEntry
from archon.engines.zoo import identity as identity_of
from archon.errors import UsageError

Tell = Callable[[str], None]
"""Told in one line what the pool is doing."""


class ModelPool(ABC):
    """Engines by model identity, and the one that runs programs by its own.

    Args:
        programs: Runs programs; it is up from the start and belongs to no server.
    """

    def __init__(self, programs: SandboxEngine | None = None) -> None:
        self.programs = programs or SandboxEngine()

    @abstractmethod
    def identity(self, name: str) -> str:
        """Return the identity of a zoo model, fetching its weights if need be.

        Raises:
            UsageError: The pool has no such model.
        """

    @abstractmethod
    def prefix_blocks(self) -> Mapping[str, int]:
        """Return identity → tokens per prefix-cache block."""

    def context_limits(self) -> Mapping[str, int]:
        """Return identity → tokens of prompt and reply together, of models where it is known."""
        return {}

    @abstractmethod
    def is_up(self, identity: str) -> bool:
        """Return whether `engine` can be had without `start`."""

    @abstractmethod
    def start(self, identities: Iterable[str]) -> None:
        """Make the engines ready; returns when all of them answer.

        Raises:
            EngineError: A server did not start.
        """

    @abstractmethod
    def engine(self, identity: str) -> Engine:
        """Return a ready engine (after `start`)."""

    def revive(self, identity: str) -> bool:  # noqa: ARG002
        """Restart a server of ours that has died; False when there is nothing to restart."""
        return False

    def pids(self) -> list[int]:
        """Return the processes that do the models' work here."""
        return []

    def facts(self, identity: str) -> Mapping[str, str]:  # noqa: ARG002
        """Return what serves a model, and how, for a reader."""
        return {}

    async def aclose(self) -> None:  # noqa: B027 - a pool may own nothing
        """Close the connections of its own engines, in the loop they were used in."""

    def close(self) -> None:  # noqa: B027 - a pool may own nothing
        """Stop what the pool started."""


class EnginePool(ModelPool):
    """A pool of engines that already run, by model name."""

    def __init__(
        self, engines: Mapping[str, Engine], *, programs: SandboxEngine | None = None
    ) -> None:
        super().__init__(programs)
        self._by_name = dict(engines)
        ready = (*engines.values(), self.programs)
        self._by_identity = {engine.identity: engine for engine in ready}

    def identity(self, name: str) -> str:
        """See `ModelPool.identity`."""
        if name not in self._by_name:
            raise UsageError(f"no model {name!r}; there are: {', '.join(self._by_name)}")
        return self._by_name[name].identity

    def prefix_blocks(self) -> Mapping[str, int]:
        """See `ModelPool.prefix_blocks`."""
        return {engine.identity: engine.prefix_block for engine in self._by_name.values()}

    def is_up(self, identity: str) -> bool:
        """See `ModelPool.is_up`."""
        return identity in self._by_identity

    def start(self, identities: Iterable[str]) -> None:
        """See `ModelPool.start`."""

    def engine(self, identity: str) -> Engine:
        """See `ModelPool.engine`."""
        return self._by_identity[identity]


def require_metered(zoo: Zoo) -> None:
    """Check that every model runs on this machine.

    Raises:
        UsageError: One is served by another machine, whose joules cannot be read from here, or
            its address is none.
    """
    for name, entry in zoo.items():
        try:
            here = entry.base_url is None or is_loopback(entry.base_url)
        except ValueError as error:
            raise UsageError(f"model {name}: {entry.base_url} is no address ({error})") from error
        if not here:
            raise UsageError(
                f"model {name}: {entry.base_url} is another machine, whose joules cannot be "
                "metered here; only models that run on this one can be compared"
            )


class ZooPool(ModelPool):
    """Zoo models: local ones behind vLLM servers of ours, remote ones behind their endpoint.

    Args:
        zoo: The models this run may use.
        device: ``cpu`` or ``cuda``.
        concurrency: Most calls in flight per model; also what the servers batch.
        log_dir: Folder for the servers' logs.
        tell: Told about downloads and starting servers.
        programs: See `ModelPool`.
    """

    def __init__(
        self,
        zoo: Zoo,
        *,
        device: Device,
        concurrency: int,
        log_dir: Path,
        tell: Tell,
        programs: SandboxEngine | None = None,
    ) -> None:
        super().__init__(programs)
        self._zoo = zoo
        self._device = device
        self._concurrency = concurrency
        self._log_dir = log_dir
        self._tell = tell
        self._local: dict[str, LocalModel] = {}
        self._names: dict[str, str] = {}
        self._servers: dict[str, VllmServer] = {}
        self._engines: dict[str, Engine] = {self.programs.identity: self.programs}

    def identity(self, name: str) -> str:
        """See `ModelPool.identity`."""
        entry = self._entry(name)
        if name not in self._names:
            if entry.remote:
                self._names[name] = identity_of(entry, {})
            else:
                local = resolve(entry, on_progress=lambda what, _: self._tell(what))
                self._local[name] = local
                self._names[name] = local.identity
        return self._names[name]

    def prefix_blocks(self) -> Mapping[str, int]:
        """See `ModelPool.prefix_blocks`."""
        return {
            identity: 0
            if self._zoo[name].remote
            else self._zoo[name].serving.on(self._device).prefix_block
            for name, identity in self._names.items()
        }

    def context_limits(self) -> Mapping[str, int]:
        """See `ModelPool.context_limits`; of models served here."""
        return {
            identity: self._zoo[name].max_model_len
            for name, identity in self._names.items()
            if not self._zoo[name].remote
        }

    def is_up(self, identity: str) -> bool:
        """See `ModelPool.is_up`."""
        return identity in self._engines

    def start(self, identities: Iterable[str]) -> None:
        """See `ModelPool.start`."""
        wanted = set(identities)
        names = [name for name, identity in self._names.items() if identity in wanted]
        new = [name for name in names if self._names[name] not in self._engines]
        servers = {name: self._server(name) for name in new if not self._zoo[name].remote}
        for name, server in servers.items():
            self._tell(f"starting {name}")
            self._servers[name] = server
            server.start()
        for name, server in servers.items():
            server.wait_ready()
            self._tell(f"{name} answers at {server.base_url}")
        for name in new:
            self._engines[self._names[name]] = self._engine(name)

    def engine(self, identity: str) -> Engine:
        """See `ModelPool.engine`."""
        return self._engines[identity]

    def revive(self, identity: str) -> bool:
        """See `ModelPool.revive`."""
        name = next(name for name, known in self._names.items() if known == identity)
        server = self._servers.pop(name, None)
        if server is None:
            return False
        self._tell(f"the server of {name} died; starting it again")
        server.stop()
        del self._engines[identity]
        self.start([identity])
        return True

    def pids(self) -> list[int]:
        """See `ModelPool.pids`."""
        return [pid for server in self._servers.values() for pid in server.pids()]

    def facts(self, identity: str) -> Mapping[str, str]:
        """See `ModelPool.facts`."""
        name = next(name for name, known in self._names.items() if known == identity)
        entry = self._zoo[name]
        if entry.remote:
            return {"engine": entry.base_url or "", "model": entry.model or name}
        local, server = self._local[name], self._servers[name]
        return {
            "engine": f"vLLM {installed_version()} on {server.device}",
            "weights": local.source,
            "dtype": entry.dtype,
            "quantisation": _quantisation(entry, local),
            "max_model_len": str(entry.max_model_len),
            "arguments": " ".join(server.arguments),
        }

    async def aclose(self) -> None:
        """See `ModelPool.aclose`."""
        for engine in self._engines.values():
            await engine.aclose()

    def close(self) -> None:
        """See `ModelPool.close`."""
        for server in self._servers.values():
            server.stop()
        self._servers.clear()
        self._engines = {self.programs.identity: self.programs}

    def _entry(self, name: str) -> ZooEntry:
        if name not in self._zoo:
            raise UsageError(f"no model {name!r} in this run; there are: {', '.join(self._zoo)}")
        return self._zoo[name]

    def _server(self, name: str) -> VllmServer:
        return VllmServer(
            self._local[name],
            self._zoo[name],
            device=self._device,
            log_dir=self._log_dir,
            share=len(self._zoo),
            max_num_seqs=self._concurrency,
        )

    def _engine(self, name: str) -> Engine:
        entry, identity = self._zoo[name], self._names[name]
        if entry.remote:
            assert entry.base_url is not None
            key = os.environ.get(entry.api_key_env) if entry.api_key_env else "none"
            if not key:
                raise UsageError(f"{name}: set {entry.api_key_env} to the endpoint's API key")
            place = (entry.base_url, entry.model or name, identity)
            options: dict[str, Any] = {"api_key": key}
        else:
            place = (self._servers[name].base_url, name, identity)
            options = {"prefix_block": self.prefix_blocks()[identity], "vllm": True}
        options["concurrency"] = self._concurrency
        if entry.endpoint == "chat":
            return OpenAIEngine(*place, **options)
        return PoolingEngine(*place, entry.endpoint, **options)


def _quantisation(entry: ZooEntry, local: LocalModel) -> str:
    asked = re.search(r"(?:^| )(?:--quantization|-q)[ =](\S+)", " ".join(entry.serving.args))
    if asked:
        return asked[1]
    dequantised = json.loads(local.identity)["weights"].get("dequantised")
    return f"GGUF, dequantised to {dequantised}" if dequantised else "as published"
