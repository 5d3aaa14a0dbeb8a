"""Several models, each with its samples and style, then a way to make one answer of them.

Finishes: ``vote`` (plurality), ``confident_vote`` (votes weighted by the writer's confidence),
``rank`` (a listwise judge picks), ``tournament`` (a judge compares pairs), ``verify`` (a judge
filters, the rest votes), ``score_vote`` and ``score_rank`` (a judge says how likely each is
correct: that weighs the votes, or picks), ``fuse`` (a model writes one answer out of all),
``critique`` and ``critique_each`` (a critic comments on all in one call, or on each in its own,
then a fuser writes), ``rank_fuse`` (the published generate-rank-fuse recipe), ``weave``
(verifiers, fitted on known answers, say how likely each answer is correct).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import optuna

from archon.components.critic import Critic
from archon.components.fuser import Fuser
from archon.components.generator import Generator
from archon.components.nesting import Layer
from archon.components.ranker import Ranker
from archon.components.verifier import Verifier
from archon.components.vote import Vote
from archon.components.weaver import Weaver
from archon.spec import PipelineSpec, ZooModel
from search_spaces.baseline import Baseline
from search_spaces.single import STYLES, style_name

SAMPLES = (1, 2, 3, 4, 6, 8)
TEMPERATURES = (0.3, 0.6, 0.9)
FINISHES = (
    *("vote", "confident_vote", "rank", "tournament", "verify", "score_vote", "score_rank"),
    *("fuse", "critique", "critique_each", "rank_fuse", "weave"),
)
VERIFIERS = {
    "free": ("consistency", "logprob", "length"),
    "judged": ("consistency", "logprob", "length", "judge(model={judge}, reads=answer)"),
}
"""Sets of verifiers to try; ``{judge}`` stands for a model, which is then a choice of its own."""
METHODS = ("continuous", "logistic")
THRESHOLDS = (None, 0.8)


def suggest(
    trial: optuna.trial.BaseTrial,
    zoo: Sequence[str],
    *,
    styles: Mapping[str, Sequence[int]] = STYLES,
    samples: Sequence[int] = SAMPLES,
    temperatures: Sequence[float] = TEMPERATURES,
    finishes: Sequence[str] = FINISHES,
    verifiers: Mapping[str, Sequence[str]] = VERIFIERS,
    methods: Sequence[str] = METHODS,
    thresholds: Sequence[float | None] = THRESHOLDS,
) -> PipelineSpec:
    """Return generators and a finish.

    `verifiers`, `methods` and `thresholds` are those of ``weave``; a threshold is a choice only
    where a judge may be spared by it.

    See `generators` for `samples`.
    """
    if unknown := set(finishes) - set(FINISHES):
        raise ValueError(f"no finish {', '.join(sorted(unknown))}; there are {', '.join(FINISHES)}")
    drawn, name = generators(trial, zoo, styles, samples, temperatures)
    layers: list[Layer] = [drawn]
    if sum(generator.samples for generator in drawn) > 1:
        finish = trial.suggest_categorical("finish", list(finishes))
        if finish == "weave":
            last, told = _weave(trial, zoo, verifiers, methods, thresholds)
        else:
            last, told = _finish(trial, finish, zoo, styles)
        layers += last
        name += f", {told}"
    used = {alias for layer in layers for part in layer for alias in part.model_aliases()}
    models = {model: ZooModel(zoo=model) for model in zoo if model in used}
    return PipelineSpec(name=name, models=models, layers=tuple(layers))


def generators(
    trial: optuna.trial.BaseTrial,
    zoo: Sequence[str],
    styles: Mapping[str, Sequence[int]],
    samples: Sequence[int],
    temperatures: Sequence[float],
) -> tuple[tuple[Generator, ...], str]:
    """Return a layer of generators, and its name.

    Besides `samples`, each model may have none or one: one alone is what to compare with. A model
    with 0 samples takes no part; if all have 0, the last takes part with one. A model
    that answers once answers greedily.
    """
    counts = {
        model: trial.suggest_categorical(f"{model}.samples", sorted({0, 1, *samples}))
        for model in zoo
    }
    if not any(counts.values()):
        counts[zoo[-1]] = 1
    drawn = tuple(
        _generator(trial, model, count, styles, temperatures)
        for model, count in counts.items()
        if count
    )
    return drawn, " + ".join(_name(generator, styles) for generator in drawn)


def _generator(
    trial: optuna.trial.BaseTrial,
    model: str,
    samples: int,
    styles: Mapping[str, Sequence[int]],
    temperatures: Sequence[float],
) -> Generator:
    style = trial.suggest_categorical(f"{model}.style", list(styles))
    limit = trial.suggest_categorical(f"{model}.{style}.max_tokens", list(styles[style]))
    temperature = 0.0
    if samples > 1:
        temperature = trial.suggest_categorical(f"{model}.temperature", list(temperatures))
    return Generator(
        model=model, samples=samples, temperature=temperature, max_tokens=limit, style=style
    )


def _finish(
    trial: optuna.trial.BaseTrial,
    finish: str,
    zoo: Sequence[str],
    styles: Mapping[str, Sequence[int]],
) -> tuple[list[Layer], str]:
    """Return the layers after the generators, and their name."""
    told = finish.replace("_", " ")
    if finish in {"vote", "confident_vote"}:
        return [(Vote(weight="confidence" if finish == "confident_vote" else "count"),)], told
    judge = _judge(trial, zoo)
    if len(zoo) > 1:
        told += f" by {judge}"
    if finish == "rank":
        return [(Ranker(model=judge),)], told
    if finish == "tournament":
        return [(Ranker(model=judge, mode="pairwise"),)], told
    if finish == "verify":
        return [(Verifier(model=judge),), (Vote(),)], told
    if finish in {"score_vote", "score_rank"}:
        scored = Verifier(model=judge, threshold=0.0)  # which drops none
        last = Vote(weight="score") if finish == "score_vote" else Ranker(mode="score")
        return [(scored,), (last,)], told
    style = trial.suggest_categorical("fuse.style", list(styles))
    fuser = Fuser(model=judge, temperature=0.0, style=style, max_tokens=max(styles[style]))
    if len(styles) > 1:
        told += f" in {style}"
    if finish == "critique":
        return [(Critic(model=judge, max_tokens=128),), (fuser,)], told
    if finish == "critique_each":
        return [(Critic(model=judge, mode="pointwise", max_tokens=64),), (fuser,)], told
    if finish == "rank_fuse":
        return [(Ranker(model=judge, top_k=3),), (fuser,)], told
    return [(fuser,)], told


def _weave(
    trial: optuna.trial.BaseTrial,
    zoo: Sequence[str],
    verifiers: Mapping[str, Sequence[str]],
    methods: Sequence[str],
    thresholds: Sequence[float | None],
) -> tuple[list[Layer], str]:
    """Return the weaver's layer, and its name."""
    chosen = trial.suggest_categorical("weave.verifiers", list(verifiers))
    method = trial.suggest_categorical("weave.method", list(methods))
    told = f"weave {chosen} by {method}"
    named, threshold = list(verifiers[chosen]), None
    if any("{judge}" in text for text in named):
        judge = _judge(trial, zoo)
        named = [text.replace("{judge}", judge) for text in named]
        threshold = trial.suggest_categorical("weave.threshold", list(thresholds))
        told += f", {judge}" + ("" if threshold is None else f" below {threshold:g}")
    made = Weaver.model_validate(
        {"type": "weaver", "verifiers": named, "method": method, "threshold": threshold}
    )
    return [(made,)], told


def _judge(trial: optuna.trial.BaseTrial, zoo: Sequence[str]) -> str:
    """Return the model that judges."""
    judge: str = trial.suggest_categorical("judge", list(zoo)) if len(zoo) > 1 else zoo[0]
    return judge


def _name(generator: Generator, styles: Mapping[str, Sequence[int]]) -> str:
    times = f"{generator.samples}x " if generator.samples > 1 else ""
    style = style_name(generator.style, generator.max_tokens, styles)
    warmth = f" T{generator.temperature:g}" if generator.temperature else ""
    return f"{times}{generator.model} {style}{warmth}"


def baselines(
    zoo: Sequence[str],
    *,
    styles: Mapping[str, Sequence[int]] = STYLES,
    samples: Sequence[int] = SAMPLES,
    temperatures: Sequence[float] = TEMPERATURES,
    finishes: Sequence[str] = FINISHES,
    verifiers: Mapping[str, Sequence[str]] = VERIFIERS,
    methods: Sequence[str] = METHODS,
    thresholds: Sequence[float | None] = THRESHOLDS,  # noqa: ARG001 - of no use without a judge
) -> list[Baseline]:
    """Return what everybody would try first, in all styles.

    Each model alone, each model's plurality, and of the last model the published recipe and its
    samples woven by the first set of verifiers, if that asks no judge.
    """
    several = next((count for count in sorted(samples) if count >= 4), max(samples))
    found: list[Baseline] = []
    for model in zoo:
        others: dict[str, Any] = {f"{other}.samples": 0 for other in zoo if other != model}
        for style, limits in styles.items():
            for limit in limits:
                asked = {f"{model}.style": style, f"{model}.{style}.max_tokens": limit}
                alone = {**others, **asked, f"{model}.samples": 1}
                found.append(Baseline(f"{model} alone", single=True, params=alone))
                if several < 2:
                    continue
                sampled = {
                    **others,
                    **asked,
                    f"{model}.samples": several,
                    f"{model}.temperature": temperatures[0],
                }
                if "vote" in finishes:
                    vote = {**sampled, "finish": "vote"}
                    found.append(
                        Baseline(f"{model} plurality of {several}", single=False, params=vote)
                    )
                if "rank_fuse" in finishes and model == zoo[-1]:
                    judge = {"judge": model} if len(zoo) > 1 else {}
                    recipe = {**sampled, "finish": "rank_fuse", **judge, "fuse.style": style}
                    found.append(Baseline("generate, rank, fuse", single=False, params=recipe))
                first = next(iter(verifiers))
                judged = any("{judge}" in text for text in verifiers[first])
                if "weave" in finishes and model == zoo[-1] and not judged:
                    woven = {"weave.verifiers": first, "weave.method": methods[0]}
                    params = {**sampled, "finish": "weave", **woven}
                    found.append(
                        Baseline(f"{model} weave of {several}", single=False, params=params)
                    )
    return found
