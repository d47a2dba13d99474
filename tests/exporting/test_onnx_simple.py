"""What is made simpler in an ONNX graph computes the same, and no weight is written out for it."""

import numpy as np
import pytest
from onnx import parser
from onnxruntime import InferenceSession

from foldnet.exporting import onnx_simple
from foldnet.exporting.onnx_graph import graph_of
from foldnet.exporting.onnx_model import model_of
from foldnet.exporting.onnx_simple import simplify

HEAD = '<ir_version: 10, opset_import: ["" : 20]>\n'
X = np.random.default_rng(0).standard_normal((2, 2, 3, 3)).astype(np.float32)
WEIGHT = "float[2, 2, 1, 1] w = {1, -2, 0.5, 3}"
NORM = "float[2] s = {0.5, 2}, float[2] t = {1, -1}, float[2] m = {0.1, 0.2}, float[2] v = {1.5, 0.7}"
BEFORE = "float[2] s2 = {1.5, 1}, float[2] t2 = {0.3, 0.1}"


def both(text: str, constants: str):
    """The graph as it is and made simpler, and what each gives for X."""
    source = f"{HEAD}g (float[N, 2, 3, 3] x) => (float[N, 2, 3, 3] y) <{constants}> {{ {text} }}"
    found = []
    for simple in (False, True):
        graph = graph_of(parser.parse_model(source).graph)
        graph.weights = {"w"}
        if simple:
            simplify(graph)
        content = model_of(graph, 20, {}).SerializeToString()
        found.append((graph, InferenceSession(content).run(None, {"x": X})[0]))
    np.testing.assert_allclose(found[1][1], found[0][1], atol=1e-5)
    return found[1][0]


@pytest.mark.parametrize(
    ("text", "constants", "kinds"),
    [
        ("h = Mul(w, g)\ny = Conv(x, h)", "float g = {-0.5}", ["Conv", "Mul"]),
        ("h = Mul(w, g)\ny = Conv(x, h, b)", "float g = {3}, float[2] b = {0.5, 1}", ["Conv", "BatchNormalization"]),
        (
            "h = Mul(w, g)\nc = Conv(x, h)\ny = BatchNormalization(c, s, t, m, v)",
            f"float g = {{-2}}, {NORM}",
            ["Conv", "BatchNormalization"],
        ),
        (
            "h = Mul(w, g)\nc = Conv(x, h, b)\ny = BatchNormalization(c, s, t, m, v)",
            f"float g = {{2}}, float[2] b = {{1, 2}}, {NORM}",
            ["Conv", "BatchNormalization", "BatchNormalization"],
        ),
    ],
)
def test_a_gain_goes_behind_its_convolution(text, constants, kinds):
    graph = both(text, f"{WEIGHT}, {constants}")
    assert [node.op_type for node in graph.nodes] == kinds
    assert graph.nodes[0].input[1] == "w"


@pytest.mark.parametrize(("gains", "product"), [((0.5, 2.0), False), ((0.5, -2.0), True)])
def test_positive_gains_go_ahead_of_a_convolution_and_negative_ones_keep_all_behind(gains, product):
    text = """
    n = BatchNormalization(x, s, t, m, v)  r = Relu(n)  h = Mul(w, g)  c = Conv(r, h)
    n2 = BatchNormalization(c, s2, t2, m, v)  r2 = Relu(n2)  h2 = Mul(w, g2)  y = Conv(r2, h2)
    """
    constants = f"{WEIGHT}, float g = {{{gains[0]}}}, float g2 = {{{gains[1]}}}, {NORM}, {BEFORE}"
    graph = both(text, constants)
    plain = ["BatchNormalization", "Relu", "Conv"] * 2
    assert [node.op_type for node in graph.nodes] == [*plain, *(["Mul"] if product else [])]
    assert {node.input[1] for node in graph.nodes if node.op_type == "Conv"} == {"w"}


def test_gains_of_matrices_go_behind_products_through_transpositions():
    text = "h = Mul(g, w)\nk = Transpose <perm = [0, 1, 3, 2]> (h)\np = MatMul(x, k)\ny = Add(p, b)"
    graph = both(
        text,
        "float[2, 2, 3, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9}, float g = {0.5}, float[3] b = {1, 2, 3}",
    )
    assert [node.op_type for node in graph.nodes] == ["Transpose", "MatMul", "Mul", "Add"]


def test_a_bias_of_zeros_goes_however_many_channels_there_are(monkeypatch):
    monkeypatch.setattr(onnx_simple, "SMALL", 1)
    text = "n = Constant <value_ints = [2]> ()  b = Expand(z, n)  y = Conv(x, w, b)"
    graph = both(text, f"{WEIGHT}, float z = {{0}}")
    assert [(node.op_type, len(node.input)) for node in graph.nodes] == [("Conv", 2)]


@pytest.mark.parametrize(
    ("constants", "kinds"),
    [
        ("int64[1] b = {0}, int64[1] e = {9223372036854775807}, int64[1] a = {1}, int64[1] k = {1}", ["Relu"]),
        ("int64[1] b = {0}, int64[1] e = {2147483647}, int64[1] a = {0}, int64[1] k = {1}", ["Relu"]),
        ("int64[1] b = {0}, int64[1] e = {1}, int64[1] a = {0}, int64[1] k = {1}", ["Slice", "Relu"]),
        ("int64[1] b = {1}, int64[1] e = {2147483647}, int64[1] a = {0}, int64[1] k = {1}", ["Slice", "Relu"]),
        ("int64[1] b = {0}, int64[1] e = {2147483647}, int64[1] a = {0}, int64[1] k = {2}", ["Slice", "Relu"]),
        (
            "int64[1] b = {-1}, int64[1] e = {-9223372036854775807}, int64[1] a = {0}, int64[1] k = {-1}",
            ["Slice", "Relu"],
        ),
    ],
)
def test_a_slice_of_all_there_is_goes_and_no_other(constants, kinds):
    graph = both("s = Slice(x, b, e, a, k)  y = Relu(s)", constants)
    assert [node.op_type for node in graph.nodes] == kinds


def test_a_slice_that_is_the_output_stays():
    graph = both("y = Slice(x, b, e)", "int64[1] b = {0}, int64[1] e = {2147483647}")
    assert [node.op_type for node in graph.nodes] == ["Slice"]


def test_small_constants_are_computed_and_weights_never():
    text = """
    z = Constant <value = float {0.0}> ()  e = Constant <value_ints = [1]> ()
    n = Shape <start = 0, end = 1> (w)  u = Expand(n, e)  b = Expand(z, u)
    h = Mul(w, k)  y = Conv(x, h, b)
    """
    graph = both(text, f"{WEIGHT}, float[1, 2, 1, 1] k = {{1, 2}}")
    assert [(node.op_type, len(node.input)) for node in graph.nodes] == [("Mul", 2), ("Conv", 2)]
    assert set(graph.constants) == {"w", "k"}
