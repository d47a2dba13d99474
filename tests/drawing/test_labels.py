"""Labels of a figure: beside their marks, apart from each other, inside the axes."""

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from foldnet.drawing.figures import styled
from foldnet.drawing.labels import AWAY, place_labels


@styled()
def boxes_of(places, texts):
    """The boxes that labels take in pixels, and that of the axes."""
    figure = Figure(figsize=(4, 3))
    axes = figure.subplots()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    place_labels(axes, [(place, text, "black") for place, text in zip(places, texts, strict=True)], places)
    renderer = FigureCanvasAgg(figure).get_renderer()
    return [one.get_window_extent(renderer) for one in axes.texts], axes.get_window_extent(renderer), axes


def test_labels_of_marks_that_lie_close_cover_neither_each_other_nor_the_frame():
    places = [(0.5, 0.5), (0.51, 0.5), (0.5, 0.53), (0.99, 0.99), (0.01, 0.01), (0.99, 0.02)]
    boxes, room, _ = boxes_of(places, ["28-10-2", "28-10-1", "40-12", "16-1", "28-2", "28-14-2"])
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    for box in boxes:
        assert room.x0 <= box.x0 < box.x1 <= room.x1
        assert room.y0 <= box.y0 < box.y1 <= room.y1


@settings(max_examples=10, deadline=None)
@given(st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_a_label_that_is_alone_stands_at_its_mark_without_a_line(place):
    (box,), _, axes = boxes_of([place], ["16-1"])
    x, y = axes.transData.transform(place)
    near = 2 * AWAY[0] * axes.figure.dpi / 72
    assert max(box.x0 - x, x - box.x1, box.y0 - y, y - box.y1) < near
    assert axes.texts[0].arrow_patch is None


def test_a_label_that_must_stand_far_off_is_led_to_by_a_line():
    places = [(0.5 + 0.005 * i, 0.5) for i in range(9)]
    *_, axes = boxes_of(places, [f"28-10-{i}" for i in range(9)])
    assert any(text.arrow_patch is not None for text in axes.texts)
