"""Layer similarity matrices as files, by the file's ending: a figure, or the numbers for another program."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO, StringIO
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np
from numpy.typing import NDArray

from foldnet.drawing.figures import draw_title, figure_bytes, own_settings, title_inches
from foldnet.drawing.heatmaps import GroupSimilarity, draw_matrix, lsm_figure, refuse_nothing
from foldnet.drawing.output import FIGURE_ENDINGS, HISTORY_ENDINGS, LSM_ENDINGS, check_ending
from foldnet.errors import SettingError
from foldnet.store.codec import to_plain
from foldnet.store.files import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure


HISTORY_COLUMNS = 8


@dataclass(frozen=True, slots=True)
class GroupHistory:
    """One row of panels: the matrices of one group, one an epoch, (epochs + 1, L, L), the first one before training."""

    name: str
    layers: tuple[str, ...]
    matrices: NDArray[np.float64]


def history_figure(groups: Sequence[GroupHistory], epochs: Sequence[int] | None = None, title: str = "") -> Figure:
    """The groups' matrices as training went on: a row for each group, a column for each of `epochs`.

    Without `epochs`, at most eight from 0 to the last, evenly spread. Raises SettingError where there is no
    group or an epoch was not recorded.
    """
    from matplotlib.figure import Figure

    refuse_nothing(groups)
    histories = [np.asarray(group.matrices, dtype=np.float64) for group in groups]
    last = min(len(history) for history in histories) - 1
    chosen = chosen_epochs(last) if epochs is None else tuple(epochs)
    for epoch in chosen:
        if not 0 <= epoch <= last:
            raise SettingError(f"epoch {epoch} was not recorded; give epochs from 0 to {last}")
    with own_settings():
        side, gap, left = 1.15, 0.08, 0.32
        top = (0.42 if title else 0.08) + 0.24
        needed = left + len(chosen) * (side + gap)
        width = max(needed, title_inches(title))
        left += (width - needed) / 2
        height = top + len(groups) * (side + gap)
        figure = Figure(figsize=(width, height))
        for row, (group, history) in enumerate(zip(groups, histories, strict=True)):
            for column, epoch in enumerate(chosen):
                x, y = left + column * (side + gap), top + row * (side + gap) + side
                axes = figure.add_axes((x / width, 1 - y / height, side / width, side / height))
                draw_matrix(axes, history[epoch])
                axes.set_xticks([])
                axes.set_yticks([])
                if row == 0:
                    axes.set_title(f"epoch {epoch}" if column == 0 else str(epoch), fontsize=8, pad=3)
                if column == 0:
                    axes.set_ylabel(group.name, fontsize=8)
        draw_title(figure, title)
    return figure


def chosen_epochs(last: int, columns: int = HISTORY_COLUMNS) -> tuple[int, ...]:
    """At most `columns` epochs from 0 to `last`, both included, evenly spread."""
    return tuple(sorted({round(last * i / max(columns - 1, 1)) for i in range(columns)} | {0, last}))[: last + 1]


def write_lsm(
    groups: Sequence[GroupSimilarity],
    path: Path,
    *,
    title: str = "",
    document: Mapping[str, object] | None = None,
) -> None:
    """Write the groups' matrices to `path`, whole or not at all; what is there is replaced.

    .png .svg .pdf: the figure. .csv: group,layer_i,layer_j,similarity for every pair i < j. .json:
    `document`, the report that the command prints, or the groups alone. .npy: (L, L), or (G, L, L) of several
    groups of one size. .npz: an (L, L) array for each group, by its name. Numbers are not rounded. Raises
    SettingError for another ending and for groups that do not fit in one .npy, OutputError where the place
    cannot be written.
    """
    ending = check_ending(path, LSM_ENDINGS)
    if ending in FIGURE_ENDINGS:
        write_whole(path, figure_bytes(lsm_figure(groups, title), ending))
    elif ending == ".csv":
        write_whole(path, _csv_text(groups))
    elif ending == ".json":
        write_whole(path, json.dumps(document or _document(groups), indent=2, allow_nan=False) + "\n")
    else:
        arrays = {group.name: np.asarray(group.matrix, dtype=np.float64) for group in groups}
        write_whole(path, _array_bytes(arrays, path))


def write_history(
    groups: Sequence[GroupHistory], path: Path, *, epochs: Sequence[int] | None = None, title: str = ""
) -> None:
    """Write the groups' matrices of every epoch to `path`, whole or not at all; what is there is replaced.

    .png .svg .pdf: the figure, of `epochs` where they are given. .npy and .npz: as `write_lsm`, an array for
    a group being (E + 1, L, L). Raises as `write_lsm`.
    """
    ending = check_ending(path, HISTORY_ENDINGS)
    if ending in FIGURE_ENDINGS:
        write_whole(path, figure_bytes(history_figure(groups, epochs, title), ending))
    else:
        arrays = {group.name: np.asarray(group.matrices, dtype=np.float64) for group in groups}
        write_whole(path, _array_bytes(arrays, path))


def _csv_text(groups: Sequence[GroupSimilarity]) -> str:
    """A row for every pair of different layers; repr keeps every digit."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["group", "layer_i", "layer_j", "similarity"])
    for group in groups:
        matrix = np.asarray(group.matrix, dtype=np.float64)
        for i, j in combinations(range(len(matrix)), 2):
            writer.writerow([group.name, group.layers[i], group.layers[j], repr(float(matrix[i, j]))])
    return text.getvalue()


def _document(groups: Sequence[GroupSimilarity]) -> dict[str, object]:
    """The groups as JSON data, where the caller has no fuller report."""
    shown = ("name", "layers", "matrix", "chance")
    return {"groups": [{name: to_plain(getattr(group, name)) for name in shown} for group in groups]}


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
