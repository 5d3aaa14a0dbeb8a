"""Feeding and hearing several pipes of a process at once."""

import os
import selectors
from collections.abc import Collection, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

_CHUNK = 1 << 16


class Pipes:
    """The pipes between us and a process about to be started.

    Attributes:
        theirs: The process's end of each pipe; ``hand_over`` closes them on our side.
        heard: What came out of each output so far.
    """

    def __init__(self, inputs: Mapping[str, bytes], outputs: Collection[str]) -> None:
        self.theirs: dict[str, int] = {}
        self.heard = {name: bytearray() for name in outputs}
        self._unsent = {name: memoryview(data) for name, data in inputs.items()}
        self._ours = selectors.DefaultSelector()
        for name in (*inputs, *outputs):
            out, into = os.pipe()
            ours, self.theirs[name] = (into, out) if name in inputs else (out, into)
            event = selectors.EVENT_WRITE if name in inputs else selectors.EVENT_READ
            os.set_blocking(ours, False)
            self._ours.register(ours, event, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.hand_over()
        for key in list(self._ours.get_map().values()):
            self._drop(key.fd)
        self._ours.close()

    def hand_over(self) -> None:
        """Close the process's ends, which it now has itself."""
        while self.theirs:
            os.close(self.theirs.popitem()[1])

    def is_open(self, output: str) -> bool:
        """Return whether an output may still say something."""
        return any(key.data == output for key in self._ours.get_map().values())

    def move(self, wait_s: float) -> bool:
        """Send and receive what is ready, after waiting for it; return whether anything was."""
        ready = self._ours.select(wait_s)
        for key, _ in ready:
            if key.data in self.heard:
                self._receive(key.fd, key.data)
            else:
                self._send(key.fd, key.data)
        return bool(ready)

    def _send(self, fd: int, name: str) -> None:
        unsent = self._unsent[name]
        with suppress(BlockingIOError):
            try:
                unsent = unsent[os.write(fd, unsent[:_CHUNK]) :] if unsent else unsent
            except BrokenPipeError:  # a process need not read what it is told
                unsent = unsent[:0]
            self._unsent[name] = unsent
            if not unsent:
                self._drop(fd)

    def _receive(self, fd: int, name: str) -> None:
        with suppress(BlockingIOError):
            data = os.read(fd, _CHUNK)
            self.heard[name] += data
            if not data:
                self._drop(fd)

    def _drop(self, fd: int) -> None:
        self._ours.unregister(fd)
        os.close(fd)
