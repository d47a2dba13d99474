"""From a sequence of labels to nested loops: the shortest program that writes them."""

import itertools
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from foldnet.program.data import Block, Item, Loop, Program, Stage, Step, Use, letters

EXACT_LABELS = 128  # the answer is the best one up to here
PIECE_LABELS = 2048  # longer sequences are folded piece by piece: the table grows with the square of the length

# A price is labels written * LABEL + items at the top level, so that one integer orders both.
LABEL = 1 << 20
STEP = LABEL + 1

# end -> start -> periods with which the labels from start to end repeat
Repeats = list[dict[int, list[int]]]


def find_loops(labels: Sequence[str]) -> tuple[Item, ...]:
    """The steps and nested loops that run `labels` in order, with as few labels written as possible.

    Between programs of one cost the one with fewer items at the top level wins, then the one that loops
    earlier. The answer is exact up to 128 labels. Above, it is greedy: of the repeats inside one periodic
    stretch only those are tried that begin in its first period or run to its end, and beyond 2,048 labels
    each 2,048 are folded on their own. It is never longer than the sequence.
    """
    items: list[Item] = []
    for first in range(0, len(labels), PIECE_LABELS):
        items += _fold_piece(labels[first : first + PIECE_LABELS])
    return tuple(items)


def greedy_stages(program: Program) -> tuple[str, ...]:
    """The stages with so many blocks that their loops were searched for greedily: a shorter program may exist."""
    return tuple(stage.name for stage in program.stages if len(stage.blocks) > EXACT_LABELS)


def name_loops(items: Sequence[Item], stage: str) -> tuple[Item, ...]:
    """The same items, their loops named "stage2.loop1", "stage2.loop2", ..., an outer loop before those inside it."""
    numbers = itertools.count(1)

    def named(item: Item) -> Item:
        if isinstance(item, Step):
            return item
        name = f"{stage}.loop{next(numbers)}"
        return Loop(item.times, tuple(map(named, item.body)), name)

    return tuple(map(named, items))


def _fold_piece(labels: Sequence[str]) -> list[Item]:
    """Prices of every stretch from left to right, then the cheapest program read from right to left."""
    _, codes = np.unique(list(labels), return_inverse=True)
    repeats = _find_repeats(codes)
    prices, loops = _price(len(labels), repeats)

    def read(start: int, end: int) -> list[Item]:
        items: list[Item] = []
        while end > start:
            # A step first where both are equally cheap, so that the loops stand as early as they can.
            if prices[end, start] == prices[end - 1, start] + STEP:
                end -= 1
                items.append(Step(labels[end]))
                continue
            end, period, times = _cheapest_loop(prices, loops, start, end)
            items.append(Loop(times, tuple(read(end, end + period))))
        return items[::-1]

    return read(0, len(labels))


def _price(count: int, repeats: Repeats) -> tuple[NDArray[np.int64], list[dict[int, tuple[int, int]]]]:
    """prices[end, start] of each stretch, and by end and start the price and period of the loop that is all of it.

    prices[end] depends on earlier rows only: a stretch ends in a step, or in a loop whose body lies wholly
    before its end.
    """
    prices = np.zeros((count + 1, count + 1), dtype=np.int64)
    loops: list[dict[int, tuple[int, int]]] = [{} for _ in range(count + 1)]
    for end in range(1, count + 1):
        row = prices[end]
        np.add(prices[end - 1, :end], STEP, out=row[:end])
        for start, periods in repeats[end].items():
            cost, period = min((int(prices[start + period, start]) // LABEL, period) for period in periods)
            price = cost * LABEL + 1
            loops[end][start] = price, period
            np.minimum(row[: start + 1], prices[start, : start + 1] + price, out=row[: start + 1])
    return prices, loops


def _cheapest_loop(
    prices: NDArray[np.int64], loops: list[dict[int, tuple[int, int]]], start: int, end: int
) -> tuple[int, int, int]:
    """(start, period, times) of the loop in which the cheapest program of the stretch ends; the longest such loop."""
    for first in sorted(loops[end]):
        price, period = loops[end][first]
        if first >= start and prices[first, start] + price == prices[end, start]:
            return first, period, (end - first) // period
    raise AssertionError("every price is that of a step or of a loop")


def _find_repeats(codes: NDArray[np.int64]) -> Repeats:
    """The loops worth trying: all of them for a short sequence, a number that grows nearly linearly for a long one."""
    count = len(codes)
    exact = count <= EXACT_LABELS
    repeats: Repeats = [{} for _ in range(count + 1)]
    known: dict[tuple[int, int], list[int]] = {}
    for period in range(1, count // 2 + 1):
        for first, last in _periodic_stretches(codes, period):
            shorter = known.setdefault((first, last), [])
            if not exact and any(period % other == 0 for other in shorter):
                continue  # the same stretch with its body written several times
            shorter.append(period)
            for start in range(first, last - 2 * period + 1):
                most = (last - start) // period
                tried = range(2, most + 1) if exact or start < first + period else (most,)
                for times in tried:
                    repeats[start + times * period].setdefault(start, []).append(period)
    return repeats


def _periodic_stretches(codes: NDArray[np.int64], period: int) -> Iterator[tuple[int, int]]:
    """(first, last + 1) of the longest stretches that repeat with `period` at least twice."""
    same = np.concatenate(([False], codes[:-period] == codes[period:], [False]))
    changes = np.flatnonzero(same[1:] != same[:-1])
    for first, last in zip(changes[::2].tolist(), changes[1::2].tolist(), strict=True):
        if last - first >= period:
            yield first, last + period


UnlabelledBlock = tuple[str, Hashable, Sequence[Use]]  # (qualified name, structure, uses)


def build_program(
    before: Sequence[str], stages: Sequence[tuple[str, Sequence[UnlabelledBlock]]], after: Sequence[str]
) -> Program:
    """The program of a network whose sequences of blocks are `stages`: (name, blocks in their order).

    Two blocks of a stage carry one label when they have one structure (whatever says it: a number, a text) and use the
    same owners at every position. Labels are A, B, ... in order of first appearance; a block with a weight of its own
    is private1, private2, ... and never repeats.
    """
    return Program(tuple(before), tuple(_build_stage(name, blocks) for name, blocks in stages), tuple(after))


def _build_stage(name: str, unlabelled: Sequence[UnlabelledBlock]) -> Stage:
    """Blocks with their labels, and the items that run them."""
    labels: dict[tuple[object, ...], str] = {}
    blocks: list[Block] = []
    numbers = itertools.count(1)
    for block_name, structure, uses in unlabelled:
        block = Block(block_name, "", tuple(uses))
        key = (structure, *((use.position, use.group, use.owner) for use in uses))
        new = f"private{next(numbers)}" if block.private else letters(len(labels)).upper()
        blocks.append(replace(block, label=new if block.private else labels.setdefault(key, new)))
    items = name_loops(find_loops([block.label for block in blocks]), name)
    return Stage(name, tuple(blocks), items)
