"""The palette: colours that every reader tells apart."""

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from foldnet.drawing.colors import DISTINCT, INK, PLAIN, distinct

# How eyes without one kind of cone see linear RGB: Machado, Oliveira & Fernandes 2009, severity 1.
SIGHTS = {
    "all cones": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(color: str) -> NDArray[np.float64]:
    """The colour in linear RGB, 0 to 1."""
    channels = np.array([int(color[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear RGB in CIELAB, where distances are about as large as they look."""
    xyz = TO_XYZ @ np.clip(rgb, 0, 1) / TO_XYZ.sum(1)
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("sight", SIGHTS)
def test_lines_are_told_apart(sight: str) -> None:
    seen = [lab(SIGHTS[sight] @ linear(color)) for color in DISTINCT]
    assert min(float(np.linalg.norm(one - other)) for one, other in combinations(seen, 2)) >= 25


@pytest.mark.parametrize("color", [*DISTINCT, PLAIN, INK])
def test_letters_are_readable_on_white(color: str) -> None:
    assert 1.05 / (linear(color) @ TO_XYZ[1] + 0.05) >= 3


def test_later_lines_begin_again_with_the_first_colour() -> None:
    assert [distinct(index) for index in range(8)] == [*DISTINCT, DISTINCT[0]]
