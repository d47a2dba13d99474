"""foldnet export: folds for other programs, in the format that is named or that the file's ending says."""

import json

import networkx as nx
import pytest

import foldnet
from foldnet.verbs.export import EXPORTS


@pytest.mark.parametrize("name", ["dot", "graphml", "json"])
def test_every_graph_is_what_render_graph_writes(cli, home, name):
    ending = EXPORTS[name].endings[0]
    for options in ([], ["--residual"]):
        drawn = cli.done("render", "graph", "-o", f"drawn{ending}", "--force", *options)
        written = cli.done("export", "--format", name, "-o", f"a{ending}", "--force", *options)
        assert written == {"file": f"a{ending}", "fold": "runs/tied/fold-0.95"} == drawn | {"file": f"a{ending}"}
        assert (home / f"a{ending}").read_bytes() == (home / f"drawn{ending}").read_bytes()


def test_a_format_is_said_by_the_ending_or_the_file_named_by_the_format(cli, home):
    assert cli("export", "runs/tied", "-o", "a.GraphML").out == "wrote a.GraphML\n"
    assert set(nx.read_graphml(home / "a.GraphML").nodes) > {"input", "output"}
    for name in ("graph.json", "graph-2.json"):
        assert cli.done("export", "--format", "json")["file"] == f"runs/tied/fold-0.95/{name}"
    assert str(foldnet.export("runs/tied", format="dot", force=True)) == "runs/tied/fold-0.95/graph.dot"


def test_a_looped_network_in_memory_is_written(shelf, tmp_path):
    looped = foldnet.load("runs/tied/fold-0.95")
    file = foldnet.export(looped, tmp_path / "a.json", residual=True)
    assert json.loads(file.read_text())["graph"]["title"] == "network"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            [],
            "no --format is given and --out names none by its ending; choose onnx, pt2, safetensors, dot, graphml or json",
        ),
        (
            ["-o", "a.svg"],
            "no --format is given and ending '.svg' of --out names none; choose onnx, pt2, safetensors, dot, graphml or json",
        ),
        (
            ["--format", "jsn"],
            "there is no format 'jsn'; choose onnx, pt2, safetensors, dot, graphml or json; did you mean 'json'?",
        ),
        (["--format", "dot", "-o", "a.json"], "'a.json' has ending '.json'; give it one of .dot, .gv"),
        (["runs/plain", "--format", "dot"], "run 'runs/plain' has no fold; make one with `foldnet fold runs/plain`"),
    ],
)
def test_what_cannot_be_exported(cli, shelf, arguments, said):
    assert cli.refused("export", *arguments) == said
