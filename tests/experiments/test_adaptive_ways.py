"""The adaptive experiment: its pipelines, the choice among them, and what may be said of them."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archon.metrics import Load, Metrics, Sample, measure
from archon.spec import parse_spec
from experiments.adaptive.choose import cheapest
from experiments.adaptive.tables import Figures, said
from experiments.adaptive.ways import GREEDY, KINDS, MOST, WAYS, pipelines


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_way_has_pipelines_that_load_and_none_comes_twice(kind):
    ways = pipelines(kind, "m")
    assert tuple(ways) == WAYS
    specs = [spec for found in ways.values() for spec in found]
    assert len({spec.canonical for spec in specs}) == len(specs)
    assert len({spec.name for spec in specs}) == len(specs)
    assert all(parse_spec(spec.to_yaml(), "here").canonical == spec.canonical for spec in specs)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_no_way_may_draw_more_than_the_one_it_is_compared_with(kind):
    """But for a first stage's one greedy answer, which no vote can use."""
    ways = pipelines(kind, "m")
    drawn = {
        way: max(
            part.samples
            for spec in specs
            for layer in spec.layers
            for component in layer
            for part in component.parts
            if hasattr(part, "samples")
        )
        for way, specs in ways.items()
    }
    assert drawn == {GREEDY: 1} | dict.fromkeys(WAYS[1:], MOST)
    assert ways["best of n"][-1].layers[0][0].samples == MOST


@dataclass
class Seen:
    """What the choice looks at."""

    accuracy: float
    energy_j: float

    @property
    def metrics(self):
        return self


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0.1, 9)), min_size=1),
    st.floats(0, 1),
)
def test_the_choice_is_the_cheapest_that_is_accurate_enough(points, accuracy):
    seen = [Seen(*point) for point in points]
    choice = cheapest(seen, accuracy)
    enough = [one.energy_j for one in seen if one.accuracy >= accuracy - 1e-9]
    assert choice.reached == bool(enough)
    if enough:
        assert choice.evaluation.energy_j == min(enough)
    else:
        assert choice.evaluation.accuracy == max(one.accuracy for one in seen)


SAMPLE = Sample(*(np.ones((1, 2)) for _ in range(3)), np.ones(2), np.ones(2))
METRICS: Metrics = measure(SAMPLE, Load(1.0, 0.0))


@pytest.mark.parametrize(
    ("gain", "saving", "told"),
    [
        ((-0.02, 0.03), (0.4, 0.6), "(-2.0 to +3.0 points of accuracy) takes 40% to 60% less"),
        ((-0.02, 0.03), (1.1, 1.5), "(-2.0 to +3.0 points of accuracy) takes 10% to 50% more"),
        ((-0.02, 0.03), (0.9, 1.1), "points of accuracy) is not shown to differ in energy from"),
        ((0.01, 0.03), (0.4, 0.6), "is more accurate and takes"),
        ((-0.09, -0.03), (0.4, 0.6), "is less accurate and takes"),
        ((-0.09, -0.03), None, "cannot be compared with"),
    ],
)
def test_only_what_intervals_allow_is_said(gain, saving, told):
    assert told in said(Figures(METRICS, None, None, gain, saving))
