"""Cutting a run of equal blocks into segments whose blocks do alike. Knows no torch."""

from __future__ import annotations

import numpy as np

from foldnet.analysis.similarity import Matrix

Segment = tuple[int, int]  # the first block, and the one behind the last


def cut_run(similarity: Matrix, most: int) -> tuple[Segment, ...]:
    """The cut of n blocks in a row into at most `most` segments that keeps the most of what the blocks do: the sum,
    over segments, of the similarities (n, n) between all pairs in it divided by its length. Of changes of length 1,
    whose cosines they are, that is what the segments' means keep of them. Exact, by dynamic programming; of cuts that
    keep as much, within rounding, the one with fewer segments.
    """
    count = len(similarity)
    most = min(most, count)
    sums = np.zeros((count + 1, count + 1))
    sums[1:, 1:] = np.cumsum(np.cumsum(similarity, axis=0), axis=1)

    def kept(start: int, end: int) -> float:
        inside = sums[end, end] - sums[start, end] - sums[end, start] + sums[start, start]
        return float(inside) / (end - start)

    best: list[dict[int, tuple[float, int]]] = [
        {0: (0.0, 0)}
    ]  # by number of segments: end -> (kept, start of the last)
    for _ in range(most):
        before, now = best[-1], {}
        for end in range(len(best), count + 1):
            tried = [(value + kept(start, end), start) for start, (value, _) in before.items() if start < end]
            now[end] = max(tried, key=lambda entry: (entry[0], -entry[1]))
        best.append(now)
    chosen = 1
    for number in range(2, most + 1):
        if best[number][count][0] > best[chosen][count][0] + 1e-9 * count:
            chosen = number
    segments: list[Segment] = []
    end = count
    for number in range(chosen, 0, -1):
        start = best[number][end][1]
        segments.append((start, end))
        end = start
    return tuple(reversed(segments))
