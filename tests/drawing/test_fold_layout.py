"""The column of a folded stage: boxes and ways that do not lie on each other."""

from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foldnet.drawing.fold_layout import GAP, assign_lanes, column_layout
from foldnet.drawing.graph import walk_passes

walks = st.lists(st.integers(0, 7), min_size=1, max_size=16)


def edges_of(walk: list[int]) -> tuple[int, list[tuple[int, int]]]:
    """How many rows a walk has, and its edges between them, rows in order of the first visit."""
    rows = {node: row for row, node in enumerate(dict.fromkeys(walk))}
    return len(rows), [(rows[edge.source], rows[edge.target]) for edge in walk_passes(walk)]


def overlap(first: tuple[float, float], second: tuple[float, float]) -> bool:
    (a, b), (c, d) = sorted(first), sorted(second)
    return a < d - 1e-9 and c < b - 1e-9


def test_short_jumps_lie_inside_long_ones():
    assert assign_lanes([(3, 0), (3, 2), (1, 0), (2, 2)]) == {(2, 2): 0, (1, 0): 0, (3, 2): 0, (3, 0): 1}
    assert assign_lanes([]) == {}


@settings(max_examples=100, deadline=None)
@given(walks)
def test_boxes_stand_below_each_other_and_every_edge_has_a_way(walk: list[int]) -> None:
    count, edges = edges_of(walk)
    column = column_layout([0.2] * count, edges, 1.0)
    assert len(column.arrows) == len(edges)
    bottoms = [top + height for top, height in zip(column.tops, column.heights, strict=True)]
    assert all(after - bottom == pytest.approx(GAP) for bottom, after in zip(bottoms, column.tops[1:], strict=False))
    assert column.height == pytest.approx(bottoms[-1])
    for edge, arrow in zip(edges, column.arrows, strict=True):
        for row, (x, y) in zip(edge, (arrow.corners[0], arrow.corners[-1]), strict=True):
            assert column.tops[row] - 1e-9 <= y <= bottoms[row] + 1e-9
            assert abs(x) <= 0.5
        assert -column.left - 1e-9 <= min(x for x, _ in arrow.corners)
        assert max(x for x, _ in arrow.corners) <= column.right + 1e-9


@settings(max_examples=100, deadline=None)
@given(walks)
def test_no_two_ways_lie_on_each_other(walk: list[int]) -> None:
    count, edges = edges_of(walk)
    parts = [list(pairwise(arrow.corners)) for arrow in column_layout([0.2] * count, edges, 1.0).arrows]
    for first, second in combinations(parts, 2):
        for (a, b), (c, d) in ((one, other) for one in first for other in second):
            upright = a[0] == b[0] == pytest.approx(c[0]) == pytest.approx(d[0])
            level = a[1] == b[1] == pytest.approx(c[1]) == pytest.approx(d[1])
            assert not (upright and overlap((a[1], b[1]), (c[1], d[1])))
            assert not (level and overlap((a[0], b[0]), (c[0], d[0])))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_nested_jumps_do_not_cross(widths: list[int]) -> None:
    # Jumps back to row 0 from ever further rows: each way lies around the one before.
    ends = sorted({sum(widths[: index + 1]) for index in range(len(widths))})
    arrows = column_layout([0.2] * (ends[-1] + 1), [(end, 0) for end in ends], 1.0).arrows
    for inner, outer in pairwise(arrows):
        assert outer.corners[1][0] < inner.corners[1][0]
        assert outer.corners[3][1] < inner.corners[3][1] < inner.corners[0][1] < outer.corners[0][1]


def test_boxes_grow_with_the_arrows_that_end_at_one_side():
    edges = [(row, 0) for row in range(1, 9)]
    column = column_layout([0.2] * 9, edges, 1.0)
    assert column.heights[0] > 0.6
    assert set(column.heights[1:]) == {0.2}


def test_an_empty_column_has_no_height():
    assert column_layout([], [], 1.0).height == 0
