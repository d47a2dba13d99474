"""Similarity matrices as files: every ending, and nothing half written."""

import csv
import json
import re
from dataclasses import dataclass

import numpy as np
import pytest

from foldnet.analysis.chance import Chance
from foldnet.drawing import lsm_files
from foldnet.drawing.output import check_ending
from foldnet.errors import OutputError, SettingError


@dataclass(frozen=True)
class Group:
    name: str
    layers: tuple[str, ...]
    matrix: np.ndarray
    chance: Chance


def write_lsm(groups, path, title="", document=None):
    lsm_files.write_lsm(groups, path, title=title, document=document or {})


def write_history(groups, path):
    lsm_files.write_history({group.name: np.stack([group.matrix, group.matrix / 2]) for group in groups}, path)


def group(name, layers=3):
    matrix = np.eye(layers)
    matrix[0, 1] = matrix[1, 0] = 1 / 3
    names = tuple(f"{name}.{i}" for i in range(layers))
    return Group(name, names, matrix, Chance(0.1, 0.2, 0.3, 1000, 0.4))


@pytest.mark.parametrize(("name", "start"), [("a.png", b"\x89PNG"), ("a.SVG", b"<?xml"), ("a.pdf", b"%PDF")])
def test_figures(tmp_path, name, start):
    write_lsm([group("stage1")], tmp_path / name, title="a title")
    assert (tmp_path / name).read_bytes().startswith(start)
    write_history([group("stage1")], tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(start)


def test_csv_has_a_row_a_pair_and_every_digit(tmp_path):
    write_lsm([group("stage1"), group("stage2", 2)], tmp_path / "lsm.csv")
    with (tmp_path / "lsm.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["group", "layer_i", "layer_j", "similarity"]
    assert [(row["group"], row["layer_i"], row["layer_j"]) for row in rows] == [
        ("stage1", "stage1.0", "stage1.1"),
        ("stage1", "stage1.0", "stage1.2"),
        ("stage1", "stage1.1", "stage1.2"),
        ("stage2", "stage2.0", "stage2.1"),
    ]
    assert float(rows[0]["similarity"]) == 1 / 3


def test_json_is_the_report(tmp_path):
    write_lsm([group("stage1")], tmp_path / "lsm.json", document={"metric": "weights"})
    assert json.loads((tmp_path / "lsm.json").read_text()) == {"metric": "weights"}


def test_npy_is_one_matrix_or_a_stack(tmp_path):
    one, two = group("stage1"), group("stage2")
    write_lsm([one], tmp_path / "lsm.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "lsm.npy"), one.matrix)
    write_lsm([one, two], tmp_path / "lsm.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "lsm.npy"), np.stack([one.matrix, two.matrix]))
    write_history([one, two], tmp_path / "lsm.npy")
    assert np.load(tmp_path / "lsm.npy").shape == (2, 2, 3, 3)


def test_npz_has_an_array_for_each_group(tmp_path):
    write_lsm([group("stage1"), group("file", 2)], tmp_path / "lsm.npz")
    with np.load(tmp_path / "lsm.npz") as arrays:
        assert {name: array.shape for name, array in arrays.items()} == {"stage1": (3, 3), "file": (2, 2)}
    first = (tmp_path / "lsm.npz").read_bytes()
    write_lsm([group("stage1"), group("file", 2)], tmp_path / "lsm.npz")
    assert (tmp_path / "lsm.npz").read_bytes() == first


def test_unequal_sizes_do_not_fit_in_one_npy(tmp_path):
    path = tmp_path / "lsm.npy"
    text = f"'{path}' cannot hold groups of different sizes (stage1 3 x 3, stage2 2 x 2); end the name in .npz"
    with pytest.raises(SettingError, match=f"^{re.escape(text)}$"):
        write_lsm([group("stage1"), group("stage2", 2)], path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "said"), [("lsm.gif", "has ending '.gif'"), ("lsm", "has no ending"), (".svg", "has no ending")]
)
def test_unknown_endings_are_named(tmp_path, name, said):
    path = tmp_path / name
    text = f"'{path}' {said}; give it one of .png, .svg, .pdf, .csv, .json, .npy, .npz"
    with pytest.raises(SettingError, match=f"^{re.escape(text)}$"):
        write_lsm([group("stage1")], path)
    with pytest.raises(SettingError, match=r"give it one of \.png, \.svg, \.pdf, \.npy, \.npz$"):
        write_history([group("stage1")], path)
    assert not list(tmp_path.iterdir())


def test_endings(tmp_path):
    assert check_ending(tmp_path / "a.b.PNG") == ".png"


def test_a_missing_folder_is_one_sentence(tmp_path):
    path = tmp_path / "absent" / "lsm.csv"
    text = f"'{path}' cannot be written (No such file or directory); free the place or choose another"
    with pytest.raises(OutputError, match=f"^{re.escape(text)}$"):
        write_lsm([group("stage1")], path)
