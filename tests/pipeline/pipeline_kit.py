"""Scripted models, queries, and the ways to run a spec that the pipeline's tests share."""

import asyncio
import json
import math
import random
import re
from collections import Counter

from archon.components import Context
from archon.engines.base import Completion
from archon.engines.scripted import ScriptedEngine
from archon.messages import Message
from archon.pipeline import CallStore, Pipeline, run_live, run_phases
from archon.spec import parse_spec
from archon.tasks import FreeTask, Query

MODELS = {"m": "identity of m", "n": "identity of n"}

GENERATORS = [
    {"type": "generator", "model": "m", "samples": 3},
    {"type": "generator", "model": "n", "samples": 2, "style": "number_only"},
]
VOTE = {"type": "vote"}
RANKER = {"type": "ranker", "model": "n", "top_k": 2}
VERIFIER = {"type": "verifier", "model": "m"}
CRITIC = {"type": "critic", "model": "m"}
FUSER = {"type": "fuser", "model": "n", "samples": 2}


def generators(samples, model="m", **settings):
    return [{"type": "generator", "model": model, "samples": samples, **settings}]


def query(number):
    return Query(f"q{number}", (Message("user", f"What is {number} + 1?"),), str(number + 1))


def queries(count):
    return [query(number) for number in range(count)]


def pipeline(*layers):
    """Bind a spec of these layers to the scripted models."""
    models = {alias: {"zoo": alias} for alias in MODELS}
    spec = parse_spec(json.dumps({"models": models, "layers": layers}), "spec")
    return bound(spec)


def bound(spec):
    return Pipeline(spec, Context(FreeTask(), MODELS))


def script(messages, sampling, seed):
    """Answer in the way the prompt asks for; what is said depends on prompt and seed alone."""
    prompt = messages[-1].content
    rng = random.Random(f"{prompt} {sampling} {seed}")
    ids = re.findall(r"^(\[\d+\])", prompt, re.M)
    if "Rank the replies" in prompt:
        rng.shuffle(ids)
        return " > ".join(ids)
    if "Criticise each reply" in prompt:
        return "\n".join(f"{id_} {rng.choice(['good', 'bad'])}" for id_ in ids)
    if "Answer Yes or No" in prompt:
        yes = rng.uniform(0.1, 0.9)
        tops = (("Yes", math.log(yes)), ("No", math.log(1 - yes)))
        return Completion("Yes", "stop", len(prompt.split()), 1, top_logprobs=(tops,))
    return f"It is {rng.randint(1, 4)}"


class World:
    """Two models of one script, and a record of the calls made of them.

    Attributes:
        made: Request key and sample index of each call, in order.
        phases: Model and number of jobs of each phase.
    """

    def __init__(self, script=script):
        self.engines = {identity: ScriptedEngine(identity, script) for identity in MODELS.values()}
        self.made = []
        self.phases = []

    @property
    def calls(self):
        return sum(engine.calls for engine in self.engines.values())

    def phased(self, pipeline, queries, store):
        def generate(model, jobs):
            self.phases.append((model, len(jobs)))
            for request, sample in jobs:
                self.made.append((request.key, sample))
                call = self.engines[model].complete(
                    request.messages, request.sampling, request.seed(sample, store.epoch), ""
                )
                store.add(request, sample, asyncio.run(call), None)

        return run_phases(pipeline, queries, store, generate)

    def live(self, pipeline, queries, store, concurrency=4, **options):
        return asyncio.run(
            run_live(
                pipeline,
                queries,
                store,
                self.engines.__getitem__,
                concurrency=concurrency,
                **options,
            )
        )


def spent(result):
    """Request key → samples: what a query paid for."""
    return {key: spend.samples for key, spend in result.spent.items()}


def asked_of(result):
    """Component → calls."""
    counts = Counter()
    for spend in result.spent.values():
        counts[spend.place] += spend.samples
    return dict(counts)


def no_calls():
    return CallStore(None)
