"""Figures as files: what is said where they cannot be written."""

import re
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from foldnet.drawing.figures import write_figure
from foldnet.errors import OutputError, SettingError


def test_a_place_that_will_not_do_is_named(tmp_path: Path) -> None:
    path = tmp_path / "figure.gif"
    said = f"'{path}' has ending '.gif'; give it one of .png, .svg, .pdf"
    with pytest.raises(SettingError, match=f"^{re.escape(said)}$"):
        write_figure(Figure(), path)
    lost = tmp_path / "missing" / "figure.svg"
    said = f"'{lost}' cannot be written (No such file or directory); free the place or choose another"
    with pytest.raises(OutputError, match=f"^{re.escape(said)}$"):
        write_figure(Figure(), lost)
    assert list(tmp_path.iterdir()) == []
