"""Shortest paths of one grid by networkx: slow, and what the fast search is checked against."""

import networkx as nx
import numpy as np

from foldnet.data.grids import FAR, STEPS


def graph_of(free):
    """The free cells of one grid, (h, w), and their 4-connected neighbours."""
    graph = nx.grid_2d_graph(*free.shape)
    graph.remove_nodes_from([(int(r), int(c)) for r, c in np.argwhere(~free)])
    return graph


def slow_union(free, start, goal):
    """(cells of all shortest paths, its length) by networkx."""
    graph, cells = graph_of(free), np.zeros(free.shape, bool)
    if not nx.has_path(graph, start, goal):
        return cells, FAR
    onward, back = (nx.single_source_shortest_path_length(graph, end) for end in (start, goal))
    for cell in graph:
        cells[cell] = onward.get(cell, FAR) + back.get(cell, FAR) == onward[goal]
    return cells, onward[goal]


def slow_path(free, start, goal):
    """The one path: from the start to the first of up, left, right, down that is nearer to the goal."""
    back = nx.single_source_shortest_path_length(graph_of(free), goal)
    cells, here = np.zeros(free.shape, bool), start
    cells[here] = True
    while here != goal:
        around = [(here[0] + down, here[1] + right) for down, right in STEPS]
        here = next(cell for cell in around if back.get(cell, FAR) == back[here] - 1)
        cells[here] = True
    return cells
