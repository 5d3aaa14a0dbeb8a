"""Two models whose true prices at each load are known, on a machine of their own.

Its clock and its counter move only by calls, by loading and by waiting at idle power.
"""

import asyncio
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from archon.energy import Basis, Domain, Meter, Pending, Reading, Recorder, Window, choose_basis
from archon.engines.base import Completion, Sampling
from archon.engines.pool import EnginePool
from archon.engines.scripted import ScriptedEngine
from archon.ledger import Ledger
from archon.messages import Message
from archon.profile import Profile
from archon.profiling import harness
from archon.profiling.harness import Plan, Step, profile_models
from archon.tasks import TaskConfig, load_task

IDLE_WATTS = 5.0
WARM_UP_J = WARM_UP_S = 1000.0
"""What a warm-up call costs: so much that no figure could hide it."""
LOADING_J, LOADING_S = 500.0, 20.0
PROMPT = 5
"""Words of every question."""


@dataclass(frozen=True)
class Truth:
    """Joules and seconds per prefill token, decode token and call; words it writes."""

    words: int
    joules: tuple[float, float, float]
    seconds: tuple[float, float, float]

    def cost(self, prompt: int, completion: int) -> tuple[float, float]:
        def total(prices: tuple[float, float, float]) -> float:
            return prices[0] * prompt + prices[1] * completion + prices[2]

        return total(self.joules), total(self.seconds)


TRUTHS = {
    ("small", 1): Truth(4, (0.02, 0.3, 0.2), (0.001, 0.02, 0.01)),
    ("small", 4): Truth(4, (0.01, 0.1, 0.1), (0.0005, 0.006, 0.005)),
    ("big", 1): Truth(9, (0.1, 1.5, 0.4), (0.005, 0.07, 0.02)),
    ("big", 4): Truth(9, (0.06, 0.5, 0.3), (0.004, 0.02, 0.01)),
}
"""By model and concurrency."""


def knows(model: str, number: int) -> bool:
    """Whether a model adds right when the first number is this."""
    return model == "big" or number % 3 > 0


@dataclass(frozen=True)
class Asked:
    """A call, and the window and load it was made in; None outside of any."""

    model: str
    warm_up: bool
    salt: str
    window: str | None
    load: int | None


@dataclass
class Machine:
    """The machine, and what was done with it.

    Attributes:
        events: Models opened, started and closed.
        most: Window label and load → most calls in flight.
        factor: Window label → what the calls' joules are multiplied by.
        unreadable: Whether the meter fails in a window.
        hook: Told model and window of each call; may raise, or give the reply.
    """

    folder: Path
    now: float = 0.0
    spent_j: float = 0.0
    load: int | None = None
    window: str | None = None
    in_flight: int = 0
    asked: list[Asked] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    most: dict[tuple[str, int | None], int] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    handed: list[Profile] = field(default_factory=list)
    factor: Callable[[str], float] = lambda _: 1.0
    unreadable: Callable[[str], bool] = lambda _: False
    hook: Callable[[str, str], Completion | None] = lambda *_: None

    def spend(self, joules: float, seconds: float) -> None:
        self.spent_j += joules
        self.now += seconds

    def plan(self, **changes: Any) -> Plan:
        """Twelve sums, the fourth of them asked twice as often."""
        path = self.folder / "sums.jsonl"
        lines = [
            {"prompt": f"What is {n} + 7", "answer": n + 7, "weight": 1 + (n == 4)}
            for n in range(1, 13)
        ]
        path.write_text("\n".join(map(json.dumps, lines)))
        sizes = {"fit": 0, "select": 12, "test": 0}
        task = load_task(TaskConfig(source="jsonl", path=path, scorer="numeric", sizes=sizes))
        given: dict[str, Any] = {
            "task": task,
            "label": "sums",
            "queries": task.splits["select"],
            "style": "plain",
            "max_tokens": 48,
            "concurrencies": (1, 4),
        }
        return Plan(**given | changes)

    def profile(
        self, models: Iterable[str] = ("small", "big"), plan: Plan | None = None, **changes: Any
    ) -> Profile:
        meter = Counter(self)
        with (
            pytest.MonkeyPatch.context() as patch,
            Ledger(self.folder / "ledger.sqlite") as ledger,
        ):
            patch.setattr(harness, "Recorder", lambda *args, **_: MachineRecorder(self, *args))
            return profile_models(
                plan or self.plan(**changes),
                list(models),
                lambda name: MachinePool(self, name),
                meter=meter,
                basis=choose_basis(meter.domains),
                hardware={"cpu": "of this test", "cores": "1", "memory_gib": "1"},
                ledger=ledger,
                on_step=self.steps.append,
                on_load=self.handed.append,
            )

    def windows(self) -> dict[str, dict[str, Any] | None]:
        """Return the windows in the ledger, by label."""
        with Ledger(self.folder / "ledger.sqlite") as ledger:
            return dict(ledger.windows("profile"))


class Counter(Meter):
    """Counts what is spent on the machine."""

    domains = (Domain("cpu:0", "cpu", "counter", tick_s=0.01),)

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def read(self) -> Mapping[str, Reading]:
        if self._machine.unreadable(self._machine.window or ""):
            return {"cpu:0": Reading(None, "broken")}
        return {"cpu:0": Reading(self._machine.spent_j)}


class MachineRecorder(Recorder):
    """Lives by the machine's clock, and tells it which window is open."""

    def __init__(self, machine: Machine, meter: Meter, basis: Basis) -> None:
        super().__init__(meter, basis, clock=lambda: machine.now, check_every_s=1000.0)
        self._machine = machine

    @contextmanager
    def window(self, label: str, concurrency: int | None = None) -> Iterator[Pending]:
        self._machine.window, self._machine.load = label, concurrency
        try:
            with super().window(label, concurrency) as pending:
                yield pending
        finally:
            self._machine.window = self._machine.load = None

    def measure_idle(self, seconds: float, *_: Any) -> tuple[dict[str, float | None], Window]:
        return super().measure_idle(seconds, lambda s: self._machine.spend(IDLE_WATTS * s, s))


class MachinePool(EnginePool):
    """One model, up once it is started."""

    def __init__(self, machine: Machine, name: str) -> None:
        super().__init__({name: MachineEngine(machine, name)})
        self._machine, self._name, self._up = machine, name, False
        machine.events.append(f"open {name}")

    def is_up(self, _: str) -> bool:
        return self._up

    def start(self, _: Iterable[str]) -> None:
        self._up = True
        self._machine.events.append(f"start {self._name}")
        self._machine.spend(LOADING_J, LOADING_S)

    def facts(self, identity: str) -> Mapping[str, str]:
        return {"engine": f"script of {identity}"}

    async def aclose(self) -> None:
        self._machine.events.append(f"hang up {self._name}")

    def close(self) -> None:
        self._machine.events.append(f"close {self._name}")


class MachineEngine(ScriptedEngine):
    """Adds two numbers, or lists as many as it may."""

    def __init__(self, machine: Machine, name: str) -> None:
        super().__init__(f"{name}@1", self._say)
        self._machine, self._name = machine, name

    def _say(self, messages: tuple[Message, ...], sampling: Sampling, _: int) -> str:
        text = messages[-1].content
        if "Continue this list" in text or "is a number" in text:
            return "1 " * sampling.max_tokens
        number, other = map(int, re.findall(r"\d+", text))
        right = number + other + (not knows(self._name, number))
        return "so " * (TRUTHS[self._name, 1].words - 1) + str(right)

    async def complete(
        self, messages: tuple[Message, ...], sampling: Sampling, seed: int, salt: str
    ) -> Completion:
        machine, warm_up = self._machine, salt == "warm-up"
        label = machine.window or ""
        machine.asked.append(Asked(self._name, warm_up, salt, machine.window, machine.load))
        machine.in_flight += 1
        place = (label, machine.load)
        machine.most[place] = max(machine.most.get(place, 0), machine.in_flight)
        try:
            await asyncio.sleep(0)
            told = None if warm_up else machine.hook(self._name, label)
            if told is not None:
                return told
            made = await super().complete(messages, sampling, seed, salt)
        finally:
            machine.in_flight -= 1
        if warm_up:
            machine.spend(WARM_UP_J, WARM_UP_S)
            return made
        assert machine.load is not None, "a call was made that nothing measures"
        truth = TRUTHS[self._name, machine.load]
        joules, seconds = truth.cost(made.prompt_tokens, made.completion_tokens)
        machine.spend(joules * machine.factor(label), seconds)
        first_s = truth.seconds[0] * made.prompt_tokens
        return Completion(
            made.text,
            made.finish_reason,
            made.prompt_tokens,
            made.completion_tokens,
            ttft_s=first_s,
            latency_s=seconds,
        )
