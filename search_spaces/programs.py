"""Programs: several models write some, and tests that models write choose among them.

Finishes: ``vote`` (plurality of programs that differ in comments and layout alone), ``run_tests``
(a model writes Python tests, the programs are run, the one that passes most is kept),
``judge_tests`` (a model writes sentences that are true of a right program, and judges each).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import optuna

from archon.components.nesting import Layer
from archon.components.unit_test_evaluator import UnitTestEvaluator
from archon.components.unit_test_generator import UnitTestGenerator
from archon.components.vote import Vote
from archon.spec import PipelineSpec, ZooModel
from search_spaces.baseline import Baseline
from search_spaces.ensemble import generators

STYLES: Mapping[str, Sequence[int]] = {"plain": [384]}
"""Prompt style → token limits to try; a limit is to hold a whole function."""
SAMPLES = (1, 2, 4, 8)
TEMPERATURES = (0.4, 0.8)
FINISHES = ("vote", "run_tests", "judge_tests")
TESTS = (3, 6)
TEST_TOKENS = 384


def suggest(
    trial: optuna.trial.BaseTrial,
    zoo: Sequence[str],
    *,
    styles: Mapping[str, Sequence[int]] = STYLES,
    samples: Sequence[int] = SAMPLES,
    temperatures: Sequence[float] = TEMPERATURES,
    finishes: Sequence[str] = FINISHES,
    tests: Sequence[int] = TESTS,
    test_tokens: int = TEST_TOKENS,
) -> PipelineSpec:
    """Return generators, and a finish where there are several programs.

    Samples are those of `search_spaces.ensemble`. `tests` is how many a model may write, within
    `test_tokens`; the same model judges sentences.
    """
    if unknown := set(finishes) - set(FINISHES):
        raise ValueError(f"no finish {', '.join(sorted(unknown))}; there are {', '.join(FINISHES)}")
    drawn, name = generators(trial, zoo, styles, samples, temperatures)
    layers: list[Layer] = [drawn]
    if sum(generator.samples for generator in drawn) > 1:
        finish = trial.suggest_categorical("finish", list(finishes))
        last, told = _finish(trial, finish, zoo, tests, test_tokens)
        layers += last
        name += f", {told}"
    used = {alias for layer in layers for part in layer for alias in part.model_aliases()}
    models = {model: ZooModel(zoo=model) for model in zoo if model in used}
    return PipelineSpec(name=name, models=models, layers=tuple(layers))


def _finish(
    trial: optuna.trial.BaseTrial,
    finish: str,
    zoo: Sequence[str],
    tests: Sequence[int],
    test_tokens: int,
) -> tuple[list[Layer], str]:
    """Return the layers after the generators, and their name."""
    if finish == "vote":
        return [(Vote(),)], finish
    tester = trial.suggest_categorical("tests.model", list(zoo)) if len(zoo) > 1 else zoo[0]
    count = trial.suggest_categorical("tests.most", list(tests))
    runs = finish == "run_tests"
    writer = UnitTestGenerator(
        model=tester,
        kind="python" if runs else "assertions",
        tests=count,
        max_tokens=test_tokens,
    )
    told = f"{'run' if runs else 'judge'} {count} tests"
    if len(zoo) > 1:
        told += f" by {tester}"
    return [(writer,), (UnitTestEvaluator(model=None if runs else tester),)], told


def baselines(
    zoo: Sequence[str],
    *,
    styles: Mapping[str, Sequence[int]] = STYLES,
    samples: Sequence[int] = SAMPLES,
    temperatures: Sequence[float] = TEMPERATURES,
    finishes: Sequence[str] = FINISHES,
    tests: Sequence[int] = TESTS,  # noqa: ARG001 - no baseline writes tests
    test_tokens: int = TEST_TOKENS,  # noqa: ARG001
) -> list[Baseline]:
    """Return each model alone and each model's plurality, in all styles."""
    several = next((count for count in sorted(samples) if count >= 4), max(samples))
    found: list[Baseline] = []
    for model in zoo:
        others: dict[str, Any] = {f"{other}.samples": 0 for other in zoo if other != model}
        for style, limits in styles.items():
            for limit in limits:
                asked = {f"{model}.style": style, f"{model}.{style}.max_tokens": limit}
                alone = {**others, **asked, f"{model}.samples": 1}
                found.append(Baseline(f"{model} alone", single=True, params=alone))
                if several > 1 and "vote" in finishes:
                    warm = {f"{model}.samples": several, f"{model}.temperature": temperatures[0]}
                    params = {**others, **asked, **warm, "finish": "vote"}
                    found.append(
                        Baseline(f"{model} plurality of {several}", single=False, params=params)
                    )
    return found
