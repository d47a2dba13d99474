"""The paper's Figure 5: F1 against epochs, a mean and a band over seeds, with the borders of the phases.

Savarese & Maire 2019, https://arxiv.org/abs/1902.09701.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foldnet.drawing.colors import BOX_LINE, INK, distinct
from foldnet.drawing.figures import draw_legend, draw_title, dress_axes, legend_inches, own_settings
from foldnet.errors import SettingError

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def f1_figure(
    curves: Mapping[str, Sequence[Sequence[float]]], borders: Sequence[int], phases: Sequence[str], title: str = ""
) -> Figure:
    """`curves` are F1 after each epoch, a row for every seed; `borders` the epochs after which a new phase begins,
    `phases` their names.

    The axis of F1 begins where the curves are: first epochs that lie far below all others are cut off, which the
    picture says. The band reaches from the least to the largest of the seeds. Raises SettingError where there is
    nothing to draw or seeds of one network have other numbers of epochs.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    if not curves:
        raise SettingError("there is no run whose F1 could be drawn; train some with `foldnet.train(dataset='paths')`")
    for name, seeds in curves.items():
        if len({len(seed) for seed in seeds}) > 1:
            raise SettingError(f"the runs of {name} have other numbers of epochs; draw those that are as long")
    longest = max(len(seed) for seeds in curves.values() for seed in seeds)
    with own_settings():
        figure = Figure(figsize=(6.4, 3.9))
        axes = figure.subplots()
        handles: list[Artist] = []
        for index, (name, seeds) in enumerate(curves.items()):
            color, values = distinct(index), np.asarray(seeds, np.float64)
            epochs = np.arange(1, values.shape[1] + 1)
            axes.fill_between(epochs, values.min(0), values.max(0), color=color, alpha=0.16, linewidth=0)
            axes.plot(epochs, values.mean(0), color=color, linewidth=1.3, linestyle="-", marker="")
            counted = f"{len(values)} seed{'s' if len(values) > 1 else ''}"
            handles.append(Line2D([], [], color=color, linewidth=1.6, linestyle="-", label=f"{name} ({counted})"))
        edges = [0, *borders, longest]
        for border in borders:
            axes.axvline(border + 0.5, color=BOX_LINE, linewidth=0.8, linestyle=(0, (3, 3)), zorder=0)
        for number, name in enumerate(phases):
            middle = (edges[number] + edges[number + 1] + 1) / 2
            axes.text(middle, 1.015, name, transform=axes.get_xaxis_transform(), ha="center", va="bottom", fontsize=7)
        dress_axes(axes, "epoch", "F1 on held-out grids", whole=True)
        axes.set_xlim(0.5, longest + 0.5)
        axes.margins(y=0.04)
        _cut_first_epochs(axes, [np.asarray(seeds, np.float64) for seeds in curves.values()])
        bottom = (0.5 + legend_inches(handles, figure.get_figwidth())) / figure.get_figheight()
        figure.subplots_adjust(left=0.09, right=0.98, bottom=bottom, top=0.84 if title else 0.9)
        draw_legend(figure, handles)
        draw_title(figure, title)
    return figure


def _cut_first_epochs(axes: Axes, curves: Sequence[NDArray[np.float64]]) -> None:
    """Begin the axis at what all but a twentieth of the values reach, where the rest would take more than half of its
    height."""
    values = np.concatenate([curve.ravel() for curve in curves])
    low, high = float(np.quantile(values, 0.05)), float(values.max())
    if low - values.min() <= high - low:
        return
    room = 0.15 * (high - low) or 0.01
    below = [curve < low - room for curve in curves]
    last = max(int(np.flatnonzero(cut.any(0)).max(initial=-1)) for cut in below) + 1
    axes.set_ylim(low - room, high + room)
    said = f"not shown: F1 below {low - room:.2f}, down to {values.min():.2f}, up to epoch {last}"
    axes.text(0.99, 0.02, said, transform=axes.transAxes, ha="right", va="bottom", fontsize=6.5, color=INK)
