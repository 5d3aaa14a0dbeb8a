"""The calls of an epoch in memory, in front of the ledger."""

from collections.abc import Iterable

from archon.components.state import Drawn
from archon.engines.base import Completion, Request
from archon.ledger import SEARCH_EPOCH, Ledger


class CallStore:
    """What has been drawn for each request in one epoch.

    Args:
        ledger: Where calls come from and go to; None keeps them in memory only.
        epoch: 0 for the search; confirmation blocks have epochs of their own.
        fresh: Whether the epoch is new, so that the ledger need not be asked.
    """

    def __init__(
        self, ledger: Ledger | None, epoch: int = SEARCH_EPOCH, *, fresh: bool = False
    ) -> None:
        self.epoch = epoch
        self._ledger = ledger
        self._fresh = fresh
        self._drawn: dict[bytes, Drawn] = {}
        self._early: dict[bytes, dict[int, Completion]] = {}  # samples past a hole

    def drawn(self, request: Request) -> Drawn | None:
        """Return the samples of a request if all it asks for are in memory."""
        drawn = self._drawn.get(request.key)
        if drawn is None or len(drawn.completions) < request.samples:
            return None
        return drawn

    def load(self, requests: Iterable[Request]) -> None:
        """Bring in what the ledger holds of requests not yet in memory."""
        new = {r.key: r for r in requests if r.key not in self._drawn}
        stored: dict[bytes, dict[int, Completion]] = {}
        if self._ledger is not None and new and not self._fresh:
            stored = self._ledger.fetch(list(new), self.epoch)
        for key, request in new.items():
            self._drawn[key] = Drawn(request)
            self._early[key] = stored.get(key, {})
            self._join(key)

    def missing(self, request: Request) -> list[int]:
        """Return the samples of a request that still have to be drawn."""
        self.load([request])
        have, early = len(self._drawn[request.key].completions), self._early[request.key]
        return [sample for sample in range(have, request.samples) if sample not in early]

    def add(
        self, request: Request, sample: int, completion: Completion, window: int | None
    ) -> None:
        """Take in a new call; of two with one address the first stays."""
        if self._ledger is not None:
            self._ledger.put(request, sample, self.epoch, completion, window)
        self.load([request])
        if sample >= len(self._drawn[request.key].completions):
            self._early[request.key].setdefault(sample, completion)
            self._join(request.key)

    def _join(self, key: bytes) -> None:
        completions, early = self._drawn[key].completions, self._early[key]
        while len(completions) in early:
            completions.append(early.pop(len(completions)))
