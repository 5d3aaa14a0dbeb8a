"""What is maximised, what meets the floor, and which trial cannot win any more."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from archon.metrics import Load, Sample, measure
from archon.search.config import Floor, ObjectiveSection
from archon.search.evaluate import Evaluation
from archon.search.objective import Objective, directions
from archon.spec import PipelineSpec, parse_spec

LOAD = Load(rate=2.0, idle_watts=10.0)
SPEC = "{models: {a: {zoo: a}}, layers: [[{type: generator, model: a}]]}"


def spec(name: str) -> PipelineSpec:
    return parse_spec(SPEC, name).model_copy(update={"name": name})


def evaluation(
    score: list[float], joules: float, *, name: str = "some", weight: float | list[float] = 1.0
) -> Evaluation:
    n = len(score)
    sample = Sample(
        score=np.array([score]),
        joules=np.full((1, n), joules),
        busy_s=np.full((1, n), 0.01),
        weight=np.broadcast_to(np.array(weight, dtype=float), (n,)),
        value=np.ones(n),
    )
    return Evaluation(spec(name), LOAD, [], sample, measure(sample, LOAD), n, 0, 0, Counter())


def objective(**settings: Any) -> Objective:
    return Objective(ObjectiveSection(**settings), LOAD)


RIGHT, HALF, WRONG = [1.0] * 32, [0.0, 1.0] * 16, [0.0] * 32


def test_a_pipeline_is_scored_by_the_metric() -> None:
    one = evaluation(HALF, 3.0)
    # 10 W idle on one machine, and 2/s x (3 J - 10 W x 0.01 s).
    assert objective(metric="ipw").score(one.metrics) == pytest.approx(0.5 / (10 + 2 * 2.9))
    assert objective(metric="ipj").score(one.metrics) == pytest.approx(0.5 / 3)


def test_pareto_tells_accuracy_up_and_joules_down() -> None:
    pareto = objective(metric="pareto")
    assert directions("pareto") == ["maximize", "minimize"]
    assert pareto.values(evaluation(HALF, 3.0).metrics) == pytest.approx([0.5, 3.0])
    assert directions("ipw") == directions("ipj") == ["maximize"]
    assert (pareto.confirmed_metric, objective(metric="ipw").confirmed_metric) == ("ipj", "ipw")


def test_without_a_floor_everything_meets_it() -> None:
    free = objective()
    assert free.shortfall(0.0) < 0
    assert free.best([evaluation(WRONG, 1.0)]) is not None


def test_a_floor_in_numbers() -> None:
    held = objective(accuracy_floor=0.5)
    assert held.shortfall(0.3) == pytest.approx(0.2)
    assert held.shortfall(0.5) == 0
    assert held.shortfall(0.8) < 0
    held.resolve_floor(0.9)  # single models do not move it
    assert held.floor == 0.5


def test_a_relative_floor_is_met_by_nothing_until_the_single_models_are_known() -> None:
    relative = objective(accuracy_floor="best_single + 0.1")
    assert relative.shortfall(1.0) > 0
    assert relative.best([evaluation(RIGHT, 1.0)]) is None
    relative.resolve_floor(0.4)
    assert relative.floor == pytest.approx(0.5)
    assert relative.shortfall(0.5) == pytest.approx(0)
    assert relative.best([evaluation(RIGHT, 1.0)]) is not None
    relative.resolve_floor(0.4 + 1e-16)  # rounding is no shortfall
    assert relative.shortfall(0.5) <= 0


def test_the_best_is_the_highest_score_among_those_that_meet_the_floor() -> None:
    cheap, good, dear = (
        evaluation([*WRONG[:-1], 1.0], 0.01, name="cheap"),
        evaluation(HALF, 1.0, name="good"),
        evaluation(RIGHT, 100.0, name="dear"),
    )
    best = objective(metric="ipj", accuracy_floor=0.5).best([cheap, good, dear])
    assert best is good
    assert objective(metric="ipj").best([cheap, good, dear]) is cheap
    assert objective(metric="ipj", accuracy_floor=0.9).best([cheap, good, dear]) is dear
    assert objective(accuracy_floor=1.0).best([cheap, good]) is None


def cannot_win(goal: Objective, one: Evaluation, incumbent: Evaluation | None) -> bool:
    others = {} if incumbent is None else {"incumbent": incumbent}
    return goal.cannot_win(one, incumbent, others, looks=2)


def test_a_trial_far_below_the_floor_is_stopped_even_without_an_incumbent() -> None:
    goal = objective(accuracy_floor=0.9)
    assert cannot_win(goal, evaluation(HALF, 0.1), None)
    assert not cannot_win(goal, evaluation(RIGHT, 9.0), None)


def test_queries_of_unequal_weight_are_not_held_against_a_floor_as_if_equal() -> None:
    goal = objective(accuracy_floor=0.9)
    weight = [1.0 + i % 2 for i in range(32)]
    assert not cannot_win(goal, evaluation(HALF, 0.1, weight=weight), None)


@pytest.mark.parametrize("metric", ["ipw", "ipj", "pareto"])
def test_a_trial_far_behind_the_incumbent_is_stopped(metric: str) -> None:
    goal = objective(metric=metric)
    incumbent = evaluation(RIGHT + RIGHT, 1.0)
    assert cannot_win(goal, evaluation(HALF, 90.0), incumbent)
    assert not cannot_win(goal, evaluation(RIGHT, 0.9), incumbent)
    assert not cannot_win(goal, evaluation(RIGHT, 1.0), incumbent)


def test_a_cheap_poor_trial_stays_on_a_front_but_not_under_ipw() -> None:
    poor, incumbent = evaluation(WRONG, 0.1), evaluation(RIGHT + RIGHT, 1.0)
    assert not cannot_win(objective(metric="pareto"), poor, incumbent)
    assert cannot_win(objective(metric="ipw"), poor, incumbent)


def test_idle_power_pays_for_accuracy_under_ipw() -> None:
    """At 10 W idle a tenth of a joule hardly matters, so ipw keeps what ipj stops."""
    incumbent, dearer = evaluation(HALF + HALF, 0.02), evaluation(RIGHT, 0.2)
    assert cannot_win(objective(metric="ipj"), dearer, incumbent)
    assert not cannot_win(objective(metric="ipw"), dearer, incumbent)


def test_floors_print_as_they_are_written() -> None:
    assert str(Floor(value=0.05, relative=True)) == "best_single + 0.05"
    assert str(Floor(value=-0.05, relative=True)) == "best_single - 0.05"
    assert str(Floor(value=0.5, relative=False)) == "0.5"
