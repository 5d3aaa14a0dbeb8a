"""Pipelines that spend what a question needs: fixed and sequential sampling, cascades, routes.

Ways: ``fixed`` (samples and their plurality: what the others are compared with), ``sequential``
(the same, drawn until the vote is settled), ``cascade`` (a cheap stage, and a dear one where it is
not sure enough), ``route`` (the question decides between the two, before anything is generated).
"""

from collections.abc import Mapping, Sequence

import optuna

from archon.components.cascade import Cascade
from archon.components.generator import Generator
from archon.components.nesting import Layer, Layers
from archon.components.route import Route
from archon.components.sequential import Sequential
from archon.components.vote import Vote
from archon.components.weaver import Weaver
from archon.spec import PipelineSpec, ZooModel
from search_spaces.baseline import Baseline
from search_spaces.single import STYLES, style_name

SAMPLES = (2, 4, 8)
TEMPERATURE = 0.5
WAYS = ("fixed", "sequential", "cascade", "route")
STOPS = ("decided", "sure")
ACCEPTS = ("confidence", "agreement", "score")
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
BY: Mapping[str, Sequence[float]] = {
    "learned": THRESHOLDS,
    "words": (12, 24, 48),
    "digits": (4, 6, 8),
}
"""What a route decides by → its thresholds: P(correct) of the first branch, or so many of them."""
BATCH = 2
"""Samples that sequential sampling draws at a time."""
VERIFIERS = ("consistency", "logprob", "length")


def suggest(
    trial: optuna.trial.BaseTrial,
    zoo: Sequence[str],
    *,
    styles: Mapping[str, Sequence[int]] = STYLES,
    samples: Sequence[int] = SAMPLES,
    temperature: float = TEMPERATURE,
    ways: Sequence[str] = WAYS,
    stops: Sequence[str] = STOPS,
    accepts: Sequence[str] = ACCEPTS,
    thresholds: Sequence[float] = THRESHOLDS,
    routes: Mapping[str, Sequence[float]] = BY,
    verifiers: Sequence[str] = VERIFIERS,
) -> PipelineSpec:
    """Return one model's samples and their vote, or two such pipelines and who gets which.

    A stage or branch has a model, a style and a number of samples, 1 (greedy) among them.
    ``score`` accepts by the P(correct) of a weaver of `verifiers`. Routes decide by a learned
    router, or by a feature of the question, each with thresholds of its own.
    """
    if unknown := set(ways) - set(WAYS):
        raise ValueError(f"no way {', '.join(sorted(unknown))}; there are {', '.join(WAYS)}")
    make = _Maker(trial, zoo, styles, sorted({1, *samples}), temperature)
    way = trial.suggest_categorical("way", list(ways))
    layers: list[Layer]
    if way == "fixed":
        generator = make.generator("only")
        layers, name = [(generator,), *_vote(generator.samples)], make.name(generator)
    elif way == "sequential":
        layers, name = _sequential(make, stops)
    elif way == "cascade":
        layers, name = _cascade(make, accepts, thresholds, verifiers)
    else:
        layers, name = _route(make, routes)
    used = {alias for layer in layers for part in layer for alias in part.model_aliases()}
    models = {model: ZooModel(zoo=model) for model in zoo if model in used}
    return PipelineSpec(name=name, models=models, layers=tuple(layers))


class _Maker:
    """Makes the generators of a trial."""

    def __init__(
        self,
        trial: optuna.trial.BaseTrial,
        zoo: Sequence[str],
        styles: Mapping[str, Sequence[int]],
        samples: Sequence[int],
        temperature: float,
    ) -> None:
        self.trial = trial
        self.zoo = zoo
        self.styles = styles
        self.samples = samples
        self.temperature = temperature

    def generator(self, role: str, least: int = 1) -> Generator:
        """Return the generator of a role, with choices of its own."""
        choose = self.trial.suggest_categorical
        model = choose(f"{role}.model", list(self.zoo)) if len(self.zoo) > 1 else self.zoo[0]
        style = choose(f"{role}.style", list(self.styles))
        limit = choose(f"{role}.{style}.max_tokens", list(self.styles[style]))
        counts = [count for count in self.samples if count >= least]
        count = choose(f"{role}.samples" if least == 1 else f"{role}.several", counts)
        return Generator(
            model=model,
            samples=count,
            temperature=self.temperature if count > 1 else 0.0,
            max_tokens=limit,
            style=style,
        )

    def name(self, generator: Generator) -> str:
        """Return what a generator and the vote over its samples are called."""
        times = f"{generator.samples}x " if generator.samples > 1 else ""
        style = style_name(generator.style, generator.max_tokens, self.styles)
        return f"{times}{generator.model} {style}"


def _vote(samples: int) -> list[Layer]:
    return [(Vote(),)] if samples > 1 else []


def _sequential(make: _Maker, stops: Sequence[str]) -> tuple[list[Layer], str]:
    if max(make.samples) <= BATCH:
        raise ValueError(f"sequential draws {BATCH} at a time: give more samples, or leave it out")
    most = make.generator("only", least=BATCH + 1)
    stop = make.trial.suggest_categorical("stop", list(stops))
    drawn = Sequential.model_validate(
        most.model_dump() | {"type": "sequential", "batch": BATCH, "stop_when": stop}
    )
    return [(drawn,), (Vote(),)], f"up to {make.name(most)}, till {stop}"


def _cascade(
    make: _Maker, accepts: Sequence[str], thresholds: Sequence[float], verifiers: Sequence[str]
) -> tuple[list[Layer], str]:
    accept = make.trial.suggest_categorical("accept", list(accepts))
    cheap = make.generator("first", least=2 if accept == "agreement" else 1)
    dear = make.generator("second")
    threshold = make.trial.suggest_categorical("threshold", list(thresholds))
    stage: Layers = ((cheap,),)
    if accept == "score":
        stage += ((Weaver.model_validate({"type": "weaver", "verifiers": list(verifiers)}),),)
    cascade = Cascade(stages=(stage, ((dear,),)), thresholds=(threshold,), accept=accept)
    told = f"{make.name(cheap)}, below {accept} {threshold:g} {make.name(dear)}"
    return [(cascade,), *_vote(cascade.most_candidates(0))], told


def _route(make: _Maker, routes: Mapping[str, Sequence[float]]) -> tuple[list[Layer], str]:
    if not isinstance(routes, Mapping) or not routes or not all(routes.values()):
        raise ValueError("routes: a mapping of what to decide by to its thresholds")
    cheap, dear = make.generator("first"), make.generator("second")
    choose = make.trial.suggest_categorical
    by = choose("by", list(routes)) if len(routes) > 1 else next(iter(routes))
    threshold = choose(f"{by}.threshold", list(routes[by]))
    branches = tuple(((one,), *_vote(one.samples)) for one in (cheap, dear))
    route = Route.model_validate(
        {"type": "route", "branches": branches, "by": by, "threshold": threshold}
    )
    which = f"below {threshold:g}" if by == "learned" else f"{by} above {threshold:g}"
    told = f"{make.name(cheap)}, {which} by route {make.name(dear)}"
    return [(route,)], told


def baselines(
    zoo: Sequence[str],
    *,
    styles: Mapping[str, Sequence[int]] = STYLES,
    samples: Sequence[int] = SAMPLES,
    temperature: float = TEMPERATURE,  # noqa: ARG001 - the same for all
    ways: Sequence[str] = WAYS,
    stops: Sequence[str] = STOPS,  # noqa: ARG001 - no baseline stops early
    accepts: Sequence[str] = ACCEPTS,  # noqa: ARG001
    thresholds: Sequence[float] = THRESHOLDS,  # noqa: ARG001
    routes: Mapping[str, Sequence[float]] = BY,  # noqa: ARG001
    verifiers: Sequence[str] = VERIFIERS,  # noqa: ARG001
) -> list[Baseline]:
    """Return each model alone and each model's plurality, in all styles, where `ways` has them."""
    if "fixed" not in ways:
        return []
    several = next((count for count in sorted(samples) if count >= 4), max(samples))
    found = []
    for model in zoo:
        for style, limits in styles.items():
            for limit in limits:
                asked = {"way": "fixed", "only.style": style, f"only.{style}.max_tokens": limit}
                if len(zoo) > 1:
                    asked["only.model"] = model
                found.append(
                    Baseline(f"{model} alone", single=True, params=asked | {"only.samples": 1})
                )
                if several > 1:
                    params = asked | {"only.samples": several}
                    found.append(
                        Baseline(f"{model} plurality of {several}", single=False, params=params)
                    )
    return found
