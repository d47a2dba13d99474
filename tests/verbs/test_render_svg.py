"""Every picture as an SVG: whole in every viewer, and the same as its PNG. Those of grids are looked at in test_paths_runs.py."""

import json
from pathlib import Path

import pytest
from svg_pictures import assert_alike, assert_whole

from foldnet.store.seals import sealed

IMAGES = 360
COMMANDS = {
    "graph": ["render", "graph"],
    "residual": ["render", "graph", "--residual"],
    "sharing": ["render", "sharing"],
    "lsm": ["render", "lsm"],
    "history": ["lsm", "--history"],
    "fold": ["render", "fold"],
    "sweep": ["render", "sweep"],
    "depth": ["render", "depth", "--most", "2"],
}


@pytest.fixture
def swept(home):
    """The stock's newest run with a sweep that falls far, so that it is drawn near soft too."""
    (home / "runs/tied/sweep.json").write_text(json.dumps(sealed(made_up_sweep())))
    return home


def made_up_sweep():
    """A sweep as `foldnet fold --sweep` writes it."""

    def point(merged, height, stored, loops, right):
        return {
            "unit": "layer",
            "merged": merged,
            "height": height,
            "owners": 18,
            "reuses": 0,
            "bytes": 4 * stored,
            "clusters": {},
            "stored_numbers": stored,
            "parameters": stored + 5_000,
            "loops": loops,
            "accuracy": right / IMAGES,
            "right": right,
            "images": IMAGES,
        }

    first = point("", None, 180_000, 0, 350)
    layers = [first, point("stage2", 0.99, 120_000, 1, 349), point("stage3", 0.4, 60_000, 7, 60)]
    return {
        "run": "runs/tied",
        "file": None,
        "metric": "coefficients",
        "tie": "gain",
        "linkage": "complete",
        "seconds": 1,
        "measure": "accuracy",
        "accuracy": {"soft": 350 / IMAGES, "soft_recalibrated": 350 / IMAGES},
        "images": IMAGES,
        "dense_numbers": 270_000,
        "units": {"layer": layers, "block": [first, point("stage3", 0.9, 130_000, 2, 348)]},
        "knee": {unit: {"point": 1, "why": "the knee"} for unit in ("layer", "block")},
    }


@pytest.mark.parametrize("kind", COMMANDS)
def test_nothing_of_a_picture_is_cropped(cli, swept, kind):
    cli.done(*COMMANDS[kind], "-o", "a.svg")
    assert_whole(Path("a.svg").read_text())


@pytest.mark.parametrize("kind", ["graph", "sharing", "fold"])
def test_an_svg_shows_what_its_png_shows(cli, swept, kind):
    for ending in (".svg", ".png"):
        cli.done(*COMMANDS[kind], "-o", f"a{ending}")
    assert_alike(Path("a.svg").read_text(), Path("a.png").read_bytes())
