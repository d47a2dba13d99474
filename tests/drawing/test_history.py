"""The history of matrices: a row a group, a column an epoch."""

import re

import numpy as np
import pytest

from foldnet.drawing.heatmaps import chosen_epochs, history_figure
from foldnet.errors import SettingError


def test_history_has_a_row_for_each_group_and_a_column_for_each_epoch():
    matrices = np.stack([np.eye(4) * (1 - t) + t for t in np.linspace(0, 1, 31)])
    figure = history_figure({"stage1": matrices, "stage2": matrices[:, :2, :2]})
    assert len(figure.axes) == 16
    titles = ["epoch 0", "4", "9", "13", "17", "21", "26", "30"]
    assert [axes.get_title() for axes in figure.axes] == [*titles, *[""] * 8]
    assert [axes.get_ylabel() for axes in figure.axes] == ["stage1", *[""] * 7, "stage2", *[""] * 7]
    np.testing.assert_array_equal(figure.axes[1].images[0].get_array(), matrices[4])


def test_epochs_are_spread_from_the_first_to_the_last():
    assert chosen_epochs(200) == (0, 29, 57, 86, 114, 143, 171, 200)
    assert chosen_epochs(3) == (0, 1, 2, 3)
    assert chosen_epochs(0) == (0,)
    assert all(len(chosen_epochs(last)) == min(8, last + 1) for last in range(300))


def test_wrong_inputs_are_named():
    text = "there is no group of layers to draw; a network without shared layers has no similarity matrix"
    with pytest.raises(SettingError, match=f"^{re.escape(text)}$"):
        history_figure({})
