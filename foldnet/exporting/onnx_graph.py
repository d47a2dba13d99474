"""An ONNX graph as its rewriters see it: nodes in order, and constants by name, each value once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto, numpy_helper

Node = NodeProto


@dataclass
class Graph:
    """Nodes in an order in which they can run, `constants` by name, and what is known of the `types` of values.

    Rewriters change it in place. Constants with equal contents are one.
    """

    nodes: list[Node]
    constants: dict[str, NDArray[Any]]
    inputs: tuple[ValueInfoProto, ...]
    outputs: tuple[ValueInfoProto, ...]
    types: dict[str, ValueInfoProto]
    weights: set[str] = field(default_factory=set)  # constants that are parameters or buffers of the network
    dials: dict[str, int] = field(default_factory=dict)  # inputs that may be left out: loops, with the trips found
    together: list[tuple[str, ...]] = field(default_factory=list)  # loops that are one Loop

    def producers(self) -> dict[str, Node]:
        """The node that makes each value."""
        return {name: node for node in self.nodes for name in node.output if name}

    def consumers(self) -> dict[str, list[Node]]:
        """The nodes that use each value, those too in whose subgraphs it is used."""
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(used_by(node)):
                found.setdefault(name, []).append(node)
        return found

    def results(self) -> set[str]:
        """The names of the outputs."""
        return {output.name for output in self.outputs}

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """The name of a constant of this value: one that is there, or a new one like `name`."""
        known = (other for other, one in self.constants.items() if one is value or same_array(one, value))
        return next(known, None) or self.new_constant(name, value)

    def new_constant(self, name: str, value: NDArray[Any]) -> str:
        """The name of a constant that only its maker uses, like `name`."""
        free = name
        while free in self.constants or free in self.types:
            free += "_"
        self.constants[free] = value
        return free

    def rename(self, names: Mapping[str, str], lengths: Mapping[str, str]) -> None:
        """Give values other names, and lengths that are not fixed."""
        taken = {name for name in names.values() if name in self.types or name in self.constants} - names.keys()
        names = {**{name: f"{name}_" for name in taken}, **names}
        self.nodes = [renamed(node, names) for node in self.nodes]
        self.constants = {names.get(name, name): value for name, value in self.constants.items()}
        self.weights = {names.get(name, name) for name in self.weights}
        for info in {id(one): one for one in (*self.inputs, *self.outputs, *self.types.values())}.values():
            info.name = names.get(info.name, info.name)
            for dim in info.type.tensor_type.shape.dim:
                if dim.dim_param:
                    dim.dim_param = re.sub(r"\w+", lambda found: lengths.get(found[0], found[0]), dim.dim_param)
        self.types = {info.name: info for info in self.types.values()}

    def without_unused(self) -> None:
        """Drop nodes and constants that nothing uses."""
        needed, kept = self.results(), []
        for node in reversed(self.nodes):
            if any(name in needed for name in node.output):
                kept.append(node)
                needed.update(used_by(node))
        self.nodes = kept[::-1]
        self.constants = {name: value for name, value in self.constants.items() if name in needed}


def same_array(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether two arrays are alike to the last bit."""
    alike = one.dtype == other.dtype and one.shape == other.shape
    return alike and one.tobytes() == other.tobytes()


def digest(value: NDArray[Any]) -> tuple[Any, ...]:
    """What only equal arrays have in common."""
    return value.dtype.str, value.shape, hashlib.sha256(value.tobytes()).digest()


def graph_of(proto: GraphProto, weights: Collection[str] = ()) -> Graph:
    """The graph of a model, its constants gathered, each value once; `weights` names those that a network holds."""
    first: dict[tuple[Any, ...], str] = {}
    stands: dict[str, str] = {}
    constants: dict[str, NDArray[Any]] = {}
    nodes: list[Node] = []

    def note(name: str, tensor: TensorProto) -> None:
        value = numpy_helper.to_array(tensor)
        stands[name] = first.setdefault(digest(value), name)
        constants.setdefault(stands[name], value)

    for tensor in proto.initializer:
        note(tensor.name, tensor)
    for node in proto.node:
        value = constant_of(node)
        if value is None:
            nodes.append(bare(renamed(node, stands)))
        else:
            note(node.output[0], value)
    types = {info.name: info for info in (*proto.input, *proto.value_info)}
    held = {stands[name] for name in weights if name in stands}
    return Graph(nodes, constants, tuple(proto.input), tuple(proto.output), types, held)


def bare(node: Node) -> Node:
    """A node without what says where in whose code it stood, in place."""
    node.doc_string = ""
    del node.metadata_props[:]
    return node


def constant_of(node: Node) -> TensorProto | None:
    """The tensor of a Constant."""
    if node.op_type != "Constant":
        return None
    attribute = node.attribute[0]
    if attribute.name == "value":
        tensor: TensorProto = attribute.t
        return tensor
    kinds = {"value_int": np.int64, "value_ints": np.int64, "value_float": np.float32, "value_floats": np.float32}
    if attribute.name not in kinds:
        return None
    from onnx import helper

    return numpy_helper.from_array(np.array(helper.get_attribute_value(attribute), kinds[attribute.name]))


def subgraphs(node: Node) -> Iterator[GraphProto]:
    """The graphs inside a node, such as the body of a loop."""
    return (attribute.g for attribute in node.attribute if attribute.type == AttributeProto.GRAPH)


def used_by(node: Node) -> Iterator[str]:
    """The values that a node uses, place by place: its inputs, and what its subgraphs use of the graph around them."""
    yield from (name for name in node.input if name)
    for graph in subgraphs(node):
        yield from used_in(graph)


def used_in(graph: GraphProto) -> Iterator[str]:
    """What a subgraph uses of the graph around it, place by place."""
    own = _own(graph)
    for node in graph.node:
        yield from (name for name in used_by(node) if name not in own)


def _own(graph: GraphProto) -> set[str]:
    """The values of a subgraph itself."""
    inside = {entry.name for entry in (*graph.input, *graph.initializer)}
    return inside | {name for node in graph.node for name in node.output}


def rewired(node: Node, used: Iterable[str], made: Iterable[str]) -> Node:
    """A copy of a node that uses these values in the places of `used_by`, and makes these."""
    other = NodeProto()
    other.CopyFrom(node)
    _rewire(other, iter(used))
    other.output[:] = made
    return other


def _rewire(node: Node, used: Iterator[str]) -> None:
    """Give a node other values to use, in place."""
    node.input[:] = [next(used) if name else name for name in node.input]
    for graph in subgraphs(node):
        own = _own(graph)
        for inner in graph.node:
            _rewire(inner, iter([name if name in own else next(used) for name in used_by(inner)]))


def renamed(node: Node, names: Mapping[str, str]) -> Node:
    """A copy of a node whose values have other names, in its subgraphs too where they are not those' own."""
    return rewired(node, [names.get(n, n) for n in used_by(node)], [names.get(n, n) for n in node.output])


def attributes_of(node: Node) -> tuple[bytes, ...]:
    """A node's attributes, to be compared; what a subgraph uses of the graph around it is numbered by its place."""
    plain = rewired(node, (f"#{number}" for number, _ in enumerate(used_by(node))), node.output)
    return tuple(sorted(attribute.SerializeToString(deterministic=True) for attribute in plain.attribute))
