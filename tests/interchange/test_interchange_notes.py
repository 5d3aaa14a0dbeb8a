"""Notes name every place in few words."""

import pytest

from archon.interchange.notes import Notes


@pytest.mark.parametrize(
    ("places", "shown"),
    [
        (["layers[1][0]"], "layers[1][0]"),
        (["layers[0]", "layers[1]", "layers[2]"], "layers[0-2]"),
        (["layers[0][0]", "layers[0][1]", "layers[1][0]"], "layers[0][0-1], layers[1][0]"),
        (["layers[0][0]", "layers[0][2]", "layers[0][3]"], "layers[0][0], layers[0][2-3]"),
        (["name", "models.a"], "name, models.a"),
    ],
)
def test_equal_notes_become_one_line_with_all_places(places, shown):
    notes = Notes()
    for place in places:
        notes.add(place, "left out")
    assert notes.lines() == [f"{shown}: left out"]


def test_lines_come_in_the_order_of_the_first_of_their_kind():
    notes = Notes()
    for place, text in [("a", "x"), ("b", "y"), ("c", "x")]:
        notes.add(place, text)
    assert notes.lines() == ["a, c: x", "b: y"]
