"""Figures 3 and 7 of a study: what is drawn of which results, whole as SVG, and what is refused."""

import json
import re

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from foldnet.drawing.efficiency_figure import Point, efficiency_figure
from foldnet.drawing.published import PUBLISHED
from foldnet.errors import RunError, UnknownName
from foldnet.verbs.render import render

CHANCE = {"mean": 0.3, "max": 0.6, "q95": 0.7, "network_q95": 0.8}


def result(arch, seed, score, *, dataset="cifar10", parameters=1000, fold=None, matrices=None):
    train = {"measure": "accuracy", "better": "higher", "score": score, "test_accuracy": score}
    train |= {"parameters": parameters, "stored": parameters, "seconds": 2.0, "epochs": 5}
    steps = []
    if fold is not None:
        made = {"score": fold, "parameters": parameters // 2, "stored": parameters // 2}
        steps += [{"kind": "fold", "made": made, "report": {}}]
        like = {"kind": "like", "fold": {"kind": "fold"}, "made": made | {"seconds": 3.0}, "report": {}}
        steps += [like]
    if matrices is not None:
        groups = [
            {"name": name, "layers": [f"{name}.{i}" for i in range(len(matrix))], "matrix": matrix, "chance": CHANCE}
            for name, matrix in matrices.items()
        ]
        steps += [{"kind": "lsm", "report": {"metric": "coefficients", "groups": groups}}]
    settings = {"arch": arch, "dataset": dataset, "seed": seed}
    return {"trial": f"{arch}{dataset}{seed}", "settings": settings, "train": train, "steps": steps}


def written(folder, results):
    file = folder / "small.json"
    file.write_text(json.dumps({"results": results}))
    return file


def board(size):
    return [[1.0 if (i - j) % 2 == 0 else 0.1 for j in range(size)] for i in range(size)]


EFFICIENCY = [
    *(result("wrn-16-1", seed, 0.70 + 0.01 * seed, parameters=170_000) for seed in (0, 1)),
    *(result("swrn-28-1-2", seed, 0.78, parameters=180_000, fold=0.75) for seed in (0, 1)),
    result("wrn-28-1", 0, 0.80, parameters=370_000),
    result("wrn-28-1", 0, 0.50, parameters=370_000, dataset="cifar100"),
]


def test_networks_folds_and_published_values_are_drawn(tmp_path):
    file = written(tmp_path, EFFICIENCY)
    drawn = render("efficiency", file)
    svg = drawn.file.read_text()
    assert drawn.file == tmp_path / "efficiency.svg"
    for word in (
        "cifar10",
        "cifar100",
        "WRN",
        "SWRN",
        "folded",
        "hard sharing from the start",
        "16-1",
        "28-1-2",
        "5 epochs, 1 to 2 seeds a network",
        "bars: one deviation over seeds",
    ):
        assert word in svg
    assert "published" not in svg
    more = render("efficiency", file, tmp_path / "more.svg", published=True).file.read_text()
    assert "published" in more
    assert all(one.arch.partition("-")[2] in more for one in PUBLISHED)


def test_networks_of_another_study_are_drawn_too(tmp_path):
    other = tmp_path / "controls.json"
    other.write_text(json.dumps({"results": [result("wrn-22-1", 0, 0.7)]}))
    file = written(tmp_path, [result("swrn-28-1-4", 0, 0.8)])
    alone = render("efficiency", file, tmp_path / "alone.svg").file.read_text()
    both = render("efficiency", file, tmp_path / "both.svg", results=str(other)).file.read_text()
    assert ">22-1<" in both
    assert ">22-1<" not in alone
    color = r"(#[0-9a-f]{6})[^<]*>28-1-4<"
    assert re.search(color, both)[1] == re.search(color, alone)[1], "a family has one colour in all figures"


def test_other_families_have_their_papers_names_and_settings_stand_below_a_name(tmp_path):
    results = [
        result("densenetbc-40-12", 0, 0.7),
        result("resnext-29-1x8", 0, 0.6),
        result("sresnext-29-1x8-1", 0, 0.5),
    ]
    weighed = result("swrn-28-1-4", 0, 0.8)
    weighed["trial"], weighed["settings"]["recurrence"] = "another", 0.2
    results += [result("swrn-28-1-4", 0, 0.7), weighed]
    svg = render("efficiency", written(tmp_path, results)).file.read_text()
    assert all(word in svg for word in ("DenseNet-BC", "ResNeXt", "soft ResNeXt", ">28-1-4<", ">recurrence=0.2<"))


def test_labels_stay_inside_their_panel(tmp_path):
    points = {"digits": [Point("swrn", "28-1-2", 175_710, 1.3, 0.4), Point("swrn", "28-1-4", 272_514, 1.85, 0.4)]}
    figure = efficiency_figure(points)
    renderer = FigureCanvasAgg(figure).get_renderer()
    (axes,) = figure.axes
    room = axes.get_window_extent(renderer)
    boxes = [text.get_window_extent(renderer) for text in axes.texts]
    assert len(boxes) == 2
    assert all(room.x0 <= box.x0 < box.x1 <= room.x1 and room.y0 <= box.y0 < box.y1 <= room.y1 for box in boxes)


def test_seeds_stand_side_by_side_and_what_they_share_is_reported(tmp_path):
    results = [
        result("swrn-40-1-8", seed, 0.8, matrices={"stage1": board(6), "stage2": np.eye(4).tolist()})
        for seed in (0, 1, 2)
    ]
    results += [result("swrn-28-1-4", 0, 0.8, matrices={"stage1": board(4)})]
    file = written(tmp_path, results)
    drawn = render("seeds", file)
    svg = drawn.file.read_text()
    for word in (
        "seed 0",
        "seed 2",
        "share of 3 seeds",
        "stage1",
        "stage2",
        "no pair beyond chance",
        "swrn-40-1-8 on cifar10, 5 epochs, by coefficients",
    ):
        assert word in svg
    assert drawn.report.seeds == (0, 1, 2)
    assert [one.name for one in drawn.report.groups] == ["stage1", "stage2", "all groups"]
    assert drawn.report.groups[0].apart == pytest.approx(4 / 6)
    assert drawn.report.groups[0].p < 0.05
    assert json.dumps(drawn.report.to_json())
    other = render("seeds", file, tmp_path / "other.svg", arch="swrn-28-1-4")
    assert other.report.seeds == (0,)


def test_what_cannot_be_drawn_is_refused(tmp_path):
    file = written(tmp_path, EFFICIENCY)
    with pytest.raises(
        RunError, match=r"small.json' kept no similarity matrices; write a table \[lsm\] into its file and run"
    ):
        render("seeds", file)
    kept = written(tmp_path, [result("swrn-28-1-4", 0, 0.8, matrices={"stage1": board(4)})])
    said = r"^the study kept no matrices of 'swrn-28-1-3', only of swrn-28-1-4; did you mean 'swrn-28-1-4'\?$"
    with pytest.raises(UnknownName, match=said):
        render("seeds", kept, arch="swrn-28-1-3")
    with pytest.raises(RunError, match=r"nothing.json' does not exist; run the study first with `foldnet study run`$"):
        render("efficiency", tmp_path / "nothing.json")
    (tmp_path / "odd.json").write_text('{"results": [3]}')
    with pytest.raises(RunError, match=r"odd.json' is not a study's result file; give the results.json of a study$"):
        render("efficiency", tmp_path / "odd.json")
    empty = written(tmp_path, [])
    with pytest.raises(RunError, match="no similarity matrices"):
        render("seeds", empty)
