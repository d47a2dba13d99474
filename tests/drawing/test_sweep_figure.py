"""Sweeps as pictures: what is drawn, and that it is the same file every time."""

import re
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import pytest
from scipy.stats import binomtest

from foldnet.drawing.colors import LOOP_COLORS, RING
from foldnet.drawing.figures import figure_bytes, write_figure
from foldnet.drawing.sweep_figure import interval, sweep_figure
from foldnet.errors import SettingError


@dataclass(frozen=True)
class Point:
    score: float
    stored_numbers: int
    loops: int


LAYER = [Point(0.97, 900_000, 0), Point(0.96, 800_000, 1), Point(0.95, 500_000, 7)]
BLOCK = [Point(0.97, 900_000, 0), Point(0.94, 400_000, 2)]


def markers(axes):
    """(x, y, shape, fill) of every marker that stands for a point."""
    lines = [line for line in axes.lines if line.get_linestyle() == "None"]
    return [
        (
            round(float(line.get_xdata()[0]), 6),
            round(float(line.get_ydata()[0]), 6),
            line.get_marker(),
            line.get_markerfacecolor(),
        )
        for line in lines
    ]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_sweep_has_a_marker_for_each_point_coloured_and_numbered_by_its_loops():
    figure = sweep_figure({"layer": LAYER, "block": BLOCK}, 0.98, "a sweep")
    (axes,) = figure.axes
    assert markers(axes) == [
        (900, 97, "o", LOOP_COLORS[0]),
        (800, 96, "o", LOOP_COLORS[1]),
        (500, 95, "o", LOOP_COLORS[-1]),
        (900, 97, "s", LOOP_COLORS[0]),
        (400, 94, "s", LOOP_COLORS[2]),
    ]
    assert [text.get_text() for text in axes.texts] == ["1", "7", "2"]
    assert [text.get_text() for text in figure.texts] == ["a sweep"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("shared weights stored (K)", "validation accuracy (%)")
    assert legend(figure) == [
        "clustered by layer",
        "clustered by block",
        "soft",
        "0 loops",
        "1 loop",
        "2 loops",
        "5 or more loops",
    ]


def test_soft_is_a_horizontal_line():
    axes = sweep_figure({"layer": LAYER}, 0.98).axes[0]
    (line,) = [line for line in axes.lines if list(line.get_ydata()) == [98, 98]]
    assert list(line.get_xdata()) == [0, 1]  # of the axes' width


@pytest.mark.parametrize(
    ("stored", "dense", "x", "said"),
    [(1_500_000, None, 1.5, "M"), (1_500, None, 1.5, "K"), (1_500, 3_000, 50, "% of dense")],
)
def test_stored_weights_are_absolute_or_a_share_of_dense(stored, dense, x, said):
    (axes,) = sweep_figure({"layer": [Point(0.9, stored, 0)]}, 0.9, dense=dense).axes
    assert axes.get_xlabel() == f"shared weights stored ({said})"
    assert markers(axes)[0][0] == x


def test_the_knee_of_each_unit_is_ringed():
    figure = sweep_figure({"layer": LAYER, "block": BLOCK}, 0.98, knees={"layer": LAYER[1], "block": BLOCK[1]})
    rings = [line for line in figure.axes[0].lines if line.get_markeredgecolor() == RING]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in rings] == [(800, 96), (400, 94)]
    assert "knee" in legend(figure)


def test_points_have_the_interval_of_a_share_of_so_many_images():
    figure = sweep_figure({"layer": LAYER, "block": BLOCK}, 0.98, images=360)
    bars = [line for line in figure.axes[0].lines if line.get_marker() == "_"]
    assert [list(bar.get_xdata()) for bar in bars] == [[x, x] for x in (900, 800, 500, 900, 400)]
    assert list(bars[0].get_ydata()) == pytest.approx([100 * end for end in interval(0.97, 360)])
    assert legend(figure)[-1] == "95 % interval, 360 images"
    without = sweep_figure({"layer": LAYER}, 0.98)
    assert "_" not in [line.get_marker() for line in without.axes[0].lines]
    assert legend(without)[-1] == "5 or more loops"


def test_the_interval_is_wilsons():
    for right in (0, 200, 352, 360):
        expected = binomtest(right, 360).proportion_ci(method="wilson")
        assert interval(right / 360, 360) == pytest.approx((expected.low, expected.high), abs=1e-5)


def test_a_sweep_that_falls_far_is_drawn_near_soft_too():
    low = Point(0.3, 100_000, 3)
    whole, near = sweep_figure({"layer": [*LAYER, low]}, 0.98).axes
    assert (whole.get_title(), near.get_title()) == ("the whole sweep", "near soft")
    assert markers(whole) == markers(near)
    assert near.get_ylim()[0] == pytest.approx(93.6)
    assert near.get_xlim()[0] > 100
    near = sweep_figure({"layer": [*LAYER, low]}, 0.98, knees={"layer": low}).axes[1]
    assert near.get_ylim()[0] < 30
    assert near.get_xlim()[0] < 100


def test_points_of_another_unit_have_a_marker_of_their_own():
    axes = sweep_figure({"layer": LAYER[:1], "position": BLOCK[:1]}, 0.98).axes[0]
    assert [marker[2] for marker in markers(axes)] == ["o", "^"]


def test_one_loop_of_a_sweep_of_one_point():
    assert len(sweep_figure({"layer": LAYER[:1], "block": []}, 0.98).axes) == 1


@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf"])
def test_a_figure_is_the_same_file_every_time(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"figure{ending}"
    write_figure(sweep_figure({"layer": LAYER}, 0.98, "t"), path)
    assert path.read_bytes() == figure_bytes(sweep_figure({"layer": LAYER}, 0.98, "t"), ending)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_the_users_settings_change_nothing() -> None:
    plain = figure_bytes(sweep_figure({"layer": LAYER}, 0.98, "t"), ".svg")
    settings = {
        "font.size": 30,
        "lines.linewidth": 9,
        "lines.marker": "x",
        "axes.grid": True,
        "axes.facecolor": "red",
        "axes.xmargin": 0.3,
        "axes.prop_cycle": matplotlib.cycler(color="r"),
    }
    with matplotlib.rc_context(settings):
        assert figure_bytes(sweep_figure({"layer": LAYER}, 0.98, "t"), ".svg") == plain


def refused(text: str):
    return pytest.raises(SettingError, match=f"^{re.escape(text)}$")


def test_wrong_inputs_are_named() -> None:
    with refused("there is no point of a sweep to draw; sweep a run with shared layers first"):
        sweep_figure({"layer": []}, 0.9)
    with refused("dense is 0; give the numbers in the written-out weights, or leave it out"):
        sweep_figure({"layer": LAYER}, 0.9, dense=0)
