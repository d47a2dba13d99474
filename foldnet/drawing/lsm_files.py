"""Layer similarity matrices as files, by the file's ending: a figure, or the numbers for another program."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from io import BytesIO, StringIO
from itertools import combinations
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np
from numpy.typing import NDArray

from foldnet.analysis.chance import GroupLsm
from foldnet.drawing.figures import figure_bytes
from foldnet.drawing.heatmaps import history_figure, lsm_figure
from foldnet.drawing.output import FIGURE_ENDINGS, HISTORY_ENDINGS, LSM_ENDINGS, check_ending
from foldnet.errors import SettingError
from foldnet.store.files import write_whole


def write_lsm(groups: Sequence[GroupLsm], path: Path, *, title: str, document: Mapping[str, object]) -> None:
    """Write the groups' matrices to `path`, whole or not at all; what is there is replaced.

    .png .svg .pdf: the figure. .csv: group,layer_i,layer_j,similarity for every pair i < j. .json: `document`, the
    report that the command prints. .npy: (L, L), or (G, L, L) of several groups of one size. .npz: an (L, L) array for
    each group, by its name. Numbers are not rounded. Raises SettingError for another ending and for groups that do not
    fit in one .npy, OutputError where the place cannot be written.
    """
    ending = check_ending(path, LSM_ENDINGS)
    content: str | bytes
    if ending in FIGURE_ENDINGS:
        content = figure_bytes(lsm_figure(groups, title), ending)
    elif ending == ".csv":
        content = _csv_text(groups)
    elif ending == ".json":
        content = json.dumps(document, indent=2, allow_nan=False) + "\n"
    else:
        content = _array_bytes({group.name: group.matrix for group in groups}, path)
    write_whole(path, content)


def write_history(histories: Mapping[str, NDArray[np.float64]], path: Path, *, title: str = "") -> None:
    """Write the groups' matrices of every epoch to `path`, whole or not at all; what is there is replaced.

    `histories` are (epochs + 1, L, L) by the group's name. .png .svg .pdf: the figure. .npy and .npz: as `write_lsm`.
    Raises as `write_lsm`.
    """
    ending = check_ending(path, HISTORY_ENDINGS)
    if ending in FIGURE_ENDINGS:
        content = figure_bytes(history_figure(histories, title), ending)
    else:
        content = _array_bytes(histories, path)
    write_whole(path, content)


def _csv_text(groups: Sequence[GroupLsm]) -> str:
    """A row for every pair of different layers; repr keeps every digit."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["group", "layer_i", "layer_j", "similarity"])
    for group in groups:
        for (i, first), (j, second) in combinations(enumerate(group.layers), 2):
            writer.writerow([group.name, first, second, repr(float(group.matrix[i, j]))])
    return text.getvalue()


def _array_bytes(arrays: Mapping[str, NDArray[np.float64]], path: Path) -> bytes:
    """The arrays as an .npz, or as one .npy; nothing is pickled."""
    buffer = BytesIO()
    if path.suffix.lower() == ".npz":
        # By hand, because np.savez takes names as arguments: no group could be called "file".
        with ZipFile(buffer, "w", ZIP_DEFLATED) as archive:
            for name, array in arrays.items():
                archive.writestr(ZipInfo(f"{name}.npy"), _npy_bytes(array))
        return buffer.getvalue()
    shapes = {array.shape for array in arrays.values()}
    if len(shapes) != 1:
        sizes = ", ".join(f"{name} {' x '.join(map(str, array.shape))}" for name, array in arrays.items())
        raise SettingError(
            f"'{path}' cannot hold groups of different sizes ({sizes or 'no group'}); end the name in .npz"
        )
    stacked = np.stack(list(arrays.values()))
    return _npy_bytes(stacked[0] if len(arrays) == 1 else stacked)


def _npy_bytes(array: NDArray[np.float64]) -> bytes:
    """One array in numpy's own format."""
    buffer = BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
