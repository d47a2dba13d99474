"""Grids, Figure 5 and reach as pictures: what is drawn, in which colours, and that it is the same file every time."""

import re

import numpy as np
import pytest
from matplotlib.colors import to_hex

from foldnet.drawing.colors import DISTINCT
from foldnet.drawing.curves import ReachCurve, f1_figure, reach_figure
from foldnet.drawing.figures import figure_bytes
from foldnet.drawing.grids import FALSE, FREE, HIT, MISS, NAMES, OBSTACLE, GridPicture, grids_figure, kinds_of
from foldnet.errors import SettingError


def picture(side=4):
    obstacles = np.zeros((side, side), bool)
    obstacles[0, 1] = obstacles[3, 3] = True
    target = np.zeros((side, side), bool)
    target[1, :3] = True
    marked = np.zeros((side, side), bool)
    marked[1, :2] = marked[2, 2] = marked[3, 3] = True
    return GridPicture(obstacles, target, np.array([[1, 0], [1, 2]]), marked, "2 steps, F1 0.50")


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_every_cell_is_of_one_kind():
    assert kinds_of(picture()).tolist() == [
        [FREE, OBSTACLE, FREE, FREE],
        [HIT, HIT, MISS, FREE],
        [FREE, FREE, FALSE, FREE],
        [FREE, FREE, FREE, FALSE],
    ]


@pytest.mark.parametrize("count", [1, 4, 6])
def test_grids_stand_side_by_side_with_their_queries_and_captions(count):
    figure = grids_figure([picture()] * count, "a title")
    assert len(figure.axes) == count
    for axes in figure.axes:
        assert np.array_equal(axes.images[0].get_array(), kinds_of(picture()))
        assert axes.lines[0].get_xydata().tolist() == [[0, 1], [2, 1]]
        assert axes.get_xlabel() == "2 steps, F1 0.50"
        sides = {tuple(map(tuple, line)) for line in axes.collections[0].get_segments()}
        assert len(sides) == 8  # the border of a path of three cells
        assert ((-0.5, 0.5), (-0.5, 1.5)) in sides
        assert ((2.5, 0.5), (2.5, 1.5)) in sides
        assert ((0.5, 0.5), (0.5, 1.5)) not in sides
    assert [text.get_text() for text in figure.texts] == ["a title"]
    assert legend(figure) == [*NAMES[1:], "query", "border of the true path"]


def test_f1_is_a_mean_and_a_band_over_seeds_with_borders():
    curves = {"cnn": [[0.1, 0.5, 0.7, 0.9]], "scnn": [[0.2, 0.6, 0.5, 0.8], [0.4, 0.8, 0.7, 1.0]]}
    figure = f1_figure(curves, [2], ["window 5", "window 9"], "cells")
    (axes,) = figure.axes
    lines = [line for line in axes.lines if len(line.get_xdata()) == 4]
    assert [to_hex(line.get_color()) for line in lines] == list(DISTINCT[:2])
    assert lines[0].get_ydata().tolist() == [0.1, 0.5, 0.7, 0.9]
    assert lines[1].get_ydata() == pytest.approx([0.3, 0.7, 0.6, 0.9])
    assert lines[1].get_xdata().tolist() == [1, 2, 3, 4]
    heights = axes.collections[1].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (0.2, 1.0)
    (border,) = [line for line in axes.lines if len(line.get_xdata()) == 2]
    assert border.get_xdata() == [2.5, 2.5]
    assert [(text.get_text(), text.get_position()[0]) for text in axes.texts] == [("window 5", 1.5), ("window 9", 3.5)]
    assert legend(figure) == ["cnn (1 seed)", "scnn (2 seeds)"]


def test_a_bad_first_epoch_does_not_press_the_curves_together():
    seeds = [[0.05, *[0.97] * 30, *[0.99] * 19], [0.9, *[0.98] * 49]]
    (axes,) = f1_figure({"cnn": seeds}, [], []).axes
    assert axes.get_ylim()[0] > 0.9
    (said,) = [text.get_text() for text in axes.texts]
    assert re.fullmatch(r"not shown: F1 below 0\.9\d, down to 0\.05, up to epoch 1", said)


def test_slow_curves_are_shown_whole():
    rising = np.linspace(0.1, 0.9, 50).tolist()
    (axes,) = f1_figure({"cnn": [rising]}, [], []).axes
    assert 0.0 < axes.get_ylim()[0] < 0.1
    assert list(axes.texts) == []


def test_a_single_number_of_steps_has_whole_numbers_beside_it():
    for axes in reach_figure([ReachCurve("plain", ((4, 0.5, 0.2),), (), None, ((2, 1.0, 0.9),))]).axes:
        ticks = [float(tick) for tick in axes.get_xticks()]
        assert len(ticks) >= 2
        assert all(tick.is_integer() for tick in ticks)


CURVES = [
    ReachCurve("plain", ((20, 0.5, 0.25),), (), None, ((1.5, 1.0, 0.9), (3.5, 0.4, 0.1))),
    ReachCurve("looped", ((10, 0.6, 0.3), (20, 0.8, 0.5)), ((20, 0.8, 0.6), (30, 0.7, 0.2)), 20, ((1.5, 0.9, 0.8),)),
]


def test_reach_has_four_panels():
    figure = reach_figure(CURVES, "on grids")
    steps_f1, length_f1, steps_whole, length_whole = figure.axes
    diamond, solid, dashed, tick = steps_f1.lines
    assert (diamond.get_marker(), diamond.get_xydata().tolist()) == ("D", [[20, 0.5]])
    assert solid.get_xydata().tolist() == [[10, 0.6], [20, 0.8]]
    assert dashed.get_xydata().tolist() == [[20, 0.8], [30, 0.7]]
    assert (tick.get_marker(), tick.get_xydata().tolist()) == ("|", [[20, 0.8]])
    assert steps_whole.lines[1].get_xydata().tolist() == [[10, 0.3], [20, 0.5]]
    assert [line.get_xydata().tolist() for line in length_f1.lines] == [[[1.5, 1.0], [3.5, 0.4]], [[1.5, 0.9]]]
    assert length_whole.lines[0].get_xydata().tolist() == [[1.5, 0.9], [3.5, 0.1]]
    assert (steps_f1.get_ylabel(), steps_whole.get_ylabel()) == ("F1", "grids wholly right")
    assert (steps_whole.get_xlabel(), length_whole.get_xlabel()) == ("steps", "steps of the shortest path")
    assert legend(figure) == ["plain", "looped", "recalibrated", "as found"]


def test_pictures_are_the_same_every_time():
    for make in (
        lambda: grids_figure([picture()]),
        lambda: f1_figure({"a": [[0.1, 0.2]]}, [], []),
        lambda: reach_figure(CURVES),
    ):
        assert figure_bytes(make(), ".svg") == figure_bytes(make(), ".svg")


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (lambda: grids_figure([]), r"^there is no grid to draw; ask for at least one$"),
        (
            lambda: f1_figure({}, [], []),
            r"^there is no run whose F1 could be drawn; train some with `foldnet\.train\(dataset='paths'\)`$",
        ),
        (
            lambda: f1_figure({"a": [[0.1], [0.1, 0.2]]}, [], []),
            r"^the runs of a have other numbers of epochs; draw those that are as long$",
        ),
        (lambda: reach_figure([]), r"^there is no network whose reach could be drawn; name runs or folds$"),
    ],
)
def test_nothing_is_not_drawn(draw, said):
    with pytest.raises(SettingError, match=said):
        draw()
