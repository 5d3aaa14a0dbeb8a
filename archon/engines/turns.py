"""Models that share processor cores answer in turns, not all at once.

Two servers whose threads compete for the same cores wait for each other at every barrier: the
same calls then take several times as long, and as many joules, as one model after the other.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

PATIENCE_S = 10.0
"""A call that has waited so long ends the turn of the model at work."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    model: str
    since: float
    turn: asyncio.Future[None]


class Turns:
    """Gives the turn to one model at a time.

    The model whose turn it is answers whatever is asked of it, also what is asked meanwhile, until
    as many calls wait for others as it has in flight, or one has waited for `PATIENCE_S`. It then
    answers what it has begun, and the turn goes to the model whose call has waited longest, with
    all calls that wait for it. So batches stay as large as the work allows, and no call waits for
    ever.

    All of it happens in one event loop.
    """

    def __init__(self) -> None:
        self._model = ""
        self._in_flight = 0
        self._ending = False
        self._waiting: list[_Waiting] = []

    @asynccontextmanager
    async def of(self, model: str) -> AsyncIterator[None]:
        """Hold the turn of a model; waits until it comes."""
        loop = asyncio.get_running_loop()
        if self._in_flight == 0 or (model == self._model and not self._ending):
            self._model = model
            self._in_flight += 1
        else:
            waiting = _Waiting(model, loop.time(), loop.create_future())
            self._waiting.append(waiting)
            self._consider(loop.time())
            try:
                await waiting.turn
            except asyncio.CancelledError:
                if waiting in self._waiting:
                    self._waiting.remove(waiting)
                else:  # its turn had come meanwhile
                    self._leave(loop.time())
                raise
        try:
            yield
        finally:
            self._leave(loop.time())

    def _leave(self, now: float) -> None:
        self._in_flight -= 1
        if self._in_flight:
            self._consider(now)
        else:
            self._pass_on()

    def _consider(self, now: float) -> None:
        """End the turn where enough calls of others wait, or one has for too long."""
        others = [one.since for one in self._waiting if one.model != self._model]
        if others and (len(others) >= self._in_flight or now - others[0] >= PATIENCE_S):
            self._ending = True

    def _pass_on(self) -> None:
        self._ending = False
        there = [one for one in self._waiting if not one.turn.cancelled()]
        if there:
            self._model = there[0].model
            admitted = [one for one in there if one.model == self._model]
            self._in_flight = len(admitted)
            self._waiting = [one for one in self._waiting if one not in admitted]
            for one in admitted:
                one.turn.set_result(None)
