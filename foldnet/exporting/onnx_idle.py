"""What does nothing in an ONNX graph, and goes: biases of zeros, and slices that take all there is."""

from __future__ import annotations

import numpy as np

from foldnet.exporting.onnx_graph import Graph, Node, renamed

WHOLE = 2**31 - 1  # an end of a slice from which on it means "to the end": no dimension is as large


def drop_zero_biases(graph: Graph) -> None:
    """A convolution whose bias is all 0 needs none. One of many channels is an expansion of a 0, too large to be
    computed ahead."""
    producers = graph.producers()
    for node in graph.nodes:
        if node.op_type == "Conv" and len(node.input) == 3:
            made = producers.get(node.input[2])
            name = made.input[0] if made is not None and made.op_type == "Expand" else node.input[2]
            if name in graph.constants and not graph.constants[name].any():
                del node.input[2]


def drop_whole_slices(graph: Graph) -> None:
    """A slice of all there is, which torch writes for `x[:]`. onnxruntime drops it from a graph, but not from a loop's
    body, where it copied the state of an scnn in each trip: 5 % of its time."""
    kept, stands, results = [], dict[str, str](), graph.results()
    for node in graph.nodes:
        node = renamed(node, stands)
        if _is_whole(graph, node) and node.output[0] not in results:
            stands[node.output[0]] = node.input[0]
        else:
            kept.append(node)
    graph.nodes = kept


def _is_whole(graph: Graph, node: Node) -> bool:
    """Whether a node is a slice whose every axis goes from 0 to the end, one by one."""
    if node.op_type != "Slice" or node.domain:
        return False
    starts, ends = (graph.constants.get(name) for name in node.input[1:3])
    steps = graph.constants.get(node.input[4]) if len(node.input) > 4 and node.input[4] else np.ones(1)
    if starts is None or ends is None or steps is None:
        return False
    return not starts.any() and bool((ends >= WHOLE).all() and (steps == 1).all())
