import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from archon.report.labels import Placement, place_labels

FRAME = (0.0, 0.0, 600.0, 300.0)
NOTHING = np.empty((0, 4))


def overlap(a: Placement, b: Placement) -> bool:
    return (
        min(a.box[2], b.box[2]) > max(a.box[0], b.box[0]) + 1e-9
        and min(a.box[3], b.box[3]) > max(a.box[1], b.box[1]) + 1e-9
    )


def test_a_lone_label_sits_right_of_its_point_without_a_line() -> None:
    (place,) = place_labels([(100, 100)], [(80, 10)], NOTHING, FRAME)
    assert (place.align, place.dy, place.far) == ("left", 0, False)
    assert place.box == (108, 95, 188, 105)


def test_at_the_right_edge_it_sits_elsewhere() -> None:
    (place,) = place_labels([(590, 100)], [(80, 10)], NOTHING, FRAME)
    assert place.box[2] <= 600


def test_it_gives_way_to_what_is_drawn() -> None:
    bar = np.array([[100.0, 97.0, 300.0, 103.0]])
    (place,) = place_labels([(100, 100)], [(80, 10)], bar, FRAME)
    assert place.box[1] >= 103 or place.box[3] <= 97 or place.box[2] <= 100


def test_a_label_keeps_off_another_s_marker() -> None:
    first, _ = place_labels([(100, 100), (112, 100)], [(80, 10), (80, 10)], NOTHING, FRAME)
    assert first.align != "left" or abs(first.dy) > 5


def test_a_label_far_from_its_point_gets_a_line() -> None:
    wall = np.array([[60.0, 60.0, 140.0, 140.0]] * 50)
    (place,) = place_labels([(100, 100)], [(30, 10)], wall, FRAME)
    assert place.far


@given(st.lists(st.tuples(st.floats(150, 450), st.floats(60, 240)), min_size=1, max_size=6))
def test_labels_overlap_neither_each_other_nor_the_frame(points: list[tuple[float, float]]) -> None:
    places = place_labels(points, [(90.0, 11.0)] * len(points), NOTHING, FRAME)
    for i, place in enumerate(places):
        assert place.box[0] >= 0
        assert place.box[1] >= 0
        assert place.box[2] <= 600
        assert place.box[3] <= 300
        assert not any(overlap(place, other) for other in places[:i])
