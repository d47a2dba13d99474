"""Norms of a loop's trips, multiplied into the weights of convolutions of one pixel.

onnxruntime does this itself where both are constants. A norm that each trip has of its own is none: it stays a pass
over the outputs, and around it onnxruntime leaves the layout in blocks of channels that it runs convolutions in. With
the norm inside the weight is no constant either, so the convolution runs in the usual layout, in one pass with the
norm, and with an addition and a ReLU behind it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import ValueInfoProto, helper

from foldnet.exporting.onnx_graph import Graph, Node, used_by

# Convolutions of one pixel with the norm behind them, ms of onnxruntime 1.32 on one thread, 32 images, as they are and
# with the norm inside: 256 pixels, 32 to 256 channels: 4.4, 3.8; 64 pixels, 512 to 64: 1.7, 1.6; 16 pixels, 128 to
# 1024: 2.0, 1.6; 16 pixels, 1024 to 128: 1.5, 1.7; 4 pixels, 256 to 2048: 2.0, 7.1. Products of matrices, images being
# rows of channels, took no less: a ResNet-50 half as wide 1.17 times the time written out for 1.18, one of 128 x 128
# pixels 1.19 for 1.13. Convolutions of 3x3 pixels take longer with the norm inside: 32x32 pixels of 64 channels 25.0
# for 19.6, 16x16 of 128 21.0 for 17.4, 8x8 of 256 20.0 for 17.3, 24x24 of 32 6.9 for 4.3 (Xeon, AVX-512). Nor does it
# help to stay in the blocked layout, with scale and shift as maps as large as the outputs, made by convolutions of one
# pixel over which trip it is: swrn-40-1-8 took 1.32 times the time written out with the second norm of a block so and
# 1.53 with both, 1.29 with both as passes.
CHANNELS_A_PIXEL = 8
# Channels that a convolution of one pixel takes: 32 make the loops of a ResNet-50 take 1.18 times as long, 64 1.10.
FEW = 64


def norms_inside(graph: Graph, nodes: Sequence[Node], types: Mapping[str, ValueInfoProto]) -> list[Node]:
    """The nodes of a loop's body with norms inside weights where that is faster: where a convolution of one pixel takes
    at most eight times as many channels as its image has pixels. `types` are of the values that they make."""
    users: dict[str, list[Node]] = {}
    for node in nodes:
        for name in used_by(node):
            users.setdefault(name, []).append(node)
    made: list[Node] = []
    inside = set()
    for node in nodes:
        if id(node) in inside:
            continue
        behind = users.get(node.output[0], []) if node.op_type == "Conv" else []
        if len(behind) == 1 and _fits(graph, node, behind[0], types):
            made += _one(graph, node, behind[0])
            inside.add(id(behind[0]))
        else:
            made.append(node)
    return made


def has_thin(graph: Graph) -> bool:
    """Whether a loop holds a convolution of one pixel that takes so few channels that passes over its outputs weigh:
    those of the norms of trips, which a network that is written out has none of."""
    found = (graph.constants.get(name) for node in graph.nodes if node.op_type == "Loop" for name in used_by(node))
    return any(one is not None and one.shape[2:] == (1, 1) and 1 < one.shape[1] < FEW < one.shape[0] for one in found)


def _fits(graph: Graph, conv: Node, norm: Node, types: Mapping[str, ValueInfoProto]) -> bool:
    """Whether a norm is one of a trip's own, as simplify writes them, and its convolution one for which it pays."""
    weight = graph.constants.get(conv.input[1])
    if weight is None or weight.shape[2:] != (1, 1) or len(conv.input) > 2 or norm.op_type != "BatchNormalization":
        return False
    sizes = (
        [dim.dim_value for dim in types[norm.output[0]].type.tensor_type.shape.dim] if norm.output[0] in types else []
    )
    pixels = sizes[2] * sizes[3] if len(sizes) == 4 else 0
    mean, variance = (graph.constants.get(name) for name in norm.input[3:])
    plain = mean is not None and not mean.any() and variance is not None and bool((variance == 1).all())
    own = norm.input[1] not in graph.constants and not _attribute(norm, "epsilon", 1e-5) and plain
    return own and _attribute(conv, "group", 1) == 1 and weight.shape[1] <= CHANNELS_A_PIXEL * pixels


def _one(graph: Graph, conv: Node, norm: Node) -> list[Node]:
    """A convolution with its norm inside."""
    out, weight = norm.output[0], conv.input[1]
    axes = graph.constant("rows", np.array([-1, 1, 1, 1], np.int64))
    both = Node()
    both.CopyFrom(conv)
    both.input[:] = [conv.input[0], f"{out}/weight", norm.input[2]]
    both.output[:] = [out]
    return [
        helper.make_node("Reshape", [norm.input[1], axes], [f"{out}/scale"]),
        helper.make_node("Mul", [weight, f"{out}/scale"], [f"{out}/weight"]),
        both,
    ]


def _attribute(node: Node, name: str, default: Any) -> Any:
    """An attribute of a node."""
    return next((helper.get_attribute_value(one) for one in node.attribute if one.name == name), default)
