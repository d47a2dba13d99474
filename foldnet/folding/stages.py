"""A sequence of blocks as the program writes it: each label once, run step by step."""

from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from foldnet.errors import SettingError
from foldnet.folding.stepped import SteppedBlock, running
from foldnet.program.data import Stage, give_own_steps, scales, schedule
from foldnet.sharing.lend import HOOKS, view


class LoopedStage(nn.Module):
    """A sequence of blocks as the program writes it: each label once, executed step by step."""

    only_calls_layers = True
    sequence: nn.Module

    def __init__(self, stage: Stage, blocks: nn.Module, elsewhere: Collection[int] = ()) -> None:
        """`blocks` is the unrolled sequence, whose shared layers have no weights; its tensors are stacked, not kept.

        Those whose ids are in `elsewhere` stand in other places of the network too, and stay what they are.
        """
        super().__init__()
        self.stage = stage
        self.schedule = schedule(stage.items)
        self.scales: tuple[float, ...] = ()  # of the change that each entry of the schedule makes; none where all are 1
        self.blocks = nn.ModuleDict()
        for label in dict.fromkeys(block.label for block in stage.blocks):
            alike = [block for block in stage.blocks if block.label == label]
            modules = [blocks.get_submodule(block.name.rpartition(".")[2] * (not stage.alone)) for block in alike]
            tied = tuple(use.position for use in alike[0].uses if use.group is not None)
            self.blocks[label] = SteppedBlock(modules, tied, elsewhere) if tied or len(modules) > 1 else modules[0]
        object.__setattr__(self, "sequence", blocks)  # whose place this module takes; not registered

    def set_trips(self, trips: Mapping[str, int], *, own_steps: bool, damped: bool) -> None:
        """Run loops by `trips`; see LoopedNetwork.set_trips."""
        order = schedule(self.stage.items, trips)
        copied: dict[str, tuple[int, ...]] = {}
        scaled = zip(order, scales(self.stage.items, trips), strict=True) if damped else ()
        self.scales = tuple(scale if self.adds_to_state(label) else 1.0 for (label, _), scale in scaled)
        stepped = {label: block for label, block in self.blocks.items() if isinstance(block, SteppedBlock)}
        if own_steps:
            order, copied = give_own_steps(order, {label: block.found for label, block in stepped.items()})
        for label, block in stepped.items():
            block.lay_out(copied.get(label, ()))
        self.schedule = order

    def adds_to_state(self, label: str) -> bool:
        """Whether a block may be one that adds to its input: a single layer is not."""
        block = self.blocks[label]
        return any(True for _ in (block.body if isinstance(block, SteppedBlock) else block).children())

    def entry(self, index: int) -> nn.Module:
        """What runs one entry of the schedule, of the class of the block that ran there."""
        label, step = self.schedule[index]
        block, scale = self.blocks[label], self.scales[index] if self.scales else 1.0
        entry = _entry(block, step)
        return entry if scale == 1.0 else running(entry, partial(self._damped, entry, label, scale))

    def first(self) -> nn.Module:
        """What runs the first block of all, whether the schedule has it or not."""
        return _entry(next(iter(self.blocks.values())), 0)

    def instead(self) -> dict[nn.Module, nn.Module]:
        """What a plain call runs in the place of which modules: of this one, and of those that it took the place of."""
        return dict.fromkeys((self, self.sequence), self.unrolled())

    def unrolled(self) -> nn.Module:
        """The sequence as it was, of what runs the entries of the schedule: what a plain call runs in this module's
        place, so that hooks and whoever looks at modules meet the blocks that were folded."""
        names = [block.name.rpartition(".")[2] for block in self.stage.blocks]
        if len(names) != len(self.schedule):
            names = [str(index) for index in range(len(self.schedule))]
        sequence = view(self.sequence, {})
        vars(sequence).update((name, vars(self)[name]) for name in (*HOOKS, "training"))
        sequence._modules = {name: self.entry(index) for index, name in enumerate(names)}
        if not self.schedule and type(sequence) is nn.ModuleList:
            sequence.__class__ = LeftOut
            vars(sequence)["block"] = self.first()
        return sequence

    def forward(self, x: Tensor) -> Tensor:
        """x (n, c, h, w) -> (n, c', h', w'): the loop itself, of which torch.compile makes a graph. A plain call runs
        `unrolled` instead, one view of the body an entry; both walk the schedule. See LoopedNetwork."""
        for index in range(len(self.schedule)):
            x = self.entry(index)(x)
        return x

    def _damped(self, block: nn.Module, label: str, scale: float, x: Any, *inputs: Any, **options: Any) -> Any:
        """The state between those before and after a block. Raises SettingError where their shapes differ."""
        before = x.clone()  # a block may write into its input
        after = block(x, *inputs, **options)
        if before.shape != after.shape:
            raise SettingError(
                f"`damped=True` scales what a block adds to its input, and block {label} of '{self.stage.name}' "
                f"changes its shape; leave `damped` out"
            )
        return torch.lerp(before, after, scale)


def _entry(block: nn.Module, step: int) -> nn.Module:
    """What runs a step of a block."""
    return block.entry(step) if isinstance(block, SteppedBlock) else block


class LeftOut(nn.ModuleList):
    """A list of which no block runs. Who looks at its first or last one, as nn.TransformerEncoder does before it runs
    any, is shown `block`."""

    only_calls_layers = True
    block: nn.Module

    def __getitem__(self, index: Any) -> Any:
        """The block that is shown."""
        return self.block if index in (0, -1) else super().__getitem__(index)


class LoopedList(LoopedStage):
    """The blocks of an nn.ModuleList, for another's forward to call: as many as the schedule has entries, each the
    entry's step."""

    only_calls_layers = True

    def __len__(self) -> int:
        return len(self.schedule)

    def __iter__(self) -> Iterator[nn.Module]:
        return (self.entry(index) for index in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        """What runs one entry, or a list of them for a slice."""
        if not self.schedule and index in (0, -1):
            return self.first()  # see LeftOut
        chosen = range(len(self))[index]
        return [self.entry(one) for one in chosen] if isinstance(chosen, range) else self.entry(chosen)


class LoopedAlone(LoopedStage):
    """A block that stands in no sequence: it runs where and as often as the network's own forward calls it."""

    only_calls_layers = True

    def instead(self) -> dict[nn.Module, nn.Module]:
        """The block, which is a step's part: what else reaches it is lent what that is."""
        return {self: self.entry(0)}

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """As the block's own."""
        return self.entry(0)(*inputs, **options)


class LoopedSiblings(LoopedStage):
    """Blocks that are children of one module, block1, block2, ...: they run where the network's own forward calls them.

    It is made of that module, and stands in the place of the first.
    """

    only_calls_layers = True

    def places(self) -> dict[str, nn.Module]:
        """What is to stand in the place of each block, by its name."""
        others = (Sibling(self, index) for index in range(1, len(self.stage.blocks)))
        return dict(zip((block.name for block in self.stage.blocks), (self, *others), strict=True))

    def instead(self) -> dict[nn.Module, nn.Module]:
        """The first block; see Sibling."""
        return {self: self.entry(0)}

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """As the first block's."""
        return self.entry(0)(*inputs, **options)


class Sibling(nn.Module):
    """Stands in the place of a block that is not the first of its siblings."""

    only_calls_layers = True
    first: LoopedSiblings

    def __init__(self, first: LoopedSiblings, index: int) -> None:
        super().__init__()
        object.__setattr__(self, "first", first)  # which the network holds in its own place
        self.index = index

    def entry(self) -> nn.Module:
        """What runs the block."""
        return self.first.entry(self.index)

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """As the block's own."""
        return self.entry()(*inputs, **options)
