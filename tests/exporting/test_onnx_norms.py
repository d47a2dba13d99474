"""Norms of trips inside weights of convolutions of one pixel: the same numbers, where it pays and nowhere else."""

import numpy as np
import pytest
from onnx import parser
from onnxruntime import InferenceSession

from foldnet.exporting.onnx_graph import graph_of
from foldnet.exporting.onnx_model import model_of
from foldnet.exporting.onnx_norms import has_thin, norms_inside

HEAD = '<ir_version: 10, opset_import: ["" : 20]>\n'
FEEDS = {
    "x": np.random.default_rng(0).standard_normal((2, 2, 3, 3)).astype(np.float32),
    "s": np.array([0.5, -2, 3], np.float32),
    "t": np.array([1, -1, 0.5], np.float32),
}
NORM = "y = BatchNormalization<epsilon = 0.0>(c, s, t, zeros, ones)"
PLAIN = "float[3] zeros = {0, 0, 0}, float[3] ones = {1, 1, 1}"
WEIGHT = "float[3, 2, 1, 1] w = {1, -2, 0.5, 3, 2, 1}"


def inside(text, constants, known="float[N, 3, 3, 3] y"):
    """The kinds of nodes with norms inside weights, which give the same."""
    inputs = "float[N, 2, 3, 3] x, float[3] s, float[3] t"
    source = f"{HEAD}g ({inputs}) => (float[N, 3, H, W] z) <{known}, {constants}> {{ {text} z = Identity(y) }}"
    graph = graph_of(parser.parse_model(source).graph)
    given = []
    for nodes in (graph.nodes, norms_inside(graph, graph.nodes, graph.types)):
        graph.nodes = nodes
        given.append(InferenceSession(model_of(graph, 20, {}).SerializeToString()).run(None, FEEDS)[0])
    np.testing.assert_allclose(given[1], given[0], atol=1e-5)
    return [node.op_type for node in graph.nodes]


def test_a_norm_goes_inside_a_weight():
    assert inside(f"c = Conv(x, w) {NORM}", f"{WEIGHT}, {PLAIN}") == ["Reshape", "Mul", "Conv", "Identity"]


@pytest.mark.parametrize(
    ("text", "constants", "known"),
    [
        (f"c = Conv(x, w) {NORM}", f"{WEIGHT}, {PLAIN}", "float[N, 3, H, W] y"),
        (f"c = Conv(x, w, t) {NORM}", f"{WEIGHT}, {PLAIN}", None),
        (f"c = Conv(x, w) {NORM.replace('0.0', '0.1')}", f"{WEIGHT}, {PLAIN}", None),
        (f"c = Conv(x, w) {NORM.replace('zeros', 't')}", f"{WEIGHT}, {PLAIN}", None),
        (f"c = Conv(x, w) {NORM.replace(' s,', ' ones,')}", f"{WEIGHT}, {PLAIN}", None),
        (f"c = Conv(x, w) u = Relu(c) {NORM}", f"{WEIGHT}, {PLAIN}", None),
        (
            f"c = Conv<pads = [0, 1, 0, 0]>(x, w) {NORM}",
            f"float[3, 2, 1, 2] w = {{1, -2, 0.5, 3, 2, 1, 1, 2, 3, 4, 5, 6}}, {PLAIN}",
            None,
        ),
    ],
)
def test_other_norms_stay_where_they_are(text, constants, known):
    kinds = inside(text, constants, *([known] if known else []))
    assert "BatchNormalization" in kinds
    assert "Reshape" not in kinds


@pytest.mark.parametrize(("channels", "goes"), [(72, True), (73, False)])
def test_a_weight_of_many_channels_for_few_pixels_stays_as_it_is(channels, goes):
    source = f"""{HEAD}g (float[N, {channels}, 3, 3] x, float[3] s, float[3] t) => (float[N, 3, 3, 3] y)
        <float[N, 3, 3, 3] y, {PLAIN}> {{ c = Conv(x, w) {NORM} }}"""
    graph = graph_of(parser.parse_model(source).graph)
    graph.constants["w"] = np.ones((3, channels, 1, 1), np.float32)
    assert ("Mul" in [one.op_type for one in norms_inside(graph, graph.nodes, graph.types)]) is goes


@pytest.mark.parametrize(("shape", "thin"), [((65, 32, 1, 1), True), ((65, 64, 1, 1), False), ((65, 32, 3, 3), False)])
def test_a_loop_of_thin_convolutions_is_known(shape, thin):
    source = f"""{HEAD}g (float[N, {shape[1]}, 3, 3] x, int64 n) => (float[N, {shape[1]}, 3, 3] y) {{
        c = Conv(x, w)
        y = Loop(n, , x) <body = b (int64 i, bool go, float[N, {shape[1]}, 3, 3] s)
            => (bool more, float[N, {shape[1]}, 3, 3] z) {{ more = Identity(go) c = Conv(s, w) z = Identity(s) }}> }}"""
    graph = graph_of(parser.parse_model(source).graph)
    graph.constants["w"] = np.zeros(shape, np.float32)
    assert has_thin(graph) is thin
    graph.nodes = [node for node in graph.nodes if node.op_type != "Loop"]
    assert has_thin(graph) is False
