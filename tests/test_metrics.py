"""The metrics by hand, the bootstrap by simulation, the front by its definition."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archon.metrics import (
    METRICS,
    Load,
    Resampling,
    Sample,
    difference,
    interval,
    intervals,
    measure,
    pareto_front,
    ratio,
    resampling,
)


def sample(score, joules, busy_s=None, weight=None, value=None):
    score, joules = np.atleast_2d(score).astype(float), np.atleast_2d(joules).astype(float)
    queries = score.shape[1]
    return Sample(
        score=score,
        joules=joules,
        busy_s=np.full(score.shape, 0.01) if busy_s is None else np.atleast_2d(busy_s),
        weight=np.ones(queries) if weight is None else np.asarray(weight, dtype=float),
        value=np.ones(queries) if value is None else np.asarray(value, dtype=float),
    )


def constant(accuracy, energy_net, busy_s, idle_watts):
    """Ten queries that all take the same."""
    score = [1.0] * round(10 * accuracy) + [0.0] * (10 - round(10 * accuracy))
    joules = energy_net + idle_watts * busy_s
    return sample(score, [joules] * 10, busy_s=[busy_s] * 10)


# Formulas


def test_every_metric_by_hand():
    # two repeats of three queries: traffic 1, 2, 1 and value 1, 1, 3
    seen = sample(
        [[1, 0, 1], [1, 0.5, 0]],
        [[1, 2, 3], [3, 2, 5]],
        busy_s=[[0.5, 0.25, 0.5], [0.5, 0.25, 1.0]],
        weight=[1, 2, 1],
        value=[1, 1, 3],
    )
    found = measure(seen, Load(rate=3.0, idle_watts=2.0))
    accuracy = (1 + 0 + 3 + 1 + 1 + 0) / (2 * 6)  # t·v: 1, 2, 3
    energy = (1 + 4 + 3 + 3 + 4 + 5) / (2 * 4)
    busy = (0.5 + 0.5 + 0.5 + 0.5 + 0.5 + 1.0) / (2 * 4)
    net = energy - 2 * busy
    watts = 2 * 2 + 3 * net  # 3 · 0.4375 s: two machines
    assert found.accuracy == pytest.approx(accuracy)
    assert found.energy_j == pytest.approx(energy)
    assert found.busy_s == pytest.approx(busy)
    assert found.energy_net_j == pytest.approx(net)
    assert found.capacity == pytest.approx(1 / busy)
    assert found.watts == pytest.approx(watts)
    assert found.ipw == pytest.approx(accuracy / watts)
    assert found.ipj == pytest.approx(accuracy / energy)
    assert found.ipw_busy == pytest.approx(accuracy / (energy / busy))
    assert found.j_per_correct == pytest.approx(16 / 3.5)  # neither traffic nor value


@pytest.mark.parametrize(
    ("rate", "watts_a", "watts_b", "ipw_a", "ipw_b"),
    [(0.1, 10.2, 10.8, 0.059, 0.074), (10.0, 30.0, 90.0, 0.020, 0.009)],
)
def test_the_worked_example(rate, watts_a, watts_b, ipw_a, ipw_b):
    load = Load(rate, idle_watts=10.0)
    a = measure(constant(0.6, 2.0, 0.01, 10.0), load)
    b = measure(constant(0.8, 8.0, 0.01, 10.0), load)
    assert (a.energy_net_j, b.energy_net_j) == pytest.approx((2.0, 8.0))
    assert (a.watts, b.watts) == pytest.approx((watts_a, watts_b))
    assert (round(a.ipw, 3), round(b.ipw, 3)) == (ipw_a, ipw_b)


def test_ratios_are_of_totals_and_not_means_of_ratios():
    found = measure(sample([1, 1], [1, 3]), Load(1.0, 0.0))
    assert found.ipj == pytest.approx(2 / 4)
    assert found.ipj != pytest.approx((1 / 1 + 1 / 3) / 2)


def test_traffic_counts_in_accuracy_and_energy_and_value_in_accuracy_alone():
    seen = {"score": [1, 0], "joules": [1, 5]}
    load = Load(1.0, 0.0)
    plain = measure(sample(**seen), load)
    busy = measure(sample(**seen, weight=[3, 1]), load)
    dear = measure(sample(**seen, value=[3, 1]), load)
    assert (plain.accuracy, busy.accuracy, dear.accuracy) == (0.5, 0.75, 0.75)
    assert (plain.energy_j, busy.energy_j, dear.energy_j) == (3.0, 2.0, 3.0)


@pytest.mark.parametrize(
    ("rate", "machines"), [(0.001, 1), (3.9, 1), (4.0, 1), (4.1, 2), (8.0, 2), (8.1, 3)]
)
def test_machines_are_whole_and_at_least_one(rate, machines):
    found = measure(constant(1.0, 2.0, 0.25, 10.0), Load(rate, 10.0))
    assert found.watts == pytest.approx(machines * 10 + rate * 2)


def test_rounding_buys_no_machine():
    assert 100 * 0.07 > 7
    seen = sample([1], [2.7], busy_s=[0.07])
    assert measure(seen, Load(100.0, 10.0)).watts == pytest.approx(7 * 10 + 100 * 2)


def test_what_was_not_measured_is_none():
    seen = sample([[1, 0], [1, 1]], [[1, 2], [np.nan, 3]])
    found = measure(seen, Load(1.0, 10.0))
    assert found.accuracy == 0.75
    energy = ("energy_j", "energy_net_j", "watts", "ipw", "ipj", "ipw_busy", "j_per_correct")
    assert [getattr(found, name) for name in energy] == [None] * 7
    assert found.busy_s == pytest.approx(0.01)
    draws = resampling(2, 2)
    bounds = intervals(seen, Load(1.0, 10.0), draws)
    assert {name for name, found in bounds.items() if found is None} >= set(energy)
    assert bounds["accuracy"] is not None
    assert difference("ipw", seen, seen, Load(1.0, 10.0), draws) is None


def test_without_a_right_answer_joules_per_correct_answer_are_none():
    found = measure(sample([0, 0], [1, 2]), Load(1.0, 10.0))
    assert found.j_per_correct is None
    assert (found.accuracy, found.ipw, found.ipj) == (0, 0, 0)


scores = st.lists(st.integers(0, 100).map(lambda percent: percent / 100), min_size=1, max_size=6)


@given(scores, st.randoms(), st.floats(0.1, 9))
def test_order_and_the_unit_of_weights_do_not_matter(score, random, factor):
    n = len(score)
    cells = [
        (s, random.uniform(0.5, 5), random.uniform(0.1, 1), random.uniform(0.5, 2)) for s in score
    ]
    load = Load(2.0, 1.0)

    def measured(rows, scale=1.0):
        s, j, b, t = (np.array(column) for column in zip(*rows, strict=True))
        found = measure(sample(s, j, busy_s=b, weight=scale * t), load)
        return [found.accuracy, found.energy_j, found.busy_s, found.watts, found.ipw, found.ipj]

    first = measured(cells)
    assert measured(random.sample(cells, n)) == pytest.approx(first)
    assert measured(cells, factor) == pytest.approx(first)


# Intervals


def test_a_resampling_draws_as_many_as_there_are():
    draws = resampling(3, 7, seed=1, replicates=50)
    assert draws.repeats.shape == (50, 3)
    assert draws.queries.shape == (50, 7)
    assert set(draws.repeats.sum(axis=1)) == {3}
    assert set(draws.queries.sum(axis=1)) == {7}


def test_a_seed_gives_the_same_draws():
    one, again, other = (resampling(2, 5, seed, 20) for seed in (1, 1, 2))
    assert np.array_equal(one.queries, again.queries)
    assert not np.array_equal(one.queries, other.queries)


def test_replicates_are_metrics_of_what_was_drawn():
    seen = sample([[1, 0, 0], [1, 1, 0]], [[1, 2, 3], [4, 5, 6]])
    draws = Resampling(np.array([[2.0, 0.0]]), np.array([[0.0, 1.0, 2.0]]))
    drawn = sample([[0, 0, 0], [0, 0, 0]], [[2, 3, 3], [2, 3, 3]])
    load = Load(1.0, 1.0)
    expected = measure(drawn, load)
    for name, bounds in intervals(seen, load, draws).items():
        value = getattr(expected, name)
        assert bounds is None if value is None else bounds == pytest.approx((value, value))
    assert tuple(intervals(seen, load, draws)) == METRICS


def test_an_interval_is_the_middle_95_percent():
    assert interval(np.arange(1001.0)) == (25.0, 975.0)
    assert interval(np.array([1.0, np.inf])) is None
    assert interval(np.array([1.0, np.nan])) is None


def test_intervals_cover_the_truth_at_about_their_rate():
    rng = np.random.default_rng(0)
    draws = resampling(1, 60, seed=1, replicates=400)
    load = Load(1.0, 0.0)
    covered = dict.fromkeys(["accuracy", "energy_j", "ipj"], 0)
    truth = {"accuracy": 0.6, "energy_j": 3.0, "ipj": 0.2}
    studies = 300
    for _ in range(studies):
        seen = sample(rng.random(60) < 0.6, rng.gamma(4.0, 0.75, 60))
        bounds = intervals(seen, load, draws)
        for name, true in truth.items():
            low, high = bounds[name]
            covered[name] += low <= true <= high
    assert all(0.91 <= count / studies <= 0.98 for count in covered.values()), covered


def test_noise_of_whole_windows_widens_the_interval_of_energy():
    rng = np.random.default_rng(0)
    queries = rng.gamma(4.0, 0.75, 200)
    calm = np.tile(queries, (5, 1))
    drifting = calm * np.array([[0.8], [0.9], [1.0], [1.1], [1.2]])
    draws = resampling(5, 200, seed=1)

    def width(joules):
        low, high = intervals(sample(np.ones((5, 200)), joules), Load(1.0, 0.0), draws)["energy_j"]
        return high - low

    assert width(drifting) > 1.5 * width(calm)


def paired_and_not(metric):
    rng = np.random.default_rng(0)
    hardness = rng.gamma(4.0, 0.75, 120)
    one = sample(hardness < 3.5, hardness)
    other = sample(hardness < 3.0, 0.9 * hardness)
    load, draws = Load(1.0, 0.0), resampling(1, 120, seed=1)
    shuffled = rng.permutation(120)
    apart = Sample(other.score[:, shuffled], other.joules[:, shuffled], *_rest(other))
    return difference(metric, one, other, load, draws), difference(metric, one, apart, load, draws)


def _rest(seen):
    return seen.busy_s, seen.weight, seen.value


@pytest.mark.parametrize("metric", ["accuracy", "energy_j", "ipj"])
def test_pairing_narrows_a_difference(metric):
    paired, unpaired = paired_and_not(metric)
    assert paired[1] - paired[0] < 0.8 * (unpaired[1] - unpaired[0])


def test_a_difference_has_a_sign_and_a_pipeline_does_not_differ_from_itself():
    one, other = sample([1, 1, 0, 1], [1, 1, 2, 1]), sample([0, 0, 0, 1], [2, 2, 2, 2])
    load, draws = Load(1.0, 0.0), resampling(1, 4, seed=1)
    assert difference("energy_j", one, other, load, draws)[1] <= 0
    assert difference("accuracy", one, other, load, draws)[0] >= 0
    assert difference("energy_j", one, one, load, draws) == (0.0, 0.0)


def test_a_ratio_is_of_totals_and_paired():
    one, other = sample([1, 1, 0, 1], [2, 4, 6, 8]), sample([1, 0, 0, 1], [1, 2, 3, 4])
    load, draws = Load(1.0, 0.0), resampling(1, 4)
    assert ratio("energy_j", one, other, load, draws) == pytest.approx((2.0, 2.0))
    assert ratio("energy_j", one, sample([1] * 4, [0] * 4), load, draws) is None
    assert ratio("energy_j", one, one, load, draws) == (1.0, 1.0)


# The front

points = st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.5, 0.9]), st.integers(1, 6)), max_size=12)


@given(points)
def test_the_front_rises_in_accuracy_and_joules(found):
    front = [found[index] for index in pareto_front(found)]
    assert front == sorted(set(front), key=lambda point: point[1])
    assert [a for a, _ in front] == sorted({a for a, _ in front})


@given(points)
def test_what_is_not_on_the_front_is_matched_there_and_nothing_beats_the_front(found):
    front = pareto_front(found)
    for accuracy, joules in found:
        assert any(found[i][0] >= accuracy and found[i][1] <= joules for i in front)
    for i in front:
        beaten = [
            (a, j) for a, j in found if a >= found[i][0] and j <= found[i][1] and (a, j) != found[i]
        ]
        assert beaten == []


@given(points, st.randoms())
def test_the_order_of_points_does_not_matter(found, random):
    shuffled = random.sample(found, len(found))
    assert {found[i] for i in pareto_front(found)} == {shuffled[i] for i in pareto_front(shuffled)}


def test_of_equal_points_the_first_is_on_the_front():
    assert pareto_front([(0.5, 2.0), (0.5, 1.0), (0.5, 1.0), (0.9, 3.0)]) == [1, 3]
    assert pareto_front([]) == []


def test_the_front_of_a_chain_is_all_of_it():
    chain = [(math.sqrt(x), float(x)) for x in range(10)]
    assert pareto_front(chain) == list(range(10))
