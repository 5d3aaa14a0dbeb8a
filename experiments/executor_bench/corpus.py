"""A ledger as a finished search leaves it: made up, but put through the real engine and SQLite."""

import asyncio
import hashlib
import math
from collections.abc import Iterator, Sequence

from archon.components.generator import Generator
from archon.energy import Coef, ModelPrice, PriceList
from archon.engines.base import Completion, Sampling
from archon.engines.scripted import ScriptedEngine
from archon.ledger import SEARCH_EPOCH, Ledger
from archon.messages import Message
from archon.metrics import Load
from archon.pipeline import CallStore, Job
from archon.pipeline.pricing import Pricer
from archon.search.evaluate import Evaluator
from archon.spec import PipelineSpec, ZooModel
from archon.tasks import Query, Task
from archon.tasks.jsonl import JsonlTask
from archon.tasks.scorers import scorer_named

SKILL = {"model-a": 0.35, "model-b": 0.5, "model-c": 0.6, "model-d": 0.7}
"""Made-up models: the chance that a sample is right."""
STYLES = {"number_only": (8,), "steps": (96,)}
TEMPERATURES = (0.3, 0.9)
SAMPLES = (1, 2, 3, 4, 6, 8, 12, 16)
AXES = {
    "styles": STYLES,
    "samples": SAMPLES,
    "temperatures": TEMPERATURES,
    "finishes": ("vote", "confident_vote"),
}
"""The part of the ensemble space in which every call is stored."""
PRICE = ModelPrice(*(Coef(value, value, value) for value in (0.01, 0.1, 0.2, 1e-3, 1e-2, 2e-2)))
"""Made-up joules and seconds: only the arithmetic is timed."""


def _make_task(queries: int) -> Task:
    """Return sums of three numbers, all in the *select* split."""
    rows = tuple(_query(index) for index in range(queries))
    numeric = scorer_named("numeric")
    return JsonlTask("sums", {"select": rows}, {query.id: numeric for query in rows})


def _query(index: int) -> Query:
    terms = (index + 1, index * 53 % 97 + 1, index * 71 % 89 + 1)
    text = f"What is {terms[0]} + {terms[1]} + {terms[2]}?"
    return Query(f"q{index}", (Message("user", text),), str(sum(terms)))


def _engine(name: str, answers: dict[str, str]) -> ScriptedEngine:
    def script(messages: tuple[Message, ...], sampling: Sampling, seed: int) -> Completion:
        question, _, _ = messages[-1].content.partition("\n\n")
        skill = SKILL[name]
        luck = int.from_bytes(hashlib.sha256(f"{name}/{seed}".encode()).digest()[:4]) / 2**32
        right = int(answers[question])
        answer = right if luck < skill else right + round(30 * (luck - skill)) + 1
        steps = f"First we add {answer - 9} and 9 step by step.\nAnswer: {answer}"
        text = str(answer) if sampling.max_tokens <= 8 else steps
        confidence = math.log(0.9 - luck / 2)
        return Completion(text, "stop", 40, len(text.split()), mean_logprob=confidence)

    return ScriptedEngine(f"{name}@1", script)


class Corpus:
    """A task, made-up models, and evaluators over one ledger that holds all their calls.

    Args:
        ledger: Where the calls are; `fill` puts them there.
        queries: Queries of the task.
    """

    def __init__(self, ledger: Ledger, queries: int) -> None:
        self.ledger = ledger
        self.task = _make_task(queries)
        self.queries = self.task.splits["select"]
        answers = {q.messages[0].content: q.reference or "" for q in self.queries}
        self._engines = {f"{name}@1": _engine(name, answers) for name in SKILL}

    def evaluator(self) -> Evaluator:
        """Return an evaluator that remembers nothing yet."""
        store = CallStore(self.ledger)

        def generate(model: str, jobs: Sequence[Job]) -> None:
            async def draw() -> None:
                for request, sample in jobs:
                    seed = request.seed(sample, SEARCH_EPOCH)
                    completion = await self._engines[model].complete(
                        request.messages, request.sampling, seed, ""
                    )
                    store.add(request, sample, completion, None)

            asyncio.run(draw())

        prices = PriceList(
            idle_watts=10.0,
            basis="made up",
            method="estimated",
            concurrency=16,
            models=dict.fromkeys(self._engines, PRICE),
            fingerprint={},
        )
        return Evaluator(
            self.task,
            store,
            Pricer(prices, dict.fromkeys(self._engines, 16)),
            Load(1.0, prices.idle_watts),
            {ZooModel(zoo=name).model_dump_json(): f"{name}@1" for name in SKILL},
            generate,
        )

    def fill(self, evaluator: Evaluator) -> int:
        """Evaluate every generator of the space at its most samples; returns the calls made."""
        return sum(
            evaluator.evaluate(spec, self.queries).generated for spec in map(_alone, _generators())
        )


def _generators() -> Iterator[Generator]:
    for model in SKILL:
        for style, (limit,) in STYLES.items():
            yield Generator(model=model, style=style, max_tokens=limit, temperature=0.0)
            for temperature in TEMPERATURES:
                yield Generator(
                    model=model,
                    style=style,
                    max_tokens=limit,
                    temperature=temperature,
                    samples=max(SAMPLES),
                )


def _alone(generator: Generator) -> PipelineSpec:
    models = {generator.model: ZooModel(zoo=generator.model)}
    return PipelineSpec(models=models, layers=((generator,),))
