"""From an exported program to a graph, and from a graph to a model: constants stand where they are used, and nothing
names files or code."""

from __future__ import annotations

import hashlib
import textwrap
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from onnx import GraphProto, ModelProto, TensorProto, ValueInfoProto, helper, inliner, numpy_helper

from foldnet.errors import RunError, SettingError
from foldnet.exporting.onnx_graph import Graph, Node, graph_of, renamed, subgraphs, used_by, used_in
from foldnet.exporting.traced import REASON, alone

SEAL = "foldnet.sha256"
COPIED = 1024  # bytes of a constant that each body may have for itself


def drawn(program: Any) -> tuple[Graph, int]:
    """The graph that torch.onnx makes of an exported program, and its opset; marks are nodes. Raises SettingError, in
    one sentence, for what it cannot write."""
    with alone(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            made = torch.onnx.export(program, dynamo=True, optimize=False, verbose=False)
        except Exception as error:  # its own errors have no class of their own in all versions
            deepest = error
            while deepest.__cause__ is not None:
                deepest = deepest.__cause__  # type: ignore[assignment]
            reason = textwrap.shorten(str(deepest).partition("\n")[0], REASON, placeholder="...")
            raise SettingError(
                f"torch.onnx cannot write the network ({reason}); write it with `format='pt2'` or "
                "`format='safetensors'`"
            ) from error
    assert made is not None
    model = made.model_proto
    if model.functions:  # as older versions leave operators that they compose
        model = inliner.inline_local_functions(model)
    opset = next(one.version for one in model.opset_import if one.domain == "")
    return graph_of(model.graph, weights=program.state_dict), opset


def model_of(graph: Graph, opset: int, about: Mapping[str, str]) -> ModelProto:
    """The model of a graph, with what there is to say `about` it."""
    constants = dict(graph.constants)
    nodes = [_filled(node, constants, graph.nodes) for node in graph.nodes]
    for node in nodes:
        node.name = node.name if node.op_type == "Loop" else node.output[0]
    used = {name for node in nodes for name in used_by(node)} | graph.results()
    initializers = [numpy_helper.from_array(_contiguous(v), n) for n, v in constants.items() if n in used]
    initializers += [numpy_helper.from_array(np.array(t, np.int64), n) for n, t in graph.dials.items()]
    dials = [helper.make_tensor_value_info(name, TensorProto.INT64, []) for name in graph.dials]
    made = {name for node in nodes for name in node.output}
    inside = [_bare(info) for name, info in graph.types.items() if name in made and name not in graph.results()]
    whole = helper.make_graph(
        nodes,
        "foldnet",
        [*map(_bare, graph.inputs), *dials],
        [*map(_bare, graph.outputs)],
        initializers,
        value_info=inside,
    )
    from importlib import metadata

    model = helper.make_model(
        whole,
        producer_name="foldnet",
        producer_version=metadata.version("foldnet"),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=10,
    )
    helper.set_model_props(model, dict(about))
    return model


def seal(model: ModelProto) -> None:
    """Let a model state the digest of all else that it holds."""
    digest = _digest(model)
    entry = model.metadata_props.add()
    entry.key, entry.value = SEAL, digest


def is_sealed(model: ModelProto) -> bool:
    """Whether a model is as it was when it was sealed."""
    other = ModelProto()
    other.CopyFrom(model)
    stated = [entry.value for entry in other.metadata_props if entry.key == SEAL]
    kept = [entry for entry in other.metadata_props if entry.key != SEAL]
    del other.metadata_props[:]
    other.metadata_props.extend(kept)
    return stated == [_digest(other)]


def _digest(model: ModelProto) -> str:
    """SHA-256 of a model."""
    return hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()


def _filled(node: Node, constants: dict[str, Any], others: Sequence[Node]) -> Node:
    """A node whose subgraphs hold the constants that nobody else uses, which leave `constants`, and copies of small
    ones."""
    if not any(True for _ in subgraphs(node)):
        return node
    elsewhere = {name for other in others if other is not node for name in used_by(other)} | set(node.input)
    node = renamed(node, {})
    uses = Counter(name for graph in subgraphs(node) for name in set(used_in(graph)))
    elsewhere |= {name for name, count in uses.items() if count > 1}  # by both branches of an If
    for graph in subgraphs(node):
        mine: dict[str, Any] = {}
        for name in (name for name in dict.fromkeys(used_in(graph)) if name in constants):
            value = constants[name]
            if name not in elsewhere:
                mine[name] = constants.pop(name)
            elif value.nbytes <= COPIED:
                mine[f"{graph.name}/{name}"] = value
                _use_instead(graph, name, f"{graph.name}/{name}")
        inner = [_filled(one, mine, list(graph.node)) for one in graph.node]
        del graph.node[:]
        graph.node.extend(inner)
        graph.initializer.extend(numpy_helper.from_array(_contiguous(v), n) for n, v in mine.items())
    return node


def _use_instead(graph: GraphProto, name: str, other: str) -> None:
    """Let a subgraph use another value from outside."""
    nodes = [renamed(node, {name: other}) for node in graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _bare(info: ValueInfoProto) -> ValueInfoProto:
    """A value's name, type and shape alone."""
    other = ValueInfoProto()
    other.name = info.name
    other.type.CopyFrom(info.type)
    return other


def _contiguous(value: Any) -> Any:
    """The same numbers, one behind the other; numpy's own makes one dimension of none."""
    return np.asarray(value, order="C")


def model_in(content: bytes, file: Path) -> ModelProto:
    """The model in a file's bytes. Raises RunError where there is none."""
    try:
        model: ModelProto = ModelProto.FromString(content)
    except Exception as error:  # protobuf's own
        raise RunError(f"'{file}' is no ONNX file, or was cut short; export the fold again") from error
    return model
