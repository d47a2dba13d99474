"""Heat maps: what a picture says, and that it is the same picture every time."""

import re
import subprocess
import sys
from dataclasses import dataclass
from itertools import product

import matplotlib
import numpy as np
import pytest

from foldnet.analysis.chance import Chance
from foldnet.drawing.figures import figure_bytes
from foldnet.drawing.heatmaps import lsm_figure, short_names
from foldnet.errors import SettingError


@dataclass(frozen=True)
class Group:
    name: str
    layers: tuple[str, ...]
    matrix: object
    chance: Chance


def group(name="stage1", layers=4, *, q95=0.9, alike=0.95):
    names = tuple(f"{name}.{1 + i // 2}.conv{1 + i % 2}" for i in range(layers))
    matrix = np.full((layers, layers), 0.25)
    np.fill_diagonal(matrix, 1.0)
    if layers > 2:
        matrix[0, 2] = matrix[2, 0] = alike
    level = Chance(0.3, 0.8, q95 - 0.1, 1000, q95) if layers > 1 else Chance(None, None, None, 0)
    return Group(name, names, matrix.tolist(), level)


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_white_is_1_and_black_is_0():
    (image,) = lsm_figure([group()]).axes[0].images
    assert (image.get_clim(), image.get_cmap().name) == ((0.0, 1.0), "gray")
    np.testing.assert_array_equal(image.get_array(), np.array(group().matrix))


def test_a_panel_names_its_layers_its_numbers_and_its_chance_level():
    (axes,) = lsm_figure([group()], "a title").axes
    assert axes.get_title() == "stage1"
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "1.conv1",
        "1.conv2",
        "2.conv1",
        "2.conv2",
    ]
    assert texts(axes)[:4] == ["1.00", ".25", ".95", ".25"]
    assert texts(axes)[-1] == "chance: mean 0.30, max 0.80, q95 0.900"


@pytest.mark.parametrize(("q95", "said"), [(0.9, "0.900"), (0.9931, "0.993"), (0.99998, "0.99998"), (1.0, "1")])
def test_a_chance_level_near_1_keeps_its_digits(q95, said):
    assert texts(lsm_figure([group(q95=q95)]).axes[0])[-1].endswith(f"q95 {said}")


def test_only_pairs_above_the_q95_of_the_whole_network_are_framed_and_the_legend_says_so():
    figure = lsm_figure([group(), group("stage2", alike=0.9)])
    frames = [[(patch.get_x(), patch.get_y()) for patch in axes.patches] for axes in figure.axes]
    assert frames == [[(1.57, -0.43), (-0.43, 1.57)], []]
    said = [text.get_text() for text in figure.legends[0].get_texts()]
    assert said == ["similarity 0", "similarity 1", "above q95: in no group of 95 % of untrained networks"]
    for unframed in (group(alike=0.5), group(layers=61)):
        said = [text.get_text() for text in lsm_figure([unframed]).legends[0].get_texts()]
        assert said == ["similarity 0", "similarity 1", "q95: 95 % of untrained networks stay below it in all groups"]
    said = [text.get_text() for text in lsm_figure([group(layers=1)]).legends[0].get_texts()]
    assert said == ["similarity 0", "similarity 1"]


@pytest.mark.parametrize(
    ("layers", "numbers", "names"), [(10, 100, 10), (16, 256, 16), (17, 0, 17), (40, 0, 40), (41, 0, 0)]
)
def test_a_large_panel_leaves_out_what_would_not_be_readable(layers, numbers, names):
    (axes,) = lsm_figure([group(layers=layers)]).axes
    assert len(axes.texts) == numbers + 1
    assert sum("conv" in label.get_text() for label in axes.get_yticklabels()) == names


def test_panels_do_not_overlap_and_stay_inside():
    groups = [group(f"g{i}", layers) for i, layers in enumerate((6, 10, 1, 2, 60, 6))]
    figure = lsm_figure(groups, "many")
    boxes = [axes.get_position() for axes in figure.axes]
    assert all(0 < box.x0 < box.x1 < 1 and 0 < box.y0 < box.y1 < 1 for box in boxes)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert boxes[4].y1 < boxes[0].y0  # the fifth begins a new row


def test_every_word_lies_on_the_page():
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    long = group("encoder.layers.attention.projection.weights", 2)
    cases = ([group(layers=1)], [group(), group("stage2", 10)], [group("s", 60)], [long, group(), long], [long])
    for groups, title in product(cases, ("swrn-28-10-4 on cifar10, epoch 200, by coefficients", "swrn-28-1-2")):
        figure = lsm_figure(groups, title)
        FigureCanvasAgg(figure).draw()
        page = figure.bbox
        words_of_panels = [text for axes in figure.axes for text in [axes.title, *axes.texts]]
        for words in [figure.texts[0], *figure.legends[0].get_texts(), *words_of_panels]:
            box = words.get_window_extent()
            assert box.x0 >= page.x0
            assert box.x1 <= page.x1
            assert box.y0 >= page.y0
            assert box.y1 <= page.y1


@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf"])
def test_a_figure_is_the_same_file_every_time(ending):
    first, second = (figure_bytes(lsm_figure([group()], "twice"), ending) for _ in range(2))
    assert first == second
    assert first.startswith({".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[ending])


def test_text_in_an_svg_stays_text_and_the_users_settings_stay_theirs():
    with matplotlib.rc_context({"font.size": 30, "svg.fonttype": "path"}):
        svg = figure_bytes(lsm_figure([group()]), ".svg").decode()
        assert matplotlib.rcParams["svg.fonttype"] == "path"
    assert ">1.conv1<" in svg
    assert "'Arial', sans-serif" in svg
    assert "<dc:date>" not in svg


def test_nothing_touches_pyplot():
    code = (
        "import sys, foldnet.drawing.figures as f, foldnet.drawing.heatmaps as h; "
        "from tests_group import g; f.figure_bytes(h.lsm_figure([g]), '.png'); "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    stub = (
        "import sys, types, numpy as np; m = types.ModuleType('tests_group'); n = types.SimpleNamespace; "
        "m.g = n(name='a', layers=('b', 'c'), matrix=np.eye(2), chance=n(mean=.1, max=.2, q95=.3, network_q95=.4)); "
        "sys.modules['tests_group'] = m; "
    )
    done = subprocess.run([sys.executable, "-c", stub + code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_short_names():
    assert short_names("stage2", ("stage2.1.conv1", "stage2.2.conv1")) == ("1.conv1", "2.conv1")
    assert short_names("body", ("layers.1", "layers.2")) == ("layers.1", "layers.2")


def test_wrong_inputs_are_named():
    text = "there is no group of layers to draw; a network without shared layers has no similarity matrix"
    with pytest.raises(SettingError, match=f"^{re.escape(text)}$"):
        lsm_figure([])
