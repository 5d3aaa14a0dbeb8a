"""Drives components by hand: what they ask for is answered with what a test says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from archon.components import Candidate, Component, Context, Drawn, State
from archon.components.base import Ask
from archon.components.state import UnitTest
from archon.engines.base import Completion, Request
from archon.messages import Message
from archon.tasks import FreeTask

MESSAGES = (Message("system", "Answer in French."), Message("user", "What is 2 + 2?"))
MODELS = {"m": "identity of m", "judge": "identity of judge"}


@dataclass
class Played:
    """What came of a component."""

    candidates: tuple[Candidate, ...]  # or unit tests
    requests: list[Request]
    counts: dict[str, int]

    @property
    def texts(self) -> list[str]:
        return [candidate.text for candidate in self.candidates]

    @property
    def prompt(self) -> str:
        """The last turn of the only request."""
        (request,) = self.requests
        return request.messages[-1].content


def completion(reply: str | Completion, **fields) -> Completion:
    return reply if isinstance(reply, Completion) else Completion(reply, "stop", 5, 2, **fields)


def failed() -> Completion:
    return Completion("", "error", 0, 0, attempts=4, error="HTTP 500: overflow")


def candidate(text: str, **fields) -> Candidate:
    """A candidate whose answer is its text."""
    return Candidate(text, text, text, "m", **fields)


def play(
    component: Component,
    candidates: Sequence[Candidate] = (),
    replies: Sequence[str | Completion] = (),
    messages: tuple[Message, ...] = MESSAGES,
    unit_tests: Sequence[UnitTest] = (),
    **options,
) -> Played:
    """Run a component on candidates; its requests take the replies in order, all of them.

    `options` go to the context.
    """
    left = [completion(reply) for reply in replies]

    def answer(request: Request) -> list[Completion]:
        nonlocal left
        given, left = left[: request.samples], left[request.samples :]
        assert len(given) == request.samples, f"no reply for {request}"
        return given

    state = State("q1", messages, tuple(candidates), tuple(unit_tests))
    played = converse(component, state, answer, **options)
    assert not left, f"nobody asked for {left}"
    return played


def converse(
    component: Component, state: State, answer: Callable[[Request], list[Completion]], **options
) -> Played:
    """Run a component with somebody who answers each request."""
    context = Context(FreeTask(), MODELS, **options)
    steps = component.run(state, context)
    asked: list[Request] = []
    sent = None
    while True:
        try:
            requests = steps.send(sent)
        except StopIteration as stop:
            counts = {name: count for name, count in context.counts.items() if count}
            return Played(stop.value, asked, counts)
        plain = [one.request if isinstance(one, Ask) else one for one in requests]
        asked += plain
        sent = [Drawn(request, answer(request)) for request in plain]
