"""The graph of a folded network: what is a node, what is an edge, and that the flow can be read back."""

import json

import networkx as nx
from hypothesis import given, settings
from hypothesis import strategies as st

from foldnet.drawing.graph import program_graph
from foldnet.program.data import Program, Use
from foldnet.program.loops import build_program


def network(*patterns: list[tuple[int, int]]) -> Program:
    """Stages that begin with a private block with a shortcut, then blocks that use owners."""
    stages = []
    for number, pattern in enumerate(patterns, start=1):
        stage = f"stage{number}"
        positions = ("conv1", "conv2", "shortcut")
        blocks = [(f"{stage}.0", "first", [Use(f"{stage}.0.{where}", where, None, None) for where in positions])]
        for index, owners in enumerate(pattern, start=1):
            name = f"{stage}.{index}"
            uses = [Use(f"{name}.conv{n}", f"conv{n}", stage, owner) for n, owner in enumerate(owners, start=1)]
            blocks.append((name, "", uses))
        stages.append((stage, blocks))
    return build_program(["stem"], stages, ["classifier"])


def visited(program: Program) -> list[str]:
    """The nodes in the order of the unrolled network, written down without the graph."""
    names = ["input", *program.before]
    for stage in program.stages:
        for block in stage.blocks:
            for use in block.uses:
                if use.position != "shortcut":
                    names.append(use.layer if use.owner is None else f"{use.group}.{'abcdefgh'[use.owner]}")
    return [*names, *program.after, "output"]


def flow(graph: nx.MultiDiGraph) -> dict[tuple[str, str], dict[str, object]]:
    return {(u, v): data for u, v, data in graph.edges(data=True) if data["kind"] == "flow"}


patterns = st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=6), max_size=3)


@settings(max_examples=60, deadline=None)
@given(patterns)
def test_following_the_flow_by_order_gives_back_the_layers(some: list[list[tuple[int, int]]]) -> None:
    program = network(*some)
    edges = flow(program_graph(program))
    steps = {step: pair for pair, data in edges.items() for step in data["order"]}
    expected = visited(program)
    assert sorted(steps) == list(range(1, len(expected)))
    assert [steps[1][0], *(steps[step][1] for step in sorted(steps))] == expected


def test_passes_are_those_of_the_paper() -> None:
    # Layers 1,2,3,4,3,4,1,2,3,4: blocks P Q Q P Q. Steps 1 to 4 lead to the stem and to a.
    program = network([(0, 1), (2, 3), (2, 3), (0, 1), (2, 3)], [])
    edges = flow(program_graph(program))
    a, b, c, d = (f"stage1.{letter}" for letter in "abcd")
    assert [(pair, data["order"], data["passes"]) for pair, data in edges.items() if pair[0] in (a, b, c, d)] == [
        ((a, b), [5, 11], [1, 3]),
        ((b, c), [6, 12], [1, 3]),
        ((c, d), [7, 9, 13], [1, 2, 3]),
        ((d, c), [8], [1]),
        ((d, a), [10], [2]),
        ((d, "stage2.0.conv1"), [14], [3]),
    ]
    assert all(data["pass"] == data["passes"][0] == data["color"] + 1 for data in edges.values())
    assert edges["stage2.0.conv1", "stage2.0.conv2"]["pass"] == 1  # counted anew
    assert [pair for pair, data in edges.items() if data["back"]] == [(d, c), (d, a)]
    assert not any(data["dashed"] for data in edges.values())


def test_cycles_without_a_loop_of_blocks_are_dashed() -> None:
    edges = flow(program_graph(network([(0, 1), (0, 2)])))
    assert [pair for pair, data in edges.items() if data["dashed"]] == [("stage1.b", "stage1.a")]


def test_nodes_say_who_uses_them() -> None:
    program = network([(0, 1), (0, 2), (0, 1), (0, 0), (3, 1)])
    graph = program_graph(program, gains={"stage1.1.conv1": 0.5, "stage1.2.conv1": -1})
    assert list(graph.nodes) == list(dict.fromkeys(visited(program)))
    assert graph.nodes["stage1.a"] == {
        "kind": "owner",
        "stage": "stage1",
        "name": "a",
        "label": "conv1 of blocks 1-4\nconv2 of block 4",
        "layers": ["stage1.1.conv1", "stage1.2.conv1", "stage1.3.conv1", "stage1.4.conv1", "stage1.4.conv2"],
        "uses": 5,
        "gains": [0.5, -1.0, 1.0, 1.0, 1.0],
    }
    assert graph.nodes["stage1.b"]["label"] == "conv2 of blocks 1, 3, 5"
    assert graph.nodes["stage1.c"]["label"] == "2.conv2"
    assert "gains" not in graph.nodes["stage1.b"]
    assert graph.nodes["stage1.0.conv1"]["name"] == "0.conv1"
    assert [graph.nodes[node]["kind"] for node in ("input", "stem", "output")] == ["input", "private", "output"]
    assert graph.graph["stages"] == {"stage1": "private; A; B; A; C; D"}


def test_residual_edges_lead_around_each_block() -> None:
    program = network([(0, 1), (0, 1), (0, 1)])
    assert "stage1.0.shortcut" not in program_graph(program)
    graph = program_graph(program, residual=True)
    found = {(u, v): data["order"] for u, v, data in graph.edges(data=True) if data["kind"] == "residual"}
    assert found == {
        ("stem", "stage1.0.shortcut"): [3],
        ("stage1.0.shortcut", "stage1.0.conv2"): [3],
        ("stage1.0.conv2", "stage1.b"): [5],
        ("stage1.b", "stage1.b"): [7, 9],
    }


def test_a_network_without_stages() -> None:
    graph = program_graph(Program((), (), ()))
    assert list(flow(graph)) == [("input", "output")]


def test_layers_may_be_called_input_and_output() -> None:
    graph = program_graph(Program(("input",), (), ("output",)))
    assert list(flow(graph)) == [("input'", "input"), ("input", "output"), ("output", "output'")]


def test_an_owner_of_two_stages_is_one_node() -> None:
    stages = [
        (name, [(f"{name}.{n}", "", [Use(f"{name}.{n}.conv", "conv", "all", n)]) for n in (0, 1)])
        for name in ("s", "t")
    ]
    graph = program_graph(build_program([], stages, []))
    assert list(graph.nodes) == ["input", "all.a", "all.b", "output"]
    assert graph.nodes["all.a"]["label"] == "conv of blocks 0, t.0"
    assert [(pair, data["order"]) for pair, data in flow(graph).items()] == [
        (("input", "all.a"), [1]),
        (("all.a", "all.b"), [2, 4]),
        (("all.b", "all.a"), [3]),
        (("all.b", "output"), [5]),
    ]


@settings(max_examples=20, deadline=None)
@given(patterns, st.booleans())
def test_node_link_json_round_trip(some: list[list[tuple[int, int]]], residual: bool) -> None:
    graph = program_graph(network(*some), residual=residual)
    text = json.dumps(nx.node_link_data(graph, edges="edges"))
    back = nx.node_link_graph(json.loads(text), edges="edges")
    assert nx.utils.graphs_equal(graph, back)
