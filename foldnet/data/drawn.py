"""Random numbers that are the same on every machine and in every version: numpy's PCG64, read as it comes."""

import numpy as np
from numpy.typing import NDArray

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
