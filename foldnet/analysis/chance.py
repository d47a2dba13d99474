"""How alike the layers of an untrained bank are: the level that a similarity must exceed to mean anything.

The paper (Savarese & Maire 2019, https://arxiv.org/abs/1902.09701) reports similarities without it; with few
templates "near 1" is what an untrained network shows too: 0.99 is expected somewhere among 6 layers of 2
templates.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foldnet.analysis.similarity import Matrix, coordinate_map, max_off_diagonal, unit_rows
from foldnet.bounds import check_number, checked

MOST_DRAWS = 10_000  # two digits of every number, in less than 0.1 s for 20 layers
FEWEST_DRAWS = 8  # the maximum over half a million pairs hardly varies from draw to draw
WORK = 5e7  # numbers drawn or compared in one call; bounds the seconds
CHUNK = 2e6  # and at one time; bounds the memory
SURE = 0.95  # share of untrained networks that stay below what is called a chance level

Draw = Callable[[int, np.random.Generator], Matrix]  # so many matrices of rows


@dataclass(frozen=True, slots=True)
class Chance:
    """The off-diagonal |cos| of untrained layers. All is None for a single layer, which has no pairs."""

    unwritten: ClassVar = ("draws",)
    mean: float | None  # over pairs and draws
    max: float | None  # expected maximum over the pairs
    q95: float | None  # 95 % quantile of the maximum: one untrained group in twenty exceeds it somewhere
    draws: int
    # The same for a whole network: one untrained network in twenty exceeds it somewhere in any of its groups.
    network_q95: float | None = None


@dataclass(frozen=True, slots=True)
class GroupLsm:
    """The layer similarity matrix (L, L) of one group, and what chance alone would show.

    `templates` is 0 for a plain network. `disagreements` are the pairs of layers that one metric puts above the fold's
    default threshold and the other does not.
    """

    computed: ClassVar = ("max_off_diagonal",)
    name: str
    layers: tuple[str, ...]
    templates: int
    matrix: NDArray[np.float64]
    chance: Chance
    disagreements: tuple[tuple[str, str], ...]

    @property
    def max_off_diagonal(self) -> float | None:
        """The largest similarity of two different layers; None for a single layer."""
        return max_off_diagonal(self.matrix)


def network_share(groups: int) -> float:
    """The share of untrained groups that must stay below a level so that 95 % of networks of `groups` groups do in all
    of them.

    Three groups that each stay below theirs in 95 of 100 cases all do so in only 86: 14 % of untrained networks would
    show a star. Groups start independently, so each is held to the root of 0.95 (Sidak 1967).
    """
    return float(SURE ** (1 / max(groups, 1)))


def beyond_chance(matrix: ArrayLike, chance: Chance) -> NDArray[np.bool_]:
    """Which pairs of different layers are more alike than chance makes them anywhere in 95 % of untrained networks: (L,
    L).

    What every table stars and every picture frames. Nothing where chance is not known.
    """
    values = np.asarray(matrix, dtype=np.float64)
    above: NDArray[np.bool_] = values > (np.inf if chance.network_q95 is None else chance.network_q95)
    np.fill_diagonal(above, False)
    return above


def shown_level(level: float) -> str:
    """A chance level with three decimals, and with more where these would say that nothing can exceed it."""
    texts = (f"{level:.{digits}f}" for digits in range(3, 10))
    return next((text for text in texts if text.startswith("0")), "1")


@checked
def chance(layers: int, templates: int, *, gram: ArrayLike | None = None, seed: int = 0, groups: int = 1) -> Chance:
    """The chance level of a group of `layers` layers that mix `templates` templates, one of `groups` that are judged
    together.

    Of the paper's start, an orthogonal (L, K) matrix of coefficients. For K >= L that start has similarity 0
    everywhere, which no trained network could be held against, so isotropic rows are the null there. By
    coefficients, or by weights where the (K, K) Gram matrix of the templates is given. Raises SettingError
    for sizes below 1, ShapeMismatch for a Gram matrix that does not fit.
    """
    _check_sizes(layers=layers, templates=templates, groups=groups)
    if gram is None:
        return _remembered(layers, templates, None, seed, groups)
    return _soft_chance(layers, templates, coordinate_map(gram, templates), seed, groups)


def _soft_chance(layers: int, templates: int, coordinates: Matrix | None, seed: int, groups: int) -> Chance:
    """Of coefficients, or of their weight coordinates."""
    if templates == 1 and coordinates is None and layers > 1:
        return Chance(1.0, 1.0, 1.0, 1, 1.0)

    def rows(size: int, generator: np.random.Generator) -> Matrix:
        drawn = untrained_rows(size, layers, templates, generator)
        return drawn if coordinates is None else drawn @ coordinates

    return _sampled(rows, layers, templates, seed, groups)


# The groups of a network often have one size, and fold asks again what lsm asked.
_remembered = lru_cache(maxsize=256)(_soft_chance)


def plain_chance(layers: int, weight_numbers: int, *, seed: int = 0, groups: int = 1) -> Chance:
    """The chance level of a plain network: independent isotropic weights of `weight_numbers` numbers each.

    Of one of `groups` groups that are judged together. Exact, and its time does not depend on the size of the weights.
    Raises SettingError for sizes below 1.
    """
    _check_sizes(layers=layers, weight_numbers=weight_numbers, groups=groups)

    def rows(size: int, generator: np.random.Generator) -> Matrix:
        if weight_numbers < layers:
            return generator.standard_normal((size, layers, weight_numbers))
        return _bartlett(size, layers, weight_numbers, generator)

    return _sampled(rows, layers, min(layers, weight_numbers), seed, groups)


def _sampled(rows: Draw, layers: int, width: int, seed: int, groups: int) -> Chance:
    """Of as many draws of `rows`, (size, L, width), as one call may take, cut into chunks that fit in memory."""
    if layers == 1:
        return Chance(None, None, None, 0)
    draws = int(np.clip(WORK / (layers * (layers + 2 * width)), FEWEST_DRAWS, MOST_DRAWS))
    size = int(np.clip(CHUNK // (layers * (layers + width)), 1, draws))
    generator = np.random.default_rng(seed)
    found = [_statistics(rows(min(size, draws - first), generator)) for first in range(0, draws, size)]
    means, maxima = map(np.concatenate, zip(*found, strict=True))
    q95, network_q95 = map(float, np.quantile(maxima, [SURE, network_share(groups)]))
    return Chance(float(min(means.mean(), 1.0)), float(maxima.mean()), q95, draws, network_q95)


def untrained_rows(size: int, layers: int, templates: int, generator: np.random.Generator) -> Matrix:
    """(size, L, K) coefficients: orthonormal columns where K < L, as torch.nn.init.orthogonal_ makes them."""
    normal = generator.standard_normal((size, layers, templates))
    if templates >= layers:
        return normal
    orthonormal, triangle = np.linalg.qr(normal)
    # Without these signs the columns are not uniformly distributed, which the weight metric would see.
    signs = np.sign(np.diagonal(triangle, axis1=1, axis2=2))
    signed: Matrix = orthonormal * signs[:, None, :]
    return signed


def _bartlett(size: int, layers: int, numbers: int, generator: np.random.Generator) -> Matrix:
    """(size, L, L) rows with the angles of L isotropic rows of `numbers` numbers, without drawing those.

    Bartlett's decomposition of a Wishart matrix: normal below the diagonal, chi with numbers - i freedoms on
    it.
    """
    rows = np.tril(generator.standard_normal((size, layers, layers)), -1)
    diagonal = np.arange(layers)
    rows[:, diagonal, diagonal] = np.sqrt(generator.chisquare(numbers - diagonal, (size, layers)))
    return rows


def _statistics(rows: Matrix) -> tuple[Matrix, Matrix]:
    """Mean and maximum of off-diagonal |cos| of each draw: (size, L, D) -> (size,), (size,)."""
    units = unit_rows(rows)
    cosines = units @ units.transpose(0, 2, 1)
    np.abs(cosines, out=cosines)
    layers = cosines.shape[1]
    diagonal = np.arange(layers)
    cosines[:, diagonal, diagonal] = 0.0
    mean: Matrix = cosines.sum(axis=(1, 2)) / (layers * (layers - 1))
    return mean, np.minimum(cosines.max(axis=(1, 2)), 1.0)


def _check_sizes(**sizes: int) -> None:
    """Raise SettingError for a size below 1, or beyond any network."""
    for name, size in sizes.items():
        check_number(name, size)
