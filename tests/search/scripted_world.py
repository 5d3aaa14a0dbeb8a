"""A world of scripted models in which the best pipeline is known by construction.

The models add two numbers. Each answers right with a probability of its own, sample by sample; a
wrong answer is always the same one, so that a plurality of a poor model is misled, but it comes
with low confidence, so that a vote by confidence is right whenever one sample is. Every call
spends exactly what the price list says, and the meter counts exactly what calls spend.
"""

import asyncio
import json
import math
import random
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archon.energy import (
    Coef,
    Coefficients,
    Domain,
    Meter,
    ModelPrice,
    PriceList,
    ProgramPrice,
    Reading,
    choose_basis,
)
from archon.engines.base import Completion, Sampling
from archon.engines.pool import EnginePool
from archon.engines.programs import SandboxEngine
from archon.engines.scripted import ScriptedEngine
from archon.hardware import fingerprint
from archon.ledger import Ledger
from archon.messages import Message
from archon.progress import Progress
from archon.search.calibrate import price_key
from archon.search.config import StudyConfig
from archon.search.run import Outcome, run_study

PREFILL_J, DECODE_J, CALL_J = 0.001, 0.01, 0.02
CPU_J, RUN_J = 2.0, 0.01
BUSY_S = 1e-6
"""Busy seconds of a token and of a call: no machine of this world is ever full."""
IDLE_WATTS = 0.05
CONCURRENCY = 8


@dataclass(frozen=True)
class Nature:
    """How a scripted model answers: probability of being right, and words it writes."""

    right: float
    words: int

    def __call__(self, messages: tuple[Message, ...], _: Sampling, seed: int) -> Completion:
        question = messages[-1].content
        a, b = map(int, re.findall(r"\d+", question)[:2])
        right = random.Random(seed).random() < self.right
        said = f"{'so ' * (self.words - 1)}{a + b if right else a + b + 1}"
        return Completion(
            text=said,
            finish_reason="stop",
            prompt_tokens=len(question.split()),
            completion_tokens=self.words,
            mean_logprob=math.log(0.9 if right else 0.1),
        )


class Scale(Meter):
    """Counts what the engines spend; doing nothing costs nothing.

    Attributes:
        bad_reads: How many of the next readings fail.
    """

    domains = (Domain("cpu:0", "cpu", "counter", tick_s=1.0),)

    def __init__(self) -> None:
        self.spent_j = 0.0
        self.bad_reads = 0.0

    def read(self) -> Mapping[str, Reading]:
        if self.bad_reads > 0:
            self.bad_reads -= 1
            return {"cpu:0": Reading(None, "broken")}
        return {"cpu:0": Reading(self.spent_j)}


@dataclass(frozen=True)
class Call:
    """A call asked of an engine; `live` in confirmation, where epochs are new each time."""

    number: int
    model: str
    seed: int
    live: bool


Hook = Callable[[Call], Awaitable[None]]
"""Awaited before each call is answered."""


async def nothing(_: Call) -> None:
    """Let every call pass."""


class World:
    """Models, a meter and a ledger with prices in one folder.

    Attributes:
        calls: Every call asked of an engine, in order.
        runs: Programs run.
    """

    def __init__(self, folder: Path, natures: Mapping[str, Nature], hook: Hook = nothing) -> None:
        self.folder = folder
        self.natures = natures
        self.hook = hook
        self.meter = Scale()
        self.calls: list[Call] = []
        self.pool = EnginePool(
            {name: SpendingEngine(self, name, nature) for name, nature in natures.items()},
            programs=SpendingSandbox(self),
        )
        self.prices = price_list([f"{name}@1" for name in natures])
        self.runs = 0

    @property
    def ledger_path(self) -> Path:
        return self.folder / "out" / "ledger.sqlite"

    def config(self, **changes: Any) -> StudyConfig:
        """Return the study's configuration; ``search__budget={…}`` changes a nested setting."""
        data = settings(self.folder, list(self.natures))
        for name, value in changes.items():
            *sections, last = name.split("__")
            place = data
            for section in sections:
                place = place[section]
            place[last] = value
        return StudyConfig.model_validate(data)

    def run(self, config: StudyConfig | None = None, **changes: Any) -> Outcome:
        """Run the study with prices known and no progress shown."""
        config = config or self.config(**changes)
        self.store_prices(config)
        return self.measure(config)

    def measure(self, config: StudyConfig) -> Outcome:
        """Run a study that calibrates if prices are not known."""
        return run_study(config, Progress(quiet=True), pool=self.pool, meter=self.meter)

    def store_prices(self, config: StudyConfig) -> None:
        key = price_key(
            list(self.prices.models),
            fingerprint(),
            choose_basis(self.meter.domains),
            config.target.concurrency,
            Coefficients(),
            self.pool.programs.identity if config.space == "programs" else None,
        )
        with Ledger(self.ledger_path) as ledger:
            ledger.save_prices(key, self.prices.to_json())

    def made(self, *, live: bool) -> list[Call]:
        """Return the calls of confirmation, or those of the search."""
        return [call for call in self.calls if call.live == live]

    def stored(self, epoch: int | None = None) -> int:
        """Return the number of calls in the ledger."""
        with Ledger(self.ledger_path) as ledger:
            return ledger.count(epoch)


class SpendingEngine(ScriptedEngine):
    """A scripted model whose calls spend joules on the world's meter."""

    def __init__(self, world: World, name: str, nature: Nature) -> None:
        super().__init__(f"{name}@1", nature)
        self._world = world

    async def complete(
        self, messages: tuple[Message, ...], sampling: Sampling, seed: int, salt: str
    ) -> Completion:
        world = self._world
        live = salt.startswith("epoch")
        call = Call(len(world.calls) + 1, self.identity, seed, live)
        world.calls.append(call)
        await world.hook(call)
        await asyncio.sleep(0)
        made = await super().complete(messages, sampling, seed, salt)
        spent = world.prices.cost(self.identity, made.prompt_tokens, made.completion_tokens)
        world.meter.spent_j += spent.joules
        return made


class SpendingSandbox(SandboxEngine):
    """The real sandbox, whose runs spend joules on the world's meter."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    async def complete(
        self, messages: tuple[Message, ...], sampling: Sampling, seed: int, salt: str
    ) -> Completion:
        made = await super().complete(messages, sampling, seed, salt)
        assert made.cpu_s is not None
        self._world.runs += 1
        self._world.meter.spent_j += self._world.prices.program_cost(made.cpu_s).joules
        return made


def price_list(models: list[str]) -> PriceList:
    """Return the prices of this world: the same for every model."""
    joules = [Coef(value, value, value) for value in (PREFILL_J, DECODE_J, CALL_J)]
    seconds = [Coef(BUSY_S, BUSY_S, BUSY_S)] * 3
    return PriceList(
        idle_watts=IDLE_WATTS,
        basis="cpu",
        method="counter",
        concurrency=CONCURRENCY,
        models={model: ModelPrice(*joules, *seconds) for model in models},
        fingerprint=fingerprint(),
        programs=ProgramPrice(
            *(Coef(value, value, value) for value in (CPU_J, RUN_J, BUSY_S, BUSY_S))
        ),
    )


def call_j(words: int, prompt_words: int = 5) -> float:
    """Return what one call costs; the question has five words."""
    return PREFILL_J * prompt_words + DECODE_J * words + CALL_J


def write_task(path: Path, count: int = 140) -> Path:
    """Write additions with distinct prompts of five words."""
    lines = [
        json.dumps({"id": f"q{i}", "prompt": f"What is {i} + {i % 7}", "answer": i + i % 7})
        for i in range(count)
    ]
    path.write_text("\n".join(lines))
    return path


def settings(folder: Path, models: list[str]) -> dict[str, Any]:
    """Return a configuration as YAML would hold it: votes by count or by confidence."""
    task = folder / "sums.jsonl"
    if not task.exists():
        write_task(task)
    return {
        "study": {"name": "world", "dir": str(folder / "out"), "seed": 1},
        "task": {
            "source": "jsonl",
            "path": str(task),
            "scorer": "numeric",
            "sizes": {"fit": 0, "select": 40, "test": 64},
        },
        "models": models,
        "space": "ensemble",
        "axes": {
            "styles": {"plain": [200]},
            "samples": [1, 2, 4],
            "temperatures": [0.7],
            "finishes": ["vote", "confident_vote"],
        },
        "objective": {"metric": "ipw", "accuracy_floor": 0.85},
        "search": {"sampler": "exhaustive", "budget": {"trials": 100}},
        "target": {"concurrency": CONCURRENCY, "rate": 1.0},
        "calibration": {"idle_seconds": 0.001},
        "confirm": {"repeats": 2},
    }
