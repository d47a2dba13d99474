"""Loops in an ONNX graph: what is joined, what is stacked, and what is left written out, and why. No torch."""

import re

import numpy as np
import onnx
import pytest
from onnx import parser
from onnxruntime import InferenceSession, SessionOptions

from foldnet.exporting.onnx_graph import graph_of, subgraphs, used_by
from foldnet.exporting.onnx_loops import roll
from foldnet.exporting.onnx_model import model_of
from foldnet.exporting.onnx_trips import drop_marks
from foldnet.program.data import Block, Loop, Stage, Step

HEAD = '<ir_version: 10, opset_import: ["" : 20, "foldnet" : 1]>\n'
QUIET = SessionOptions()
QUIET.log_severity_level = 3
X = np.array([[1.0, -2.0, 0.5]], np.float32)


def block(number: int, state: str, work: str) -> str:
    """One block between marks: `work` says what it makes of x, and is called y."""
    begin, end = (f"foldnet.Mark <place = {2 * number + n}>" for n in (0, 1))
    work = re.sub(r"\b[xy]\b", lambda found: f"{found[0]}{number}", work)
    return f"x{number} = {begin} ({state})\n{work}\no{number} = {end} (y{number})\n"


def graph(
    works: list[str], constants: str, *, before: str = "", between: dict[int, str] | None = None, out: str = "", wide=()
):
    """A graph of blocks, each fed by the one before."""
    text, state = before, "a"
    for number, work in enumerate(works):
        text += block(number, state, work)
        state = f"o{number}"
        if number in (between or {}):
            text += between[number] + "\n"
            state = f"z{number}"
    sizes = {(n, name): 6 if (n, name) in wide else 3 for n in range(len(works)) for name in ("x", "y", "o")}
    known = "".join(f"float[N, {size}] {name}{n}, " for (n, name), size in sizes.items())
    source = (
        f"{HEAD}g (float[N, 3] a) => (float[N, 3] b) <{known}{constants}> {{ {text} b = Identity({out or state}) }}"
    )
    return graph_of(parser.parse_model(source).graph)


def stage(*items, blocks: int, fixed: str = "") -> Stage:
    return Stage("s", tuple(Block(f"s.{n}", "A", ()) for n in range(blocks)), items, fixed)


def loop(times: int, *body, name: str = "s.loop1") -> Loop:
    return Loop(times, body, name)


def run(made, feeds=None):
    model = model_of(made, 20, {})
    onnx.checker.check_model(model, full_check=True)
    return InferenceSession(model.SerializeToString(), QUIET).run(None, {"a": X} | (feeds or {}))[0]


def rolled(made, *stages, **options):
    """The graph with its loops, and what roll says."""
    return roll(made, stages, {one.name: 0 for one in stages}, **options)


OWN = "float[3] w0 = {1, 2, 3}, float[3] w1 = {2, 0, 1}, float[3] w2 = {-1, 1, 1}"


def test_what_differs_is_stacked_and_what_is_alike_is_shared():
    works = [f"h = Mul(x, w)\ny = Add(h, w{n})".replace("h", f"h{n}") for n in range(3)]
    constants = f"float[3] w = {{0.5, 2, 1}}, {OWN}"
    plain = graph(works, constants)
    drop_marks(plain)
    wanted = run(plain)
    made = graph(works, constants)
    assert rolled(made, stage(loop(3, Step("A")), blocks=3)) == ({"s.loop1": 3}, {})
    made.without_unused()
    assert [node.op_type for node in made.nodes] == ["Loop", "Identity"]
    assert {name: value.shape for name, value in made.constants.items() if value.ndim} == {
        "w": (3,),
        "s.loop1/steps0": (3, 3),
    }
    np.testing.assert_array_equal(run(made), wanted)
    body = model_of(made, 20, {}).graph.node[0].attribute[0].g
    assert {one.name for one in body.initializer} == {"w", "s.loop1/steps0"}


def test_a_dial_takes_the_last_trips_own_constants_beyond_those_found():
    works = [f"y = Add(x, w{n})" for n in range(3)]
    made = graph(works, OWN)
    rolled(made, stage(loop(3, Step("A")), blocks=3), dial=True)
    own = np.array([[1, 2, 3], [2, 0, 1], [-1, 1, 1]])
    assert made.dials == {"s.loop1": 3}
    np.testing.assert_array_equal(run(made), X + own.sum(0))
    for trips in (0, 1, 2, 3, 5):
        wanted = X + own[np.minimum(np.arange(trips), 2)].sum(0)
        np.testing.assert_array_equal(run(made, {"s.loop1": np.array(trips)}), wanted)


def test_a_loop_that_cannot_be_turned_has_no_dial():
    made = graph([f"y = Add(x, w{n})" for n in range(3)], OWN)
    assert rolled(made, stage(loop(3, Step("A")), blocks=3, fixed="it says so"), dial=True) == ({"s.loop1": 3}, {})
    assert made.dials == {}


WORKS = ["y = Add(x, w0)", "y = Mul(x, w1)", "y = Mul(x, w2)", "y = Add(x, w1)", "y = Mul(x, w0)", "y = Mul(x, w0)"]
W = [np.array(one) for one in ([1, 2, 3], [2, 0, 1], [-1, 1, 1])]


def nested(outer: int, inner: int):
    """2x { A; 2x { B } } of WORKS with other trips, slowly."""
    x = X.astype(np.float64)
    for trip in range(outer):
        x = x + (W[0], W[1])[min(trip, 1)]
        for step in range(inner):
            x = x * ((W[1], W[2]), (W[0], W[0]))[min(trip, 1)][min(step, 1)]
    return x.astype(np.float32)


NESTED = loop(2, Step("A"), loop(2, Step("B"), name="s.loop2"))
TURNED = [(2, 2), (0, 2), (2, 0), (0, 0), (1, 3), (3, 1), (4, 3)]


def turned(made, found, wanted):
    """The graph gives what is wanted for any trips of its two loops."""
    for trips in found:
        feeds = {name: np.array(count) for name, count in zip(("s.loop1", "s.loop2"), trips, strict=True)}
        np.testing.assert_array_equal(run(made, feeds), wanted(*trips))


@pytest.mark.parametrize("dial", [False, True])
def test_loops_in_loops_are_one_with_a_choice_of_bodies_and_each_has_its_own_dial(dial):
    plain, made = graph(WORKS, OWN), graph(WORKS, OWN)
    drop_marks(plain)
    assert rolled(made, stage(NESTED, blocks=6), dial=dial) == ({"s.loop1": 2, "s.loop2": 2}, {})
    assert made.together == [("s.loop1", "s.loop2")]
    made.without_unused()
    assert [node.op_type for node in made.nodes if any(subgraphs(node))] == ["Loop"]
    (body,) = subgraphs(next(node for node in made.nodes if node.op_type == "Loop"))
    assert [node.op_type for node in body.node].count("If") == 1
    np.testing.assert_array_equal(run(made), run(plain))
    if dial:
        assert made.dials == {"s.loop1": 2, "s.loop2": 2}
        turned(made, TURNED, nested)


def test_loops_that_share_a_body_are_one_with_what_runs_between():
    items = (loop(2, Step("A")), Step("B"), Step("C"), loop(2, Step("A"), name="s.loop2"))
    works = [WORKS[0], WORKS[3], "y = Abs(x)", WORKS[1], WORKS[0], "y = Add(x, w2)"]
    plain, made = graph(works, OWN), graph(works, OWN)
    drop_marks(plain)
    assert rolled(made, stage(*items, blocks=6), dial=True) == ({"s.loop1": 2, "s.loop2": 2}, {})
    made.without_unused()
    (node,) = (one for one in made.nodes if one.op_type == "Loop")
    assert node.name == "s.loop1+s.loop2"
    np.testing.assert_array_equal(run(made), run(plain))

    def slowly(first, second):
        x = X.astype(np.float64)
        for trip in range(first):
            x = x + W[min(trip, 1)]
        x = np.abs(x) * W[1]
        for trip in range(second):
            x = x + (W[0], W[2])[min(trip, 1)]
        return x.astype(np.float32)

    turned(made, TURNED, slowly)


def test_a_large_constant_of_several_bodies_stands_once_in_their_loop():
    works = [f"h{n} = ReduceMax<keepdims = 0>(v)\ny = {kind}(x, h{n})" for n, kind in enumerate(["Add", "Mul"] * 2)]
    works = [works[0], works[2].replace("h2", "h1"), works[1].replace("h1", "h2"), works[2].replace("h2", "h3")]
    large = f"float[300] v = {{{', '.join(map(str, range(300)))}}}"
    plain, made = graph(works, large), graph(works, large)
    drop_marks(plain)
    items = (loop(2, Step("A")), Step("B"), Step("A"))
    assert rolled(made, stage(*items, blocks=4)) == ({"s.loop1": 2}, {})
    np.testing.assert_array_equal(run(made), run(plain))
    model = model_of(made, 20, {})
    (body,) = subgraphs(next(node for node in model.graph.node if node.op_type == "Loop"))
    inner = [branch for node in body.node for branch in subgraphs(node)]
    held = [[one.name for one in part.initializer if one.dims == [300]] for part in (model.graph, body, *inner)]
    assert held == [[], ["v"], [], []]


def test_loops_in_loops_whose_steps_give_other_shapes_stand_in_each_other():
    works = ["y = Concat<axis = 1>(x, v0)", "y = Add(x, w0)", "y = Add(x, w1)", "y = Slice(x, n, l, m)"]
    constants = "float[1, 3] v0 = {1, 2, 3}, float[6] w0 = {1, 2, 3, 4, 5, 6}, float[6] w1 = {2, 0, 1, 2, 0, 1}"
    constants += ", int64[1] n = {3}, int64[1] l = {6}, int64[1] m = {1}"
    wide = {(n, name) for n in (0, 1, 2, 4, 5, 6) for name in ("y", "o")}
    wide |= {(n, "x") for n in (1, 2, 3, 5, 6, 7)}
    plain, made = (graph(works * 2, constants, wide=wide) for _ in range(2))
    drop_marks(plain)
    items = loop(2, Step("A"), loop(2, Step("B"), name="s.loop2"), Step("C"))
    assert rolled(made, stage(items, blocks=8), dial=True) == ({"s.loop1": 2, "s.loop2": 2}, {})
    assert made.together == []
    made.without_unused()
    assert [node.op_type for node in made.nodes] == ["Loop", "Identity"]
    np.testing.assert_array_equal(run(made), run(plain))
    own = np.array([[4, 5, 6], [2, 0, 1]])

    def slowly(outer, inner):
        x = X
        for _ in range(outer):
            x = np.array([[1, 2, 3]]) + own[np.minimum(np.arange(inner), 1)].sum(0)
        return x.astype(np.float32)

    turned(made, TURNED, slowly)


def test_what_only_initial_values_need_stays_outside_and_is_used_from_there():
    works = ["y = Add(x, m)"] * 3
    made = graph(works, "float[3] w0 = {1, 2, 3}", before="m = Mul(a, w0)\n")
    rolled(made, stage(loop(3, Step("A")), blocks=3))
    assert [node.op_type for node in made.nodes] == ["Mul", "Loop", "Identity"]
    assert "m" in used_by(made.nodes[1])
    np.testing.assert_array_equal(run(made), X + 3 * X * np.array([1, 2, 3], np.float32))


@pytest.mark.parametrize(
    ("works", "more", "said"),
    [
        (["y = Add(x, w0)", "y = Mul(x, w0)"], {}, "its trips are not written alike"),
        (["h = Abs(x)\ny = Add(h, x)", "g = Abs(x)\ny = Add(x, g)"], {}, "its trips are not wired alike"),
        (
            ["y = Add(x, w0)"] * 2,
            {"between": {0: "z0 = Abs(o0)"}},
            "the network's own forward does something between its trips",
        ),
        (["y = Add(x, w0)"] * 2, {"out": "y0"}, "what a trip gives is used again behind the next"),
        (["y = Add(x, w0)"] * 2, {"out": "o0"}, "what a trip gives is used again behind the next"),
        (
            ["h = Abs(x)\ny = Add(h, w0)", "g = Abs(x)\ny = Add(g, w0)"],
            {"out": "h"},
            "what is inside a trip is used again behind it",
        ),
        (
            ["y = Add(x, p)", "y = Add(x, q)"],
            {"before": "p = Abs(a)\nq = Neg(a)\nr = Add(p, q)\n"},
            "its trips use tensors that are made elsewhere, each another one",
        ),
        (["y = Add(a, w0)", "y = Add(a, w1)"], {}, "a trip does not depend on the one before"),
    ],
)
def test_trips_that_are_not_one_body_stay_written_out(works, more, said):
    plain, made = graph(works, OWN, **more), graph(works, OWN, **more)
    drop_marks(plain)
    assert rolled(made, stage(loop(2, Step("A")), blocks=2)) == ({}, {"s.loop1": said})
    assert [node.op_type for node in made.nodes] == [node.op_type for node in plain.nodes]
    np.testing.assert_array_equal(run(made), run(plain))


def test_a_block_that_runs_twice_has_no_place():
    made = graph(["y = Add(x, w0)"] * 2, OWN)
    again = next(node for node in made.nodes if node.op_type == "Mark")
    made.nodes.insert(1, type(again).FromString(again.SerializeToString()))
    made.nodes[1].output[0] = "twice"
    said = rolled(made, stage(loop(2, Step("A")), blocks=2))[1]
    assert said == {"s.loop1": "its blocks do not run once each, from one tensor to another"}
