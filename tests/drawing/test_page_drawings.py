"""What a page shows besides tables: charts, dendrograms and graphs, as SVG in the page's colours."""

import re
from itertools import pairwise
from math import cbrt
from xml.etree import ElementTree

import graphviz
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foldnet.drawing.charts import Chart, Curve, chart_svg, legend, ticks
from foldnet.drawing.colors import DISTINCT
from foldnet.drawing.dendrogram import NAMES, RIGHT, WIDTH, dendrogram_svg
from foldnet.drawing.page_graph import graph_of_page, size_of, symbol_of
from foldnet.errors import MissingTool, OutputError
from foldnet.show.page import style_of_pages

WALK = ((0.99, ((0, 2), (1,), (3,))), (0.5, ((0, 2), (1, 3))), (0.25, ((0, 1, 2, 3),)))


@pytest.mark.parametrize(("most", "side"), [(200.0, "middle"), (0.14, "end"), (100_000.0, "end")])
def test_the_last_number_of_an_axis_is_not_cut_off(most, side):
    root = ElementTree.fromstring(chart_svg(Chart("a", "x", "y", (Curve("one", ((0.0, 0.0), (most, 1.0))),))))
    last = next(text for text in root.findall("text") if float(text.get("x")) > 385)
    assert last.get("text-anchor") == side


def test_long_names_in_a_dendrogram_fit_and_keep_both_ends():
    names = ["0.conv1", "0.self_attn.out_proj", "10.blocks." + "inner." * 8 + "in_proj_weight", "d"]
    root = ElementTree.fromstring(dendrogram_svg("g", names, WALK, None))
    found = {text.findtext("title") or text.text: text for text in root.findall("text")}
    fitted = {name: found[name].get("textLength") for name in names}
    assert fitted == dict(zip(names, (None, f"{NAMES - 8}", f"{NAMES - 8}", None), strict=True))
    assert re.fullmatch(r".*\n?10\.blocks\.inne…\.in_proj_weight", "".join(found[names[2]].itertext()), re.DOTALL)


@given(st.floats(-1e6, 1e6), st.floats(1e-12, 1e6) | st.just(0.0))
def test_ticks_span_what_they_are_of_with_a_few_equal_steps(low, span):
    found = ticks(low, low + span)
    assert found[0] <= low + 1e-8 * (found[-1] - found[0])
    assert found[-1] >= low + span - 1e-8 * (found[-1] - found[0])
    assert 3 <= len(found) <= 8
    steps = [after - before for before, after in pairwise(found)]
    assert max(steps) == pytest.approx(min(steps), rel=1e-3, abs=0)


def test_ticks_are_round():
    assert ticks(0.2, 9.7) == [0, 2, 4, 6, 8, 10]
    assert ticks(0.96, 1.0) == [0.96, 0.97, 0.98, 0.99, 1.0]
    assert ticks(3.0, 3.0)[0] < 3 < ticks(3.0, 3.0)[-1]


def test_what_is_counted_has_whole_ticks():
    assert ticks(1, 2, whole=True) == [1, 2]
    assert ticks(0, 12, whole=True) == [0, 3, 6, 9, 12]
    assert ticks(0, 200, whole=True) == [0, 50, 100, 150, 200]


def test_a_chart_has_a_line_a_curve_marks_a_level_and_rings():
    curves = (Curve("<one>", ((0, 0.0), (1, 1.0)), said=("a<", "b")), Curve("two", ((0, 0.5),), joined=False))
    chart = Chart("label & more", "x", "y", curves, ("soft", 0.75), ((1, 1.0),), percent=True)
    root = ElementTree.fromstring(chart_svg(chart))
    assert root.attrib["aria-label"] == "label & more"
    kinds = [one.attrib.get("class") for one in root.iter()]
    assert (kinds.count("curve l0"), kinds.count("mark l0"), kinds.count("mark l1")) == (1, 2, 1)
    assert (kinds.count("level"), kinds.count("ring")) == (1, 1)
    assert [title.text for title in root.iter("title")] == ["a<", "b"]
    texts = [text.text for text in root.iter("text")]
    assert texts[0] == "0 %"
    assert "100 %" in texts
    assert "&lt;one&gt;" in legend(chart)
    assert legend(Chart("", "", "", curves[:1])) == ""


def test_points_that_no_line_joins_are_told_apart_by_shape():
    chart = Chart("l", "x", "y", tuple(Curve(name, ((0, 1), (1, 2)), joined=False, said=("p", "q")) for name in "ab"))
    root = ElementTree.fromstring(chart_svg(chart))
    assert [sum(one.tag == shape for one in root.iter()) for shape in ("circle", "rect", "title")] == [2, 2, 4]
    assert (legend(chart).count("<circle"), legend(chart).count("<rect")) == (1, 1)


def test_a_dendrogram_joins_what_merges_where_it_merges():
    root = ElementTree.fromstring(dendrogram_svg("g", ["a", "b<", "c", "d"], WALK, 0.8))
    texts = [text.text for text in root.iter("text")]
    assert texts[:4] == ["a", "c", "b<", "d"]  # what merges stands side by side
    low = float(root.attrib["data-low"])
    assert low == 0.2
    ends = [float(re.search(r"H([\d.]+)V", path.attrib["d"])[1]) for path in root.iter("path")]
    room = WIDTH - NAMES - RIGHT
    assert ends == [pytest.approx(NAMES + room * cbrt((1 - height) / (1 - low)), abs=0.06) for height, _ in WALK]
    assert [line.attrib["class"] for line in root.iter("line")] == ["level", "threshold"]


def test_a_dendrogram_of_equal_layers_is_drawn_too():
    walk = ((1.0, ((0, 1), (2,))), (1.0, ((0, 1, 2),)))
    assert len(list(ElementTree.fromstring(dendrogram_svg("g", ["a", "b", "c"], walk, None)).iter("path"))) == 2


def test_of_a_graph_shapes_and_words_are_kept():
    graph = graphviz.Digraph()
    graph.node("a", "&lt;b&gt;&amp;", color="#4a78ad", fillcolor="#dbe9f8", style="filled")
    graph.edge("a", "a", color="#a81208", label="x")
    found = graph_of_page(graph, "g7")
    root = ElementTree.fromstring(found)
    assert (root.tag, root.attrib["id"]) == ("symbol", "g7")
    assert {one.tag for one in root.iter()} <= {"symbol", "g", "path", "rect", "ellipse", "text"}
    assert "<b>&" in [one.text for one in root.iter("text")]
    kinds = [one.attrib.get("class") for one in root.iter()]
    assert {"fdbe9f8 l4a78ad", "la81208", "aa81208"} <= set(kinds)
    assert not re.search(r"\d\.\d\d", found)
    assert min(size_of(found)) > 20


def test_lines_lead_where_graphviz_drew_them_and_boxes_are_as_large():
    graph = graphviz.Digraph(node_attr={"style": "filled,rounded", "shape": "box", "fillcolor": "#dbe9f8"})
    for one, other in ("ab", "bc", "ca", "aa"):
        graph.edge(one, other)
    drawn = graph.pipe(format="svg", quiet=True)
    numbers = [
        [float(number) for number in re.findall(r"-?[\d.]+", way)]
        for way in re.findall(r' (?:d|points)="([^"]*)"', drawn.decode())
    ]
    root = ElementTree.fromstring(symbol_of(drawn, "s"))
    shapes = [one for one in root.iter() if one.tag in ("path", "rect")]
    for shape, wanted in zip(shapes, numbers[1:], strict=True):  # the first is the background, which goes
        corners = (min(wanted[::2]), min(wanted[1::2]), max(wanted[::2]), max(wanted[1::2]))
        found = box_of(shape)
        assert found == pytest.approx(corners, abs=0.55)
        assert shape.tag == "path" or shape.attrib["rx"] == "12"


def box_of(shape):
    """(left, top, right, bottom) of a box, or of all points of a relative line."""
    if shape.tag == "rect":
        x, y, width, height = (float(shape.attrib[name]) for name in ("x", "y", "width", "height"))
        return x, y, x + width, y + height
    start, kind, moves = re.fullmatch(r"M(.*?)([cl])(.*?)z?", shape.attrib["d"]).groups()
    x, y = (float(number) for number in re.findall(r"-?[\d.]+", start))
    steps = [float(number) for number in re.findall(r"-?[\d.]+", moves)]
    points = [(x, y)]
    for at, step in enumerate(zip(steps[::2], steps[1::2], strict=True), 1):
        points.append((x + step[0], y + step[1]))
        if at % (3 if kind == "c" else 1) == 0:
            x, y = points[-1]
    across, down = zip(*points, strict=True)
    return min(across), min(down), max(across), max(down)


def test_nothing_of_a_foreign_svg_runs():
    svg = b"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 8"><script>alert(1)</script><image href="x"/>
      <a href="javascript:alert(1)"><text onclick="alert(1)" x="1">t</text></a><text x="1" onload="a()">u</text></svg>"""
    assert symbol_of(svg, "s") == '<symbol id="s" viewBox="0 0 9 8"><text x="1">u</text></symbol>'


def test_every_colour_of_the_graphs_has_a_name_for_shapes_and_letters():
    style = style_of_pages()
    for color in DISTINCT:
        assert f"--c-{color[1:]}:" in style
        assert f".a{color[1:]}{{fill:var(--c-{color[1:]})}}" in style
        assert f"symbol .t{color[1:]}{{fill:var(--t-{color[1:]})}}" in style


def test_what_dot_cannot_read_is_said_in_a_sentence():
    graph = graphviz.Digraph()
    graph.node("a", "<b>& </b>")
    with pytest.raises(
        OutputError, match=r"^dot could not draw a graph of the page \(Error: <stdin>: syntax error in line 2"
    ):
        graph_of_page(graph, "g")


def test_without_graphviz_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        MissingTool, match=r"^Graphviz's program dot is not installed; install it \(apt install graphviz, "
    ):
        graph_of_page(graphviz.Digraph(), "g")
