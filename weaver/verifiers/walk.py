"""One verifier's conversation about one question, driven from outside."""

from collections.abc import Mapping, Sequence

from archon.engines.base import Completion, Request
from weaver.verifiers.base import Steps, Verdicts


class Walk:
    """A conversation, as far as it has gone.

    Attributes:
        asks: The requests it waits for; none when it has ended.
    """

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._verdicts: Verdicts | None = None
        self.asks: Sequence[Request] = ()
        self._send(None)

    def go_on(self, known: Mapping[bytes, Mapping[int, Completion]]) -> None:
        """Give it what it asked for."""
        if self.asks:
            self._send([[known[r.key][sample] for sample in range(r.samples)] for r in self.asks])

    def result(self) -> Verdicts:
        """Return what it ended with."""
        assert self._verdicts is not None
        return self._verdicts

    def _send(self, replies: Sequence[Sequence[Completion]] | None) -> None:
        try:
            self.asks = self._steps.send(replies)  # type: ignore[arg-type]
            while not self.asks:
                self.asks = self._steps.send(())
        except StopIteration as stop:
            self.asks, self._verdicts = (), stop.value
