"""Racing: how often a pipeline is stopped wrongly, and how often rightly.

Simulated queries; each test looks at every rung and counts the trials stopped at any look.
"""

import numpy as np
import pytest

from archon.metrics import Array
from archon.search.racing import is_dominated, is_worse, misses_floor, rungs

RUNGS = rungs(16, 256)
LOOKS = len(RUNGS) - 1
TRIALS = 400
# Half of 5% is each test's share; with 400 trials at that rate, 19 are exceeded 1 time in 1000.
MOST_WRONG = 19


def test_rungs_double_up_to_all_queries() -> None:
    assert rungs(16, 100) == [16, 32, 64, 100]
    assert rungs(16, 64) == [16, 32, 64]
    assert rungs(16, 17) == [16, 17]
    assert rungs(16, 16) == [16]
    assert rungs(16, 5) == [5]


def outcomes(rng: np.random.Generator, p: float, cost: float, n: int = 256) -> tuple[Array, Array]:
    """Draw right and wrong answers, and joules that scatter by a third."""
    return (rng.random(n) < p).astype(float), cost * rng.gamma(9.0, 1 / 9, n)


def worse_at(mine: tuple[Array, Array], best: tuple[Array, Array]) -> int | None:
    """Return the number of queries at which racing stops, None if it never does."""
    for n in RUNGS[:-1]:
        if is_worse(mine[0][:n], mine[1][:n], best[0][:n], best[1][:n], LOOKS):
            return n
    return None


@pytest.mark.parametrize("p_best", [0.5, 0.9])
@pytest.mark.parametrize("p", [0.02, 0.1, 0.5, 0.9])
def test_a_pipeline_of_equal_worth_is_rarely_stopped(p: float, p_best: float) -> None:
    """It costs in proportion to its accuracy: a rarely right one is as good as a dear one."""
    rng = np.random.default_rng(7)
    wrong = sum(
        worse_at(outcomes(rng, p, p), outcomes(rng, p_best, p_best)) is not None
        for _ in range(TRIALS)
    )
    assert wrong <= MOST_WRONG


def test_a_slightly_better_pipeline_is_almost_never_stopped() -> None:
    rng = np.random.default_rng(8)
    wrong = sum(
        worse_at(outcomes(rng, 0.6, 1.0), outcomes(rng, 0.5, 1.0)) is not None
        for _ in range(TRIALS)
    )
    assert wrong <= 3


def test_a_much_worse_pipeline_is_stopped_early() -> None:
    rng = np.random.default_rng(9)
    stops = [worse_at(outcomes(rng, 0.5, 4.0), outcomes(rng, 0.5, 1.0)) for _ in range(TRIALS)]
    assert stops.count(None) == 0
    assert np.mean([n for n in stops if n is not None]) < 40


def test_a_pair_that_always_differs_alike_is_judged_without_division_by_zero() -> None:
    ones = np.ones(16)
    assert is_worse(ones, 9 * ones, ones, ones, LOOKS)
    assert not is_worse(ones, ones, ones, ones, LOOKS)
    assert not is_worse(ones, ones, ones, 2 * ones, LOOKS)


def test_pairing_sees_what_totals_hide() -> None:
    """A pipeline slightly dearer on every query is stopped, however much queries differ."""
    rng = np.random.default_rng(10)
    joules = rng.gamma(0.3, 30.0, 64)
    score = np.ones(64)
    assert is_worse(score, 1.2 * joules, score, joules, LOOKS)


def floor_stop(score: Array, floor: float) -> bool:
    return any(misses_floor(score[:n], floor, LOOKS) for n in RUNGS[:-1])


@pytest.mark.parametrize("floor", [0.1, 0.5, 0.8, 0.95])
def test_a_pipeline_at_the_floor_is_rarely_stopped(floor: float) -> None:
    rng = np.random.default_rng(11)
    wrong = sum(floor_stop(outcomes(rng, floor, 1.0)[0], floor) for _ in range(TRIALS))
    assert wrong <= MOST_WRONG


def test_partial_scores_at_the_floor_are_stopped_even_less() -> None:
    rng = np.random.default_rng(12)
    wrong = sum(floor_stop(rng.beta(2.0, 2.0, 256), 0.5) for _ in range(TRIALS))
    assert wrong <= 3


def test_a_pipeline_far_below_the_floor_is_stopped() -> None:
    rng = np.random.default_rng(13)
    stopped = sum(floor_stop(outcomes(rng, 0.5, 1.0)[0], 0.8) for _ in range(TRIALS))
    assert stopped == TRIALS


def test_all_right_never_misses_and_all_wrong_soon_does() -> None:
    assert not misses_floor(np.ones(16), 1.0, LOOKS)
    assert misses_floor(np.zeros(16), 0.5, LOOKS)
    assert not misses_floor(np.zeros(16), 0.05, LOOKS)


def test_domination_needs_both_accuracy_and_energy() -> None:
    rng = np.random.default_rng(14)
    good, cheap = outcomes(rng, 0.9, 1.0, 64)
    poor, dear = outcomes(rng, 0.3, 3.0, 64)
    assert is_dominated(poor, dear, [(good, cheap)], LOOKS)
    assert not is_dominated(good, dear, [(poor, cheap)], LOOKS)
    assert not is_dominated(poor, cheap, [(good, dear)], LOOKS)
    assert not is_dominated(poor, dear, [], LOOKS)
