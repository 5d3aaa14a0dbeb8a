"""A vLLM server of our own: started, waited for, and never left behind."""

import os
import re
import secrets
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import httpx

from archon.engines.fetch import LocalModel, Progress
from archon.engines.process import SupervisedProcess
from archon.engines.vllm_command import installed_device, serve_command, serve_env
from archon.engines.zoo import Device, ZooEntry
from archon.errors import EngineError, UsageError

HOST = "127.0.0.1"
PORT_ATTEMPTS = 3
POLL_S = 0.25
LOG_LINES = 8
CAUSE_CHARS = 300

# Where a log names the root cause; the first pattern found counts, at its first place.
CAUSES = (
    r"^\s*Value error, (.+)",
    r"^(?:\([^)]*\) )?(?:ERROR [^\]]*\] )?((?:\w+\.)*\w+(?:Error|Exception): .+)",
    r"^\S+: error: (.+)",
)

# What people can do about the failures seen in practice, by a pattern in the server's log.
HINTS = (
    (r"address already in use", "the port is taken; leave it out to have a free one picked"),
    (r"unrecognized arguments|invalid choice", "check serving.args in the model's zoo file"),
    (
        r"KV cache",
        "lower max_model_len, or give the cache more room (VLLM_CPU_KVCACHE_SPACE in GB)",
    ),
    (r"out of memory|Cannot allocate memory|Free memory on device", "not enough memory is free"),
    (
        r"torchvision::nms does not exist",
        "torchvision does not fit torch; remove it: python -m archon.engines.install",
    ),
    (r"No module named", "the installation is incomplete; repeat it"),
)


def free_port() -> int:
    """Return a port nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


class VllmServer:
    """One model served on 127.0.0.1, stopped with us whatever happens.

    Args:
        local_model: The weights.
        entry: How to serve them.
        log_dir: Folder for the server's log.
        port: Port to listen on; a free one if left out.
        device: What to run on; what the installed vLLM is for if ``auto``.
        share: Servers that have to fit into the GPU's memory together.
        max_num_seqs: Most requests it runs at once; vLLM's default if left out.

    Attributes:
        model: The name to ask the server for.
        device: What it runs on.

    Raises:
        UsageError: No vLLM is installed, or not for this device.
    """

    def __init__(
        self,
        local_model: LocalModel,
        entry: ZooEntry,
        *,
        log_dir: Path,
        port: int | None = None,
        device: Device | Literal["auto"] = "auto",
        share: int = 1,
        max_num_seqs: int | None = None,
    ) -> None:
        installed = installed_device()
        if device not in ("auto", installed):
            raise UsageError(
                f"the installed vLLM runs on {installed}, not on {device}: "
                f"pip install 'archon-ipw[{device}]' in an environment of its own"
            )
        self.model = entry.name
        self.device: Device = installed
        self._command = serve_command(
            local_model, entry, installed, share=share, max_num_seqs=max_num_seqs
        )
        self._weights = str(local_model.path)
        self._env = serve_env(entry, installed, os.environ)
        self._log_dir = log_dir
        self._fixed_port = port
        self._port = 0
        # A name only this server has, so that a stranger on our port is not taken for it.
        self._token = f"archon-{secrets.token_hex(4)}"
        self._process: SupervisedProcess | None = None

    @property
    def log_path(self) -> Path:
        """The file that receives the server's output."""
        return self._log_dir / f"{self.model}-{self._port}.log"

    @property
    def base_url(self) -> str:
        """The OpenAI-compatible endpoint."""
        return f"http://{HOST}:{self._port}/v1"

    @property
    def arguments(self) -> list[str]:
        """The arguments it is started with, without program, weights and place."""
        return self._command[self._command.index(self._weights) + 1 :]

    @property
    def pid(self) -> int:
        """Process id of the API server."""
        return self._started().pid

    def pids(self) -> tuple[int, ...]:
        """Return the ids of the API server and all processes below it, () when it has ended."""
        return self._process.pids() if self._process else ()

    def alive(self) -> bool:
        """Whether the server was started and has not ended."""
        return self._process is not None and self._process.running()

    def start(self) -> None:
        """Start the server; `wait_ready` tells when it answers.

        Raises:
            UsageError: The port asked for is in use, or the log folder cannot be written.
        """
        if self.alive():
            return
        self.stop()
        if self._fixed_port is not None:
            _require_free(self._fixed_port)
        self._port = self._fixed_port or free_port()
        try:
            self._log_dir.mkdir(parents=True, exist_ok=True)
            self.log_path.write_bytes(b"")
            self._process = SupervisedProcess(
                [
                    *self._command,
                    *("--host", HOST, "--port", str(self._port)),
                    *("--served-model-name", self.model, self._token),
                ],
                env=self._env,
                cwd=self._log_dir,
                log=self.log_path,
            )
        except OSError as error:
            raise UsageError(
                f"cannot start {self.model} with logs in {self._log_dir}: {error}"
            ) from error

    def wait_ready(self, timeout_s: float = 600.0, on_progress: Progress = lambda *_: None) -> None:
        """Return when the server answers; a port lost to somebody else is replaced.

        Raises:
            EngineError: The server ended or did not answer in time; gives its last words.
        """
        process, attempt = self._started(), 1
        begun = time.monotonic()
        with httpx.Client(trust_env=False, timeout=5.0) as http:
            while True:
                waited_s = time.monotonic() - begun
                on_progress(f"{self.model}: starting, {waited_s:.0f} s", None)
                if self._answers(http):
                    return
                if process.wait(POLL_S):
                    if self._lost_port() and attempt < PORT_ATTEMPTS:
                        self.start()
                        process, attempt = self._started(), attempt + 1
                        continue
                    raise EngineError(
                        self._failure(f"ended while starting (status {process.exit_status})")
                    )
                if waited_s > timeout_s:
                    self.stop()
                    raise EngineError(self._failure(f"did not answer within {timeout_s:g} s"))

    def stop(self) -> None:
        """End the server and all its processes; does nothing when it has ended."""
        if self._process is not None:
            self._process.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _started(self) -> SupervisedProcess:
        if self._process is None:
            raise EngineError(f"the server of {self.model} was not started")
        return self._process

    def _answers(self, http: httpx.Client) -> bool:
        try:
            healthy = http.get(f"http://{HOST}:{self._port}/health").status_code == 200
            return healthy and self._token in http.get(f"{self.base_url}/models").text
        except httpx.TransportError:
            return False

    def _lost_port(self) -> bool:
        """Whether somebody took our port between choosing it and the server binding it."""
        return self._fixed_port is None and "ddress already in use" in self._log()

    def _log(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def _failure(self, what: str) -> str:
        log = self._log()
        found = (re.search(pattern, log, re.MULTILINE) for pattern in CAUSES)
        cause = next((match[1][:CAUSE_CHARS] for match in found if match), "")
        last = [line.strip() for line in log.splitlines() if line.strip()][-LOG_LINES:]
        words = "\n".join([cause, *last])
        hint = next((hint for pattern, hint in HINTS if re.search(pattern, words, re.I)), "")
        told = "; ".join(part for part in (cause, hint, f"log: {self.log_path}") if part)
        return "\n  | ".join([f"the server of {self.model} {what}: {told}", *last])


def _require_free(port: int) -> None:
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
    except OSError as error:
        raise UsageError(
            f"port {port} on {HOST} cannot be used: {error.strerror}; give another or leave it out"
        ) from error
