"""The published search over Archon architectures (arXiv 2409.15254, section 3.3), axis by axis.

The k best models draw the same number of samples each. One to four layers of fusers follow, the
last of them a single fuser, the others of the best f models each; a critic and a ranker that keeps
the best 5 stand before every layer of fusers, and a verifier, unit tests or neither before the
last. The best model criticises, ranks, checks and fuses last. Which is best is told by the order of
the study's models, from the weakest to the strongest.

With ten models and the published values: 10 numbers of models, 5 of samples, 1 + 5 + 5² + 5³ = 156
ways to fuse and 3 checks are 23,400 combinations. This space has 23,408 points, all of them
different pipelines: 3 combinations are one pipeline (see below), and 10 points are added. Two
models leave 120.

Where it departs from the publication:

- Nothing is left out for being long. The publication counts 9,576 combinations, without those with
  more candidates than a fuser's context holds, and does not say which these are. Here texts that do
  not fit are shortened and counted, and what does not pay loses. Nor is a pipeline
  left out for its number of calls, as the published program can: narrow `generators`, `samples` and
  `fusers` for both. (A study's budget ends the search, it does not choose pipelines.)
- What chooses among candidates (ranker, verifier, unit tests) is left out where only one arrives:
  it would spend joules and change nothing. So one sample of one model, fused once, is one pipeline.
- A point is added for each model answering once, greedily: what every pipeline is compared with,
  and what the publication measured to rank the models.
- Of k and f only those are choices that the models are enough for; the published program fails on
  the others.
- The published program differs from its paper: it draws one sample whatever is asked, has no
  verifier and no unit tests, and neither critic nor ranker before the last fuser. This is the
  paper's space; ``reviews`` has the other orders.
- Its judges work at the temperature of all else; here they are greedy. Its verifier asks for
  reasons and a verdict in two calls; here one reply has both. It shows the unit tests to whatever
  follows them; here only their evaluator sees them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import optuna

from archon.components.critic import Critic
from archon.components.fuser import Fuser
from archon.components.generator import Generator
from archon.components.nesting import Layer
from archon.components.ranker import Ranker
from archon.components.unit_test_evaluator import UnitTestEvaluator
from archon.components.unit_test_generator import UnitTestGenerator
from archon.components.verifier import Verifier
from archon.spec import PipelineSpec, ZooModel
from search_spaces.baseline import Baseline
from search_spaces.single import style_name

GENERATORS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
SAMPLES = (1, 2, 3, 4, 5)
"""For programs (CodeContests) the publication tries 1, 10, 100, 500 and 1000."""
FUSION_LAYERS = (1, 2, 3, 4)
FUSERS = (2, 4, 6, 8, 10)
REVIEWS = ("critic+ranker",)
"""Published; ``ranker`` and ``none`` are possible too."""
TOP_K = (5,)
CHECKS = ("none", "verifier", "unit tests")
TEMPERATURES = (0.7,)
STYLES: Mapping[str, Sequence[int]] = {"plain": [2048]}
REVIEW_TOKENS = 2048


def suggest(
    trial: optuna.trial.BaseTrial,
    zoo: Sequence[str],
    *,
    generators: Sequence[int] = GENERATORS,
    samples: Sequence[int] = SAMPLES,
    fusion_layers: Sequence[int] = FUSION_LAYERS,
    fusers: Sequence[int] = FUSERS,
    reviews: Sequence[str] = REVIEWS,
    top_k: Sequence[int] = TOP_K,
    checks: Sequence[str] = CHECKS,
    temperatures: Sequence[float] = TEMPERATURES,
    styles: Mapping[str, Sequence[int]] = STYLES,
    review_tokens: int = REVIEW_TOKENS,
) -> PipelineSpec:
    """Return generators and layers of fusers with what stands before them, or one model alone.

    `generators` and `fusers` are numbers of models, the strongest first: of `zoo` the last. `top_k`
    is the ranker's. `styles` and `temperatures` hold for generators and fusers; `review_tokens` are
    those of a critique, a check or a set of unit tests.
    """
    _known("review", reviews, ("critic+ranker", "ranker", "none"))
    _known("check", checks, CHECKS)
    choose = trial.suggest_categorical
    depth = choose("fusion_layers", [0, *_depths(fusion_layers, fusers, zoo)])
    style = choose("style", list(styles))
    limit = choose(f"{style}.max_tokens", list(styles[style]))
    told = style_name(style, limit, styles)
    asked: dict[str, Any] = {"style": style, "max_tokens": limit}
    if depth == 0:
        model = choose("model", list(zoo)) if len(zoo) > 1 else zoo[0]
        return _spec(f"{model} {told}", zoo, [(Generator(model=model, temperature=0.0, **asked),)])

    asked["temperature"] = choose("temperature", list(temperatures))
    models = choose("generators", _possible("generators", generators, zoo))
    count = choose("samples", list(samples))
    widths = [choose(f"fusers.{at}", _possible("fusers", fusers, zoo)) for at in range(1, depth)]
    arriving = [models * count, *widths]
    review = choose("review", list(reviews))
    kept = arriving
    if "ranker" in review:
        most = choose("top_k", list(top_k))
        kept = [min(number, most) for number in arriving]
    check = choose("check", list(checks)) if kept[-1] > 1 else "none"

    best = zoo[::-1]
    layers: list[Layer] = [
        tuple(Generator(model=model, samples=count, **asked) for model in best[:models])
    ]
    for at, width in enumerate([*widths, 1]):
        layers += _reviewed(review, best[0], arriving[at], kept[at], review_tokens)
        if at == len(widths):
            layers += _checked(check, best[0], review_tokens)
        layers.append(tuple(Fuser(model=model, **asked) for model in best[:width]))

    name = f"{count}x " if count > 1 else ""
    name += f"top {models} {told}" if models > 1 else f"{best[0]} {told}"
    if len(temperatures) > 1:
        name += f" T{asked['temperature']:g}"
    if len(reviews) > 1 or len(top_k) > 1:
        name += _told_review(review, max(arriving), max(kept))
    name += f", fuse {'-'.join(map(str, [*widths, 1]))}"
    if check != "none":
        name += f", {check}"
    return _spec(name, zoo, layers)


def _known(what: str, given: Sequence[str], known: Sequence[str]) -> None:
    if unknown := set(given) - set(known):
        raise ValueError(f"no {what} {', '.join(sorted(unknown))}; there are {', '.join(known)}")


def _possible(what: str, numbers: Sequence[int], zoo: Sequence[str]) -> list[int]:
    """Return the numbers of models that the zoo is enough for."""
    if min(numbers) < 1:
        raise ValueError(f"{what} counts models, from 1 on")
    possible = [number for number in numbers if number <= len(zoo)]
    if not possible:
        raise ValueError(f"{what}: all of them ask for more models than the {len(zoo)} there are")
    return possible


def _depths(fusion_layers: Sequence[int], fusers: Sequence[int], zoo: Sequence[str]) -> list[int]:
    """Return the numbers of fusion layers that the zoo is enough for."""
    if min(fusion_layers) < 1:
        raise ValueError("fusion_layers starts at 1; each model alone is a point anyway")
    possible = [depth for depth in fusion_layers if depth == 1 or min(fusers) <= len(zoo)]
    if not possible:
        raise ValueError(f"fusers: all of them ask for more models than the {len(zoo)} there are")
    return possible


def _reviewed(review: str, model: str, arriving: int, kept: int, tokens: int) -> list[Layer]:
    """Return what stands before a layer of fusers."""
    layers: list[Layer] = []
    if "critic" in review:
        layers.append((Critic(model=model, max_tokens=tokens),))
    if "ranker" in review and arriving > 1:
        # A number in brackets and what stands between two of them are about six tokens.
        layers.append((Ranker(model=model, top_k=kept, max_tokens=max(48, 8 * arriving)),))
    return layers


def _told_review(review: str, arriving: int, kept: int) -> str:
    """Return what distinguishes reviews; a ranker that nowhere stands does not."""
    if arriving > 1 and "ranker" in review:
        return f", {review} to {kept}"
    return ", critic" if "critic" in review else ""


def _checked(check: str, model: str, tokens: int) -> list[Layer]:
    """Return what stands before the last fuser."""
    if check == "verifier":
        return [(Verifier(model=model, mode="reason", max_tokens=tokens),)]
    if check == "unit tests":
        tests = UnitTestGenerator(model=model, max_tokens=tokens)
        return [(tests,), (UnitTestEvaluator(model=model),)]
    return []


def _spec(name: str, zoo: Sequence[str], layers: Sequence[Layer]) -> PipelineSpec:
    used = {alias for layer in layers for part in layer for alias in part.model_aliases()}
    models = {model: ZooModel(zoo=model) for model in zoo if model in used}
    return PipelineSpec(name=name, models=models, layers=tuple(layers))


def baselines(
    zoo: Sequence[str],
    *,
    generators: Sequence[int] = GENERATORS,
    samples: Sequence[int] = SAMPLES,
    fusion_layers: Sequence[int] = FUSION_LAYERS,
    fusers: Sequence[int] = FUSERS,
    reviews: Sequence[str] = REVIEWS,
    top_k: Sequence[int] = TOP_K,
    checks: Sequence[str] = CHECKS,
    temperatures: Sequence[float] = TEMPERATURES,
    styles: Mapping[str, Sequence[int]] = STYLES,
    review_tokens: int = REVIEW_TOKENS,  # noqa: ARG001 - no choice
) -> list[Baseline]:
    """Return each model alone, and the recipe: at least four candidates, fused.

    The recipe is the simplest fusion of as many models as can be, in all styles; each of them draws
    what makes four candidates, or all it may.
    """
    models = max(_possible("generators", generators, zoo))
    count = next((count for count in sorted(samples) if models * count >= 4), max(samples))
    recipe: dict[str, Any] = {
        "fusion_layers": min(_depths(fusion_layers, fusers, zoo)),
        "temperature": temperatures[0],
        "generators": models,
        "samples": count,
        "review": reviews[0],
    }
    last = models * count
    for at in range(1, recipe["fusion_layers"]):
        last = recipe[f"fusers.{at}"] = min(fusers)
    if "ranker" in reviews[0]:
        recipe["top_k"] = top_k[0]
        last = min(last, top_k[0])
    if last > 1:
        recipe["check"] = "none" if "none" in checks else checks[0]

    found = []
    for style, limits in styles.items():
        for limit in limits:
            asked = {"style": style, f"{style}.max_tokens": limit}
            for model in zoo:
                chosen = {"model": model} if len(zoo) > 1 else {}
                alone = {"fusion_layers": 0, **asked, **chosen}
                found.append(Baseline(f"{model} alone", single=True, params=alone))
            found.append(Baseline("models fused", single=False, params=recipe | asked))
    return found
