"""Curves: what is drawn for a sweep and for the depth of loops, and that it is the same file every time."""

import re
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_hex

from foldnet.drawing.colors import LOOP_COLORS, RING
from foldnet.drawing.curves import depth_figure, sweep_figure
from foldnet.drawing.figures import write_figure
from foldnet.drawing.heatmaps import figure_bytes
from foldnet.errors import OutputError, SettingError


@dataclass(frozen=True)
class Point:
    accuracy: float
    stored_numbers: int
    loops: int
    parameters: int = 0
    merged: str = "stage1"
    height: float | None = 0.1


LAYER = [Point(0.97, 900_000, 0, merged="", height=None), Point(0.96, 800_000, 1), Point(0.95, 500_000, 7)]
BLOCK = [Point(0.97, 900_000, 0, merged="", height=None), Point(0.94, 400_000, 2)]
CURVES = {"stage2.loop1": [(1, 0.5), (2, 0.9), (4, 0.7)], "stage3.loop1": [(1, 0.8), (2, 0.6)]}


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


def test_the_knee_is_ringed():
    figure = sweep_figure({"layer": LAYER, "block": BLOCK}, 0.98, knee=LAYER[1])
    rings = [line for line in figure.axes[0].lines if line.get_markeredgecolor() == RING]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in rings] == [(800, 96)]
    assert "knee" in legend(figure)


def test_a_sweep_that_falls_far_is_drawn_near_soft_too():
    low = Point(0.3, 100_000, 3)
    whole, near = sweep_figure({"layer": [*LAYER, low]}, 0.98).axes
    assert (whole.get_title(), near.get_title()) == ("the whole sweep", "near soft")
    assert markers(whole) == markers(near)
    assert near.get_ylim()[0] == pytest.approx(93.6)
    assert near.get_xlim()[0] > 100
    near = sweep_figure({"layer": [*LAYER, low]}, 0.98, knee=low).axes[1]
    assert near.get_ylim()[0] < 30
    assert near.get_xlim()[0] < 100


def test_points_of_another_unit_have_a_marker_of_their_own():
    axes = sweep_figure({"layer": LAYER[:1], "position": BLOCK[:1]}, 0.98).axes[0]
    assert [marker[2] for marker in markers(axes)] == ["o", "^"]


def test_one_loop_of_a_sweep_of_one_point():
    assert len(sweep_figure({"layer": LAYER[:1], "block": []}, 0.98).axes) == 1


def test_depth_has_a_curve_for_each_loop_and_ticks_at_the_trips_found():
    again = {"stage2.loop1": [(1, 0.6), (2, 0.95)]}
    figure = depth_figure(CURVES, "trips", found={"stage2.loop1": 3, "stage3.loop1": 1}, recalibrated=again)
    (axes,) = figure.axes
    curves = [line for line in axes.lines if line.get_marker() == "o"]
    assert [list(line.get_xdata()) for line in curves] == [[1, 2, 4], [1, 2], [1, 2]]
    np.testing.assert_allclose(curves[0].get_ydata(), [50, 90, 70])
    assert [line.get_linestyle() for line in curves] == ["-", "--", "-"]
    assert to_hex(curves[0].get_color()) == to_hex(curves[1].get_color()) != to_hex(curves[2].get_color())
    ticks = [line for line in axes.lines if line.get_marker() == "|"]
    # Between two measurements a tick stands on the line between them.
    found = [(line.get_xdata()[0], round(float(line.get_ydata()[0]), 6)) for line in ticks]
    assert found == [(3, 80), (3, 95), (1, 80)]
    assert legend(figure) == ["stage2.loop1", "stage3.loop1", "recalibrated", "trips found"]
    assert legend(depth_figure(CURVES)) == ["stage2.loop1", "stage3.loop1"]


def test_trips_are_whole_numbers():
    axes = depth_figure({"stage2.loop1": [(1, 0.5), (2, 0.6)]}).axes[0]
    assert all(float(tick).is_integer() for tick in axes.get_xticks())


@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf"])
def test_a_figure_is_the_same_file_every_time(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"figure{ending}"
    for draw in (lambda: sweep_figure({"layer": LAYER}, 0.98, "t"), lambda: depth_figure(CURVES, "t")):
        write_figure(draw(), path)
        assert path.read_bytes() == figure_bytes(draw(), ending)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("draw", [lambda: sweep_figure({"layer": LAYER}, 0.98, "t"), lambda: depth_figure(CURVES, "t")])
def test_the_users_settings_change_nothing(draw) -> None:
    plain = figure_bytes(draw(), ".svg")
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
        assert figure_bytes(draw(), ".svg") == plain


def refused(text: str):
    return pytest.raises(SettingError, match=f"^{re.escape(text)}$")


def test_wrong_inputs_are_named(tmp_path: Path) -> None:
    with refused("there is no point of a sweep to draw; sweep a run with shared layers first"):
        sweep_figure({"layer": []}, 0.9)
    with refused("the knee is not one of the points of the sweep; give one of those that are drawn"):
        sweep_figure({"layer": LAYER}, 0.9, knee=BLOCK[1])
    with refused("dense is 0; give the numbers in the written-out weights, or leave it out"):
        sweep_figure({"layer": LAYER}, 0.9, dense=0)
    with refused("there is no curve to draw; a program without loops has no trips to vary"):
        depth_figure({})
    known = "the curves are of stage2.loop1, stage3.loop1"
    with refused(f"loop 'stage1.loop1' has no curve; {known}"):
        depth_figure(CURVES, found={"stage1.loop1": 2})
    with refused(f"loop 'stage1.loop1' has no curve; {known}"):
        depth_figure(CURVES, recalibrated={"stage1.loop1": []})
    path = tmp_path / "figure.gif"
    with refused(f"'{path}' ends in '.gif', which names no format; end it in .png, .svg or .pdf"):
        write_figure(depth_figure(CURVES), path)
    lost = tmp_path / "missing" / "figure.svg"
    said = f"'{lost}' cannot be written (No such file or directory); free the place or choose another"
    with pytest.raises(OutputError, match=f"^{re.escape(said)}$"):
        write_figure(depth_figure(CURVES), lost)
    assert list(tmp_path.iterdir()) == []
