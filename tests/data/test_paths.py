"""Grids of the shortest paths task: what is drawn, that it is always the same, and what cannot be drawn."""

import hashlib
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_paths import slow_path, slow_union

from foldnet.data.grids import BLOCK, cells_of_paths
from foldnet.data.rules import PathRule, draw_grids
from foldnet.data.stream import Stream
from foldnet.errors import SettingError


@pytest.mark.parametrize("target", ["union", "one"])
def test_targets_of_a_thousand_grids_are_those_of_networkx(target):
    drawn = draw_grids(1000, PathRule(grid=16, window=11, obstacles=0.25, target=target), seed=3)
    for row in range(1000):
        ends = [tuple(map(int, query)) for query in drawn.queries[row]]
        union, length = slow_union(~drawn.obstacles[row], *ends)
        wanted = union if target == "union" else slow_path(~drawn.obstacles[row], *ends)
        assert (drawn.target[row] == wanted).all()
        assert drawn.lengths[row] == length


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 20), st.integers(1, 9), st.floats(0, 0.95), st.integers(0, 2**32 - 1), st.booleans())
def test_queries_are_free_different_near_and_connected(grid, half, obstacles, seed, union):
    window = min(2 * half + 1, grid - (grid + 1) % 2)
    rule = PathRule(grid, window, obstacles, "union" if union else "one")
    drawn = draw_grids(50, rule, seed=seed)
    assert drawn.obstacles.shape == drawn.target.shape == (50, grid, grid)
    assert (drawn.obstacles.dtype, drawn.target.dtype, drawn.queries.dtype) == (bool, bool, np.int64)
    rows = np.arange(50)[:, None]
    assert not drawn.obstacles[rows, drawn.queries[..., 0], drawn.queries[..., 1]].any()
    assert drawn.target[rows, drawn.queries[..., 0], drawn.queries[..., 1]].all()
    apart = np.abs(drawn.queries[:, 0] - drawn.queries[:, 1]).max(1)
    assert (apart >= 1).all()
    assert (apart <= window // 2).all()
    assert not (drawn.target & drawn.obstacles).any()


def test_every_offset_of_the_window_occurs_and_none_much_more_than_others():
    drawn = draw_grids(20_000, PathRule(grid=9, window=3, obstacles=0), seed=1)
    offsets, counts = np.unique(drawn.queries[:, 1] - drawn.queries[:, 0], axis=0, return_counts=True)
    assert len(offsets) == 8
    # In a grid of 9 a straight neighbour exists for 72 of 81 cells, a diagonal one for 64.
    straight = np.abs(offsets).sum(1) == 1
    expected = np.where(straight, 72, 64) / (4 * 72 + 4 * 64) * 20_000
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected)).all()


def test_obstacles_have_their_probability():
    drawn = draw_grids(2000, PathRule(grid=20, window=5, obstacles=0.3), seed=2)
    cells = 2000 * 400
    assert drawn.obstacles.mean() == pytest.approx(0.3 * 398 / 400, abs=6 * (0.21 / cells) ** 0.5 + 0.002)
    assert not draw_grids(10, PathRule(grid=5, window=3, obstacles=0.0)).obstacles.any()


def test_the_same_seed_gives_the_same_grids_on_every_machine():
    """The digest was made once; another one means that old seeds no longer give what they gave."""
    drawn = draw_grids(64, PathRule(), seed=7, phase=2, split="validation")
    sha = hashlib.sha256()
    for part in (drawn.obstacles, drawn.queries, drawn.target):
        sha.update(np.ascontiguousarray(part).astype("<i8").tobytes())
    assert sha.hexdigest() == "99d203c9d9dd549435d3a5bbc4d9ececa03f93855330d55bbbabe4b3ab99d5ee"


def test_a_longer_set_begins_with_the_shorter_one():
    rule = PathRule(grid=10, window=5, obstacles=0.2)
    long, short = draw_grids(2 * BLOCK + 7, rule, seed=4), draw_grids(BLOCK - 100, rule, seed=4)
    assert (long.obstacles[: len(short)] == short.obstacles).all()
    assert (long.queries[: len(short)] == short.queries).all()


def test_seed_phase_and_split_each_give_other_grids():
    rule = PathRule(grid=8, window=5)
    ways = [
        {"seed": 0},
        {"seed": 1},
        {"seed": 0, "phase": 1},
        {"seed": 0, "split": "validation"},
        {"seed": 0, "split": "test"},
    ]
    sets = [draw_grids(20, rule, **way).obstacles.tobytes() for way in ways]
    assert len(set(sets)) == len(ways)


def test_inputs_are_a_map_of_queries_and_one_of_obstacles():
    drawn = draw_grids(30, PathRule(grid=7, window=5, obstacles=0.3), seed=9)
    maps = drawn.inputs()
    assert (maps.shape, maps.dtype) == ((30, 2, 7, 7), np.uint8)
    assert (maps[:, 1] == drawn.obstacles).all()
    for row in range(30):
        assert {tuple(cell) for cell in np.argwhere(maps[row, 0])} == {tuple(query) for query in drawn.queries[row]}


def test_a_stream_is_uniform_and_below_its_limit():
    stream = Stream(0, 0, "train")
    numbers = stream.uniform(200, 50)
    assert ((numbers >= 0) & (numbers < 1)).all()
    assert numbers.mean() == pytest.approx(0.5, abs=0.02)
    below = stream.below(np.array([1, 2, 7]), 1000, 3)
    assert [set(column) for column in below.T.tolist()] == [{0}, {0, 1}, set(range(7))]


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"obstacles": -0.1}, "`obstacles=-0.1` is not legal; give a number from 0 to 1"),
        ({"obstacles": 1.5}, "`obstacles=1.5` is not legal; give a number from 0 to 1"),
        ({"obstacles": float("nan")}, "`obstacles=nan` is not legal; give a number from 0 to 1"),
        (
            {"obstacles": 1.0},
            "`obstacles=1` makes every cell an obstacle, so that no grid has a pair of free cells; give less",
        ),
        (
            {"window": 6},
            "a window of 6 is even, so that no cell is its middle; give an odd number such as 7",
        ),
        ({"window": 1}, "`window=1` is not legal; give a whole number from 3 to 1023"),
        ({"window": 33}, "a window of 33 is larger than the grid of 32; give at most 31, or a larger `grid`"),
        (
            {"grid": 9, "window": 11},
            "a window of 11 is larger than the grid of 9; give at most 9, or a larger `grid`",
        ),
        ({"grid": 1, "window": 1}, "`grid=1` is not legal; give a whole number from 2 to 1024"),
        ({"target": "onion"}, "`target='onion'` is not legal; choose union or one; did you mean 'one' or 'union'?"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_one_sentence(rule, said):
    with pytest.raises(SettingError, match=f"^{re.escape(said)}$"):
        PathRule(**rule)


def test_no_grids_are_not_drawn():
    with pytest.raises(SettingError, match=r"^`count=0` is not legal; give a whole number from 1 to 100000000$"):
        draw_grids(0, PathRule())


def test_nearly_full_grids_are_drawn_all_the_same():
    drawn = draw_grids(20, PathRule(grid=12, window=5, obstacles=0.99), seed=0)
    assert drawn.lengths.max() <= 3
    free = ~drawn.obstacles
    again, lengths = cells_of_paths(free, drawn.queries, "union")
    assert (again == drawn.target).all()
    assert (lengths == drawn.lengths).all()
