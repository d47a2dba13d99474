"""The depth dial as a picture: what is drawn, and that it is the same file every time."""

import re

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_hex

from foldnet.drawing.colors import DISTINCT
from foldnet.drawing.curves import depth_figure
from foldnet.drawing.figures import figure_bytes
from foldnet.errors import SettingError

LOOPS = {
    "stage2.loop1": {"as folded": [(1, 0.5), (2, 0.9), (4, 0.7)], "recalibrated": [(1, 0.6), (2, 0.95)]},
    "stage3.loop1": {"as folded": [(1, 0.8), (2, 0.6)], "recalibrated": []},
}


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def curves_of(figure):
    return [line for line in figure.axes[0].lines if len(line.get_xdata()) and line.get_marker() != "|"]


def test_a_loop_is_a_colour_and_a_series_a_line_style():
    figure = depth_figure(LOOPS, "trips")
    curves = curves_of(figure)
    assert [list(line.get_xdata()) for line in curves] == [[1, 2, 4], [1, 2], [1, 2]]
    np.testing.assert_allclose(curves[0].get_ydata(), [50, 90, 70])
    assert [line.get_linestyle() for line in curves] == ["-", "--", "-"]
    assert [to_hex(line.get_color()) for line in curves] == [DISTINCT[0], DISTINCT[0], DISTINCT[1]]
    assert legend(figure) == ["stage2.loop1", "stage3.loop1", "as folded", "recalibrated"]


def test_a_tick_stands_at_the_trips_found():
    figure = depth_figure(LOOPS, found={"stage2.loop1": 3, "stage3.loop1": 1})
    ticks = [line for line in figure.axes[0].lines if line.get_marker() == "|"]
    # Between two measurements a tick stands on the line between them.
    found = [(line.get_xdata()[0], round(float(line.get_ydata()[0]), 6)) for line in ticks]
    assert found == [(3, 80), (3, 95), (1, 80)]
    assert legend(figure)[-1] == "trips found"


def test_whatever_was_measured_is_drawn():
    names = ("as folded", "recalibrated", "damped", "damped recalibrated")
    figure = depth_figure({"stage2.loop1": {name: [(0, 0.1), (1, 0.2)] for name in names}})
    assert len({(str(line.get_linestyle()), line.get_marker()) for line in curves_of(figure)}) == 4
    assert legend(figure) == ["stage2.loop1", *names]


@pytest.mark.parametrize(
    ("trips", "ticks"),
    [((1, 2), [1, 2]), ((0, 3, 6), list(range(7))), ((1, 20, 40), [1, 5, 8, 12, 15, 19, 22, 26, 29, 33, 36, 40])],
)
def test_whole_numbers_stand_along_x_and_at_both_ends(trips, ticks):
    axes = depth_figure({"stage2.loop1": {"as folded": [(trip, 0.5) for trip in trips]}}).axes[0]
    assert list(axes.get_xticks()) == ticks


def test_a_logarithmic_axis_has_a_number_at_each_doubling():
    figure = depth_figure({"64 bits": {"as folded": [(trip, 0.5) for trip in (10, 20, 40, 640)]}}, logarithmic=True)
    figure.canvas.draw()
    (axes,), (low, high) = figure.axes, figure.axes[0].get_xlim()
    labels = zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
    assert [label.get_text() for place, label in labels if low <= place <= high] == [
        "16",
        "32",
        "64",
        "128",
        "256",
        "512",
    ]
    assert legend(figure) == ["64 bits"]  # of one series there is nothing to tell apart


def test_a_figure_is_the_same_file_every_time_whatever_the_users_settings():
    plain = figure_bytes(depth_figure(LOOPS, "t"), ".svg")
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9, "axes.grid": True, "axes.facecolor": "red"}):
        assert figure_bytes(depth_figure(LOOPS, "t"), ".svg") == plain


def refused(text: str):
    return pytest.raises(SettingError, match=f"^{re.escape(text)}$")


def test_wrong_inputs_are_named():
    for nothing in ({}, {"stage2.loop1": {"as folded": []}}):
        with refused("there is no curve to draw; a program without loops has no trips to vary"):
            depth_figure(nothing)
