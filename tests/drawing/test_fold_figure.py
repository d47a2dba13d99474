"""The three panels of each stage: what is drawn, in which colour, and that nothing leaves the page."""

import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from foldnet.drawing.colors import ALONE_BOX, DISTINCT, OWNER_COLORS, PLAIN, PRIVATE_BOX
from foldnet.drawing.figures import figure_bytes, write_figure
from foldnet.drawing.fold_figure import fold_figure
from foldnet.drawing.graph import owner_colors, stage_graphs
from foldnet.errors import SettingError
from foldnet.program.data import Stage, Use
from foldnet.program.loops import build_program

ALONE = [(0, 1), (2, 3), (4, 5)]
COMPLETE = [(0, 1), (0, 1), (0, 1)]
PQQPQ = [(0, 1), (2, 3), (2, 3), (0, 1), (2, 3)]
CONV2S = [(0, 1), (2, 1), (3, 1)]
NESTED = [(0, 1), (0, 1), (2, 3), (0, 1), (0, 1), (2, 3)]
RED, GREEN, BLUE = DISTINCT[:3]
OWNER_FILLS, OWNER_LINES = zip(*OWNER_COLORS, strict=True)


@dataclass(frozen=True)
class Folded:
    stage: Stage
    layers: tuple[str, ...]
    matrix: object
    clusters: tuple[tuple[int, ...], ...]


def fold(*patterns: list[tuple[int, ...]]) -> list[Folded]:
    """Stages that begin with a private block with a shortcut, then blocks that use owners."""
    stages = []
    for number, pattern in enumerate(patterns, start=1):
        name = f"stage{number}"
        positions = ("conv1", "conv2", "shortcut")
        blocks = [(f"{name}.0", "first", [Use(f"{name}.0.{where}", where, None, None) for where in positions])]
        for index, owners in enumerate(pattern, start=1):
            block = f"{name}.{index}"
            uses = [Use(f"{block}.conv{n}", f"conv{n}", name, owner) for n, owner in enumerate(owners, start=1)]
            blocks.append((block, "", uses))
        stages.append((name, blocks))
    rows = []
    for stage, pattern in zip(build_program(["stem"], stages, ["classifier"]).stages, patterns, strict=True):
        owners = [owner for block in pattern for owner in block]
        layers = tuple(use.layer for block in stage.blocks[1:] for use in block.uses)
        matrix = np.where(np.equal.outer(owners, owners), 0.9, 0.2)
        clusters = tuple(tuple(np.flatnonzero(np.equal(owners, owner)).tolist()) for owner in dict.fromkeys(owners))
        rows.append(Folded(stage, layers, matrix.tolist(), clusters))
    return rows


def words(figure: Figure) -> Counter[str]:
    return Counter(text.get_text() for text in [*figure.texts, *figure.axes[0].texts])


def fills(figure: Figure) -> Counter[str]:
    """The colours of all boxes."""
    boxes = [patch for patch in figure.axes[0].patches if isinstance(patch, FancyBboxPatch)]
    return Counter(to_hex(box.get_facecolor()) for box in boxes)


def arrows(figure: Figure) -> Counter[tuple[str, bool]]:
    """Colour and whether dashed; the head of a dashed arrow is a second, solid one."""
    found = [patch for patch in figure.axes[0].patches if isinstance(patch, FancyArrowPatch)]
    return Counter((to_hex(arrow.get_edgecolor()), arrow.get_linestyle() != "-") for arrow in found)


def test_a_complete_loop():
    figure = fold_figure(fold(COMPLETE), "a title")
    said = words(figure)
    assert said["a title"] == said["stage1"] == said["private; 3x { A }"] == said["3x"] == 1
    assert said["a ×3"] == said["conv1 of blocks 1–3"] == said["b ×3"] == said["conv2 of blocks 1–3"] == 1
    assert said["A"] == 3  # the label behind each block that repeats
    assert said["in"] == said["out"] == 2
    assert said["0.conv1"] == said["0.conv2"] == 1
    assert not any("shortcut" in word for word in said)
    # Each owner stands once folded and three times unrolled, the private block's layers once in both.
    assert fills(figure)[OWNER_FILLS[0]] == fills(figure)[OWNER_FILLS[1]] == 4
    assert fills(figure)[PRIVATE_BOX[0]] == 4
    # in -> 0, inside 0, 0 -> a, a -> b, b -> a; then out.
    assert arrows(figure)[RED, False] == 5
    assert arrows(figure)[BLUE, False] == 1
    assert arrows(figure)[GREEN, False] == 0
    assert arrows(figure)[PLAIN, False] == 5 + 4  # between the rows and inside them, unrolled


def test_the_papers_stage_jumps_back_twice():
    figure = fold_figure(fold(PQQPQ))
    assert words(figure)["private; A; 2x { B }; A; B"] == 1
    assert words(figure)["2x"] == 1
    counted = arrows(figure)
    assert (counted[RED, False], counted[GREEN, False], counted[BLUE, False]) == (7, 1, 1)
    assert not any(dashed for _, dashed in counted)
    assert {"pass 1", "pass 2", "pass 3"} <= set(words(figure))


def test_nothing_tied_is_plain_and_a_row_a_block():
    figure = fold_figure(fold(ALONE))
    assert set(arrows(figure)) == {(PLAIN, False)}
    assert not any("pass" in word or "x" in word.split(":")[0].split() for word in words(figure))
    assert fills(figure)[ALONE_BOX[0]] == 12
    assert set(OWNER_FILLS) & set(fills(figure)) == set()
    assert words(figure)["a"] == words(figure)["1.conv1"] == 2  # unrolled and folded; folded and a row of the matrix


def test_arrows_bear_the_numbers_of_their_passes():
    said = words(fold_figure(fold(COMPLETE)))
    # in -> 0 -> a are of the first pass alone; a -> b of all three, the way back of two, the way out of the last.
    assert (said["1"] - 1, said["1–3"], said["1, 2"], said["3"] - 1) == (2, 1, 1, 1)  # 1 and 3 are names of blocks too
    assert said["number at an arrow: the passes that take it"] == 1
    said = words(fold_figure(fold([(0, 0)] * 5)))
    assert (said["1–9"], said["10"], said["passes 2–9 take arrows of earlier ones"]) == (1, 1, 1)
    assert words(fold_figure(fold(ALONE)))["number at an arrow: the passes that take it"] == 0


def test_layers_of_the_unrolled_stage_bear_their_owners_letters():
    said = words(fold_figure(fold(COMPLETE)))
    assert said["a"] == said["b"] == 3


def test_reuse_without_a_loop_is_dashed():
    figure = fold_figure(fold(CONV2S))
    counted = arrows(figure)
    assert {color for color, dashed in counted if dashed} == {RED, GREEN}  # from the second and the third conv1
    assert sum(number for (_, dashed), number in counted.items() if dashed) == 2
    assert words(figure)["private {a;b} {c;b} {d;b}"] == 1
    assert words(figure)["dashed: jumps back, but no loop"] == 1
    assert words(figure)["3x: the loop runs three times"] == 0


def test_loops_inside_loops_and_on_one_owner():
    assert words(fold_figure(fold(NESTED)))["2x"] == 2
    figure = fold_figure(fold([(0, 0)] * 5))
    assert words(figure)["5x"] == words(figure)["a ×10"] == 1


def test_a_loop_over_blocks_met_in_another_order_is_still_labelled():
    # The flow meets A before B, so that the arrow from A to B, which closes the loop, leads ahead.
    figure = fold_figure(fold([(0, 1), (2, 3), (2, 3), (0, 1), (2, 3), (0, 1)]))
    assert words(figure)["private; A; B; 2x { B; A }"] == 1
    assert words(figure)["2x"] == 1


def test_the_matrix_is_shaded_and_its_clusters_are_framed_in_their_owners_colour():
    figure = fold_figure(fold(PQQPQ))
    page, axes = figure.axes
    (image,) = axes.images
    assert (image.get_clim(), image.get_cmap().name) == ((0.0, 1.0), "gray")
    frames = Counter(to_hex(patch.get_edgecolor()) for patch in axes.patches)
    assert frames == dict(zip(OWNER_LINES[:4], (4, 4, 9, 9), strict=True))
    strips = [patch for patch in page.patches if isinstance(patch, Rectangle)]
    assert len(strips) == 2 * 10
    assert len(axes.texts) == 100
    assert len(fold_figure(fold([(0, 1)] * 6)).axes[1].texts) == 0  # cells of twelve layers have no room for numbers
    assert len(fold_figure(fold(COMPLETE)).axes[1].texts) == 36
    assert fold_figure(fold(ALONE)).axes[1].patches[:] == []


def test_owners_have_colours_from_the_first_in_each_stage_and_keep_them_across_stages():
    graphs = stage_graphs([row.stage for row in fold(COMPLETE, PQQPQ, ALONE)])
    assert owner_colors(graphs) == {
        "stage1.a": 0, "stage1.b": 1, "stage2.a": 0, "stage2.b": 1, "stage2.c": 2, "stage2.d": 3,
    }  # fmt: skip
    across = [
        (name, [(f"{name}.{n}", "", [Use(f"{name}.{n}.conv", "conv", "all", owner)]) for n, owner in enumerate(used)])
        for name, used in (("s", (0, 1, 1)), ("t", (2, 0, 2)))
    ]
    graphs = stage_graphs(build_program([], across, []).stages)
    assert owner_colors(graphs) == {"all.a": 0, "all.b": 1, "all.c": 1}


@pytest.mark.parametrize(
    "patterns",
    [(ALONE, COMPLETE, CONV2S), (PQQPQ, NESTED, [(0, 0)] * 5), ([(0, n) for n in range(1, 9)],), ([(0, 1, 2, 3)] * 2,)],
)
def test_every_word_and_box_lies_on_the_page(patterns: tuple[list[tuple[int, ...]], ...]) -> None:
    figure = fold_figure(fold(*patterns), "swrn-40-8-8 on cifar10, threshold 0.8")
    FigureCanvasAgg(figure).draw()
    page = figure.bbox
    for artist in [*figure.texts, *figure.axes[0].texts, *figure.axes[0].patches]:
        box = artist.get_window_extent()
        assert page.x0 <= box.x0 <= box.x1 <= page.x1
        assert page.y0 <= box.y0 <= box.y1 <= page.y1


def test_words_do_not_lie_on_each_other():
    for patterns in ((ALONE, COMPLETE, CONV2S), (PQQPQ, NESTED, [(0, 0)] * 5), ([(0, 0)] * 20,)):
        figure = fold_figure(fold(*patterns), "title")
        FigureCanvasAgg(figure).draw()
        texts = [text for text in [*figure.texts, *figure.axes[0].texts] if text.get_text()]
        # A hair's breadth less: the boxes around words have room above and below the letters.
        boxes = [text.get_window_extent().shrunk(0.98, 0.6) for text in texts]
        for index, box in enumerate(boxes):
            said = [texts[other].get_text() for other in range(index) if box.overlaps(boxes[other])]
            assert (texts[index].get_text(), said) == (texts[index].get_text(), [])


def test_it_fits_a_page():
    for pattern in (COMPLETE, PQQPQ):
        width, height = fold_figure(fold(ALONE, pattern, pattern), "title").get_size_inches()
        assert width < 8
        assert height < 1.5 * width


def test_stages_without_shared_layers_without_blocks_and_with_blocks_of_one_layer():
    private = Folded(fold([])[0].stage, (), [], ())
    figure = fold_figure([private])
    assert len(figure.axes) == 1
    assert words(figure)["no layers share"] == 1
    assert words(fold_figure([replace(private, stage=Stage("empty", (), ()))]))["empty"] == 1
    chain = [("s", [(f"s.{n}", "", [Use(f"s.{n}", "", "s", n % 2)]) for n in range(6)])]
    (stage,) = build_program([], chain, []).stages
    layers = tuple(f"s.{n}" for n in range(6))
    figure = fold_figure([Folded(stage, layers, np.eye(6), ((0, 2, 4), (1, 3, 5)))])
    assert words(figure)["3x"] == 1
    assert words(figure)["5"] == 2  # the box and the matrix's row


def test_many_layers_go_unnamed():
    figure = fold_figure(fold([(2 * n, 2 * n + 1) for n in range(21)]))
    assert words(figure)["21.conv2"] == 1  # folded; the matrix of 42 layers has no names
    assert len(figure.axes[1].texts) == 0


@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf"])
def test_a_figure_is_the_same_file_every_time(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"fold{ending}"
    write_figure(fold_figure(fold(COMPLETE, CONV2S), "twice"), path)
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9, "image.origin": "lower", "hatch.linewidth": 5}):
        assert path.read_bytes() == figure_bytes(fold_figure(fold(COMPLETE, CONV2S), "twice"), ending)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def refused(text: str):
    return pytest.raises(SettingError, match=f"^{re.escape(text)}$")


def test_wrong_inputs_are_named():
    (row,) = fold(COMPLETE)
    with refused("there is no stage to draw; fold a network with stages first"):
        fold_figure([])
    text = "the similarity matrix of 'stage1' is 5 x 5, but 6 layers share; give one of 6 x 6"
    with refused(text):
        fold_figure([replace(row, matrix=np.eye(5))])
    text = "a cluster of 'stage1' names layer 6, but 6 layers share; count them from 0 in the order of the matrix"
    with refused(text):
        fold_figure([replace(row, clusters=((0, 6),))])
