"""Small simplifications of an ONNX graph, none of which writes out a weight: expressions of small constants are
computed, gains go behind what they scale, and norms come to be one scale and one shift."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper
from onnx.reference import ReferenceEvaluator

from foldnet.exporting.onnx_graph import Graph, Node, renamed, subgraphs
from foldnet.exporting.onnx_idle import drop_whole_slices, drop_zero_biases

SMALL = 1024  # numbers of a constant that may be computed ahead
RANDOM = ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial")


def simplify(graph: Graph) -> None:
    """All of them, in place."""
    compute_constants(graph)
    drop_zero_biases(graph)
    drop_whole_slices(graph)
    move_gains(graph)
    merge_norms(graph)
    move_gains_ahead(graph)
    graph.without_unused()


def compute_constants(graph: Graph) -> None:
    """Compute what depends on constants alone and is small, such as a bias of zeros that torch asks for by the shape of
    a weight."""
    kept = []
    stands: dict[str, str] = {}
    for node in graph.nodes:
        node = renamed(node, stands)
        if node.op_type == "CastLike" and node.input[1] in graph.types:  # which need not be a constant itself
            kind = graph.types[node.input[1]].type.tensor_type.elem_type
            node = helper.make_node("Cast", node.input[:1], node.output, node.name, to=kind)
        values = _shape(graph, node) or _computed(graph, node)
        if values is None:
            kept.append(node)
            continue
        for name, value in zip(node.output, values, strict=True):
            stands[name] = graph.constant(name, np.asarray(value))
    graph.nodes = kept


def _shape(graph: Graph, node: Node) -> list[Any] | None:
    """What a Shape gives where it is known."""
    if node.op_type != "Shape":
        return None
    name, start, end = node.input[0], int(_float(node, "start", 0)), _float(node, "end", float("inf"))
    if name in graph.constants:
        dims: list[int | None] = list(graph.constants[name].shape)
    elif name in graph.types and graph.types[name].type.tensor_type.HasField("shape"):
        known = graph.types[name].type.tensor_type.shape.dim
        dims = [one.dim_value if one.HasField("dim_value") else None for one in known]
    else:
        return None
    wanted = dims[start : None if end == float("inf") else int(end)]
    return [np.array(wanted, np.int64)] if None not in wanted else None


def _computed(graph: Graph, node: Node) -> list[Any] | None:
    """The values of a node that depends on constants alone; None for another."""
    names = [name for name in node.input if name]
    known = all(name in graph.constants for name in names)
    if node.domain or node.op_type in RANDOM or not known or any(True for _ in subgraphs(node)):
        return None
    values = [graph.constants[name] for name in names]
    if node.op_type == "CastLike":
        return [values[0].astype(values[1].dtype)] if values[0].size <= SMALL else None
    large = sum(value.size for value in values) > SMALL or _filled(node.op_type, values) > SMALL
    if large or not graph.weights.isdisjoint(names):
        return None
    try:
        found = ReferenceEvaluator(node).run(None, dict(zip(names, values, strict=True)))
    except Exception:  # what it cannot, the runtime can
        return None
    return [*map(np.asarray, found)] if all(np.asarray(value).size <= SMALL for value in found) else None


def _filled(kind: str, values: list[NDArray[Any]]) -> float:
    """How many numbers a node gives whose inputs do not say it by their size; infinitely many where that is not
    known."""
    if kind == "Range":
        return float(abs((values[1] - values[0]) / values[2]))
    if kind in ("Expand", "ConstantOfShape"):
        return float(np.prod(np.abs(values[-1]).astype(np.float64))) * values[0].size
    return float("inf") if kind in ("Tile", "Resize", "Pad", "OneHot") else 0.0


def move_gains(graph: Graph) -> None:
    """conv(x, g W) + b becomes g conv(x, W) + b, and so of matrix products: the weight is one constant for all that use
    it, and runtimes can lay it out once."""
    producers = graph.producers()
    nodes: list[Node] = []
    for node in graph.nodes:
        scaled = _scaled_weight(graph, producers, node)
        if scaled is None:
            nodes.append(node)
            continue
        weight, gain, between = scaled
        for number, step in enumerate(between):  # a transposed weight, without its gain
            other = Node()
            other.CopyFrom(step)
            other.input[0], other.output[0] = weight, f"{node.output[0]}/weight{number}"
            weight = other.output[0]
            nodes.append(other)
        nodes += _behind(graph, node, weight, gain)
    graph.nodes = nodes


def _scaled_weight(graph: Graph, producers: dict[str, Node], node: Node) -> tuple[str, str, list[Node]] | None:
    """(weight, gain, transpositions between) of a convolution or a product of matrices with a scaled constant."""
    if node.op_type not in ("Conv", "MatMul", "Gemm") or len(node.input) < 2:
        return None
    between: list[Node] = []
    made = producers.get(node.input[1])
    while made is not None and made.op_type == "Transpose":
        between.insert(0, made)
        made = producers.get(made.input[0])
    if made is None or made.op_type != "Mul":
        return None
    for gain, weight in (tuple(made.input), tuple(made.input)[::-1]):
        if weight in graph.constants and gain in graph.constants and graph.constants[gain].size == 1:
            if node.op_type == "Conv" and len(node.input) > 2 and node.input[2] not in graph.constants:
                return None
            if node.op_type == "Gemm" and (_float(node, "alpha", 1.0), _float(node, "beta", 1.0)) != (1.0, 1.0):
                return None
            return weight, gain, between
    return None


def _behind(graph: Graph, node: Node, weight: str, gain: str) -> list[Node]:
    """A node with the weight as it is, then its gain, then its bias."""
    out, plain = node.output[0], Node()
    plain.CopyFrom(node)
    bias = node.input[2] if len(node.input) > 2 and node.input[2] else ""
    plain.input[:] = [node.input[0], weight]
    plain.output[0] = f"{out}/unscaled"
    if not bias:
        return [plain, helper.make_node("Mul", [plain.output[0], gain], [out], f"{node.name}/gain")]
    scaled = helper.make_node("Mul", [plain.output[0], gain], [f"{out}/scaled"], f"{node.name}/gain")
    if node.op_type != "Conv":
        return [plain, scaled, helper.make_node("Add", [f"{out}/scaled", bias], [out], f"{node.name}/bias")]
    # A scale and a shift of channels in one go.
    channels = graph.constants[weight].shape[0]
    spread = np.full(channels, graph.constants[gain].reshape(()), graph.constants[weight].dtype)
    return [plain, _affine(graph, node.name, plain.output[0], out, spread, graph.constants[bias])]


def merge_norms(graph: Graph) -> None:
    """A batch norm of running statistics becomes one scale and one shift a channel, and takes a gain before it in."""
    producers, consumers = graph.producers(), graph.consumers()
    gone: set[int] = set()
    nodes = []
    for node in graph.nodes:
        numbers = [graph.constants.get(name) for name in node.input[1:]]
        if (
            node.op_type != "BatchNormalization"
            or any(one is None for one in numbers)
            or _float(node, "training_mode", 0)
        ):
            nodes.append(node)
            continue
        scale, shift, mean, variance = (np.asarray(one, np.float64) for one in numbers)
        factor = scale / np.sqrt(variance + _float(node, "epsilon", 1e-5))
        shift = shift - mean * factor
        x = node.input[0]
        gain = producers.get(x)
        if gain is not None and gain.op_type == "Mul" and len(consumers[x]) == 1 and x not in graph.results():
            for one, other in (tuple(gain.input), tuple(gain.input)[::-1]):
                if one in graph.constants and graph.constants[one].size == 1 and other not in graph.constants:
                    factor, x = factor * graph.constants[one].reshape(()).astype(np.float64), other
                    gone.add(id(gain))
                    break
        kind = numbers[0].dtype  # type: ignore[union-attr]
        nodes.append(_affine(graph, node.name, x, node.output[0], factor.astype(kind), shift.astype(kind)))
    graph.nodes = [node for node in nodes if id(node) not in gone]


def move_gains_ahead(graph: Graph) -> None:
    """g conv(relu(s x + t)) becomes conv(relu(g s x + g t)) where every gain of the weight is positive: one pass over
    the outputs less. A single negative gain, of which that is not true, would set its trip apart."""
    producers, consumers = graph.producers(), graph.consumers()
    found = [one for one in (_gained(graph, producers, consumers, node) for node in graph.nodes) if one is not None]
    negative = {conv.input[1] for _, conv, _, gain in found if gain <= 0}
    for product, conv, norm, gain in (one for one in found if one[1].input[1] not in negative):
        for place, name in ((1, "scale"), (2, "shift")):
            value = graph.constants[norm.input[place]]
            norm.input[place] = graph.constant(f"{norm.output[0]}/{name}", (value * gain).astype(value.dtype))
        conv.output[0], product.op_type = product.output[0], ""
    graph.nodes = [node for node in graph.nodes if node.op_type]


def _gained(
    graph: Graph, producers: dict[str, Node], consumers: dict[str, list[Node]], node: Node
) -> tuple[Node, Node, Node, float] | None:
    """(product, convolution, norm, gain) where a node multiplies what a convolution makes of a norm's positive part,
    and nothing else uses what is between."""
    gain = next((name for name in node.input if name in graph.constants and graph.constants[name].size == 1), None)
    if node.op_type != "Mul" or gain is None:
        return None
    chain, name = [node], next((one for one in node.input if one != gain), "")
    for kind in ("Conv", "Relu", "BatchNormalization"):
        made = producers.get(name)
        if made is None or made.op_type != kind or len(consumers[name]) > 1 or name in graph.results():
            return None
        chain.append(made)
        name = made.input[0]
    _, conv, _, norm = chain
    known = len(conv.input) == 2 and all(one in graph.constants for one in norm.input[1:])
    return (node, conv, norm, float(graph.constants[gain].reshape(()))) if known else None


def _affine(graph: Graph, name: str, x: str, out: str, scale: NDArray[Any], shift: NDArray[Any]) -> Node:
    """out = scale x + shift, by channel: a batch norm of mean 0 and variance 1, which runtimes do in one go."""
    zeros = graph.constant("zeros", np.zeros_like(scale))
    ones = graph.constant("ones", np.ones_like(scale))
    inputs = [x, graph.constant(f"{out}/scale", scale), graph.constant(f"{out}/shift", shift), zeros, ones]
    return helper.make_node("BatchNormalization", inputs, [out], name, epsilon=0.0)


def _float(node: Node, name: str, default: float) -> float:
    """A number among the attributes of a node."""
    found: Callable[..., Any] = helper.get_attribute_value
    return next((float(found(one)) for one in node.attribute if one.name == name), default)
