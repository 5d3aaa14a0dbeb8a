"""One model, one sample: which model, asked how, with how many tokens."""

from collections.abc import Mapping, Sequence

import optuna

from archon.components import generator
from archon.spec import PipelineSpec, ZooModel
from search_spaces.baseline import Baseline

STYLES: Mapping[str, Sequence[int]] = {"number_only": [8], "equations": [48], "steps": [96]}
"""Prompt style → token limits to try."""


def suggest(
    trial: optuna.trial.BaseTrial,
    zoo: Sequence[str],
    *,
    styles: Mapping[str, Sequence[int]] = STYLES,
) -> PipelineSpec:
    """Return a single greedy generator."""
    model = trial.suggest_categorical("model", list(zoo))
    style = trial.suggest_categorical("style", list(styles))
    limit = trial.suggest_categorical(f"{style}.max_tokens", list(styles[style]))
    alone = generator.Generator(model=model, style=style, max_tokens=limit, temperature=0.0)
    return PipelineSpec(
        name=f"{model} {style_name(style, limit, styles)}",
        models={model: ZooModel(zoo=model)},
        layers=((alone,),),
    )


def style_name(style: str, limit: int, styles: Mapping[str, Sequence[int]]) -> str:
    """Return a style as pipelines are named by it; with its limit if it has a choice of them."""
    return f"{style} {limit}" if len(styles[style]) > 1 else style


def baselines(
    zoo: Sequence[str], *, styles: Mapping[str, Sequence[int]] = STYLES
) -> list[Baseline]:
    """Return each model alone, in every style and limit."""
    return [
        Baseline(
            f"{model} alone",
            single=True,
            params={"model": model, "style": style, f"{style}.max_tokens": limit},
        )
        for model in zoo
        for style, limits in styles.items()
        for limit in limits
    ]
