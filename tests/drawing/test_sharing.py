"""The picture of layers, templates and coefficients."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from foldnet.drawing.dot import write_dot
from foldnet.drawing.sharing import sharing_dot


@dataclass(frozen=True)
class Group:
    name: str
    layers: tuple[str, ...]
    coefficients: NDArray[np.float64]


SMALL = Group("stage1", ("stage1.1.conv1", "stage1.1.conv2", "<x>"), np.array([[1.0, -0.5], [0.01, 2.0], [0.0, 0.0]]))


def edges(source: str) -> list[tuple[str, str, float]]:
    """(layer, template, pen width) as drawn."""
    found = re.findall(r"(\w+):e -> (\w+):w \[.*penwidth=([\d.]+)\]", source)
    return [(layer, template, float(width)) for layer, template, width in found]


def test_edges_are_the_coefficients_relative_to_their_row() -> None:
    source = sharing_dot([SMALL], "a & b").source
    # Faint edges come first; 0.01 beside 2.0 is too faint, and a row of zeros has no edges.
    assert edges(source) == [("g0l0", "g0t1", 2.0), ("g0l0", "g0t0", 4.0), ("g0l1", "g0t1", 4.0)]
    assert re.findall(r'label="?([+−][\d.]+)', source) == ["−0.50", "+1.00", "+2.00"]
    assert "a &amp; b" in source
    assert ">1.conv1<" not in source
    assert "label=<1.conv1>" in source
    assert "label=<&lt;x&gt;>" in source


def test_signs_have_colours_and_the_weak_are_pale() -> None:
    colors = re.findall(r"-> \w+:w \[color=\"(#\w+)\"", sharing_dot([SMALL], "").source)
    assert colors == ["#789dcd", "#b23a16", "#b23a16"]


def test_many_edges_carry_no_numbers() -> None:
    group = Group("g", tuple(f"g.{n}" for n in range(6)), np.ones((6, 4)))
    source = sharing_dot([group], "").source
    assert len(edges(source)) == 24
    assert not re.search(r"label=\"?[+−]\d", source)


def test_more_than_24_coefficients_are_thinned_out_which_the_group_says() -> None:
    rows = np.tile([1.0, 0.3, -0.25, 0.2, -0.06], (5, 1))
    group = Group("g", tuple(f"g.{n}" for n in range(5)), rows)
    source = sharing_dot([group], "").source
    assert len(edges(source)) == 15
    assert '<b>g</b><br/><font point-size="9">hidden: 10 of 25, below 25 %</font>' in source
    few = sharing_dot([Group("g", group.layers[:4], rows[:4])], "").source
    assert len(edges(few)) == 20
    assert "hidden" not in few
    assert "hidden: 3 of 6, below 5 %" in sharing_dot([SMALL], "").source


def test_layers_stand_in_their_order_and_groups_side_by_side() -> None:
    group = Group("g", tuple(f"g.{n}" for n in range(6)), np.ones((6, 4)))
    places = {
        node: (float(x), float(y))
        for node, x, y in re.findall(
            r"^\t(g\w+) \[.*pos=\"([-\d.]+),([-\d.]+)!\"", sharing_dot([group] * 5, "").source, re.M
        )
    }
    heights = [places[f"g0l{row}"][1] for row in range(6)]
    assert heights == sorted(heights, reverse=True)
    lefts = [places[f"g{number}l0"][0] for number in range(4)]
    assert lefts == sorted(set(lefts))
    assert places["g4l0"][0] == lefts[0]  # the fifth group begins a new row
    assert places["g4l0"][1] < places["g0l5"][1]


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz's program dot is not installed")
def test_it_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "sharing.svg"
    write_dot(sharing_dot([SMALL, SMALL], "a title"), path)
    assert b"stage1" in path.read_bytes()


def test_no_groups() -> None:
    assert edges(sharing_dot([], "").source) == []
