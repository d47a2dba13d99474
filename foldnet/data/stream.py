"""Numbers drawn by a seed, the same on every machine, and how many examples are drawn to choose by."""

import numpy as np
from numpy.typing import NDArray

from foldnet.errors import SettingError

SPLITS = ("train", "validation", "test")


class Stream:
    """Numbers drawn from (seed, phase, split), one after the other.

    Only the raw words of the bit generator are used, which numpy promises never to change; its distributions may.
    """

    def __init__(self, seed: int, phase: int, split: str) -> None:
        """`split` is one of SPLITS, `phase` counts from 0."""
        self._bits = np.random.PCG64(np.random.SeedSequence([seed, phase, SPLITS.index(split)]))

    def uniform(self, *shape: int) -> NDArray[np.float64]:
        """Numbers in [0, 1), of 53 bits."""
        words = self._bits.random_raw(int(np.prod(shape)))
        return ((words >> np.uint64(11)).astype(np.float64) * 2.0**-53).reshape(shape)

    def below(self, limit: NDArray[np.int64] | int, *shape: int) -> NDArray[np.int64]:
        """Whole numbers from 0 to below `limit`, which is one number or broadcasts to `shape`."""
        return (self.uniform(*shape) * limit).astype(np.int64)


def drawn_count(validation: float, examples: int, unit: str) -> int:
    """How many examples, each called `unit`, are drawn to choose by: a share of those to train on below 1, or a number.
    Raises SettingError for what comes to none, or to half a one."""
    count = round(validation * examples) if validation < 1 else int(validation)
    if (validation >= 1 and count != validation) or (validation > 0 and count < 1):
        raise SettingError(
            f"`validation={validation:.12g}` is neither a share of the {examples} examples that comes to a {unit} "
            f"or more, nor a whole number of {unit}s; give 0.1 or 500, or 0 for none"
        )
    return count
