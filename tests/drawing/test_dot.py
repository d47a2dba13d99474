"""Pictures and files of a graph: their structure, and what is said when they cannot be made."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import graphviz
import networkx as nx
import pytest

from foldnet.drawing.colors import DISTINCT, PLAIN
from foldnet.drawing.dot import graph_dot, write_dot, write_graph
from foldnet.drawing.graph import program_graph
from foldnet.errors import MissingTool, OutputError, SettingError
from foldnet.program.data import Use
from foldnet.program.loops import build_program

needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz's program dot is not installed")


@pytest.fixture
def graph() -> nx.MultiDiGraph:
    """P P in stage 1, then two blocks that share their first layer in stage 2."""
    stages = []
    for stage, pattern in (("stage1", [(0, 1), (0, 1)]), ("stage2", [(0, 1), (0, 2)])):
        uses = [
            [Use(f"{stage}.{index}.conv{n}", f"conv{n}", stage, owner) for n, owner in enumerate(owners, start=1)]
            for index, owners in enumerate(pattern)
        ]
        stages.append((stage, [(f"{stage}.{index}", "", some) for index, some in enumerate(uses)]))
    return program_graph(build_program(["stem"], stages, ["<head> & tail"]), residual=True)


def drawn_edges(digraph: graphviz.Digraph) -> list[tuple[str, str, dict[str, str]]]:
    """(tail, head, attributes) of the drawn edges, but for colours and sizes."""
    found = []
    for tail, head, attributes in re.findall(r"^\t+(\w+) -> (\w+)(?: \[(.*)\])?$", digraph.source, re.MULTILINE):
        label = re.search(r"label=<(.*)>(?= \w+=|$)", attributes or "")
        kept = dict(re.findall(r"(style|dir)=(\w+)", attributes or ""))
        room = (
            r'<table [^>]*cellpadding="4"><tr><td>(.*)</td></tr></table>|()'  # arrows beside each other touch no text
        )
        said = {"label": re.fullmatch(room, label[1])[1].replace("<br/>", " | ")} if label else {}
        found.append((tail, head, {name: re.sub(r"<[^>]*>", "", value) for name, value in (said | kept).items()}))
    return found


def test_what_is_drawn(graph: nx.MultiDiGraph) -> None:
    digraph = graph_dot(graph, "a title")
    assert list(graph.nodes) == [
        "input", "stem", "stage1.a", "stage1.b", "stage2.a", "stage2.b", "stage2.c", "<head> & tail", "output",
    ]  # fmt: skip
    edges = [edge for edge in drawn_edges(digraph) if edge[2].get("style") not in ("dotted", "invis")]
    assert edges == [
        ("n0", "n1", {}),
        ("n1", "n2", {}),
        ("n2", "n3", {"label": "1, 2 | steps 3, 5"}),
        ("n2", "n3", {"label": "1 | step 4", "dir": "back"}),
        ("n3", "to1from0", {"label": "2"}),
        ("from0to1", "n4", {}),
        ("n4", "n5", {"label": "1 | step 7"}),
        ("n4", "n6", {"label": "2"}),
        ("n4", "n5", {"label": "1 | step 8", "style": "dashed", "dir": "back"}),
        ("n6", "n7", {"label": "2"}),
        ("n7", "n8", {}),
    ]
    assert [edge[:2] for edge in drawn_edges(digraph) if edge[2].get("style") == "invis"] == [("n0", "from0to1")]
    assert digraph.source.count("subgraph cluster_") == 2
    assert "2x { A }" in digraph.source
    assert "{a;b} {a;c}" in digraph.source
    assert "&lt;head&gt; &amp; tail" in digraph.source
    assert graph_dot(graph, "a title").source == digraph.source


def test_an_edge_taken_often_says_how_often() -> None:
    uses = [[Use(f"s.{index}.conv", "conv", "s", 0)] for index in range(6)]
    program = build_program([], [("s", [(f"s.{index}", "", some) for index, some in enumerate(uses)])], [])
    gains = {f"s.{index}.conv": 1 + index / 10 for index in range(6)}
    digraph = graph_dot(program_graph(program, gains=gains), "")
    assert ("n1", "n1", {"label": "1–5 | ×5"}) in drawn_edges(digraph)
    assert "gains 1.00 to 1.50" in digraph.source


def test_the_title_says_where_each_pass_is() -> None:
    """Six uses of one weight are one edge to itself, drawn by the first of five passes, and the way out, of the sixth."""
    uses = [(f"s.{index}", "", [Use(f"s.{index}.conv", "conv", "s", 0)]) for index in range(6)]
    source = graph_dot(program_graph(build_program(["stem"], [("s", uses)], ["head"])), "").source
    keys = re.findall(r'<font color="(#\w+)">(pass[^<&]*)(?:&#160;)+</font>', source)
    assert keys == [
        (DISTINCT[0], "pass 1"),
        (PLAIN, "passes 2–5 take arrows of earlier ones"),
        (DISTINCT[5], "pass 6"),
    ]
    assert (
        "at an arrow: the passes that take it, coloured by the first, and at which steps of the network, or how often (&#215;)"
        in source
    )


def test_without_jumps_nothing_is_explained() -> None:
    source = graph_dot(program_graph(build_program(["stem"], [], ["head"])), "a title").source
    assert "pass" not in source
    assert "at an arrow" not in source


@needs_dot
@pytest.mark.parametrize(
    ("ending", "start"), [(".svg", b"<?xml"), (".png", b"\x89PNG"), (".pdf", b"%PDF"), (".SVG", b"<?xml")]
)
def test_pictures(graph: nx.MultiDiGraph, tmp_path: Path, ending: str, start: bytes) -> None:
    path = tmp_path / f"graph{ending}"
    write_graph(graph, path, 'a <b> & "title" \\N')
    assert path.read_bytes().startswith(start)


@pytest.mark.parametrize("ending", [".dot", ".gv"])
def test_source(graph: nx.MultiDiGraph, tmp_path: Path, ending: str) -> None:
    write_graph(graph, tmp_path / f"graph{ending}", "a title")
    assert (tmp_path / f"graph{ending}").read_text() == graph_dot(graph, "a title").source


@needs_dot
@pytest.mark.parametrize("ending", [".svg", ".graphml"])
def test_names_that_no_xml_holds_are_spelt_out(tmp_path: Path, ending: str) -> None:
    name = "a\x07\n\u202e<b>"
    graph = program_graph(build_program([name], [(name, [(f"{name}.0", "", [Use(f"{name}.0.c", "c", name, 0)])])], []))
    write_graph(graph, tmp_path / f"a{ending}", name)
    text = (tmp_path / f"a{ending}").read_text()
    ElementTree.fromstring(text)
    assert "a\\x07" in text
    assert not {"\x07", "\u202e"}.intersection(text)


def test_json(graph: nx.MultiDiGraph, tmp_path: Path) -> None:
    write_graph(graph, tmp_path / "graph.json", "a title")
    value = json.loads((tmp_path / "graph.json").read_text())
    assert value["graph"]["title"] == "a title"
    back = nx.node_link_graph(value, edges="edges")
    assert list(back.edges(data=True)) == list(graph.edges(data=True))
    assert "title" not in graph.graph


def test_graphml(graph: nx.MultiDiGraph, tmp_path: Path) -> None:
    write_graph(graph, tmp_path / "graph.graphml", "a title")
    back = nx.read_graphml(tmp_path / "graph.graphml", force_multigraph=True)
    assert list(back.nodes) == list(graph.nodes)
    assert back.nodes["stage1.a"]["layers"] == "stage1.0.conv1,stage1.1.conv1"
    orders = [data["order"] for _, _, data in graph.edges(data=True)]
    assert [data["order"] for _, _, data in back.edges(data=True)] == [",".join(map(str, order)) for order in orders]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("graph.jpg", "has ending '.jpg'; give it one of .svg, .png, .pdf, .dot, .gv, .graphml, .json"),
        ("graph", "has no ending; give it one of .svg, .png, .pdf, .dot, .gv, .graphml, .json"),
    ],
)
def test_other_endings_are_refused(graph: nx.MultiDiGraph, tmp_path: Path, name: str, sentence: str) -> None:
    with pytest.raises(SettingError) as error:
        write_graph(graph, tmp_path / name, "")
    assert str(error.value) == f"'{tmp_path / name}' {sentence}"
    assert not list(tmp_path.iterdir())


def test_a_picture_is_no_graph_file(tmp_path: Path) -> None:
    path = tmp_path / "sharing.json"
    with pytest.raises(SettingError) as error:
        write_dot(graphviz.Digraph(), path)
    assert str(error.value) == f"'{path}' has ending '.json'; give it one of .svg, .png, .pdf, .dot, .gv"


def test_without_dot(graph: nx.MultiDiGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    path = tmp_path / "graph.svg"
    with pytest.raises(MissingTool) as error:
        write_graph(graph, path, "")
    assert str(error.value) == (
        f"'{path}' needs Graphviz's program dot, which is not installed; install it (apt install graphviz, "
        "brew install graphviz), or write .dot, or a graph as .graphml or .json, which work without"
    )
    for name in ("graph.dot", "graph.graphml", "graph.json"):
        write_graph(graph, tmp_path / name, "")


def test_a_failing_dot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> bytes:
        raise subprocess.CalledProcessError(1, ["dot"], stderr=b"Error: syntax\nmore\n")

    monkeypatch.setattr(graphviz.Digraph, "pipe", fail)
    path = tmp_path / "graph.png"
    with pytest.raises(OutputError) as error:
        write_dot(graphviz.Digraph(), path)
    assert (
        str(error.value) == f"dot could not draw '{path}' (Error: syntax); write a .dot file to see what it was given"
    )
    assert not list(tmp_path.iterdir())
