"""Breadth-first searches in many grids at once, against networkx cell by cell."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_paths import graph_of, slow_path, slow_union

from foldnet.data.grids import FAR, cells_of_all_paths, cells_of_one_path, distances


def random_grids(count, height, width, obstacles, seed):
    """Grids with two free cells each, which need not reach each other."""
    random = np.random.default_rng(seed)
    free = random.random((count, height, width)) >= obstacles
    ends = np.stack([random.integers(0, height, (count, 2)), random.integers(0, width, (count, 2))], -1)
    free[np.arange(count)[:, None], ends[..., 0], ends[..., 1]] = True
    return free, ends[:, 0], ends[:, 1]


@pytest.mark.parametrize(("height", "width", "obstacles"), [(8, 8, 0.1), (9, 5, 0.4), (12, 12, 0.3), (1, 6, 0.2)])
def test_all_and_one_path_are_those_of_networkx(height, width, obstacles):
    free, start, goal = random_grids(250, height, width, obstacles, seed=height)
    union, lengths = cells_of_all_paths(free, start, goal)
    path, again = cells_of_one_path(free, start, goal)
    assert (lengths == again).all()
    for row in range(len(free)):
        ends = tuple(map(int, start[row])), tuple(map(int, goal[row]))
        wanted, length = slow_union(free[row], *ends)
        assert (union[row] == wanted).all()
        assert lengths[row] == length
        if length < FAR:
            assert (path[row] == slow_path(free[row], *ends)).all()
        else:
            assert not path[row].any()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 7), st.integers(1, 7), st.floats(0, 0.9), st.integers(0, 1000))
def test_one_path_lies_in_the_union_and_is_as_long_as_it_must_be(height, width, obstacles, seed):
    free, start, goal = random_grids(20, height, width, obstacles, seed)
    union, lengths = cells_of_all_paths(free, start, goal)
    path, _ = cells_of_one_path(free, start, goal)
    reached = lengths < FAR
    assert not (path & ~union).any()
    assert not (union & ~free).any()
    assert (path.sum((1, 2))[reached] == lengths[reached] + 1).all()


def test_distances_are_exact_as_far_as_the_goal():
    free, start, goal = random_grids(100, 10, 10, 0.3, seed=5)
    found = distances(free, start, goal)
    for row in range(100):
        near = nx.single_source_shortest_path_length(graph_of(free[row]), tuple(map(int, start[row])))
        limit = near.get(tuple(map(int, goal[row])), FAR)
        for cell in np.ndindex(10, 10):
            wanted = near.get(cell, FAR)
            assert found[row][cell] == wanted if wanted <= limit else found[row][cell] in (wanted, FAR)


def test_walls_part_the_grids_of_a_batch():
    """Grids lie end to end in memory; the last row of one must not lead into the first of the next."""
    free = np.ones((2, 2, 2), bool)
    free[0, 1] = free[1, 0] = False
    corners = np.array([[0, 0], [1, 1]])
    assert (distances(free, corners, corners) == [[[0, FAR], [FAR, FAR]], [[FAR, FAR], [FAR, 0]]]).all()
    onward = distances(free, corners, np.array([[0, 1], [1, 0]]))
    assert (onward == [[[0, 1], [FAR, FAR]], [[FAR, FAR], [1, 0]]]).all()
