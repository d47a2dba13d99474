"""foldnet render: pictures of runs and folds, and graphs for other programs."""

import itertools
import json
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import networkx as nx
import pytest

import foldnet
from foldnet.drawing import output
from foldnet.store.files import free_name

DOT = shutil.which("dot") is not None
needs_dot = pytest.mark.skipif(not DOT, reason="Graphviz's dot is not installed")
SIGNATURES = {".png": b"\x89PNG\r\n\x1a\n", ".pdf": b"%PDF-", ".svg": b"<?xml"}
STEPS = [
    *["input", "stem"],
    *[f"stage1.0.conv{conv}" for conv in (1, 2)],
    *[f"stage1.{letter}" for letter in "abcdef"],
    *[f"stage2.0.conv{conv}" for conv in (1, 2)],
    *["stage2.a", "stage2.b"] * 3,
    *[f"stage3.0.conv{conv}" for conv in (1, 2)],
    *["stage3.a"] * 6,
    *["classifier", "output"],
]


def read_graph(file):
    return nx.node_link_graph(json.loads(Path(file).read_text()), edges="edges")


@needs_dot
@pytest.mark.parametrize("kind", ["graph", "sharing"])
@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf", ".SVG"])
def test_pictures(cli, home, kind, ending):
    assert cli.done("render", kind, "-o", f"a{ending}")["file"] == f"a{ending}"
    content = (home / f"a{ending}").read_bytes()
    assert content.startswith(SIGNATURES[ending.lower()])
    assert len(content) > 1000
    if ending.lower() == ".svg":
        assert ET.fromstring(content).tag.endswith("svg")


@pytest.mark.parametrize("kind", ["graph", "sharing"])
@pytest.mark.parametrize("ending", [".dot", ".gv"])
def test_sources(cli, home, kind, ending):
    outcome = cli("render", kind, "-o", f"a{ending}")
    assert (outcome.code, outcome.out) == (0, f"wrote a{ending}\n")
    assert outcome.err.startswith("using runs/tied")
    assert outcome.err.count("\n") == 1
    assert "digraph" in (home / f"a{ending}").read_text()


def test_following_the_edges_of_the_flow_gives_the_steps_back(cli, home):
    cli.done("render", "graph", "runs/tied/fold-0.95", "-o", "a.json")
    graph = read_graph("a.json")
    taken = sorted(
        (step, source, target, data["pass"])
        for source, target, data in graph.edges(data=True)
        if data["kind"] == "flow"
        for step in data["order"]
    )
    assert [step for step, *_ in taken] == list(range(1, len(STEPS)))
    assert [taken[0][1], *(target for _, _, target, _ in taken)] == STEPS
    assert all(before[2] == after[1] for before, after in itertools.pairwise(taken))
    assert {number for _, source, _, number in taken if source.startswith("stage2.a")} == {1}
    back = graph.edges["stage2.b", "stage2.a", "flow"]
    assert (back["back"], len(back["order"])) == (True, 2)


def test_nodes_say_who_uses_them_and_by_which_gain(cli, home):
    cli.done("render", "graph", "-o", "a.json")
    graph = read_graph("a.json")
    report = json.loads((home / "runs/tied/fold-0.95/report.json").read_text())
    owner = graph.nodes["stage3.a"]
    layers = {layer["name"]: layer["gain"] for layer in report["groups"][2]["layers"]}
    assert (owner["kind"], owner["uses"], owner["layers"]) == ("owner", 6, list(layers))
    assert owner["gains"] == pytest.approx(list(layers.values()), rel=1e-6)
    assert graph.graph["title"] == "swrn-28-1-4"


def test_the_residual_connections_are_drawn_when_asked_for(cli, home):
    cli.done("render", "graph", "-o", "a.json")
    cli.done("render", "graph", "-o", "b.json", "--residual")
    kinds = [{data["kind"] for *_, data in read_graph(name).edges(data=True)} for name in ("a.json", "b.json")]
    assert kinds == [{"flow"}, {"flow", "residual"}]


def test_graphml_is_read_by_networkx(cli, home):
    cli.done("render", "graph", "-o", "a.json")
    cli.done("render", "graph", "-o", "a.graphml")
    flat, graph = nx.read_graphml("a.graphml", force_multigraph=True), read_graph("a.json")
    assert set(flat.nodes) == set(graph.nodes)
    assert flat.number_of_edges() == graph.number_of_edges()
    orders = sorted(data["order"] for *_, data in flat.edges(data=True))
    assert orders == sorted(",".join(map(str, data["order"])) for *_, data in graph.edges(data=True))


def test_without_dot_what_needs_it_says_what_to_install(cli, home, monkeypatch):
    (home / "nothing").mkdir()
    monkeypatch.setenv("PATH", str(home / "nothing"))
    for kind in ("graph", "sharing"):
        for ending in (".svg", ".png", ".pdf"):
            said = (
                f"'a{ending}' needs Graphviz's program dot, which is not installed; install it (apt install graphviz, "
                "brew install graphviz), or write .dot, or a graph as .graphml or .json, which work without"
            )
            assert cli.refused("render", kind, "-o", f"a{ending}") == said
        cli.done("render", kind, "-o", f"{kind}.dot")
    for ending in (".json", ".graphml"):
        cli.done("render", "graph", "-o", f"a{ending}")
    assert cli.refused("render", "graph").startswith("'runs/tied/fold-0.95/graph.svg' needs Graphviz's program dot")


@needs_dot
def test_pictures_take_new_names_of_their_own(cli, home):
    for name in ("graph.svg", "graph-2.svg"):
        assert cli.done("render", "graph") == {"file": f"runs/tied/fold-0.95/{name}", "fold": "runs/tied/fold-0.95"}
    assert cli.done("render", "graph", "--force") == {
        "file": "runs/tied/fold-0.95/graph.svg",
        "fold": "runs/tied/fold-0.95",
    }
    assert cli.done("render", "sharing") == {"file": "runs/tied/sharing.svg", "run": "runs/tied"}
    assert cli.done("render", "lsm") == {"file": "runs/tied/lsm.svg", "run": "runs/tied"}
    assert str(foldnet.draw("runs/tied")) == "runs/tied/fold-0.95/graph-3.svg"


def test_two_commands_that_pick_one_name_both_succeed(cli, home, monkeypatch):
    others = []

    def picked(default: Path) -> Path:
        """The free name, behind which another command takes it, too, and is faster."""
        name = free_name(default)
        if not others:
            others.append(None)
            others.append(cli.done("render", "lsm", "runs/tied")["file"])
        return name

    monkeypatch.setattr(output, "free_name", picked)
    file = cli.done("render", "lsm", "runs/tied")["file"]
    assert others[1] == file == "runs/tied/lsm.svg"
    assert ET.parse(file).getroot().tag.endswith("svg")
    assert [path.name for path in (home / "runs/tied").iterdir() if "lsm" in path.name] == ["lsm.svg"]


def test_what_exists_is_replaced_only_by_force(cli, home):
    (home / "a.dot").write_text("mine")
    for kind in ("graph", "sharing"):
        said = "'a.dot' exists already; give --out another name or add --force"
        assert cli.refused("render", kind, "-o", "a.dot") == said
        assert cli("render", kind, "-o", "a.dot", "--force").code == 0
        assert "digraph" in (home / "a.dot").read_text()
        (home / "a.dot").write_text("mine")


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("graph", "a.xyz", "'a.xyz' has ending '.xyz'; give it one of .svg, .png, .pdf, .dot, .gv, .graphml, .json"),
        ("graph", "a", "'a' has no ending; give it one of .svg, .png, .pdf, .dot, .gv, .graphml, .json"),
        ("sharing", "a.json", "'a.json' has ending '.json'; give it one of .svg, .png, .pdf, .dot, .gv"),
        ("graph", "nowhere/a.dot", "'nowhere' is not a folder; make it first or give --out another place"),
        ("sharing", "runs", "'runs' is a folder; give --out a file name inside it"),
    ],
)
def test_a_place_that_will_not_do(cli, shelf, kind, name, said):
    assert cli.refused("render", kind, "-o", name) == said


def test_the_newest_fold_of_a_run_is_drawn(cli, home):
    first = cli.done("fold", "runs/soft", "--no-evaluate", "--threshold", "0")["fold"]
    assert cli.done("render", "graph", "runs/soft", "-o", "a.json") == {"file": "a.json", "fold": first}
    assert len(read_graph("a.json")) == 2 + 1 + 3 * 3 + 1
    cli.done("fold", "runs/soft", "--no-evaluate", "--threshold", "1")
    cli.done("render", "graph", "runs/soft", "-o", "b.json")
    assert len(read_graph("b.json")) == 2 + 1 + 3 * 8 + 1
    cli.done("render", "graph", first, "-o", "c.json")
    assert (home / "c.json").read_text() == (home / "a.json").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["graph", "runs/plain"], "run 'runs/plain' has no fold; make one with `foldnet fold runs/plain`"),
        (["graph", "nope"], "'nope' is not a folder; give the folder of a fold, such as runs/NAME/fold-0.95"),
        (
            ["sharing", "runs/plain"],
            "run 'runs/plain' is plain, so nothing is shared; train a soft network such as swrn-28-2-4",
        ),
        (
            ["sharing", "runs/tied/fold-0.95"],
            "'runs/tied/fold-0.95' is the folder of a fold, not of a run; give the folder of a run",
        ),
    ],
)
def test_what_cannot_be_drawn(cli, shelf, arguments, said):
    assert cli.refused("render", *arguments, "-o", "a.dot") == said
