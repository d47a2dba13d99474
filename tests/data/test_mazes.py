"""Perfect mazes: exactly one path between any two free cells, and the same mazes for the same seed."""

import hashlib
import re

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_paths import graph_of

from foldnet.data.grids import BLOCK
from foldnet.data.rules import MazeRule, draw_grids
from foldnet.errors import SettingError


@pytest.mark.parametrize("size", [3, 5, 9, 13])
def test_free_cells_are_a_tree_and_the_target_is_its_only_path(size):
    drawn = draw_grids(200, MazeRule(size), seed=1)
    rooms = ((size + 1) // 2) ** 2
    for row in range(200):
        graph = graph_of(~drawn.obstacles[row])
        assert nx.is_tree(graph)
        assert len(graph) == 2 * rooms - 1
        ends = [tuple(map(int, query)) for query in drawn.queries[row]]
        path = nx.shortest_path(graph, *ends)
        assert {tuple(map(int, cell)) for cell in np.argwhere(drawn.target[row])} == set(path)
        assert drawn.lengths[row] == len(path) - 1 >= 1


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_rooms_are_free_and_corners_between_them_never(half, seed):
    drawn = draw_grids(30, MazeRule(2 * half + 1), seed=seed)
    assert not drawn.obstacles[:, ::2, ::2].any()
    assert drawn.obstacles[:, 1::2, 1::2].all()


def test_mazes_differ_and_their_walls_are_everywhere():
    drawn = draw_grids(500, MazeRule(9), seed=0)
    assert len({maze.tobytes() for maze in drawn.obstacles}) == 500
    shares = drawn.obstacles[:, ::2, 1::2].mean(0), drawn.obstacles[:, 1::2, ::2].mean(0)
    assert all(0.1 < share < 0.6 for part in shares for share in part.ravel())


def test_large_mazes_have_long_paths():
    drawn = draw_grids(20, MazeRule(33), seed=0)
    assert 60 < drawn.lengths.mean() < 250


def test_the_same_seed_gives_the_same_mazes_on_every_machine():
    """The digest was made once; another one means that old seeds no longer give what they gave."""
    drawn = draw_grids(64, MazeRule(9), seed=7, phase=0, split="test")
    sha = hashlib.sha256()
    for part in (drawn.obstacles, drawn.queries, drawn.target):
        sha.update(np.ascontiguousarray(part).astype("<i8").tobytes())
    assert sha.hexdigest() == "1454a15d9fc90b62ad739d2bf2bd79cba600ccd2d5845aa0647aa6f2499950e0"


def test_a_longer_set_begins_with_the_shorter_one():
    long, short = draw_grids(BLOCK + 7, MazeRule(5), seed=4), draw_grids(30, MazeRule(5), seed=4)
    assert (long.obstacles[:30] == short.obstacles).all()
    assert (long.queries[:30] == short.queries).all()


@pytest.mark.parametrize("size", [-1, 0, 1, 2, 8])
def test_other_sizes_are_no_mazes(size):
    said = f"no maze has a side of {size}; give an odd number of at least 3, since rooms and walls alternate"
    with pytest.raises(SettingError, match=f"^{re.escape(said)}$"):
        MazeRule(size)
