"""Where boxes and arrows of a folded stage stand: a column of boxes, with jumps in lanes beside it.

Inches; y runs downwards from the column's top, x from the middle of the boxes. Jumps back run on the left and up, jumps
ahead, past other boxes, on the right and down.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

LANE = 0.15  # between the middles of two lanes
FIRST_LANE = 0.18  # from a box's side to the middle of the first
GAP = 0.15  # between two boxes
END = 0.085  # between two arrows' ends on one side of a box

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Arrow:
    """The corners of an arrow's way, and the middle of its longest part, where its label stands."""

    corners: tuple[Point, ...]
    label: Point


@dataclass(frozen=True, slots=True)
class Column:
    """Boxes from the top down, the arrows between them, and how far lanes reach from the boxes' middle."""

    tops: tuple[float, ...]
    heights: tuple[float, ...]
    arrows: tuple[Arrow, ...]
    left: float
    right: float

    @property
    def height(self) -> float:
        """From the first box's top to the last one's bottom."""
        return self.tops[-1] + self.heights[-1] if self.tops else 0.0


def column_layout(
    heights: Sequence[float], edges: Sequence[tuple[int, int]], width: float, first_lane: float = 0.0
) -> Column:
    """Places for boxes of at least `heights`, all `width` wide, and for arrows (from row, to row), all different.

    The first lane leaves at least `first_lane` beside the boxes, for what stands on the arrows. Arrows to the next row
    run straight down. Boxes grow where many arrows end at one of their sides.
    """
    beside = width / 2 + max(first_lane, FIRST_LANE)
    left = [edge for edge in edges if edge[1] <= edge[0]]
    right = [edge for edge in edges if edge[1] > edge[0] + 1]
    sides = [(side, assign_lanes(side)) for side in (left, right)]
    ends = [_ends(side, lanes) for side, lanes in sides]
    grown = [max(height, *(END * len(at.get(row, ())) for at in ends)) for row, height in enumerate(heights)]
    tops = [sum(grown[:row]) + GAP * row for row in range(len(grown))]
    ways: dict[tuple[int, int], Arrow] = {}
    for edge in edges:
        start, end = tops[edge[0]] + grown[edge[0]], tops[edge[1]]
        ways[edge] = Arrow(((0.0, start), (0.0, end)), (0.0, (start + end) / 2))
    for sign, (side, lanes), at in zip((-1, 1), sides, ends, strict=True):
        for edge in side:
            # Ends stand evenly along the side of their box.
            start, end = (
                tops[row] + grown[row] * (at[row].index((edge, starts)) + 0.5) / len(at[row])
                for row, starts in zip(edge, (True, False), strict=True)
            )
            x, box = sign * (beside + LANE * lanes[edge]), sign * width / 2
            ways[edge] = Arrow(((box, start), (x, start), (x, end), (box, end)), (x, (start + end) / 2))
    reach = [beside + LANE * max(lanes.values()) if lanes else width / 2 for _, lanes in sides]
    return Column(tuple(tops), tuple(grown), tuple(ways[edge] for edge in edges), reach[0], reach[1])


def assign_lanes(jumps: Sequence[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """A lane for each jump, counted from the boxes: short jumps inside, and no two in one lane side by side."""
    lanes: dict[tuple[int, int], int] = {}
    taken: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for jump in sorted(jumps, key=lambda jump: (abs(jump[0] - jump[1]), jump)):
        low, high = min(jump), max(jump)
        # A jump from a box to itself may lie between two that meet at the box.
        lane = next(n for n in count() if all(high <= first or last <= low for first, last in taken[n]))
        taken[lane].append((low, high))
        lanes[jump] = lane
    return lanes


End = tuple[tuple[int, int], bool]  # an edge, and whether it starts or ends here


def _ends(jumps: Sequence[tuple[int, int]], lanes: dict[tuple[int, int], int]) -> dict[int, list[End]]:
    """For each row, the ends of jumps from the top down, in the order in which their ways do not cross.

    Those that lead up come first, the inner lane above the outer; a box's jump to itself lies between them and those
    that lead down, of which the outer lane is above.
    """
    ends: dict[int, list[tuple[int, int, End]]] = defaultdict(list)
    for edge in jumps:
        for row, other, start in ((edge[0], edge[1], True), (edge[1], edge[0], False)):
            # A box's jump to itself leaves below and comes back above.
            rank = (1, int(start)) if other == row else (0, lanes[edge]) if other < row else (2, -lanes[edge])
            ends[row].append((*rank, (edge, start)))
    return {row: [end for *_, end in sorted(some)] for row, some in ends.items()}
