"""A dendrogram of a page: which layers merge at which similarity, from 1 on the left to the last merge on the right."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from foldnet.show.html import Markup, element
from foldnet.show.report import shortened

WIDTH, NAMES, RIGHT = 400, 120, 12  # units; room for the names of the layers
LINE, AXIS = 18, 34
FITS, MOST = 17, 30  # letters of a name that the room holds, and that it holds drawn closer
TICKS = (1.0, 0.999, 0.99, 0.95, 0.9, 0.8, 0.6, 0.4, 0.2, 0.0)
Walk = Sequence[tuple[float, Sequence[Sequence[int]]]]  # the similarity of each merge, and the clusters after it


def dendrogram_svg(name: str, layers: Sequence[str], walk: Walk, chance: float | None) -> Markup:
    """The merges of a group of layers, with its chance level, and a line that a script moves to a threshold.

    Trained layers may all merge above 0.99 and their clusters at 0.2: the way from 1 grows with the cube root of 1 - s,
    which has room for both. The picture says where that leads: to data-right, where similarity is data-low.
    """
    low = max(min(math.floor(10 * min(height for height, _ in walk) - 1e-9) / 10, 0.9), 0.0)
    bottom = LINE * len(layers) + 6
    order = [row for cluster in walk[-1][1] for row in _leaves(tuple(cluster), [set(map(tuple, c)) for _, c in walk])]
    places = {row: (float(NAMES), LINE * (at + 0.5) + 3) for at, row in enumerate(order)}

    def across(height: float) -> float:
        return NAMES + (WIDTH - NAMES - RIGHT) * math.cbrt((1 - height) / (1 - low))

    pieces = [_name(layers[row], y + 4) for row, (_, y) in places.items()]
    pieces += _merges(places, walk, across)
    pieces += [_text(f"{tick:g}", across(tick), bottom + 14, "middle") for tick in TICKS if tick >= low - 1e-9]
    if chance is not None and chance > low:
        pieces.append(_upright(across(chance), bottom, "level"))
    pieces.append(_upright(float(NAMES), bottom, "threshold"))
    return element(
        "svg",
        pieces,
        viewBox=f"0 0 {WIDTH} {bottom + AXIS - 12}",
        role="img",
        aria_label=f"Dendrogram of {name}: which layers merge at which similarity",
        class_="chart dendrogram",
        data_left=NAMES,
        data_right=WIDTH - RIGHT,
        data_low=low,
    )


def _leaves(cluster: tuple[int, ...], partitions: Sequence[set[tuple[int, ...]]]) -> Iterator[int]:
    """The members of a cluster in an order in which those that merge early lie side by side."""
    if len(cluster) == 1:
        yield cluster[0]
        return
    before = next((found for found in reversed(partitions) if cluster not in found), set())
    parts = [part for part in before if set(part) <= set(cluster)] or [(row,) for row in cluster]
    earlier = [found for found in partitions if cluster not in found]
    for part in sorted(parts):
        yield from _leaves(part, earlier)


def _merges(places: dict[int, tuple[float, float]], walk: Walk, across: Callable[[float], float]) -> Iterator[Markup]:
    """A bracket a merge: from the two clusters to where they are one."""
    ends: dict[tuple[int, ...], tuple[float, float]] = {(row,): place for row, place in places.items()}
    for height, clusters in walk:
        for cluster in map(tuple, clusters):
            if cluster in ends:
                continue
            parts = [part for part in ends if set(part) <= set(cluster)]
            joins = sorted((ends.pop(part) for part in parts), key=lambda place: place[1])
            x, top, foot = across(height), joins[0], joins[-1]
            way = f"M{top[0]:.1f} {top[1]:.1f}H{x:.1f}V{foot[1]:.1f}H{foot[0]:.1f}"
            yield element("path", d=way, class_="branch")
            ends[cluster] = (x, (top[1] + foot[1]) / 2)


def _name(name: str, y: float) -> Markup:
    """The name of a layer, of which the beginning and the end are read: a long one loses its middle."""
    said = shortened(name, MOST)
    close: dict[str, Any] = {"textLength": NAMES - 8, "lengthAdjust": "spacingAndGlyphs"} if len(said) > FITS else {}
    whole = element("title", name) if said != name else None
    return element("text", whole, said, x=f"{NAMES - 6:.1f}", y=f"{y:.1f}", text_anchor="end", **close)


def _text(text: str, x: float, y: float, anchor: str) -> Markup:
    """A word."""
    return element("text", text, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor)


def _upright(x: float, bottom: float, kind: str) -> Markup:
    """A line over the whole height."""
    return element("line", x1=f"{x:.1f}", x2=f"{x:.1f}", y1=0, y2=bottom, class_=kind)
