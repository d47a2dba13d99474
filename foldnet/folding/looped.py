"""The folded network that really loops: a program executes owners, each held once, with per-step norms and gains."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from foldnet.folding.owners import Owners, TiedLayers
from foldnet.folding.program import Block, Program, Stage
from foldnet.folding.stepped import SteppedBlock, join
from foldnet.folding.trips import check_trips, schedule
from foldnet.sharing.share import SharedNetwork


class LoopedStage(nn.Module):
    """A sequence of blocks as the program writes it: each label once, executed step by step."""

    def __init__(self, stage: Stage, blocks: nn.Module) -> None:
        """`blocks` is the unrolled sequence, whose shared layers have no weights; its tensors are stacked, not kept."""
        super().__init__()
        self.stage = stage
        self.schedule = schedule(stage.items)
        self.blocks = nn.ModuleDict()
        for label in dict.fromkeys(block.label for block in stage.blocks):
            alike = [block for block in stage.blocks if block.label == label]
            modules = [blocks.get_submodule(block.name.removeprefix(f"{stage.name}.")) for block in alike]
            tied = tuple(use.position for use in alike[0].uses if use.group is not None)
            self.blocks[label] = SteppedBlock(modules, tied) if tied or _repeats_with_state(modules) else modules[0]

    def set_trips(self, trips: Mapping[str, int], *, own_steps: bool) -> None:
        """Run loops by `trips`; see LoopedNetwork.set_trips."""
        self.schedule = schedule(self.stage.items, trips)
        if own_steps:
            self.schedule = self._given_own_steps()

    def _given_own_steps(self) -> tuple[tuple[str, int], ...]:
        """The schedule in which a step that runs again has tensors of its own, copies of those that it had."""
        used: set[tuple[str, int]] = set()
        copied: dict[str, list[int]] = {}
        order = []
        for label, step in self.schedule:
            block = self.blocks[label]
            own = step
            if (label, step) in used and isinstance(block, SteppedBlock):
                own = block.steps + len(copied.setdefault(label, []))
                copied[label].append(step)
            used.add((label, own))
            order.append((label, own))
        for label, steps in copied.items():
            block = self.blocks[label]
            assert isinstance(block, SteppedBlock)
            block.lengthen(steps)
        return tuple(order)

    def forward(self, x: Tensor) -> Tensor:
        """x (n, c, h, w) -> (n, c', h', w')."""
        for label, step in self.schedule:
            block = self.blocks[label]
            x = block(x, step) if isinstance(block, SteppedBlock) else block(x)
        return x


class LoopedNetwork(nn.Module):
    """The looped form: `network` has its stages replaced by loops, `owners` holds the weights of each group once.

    Shapes: as those of the network that was folded.
    """

    def __init__(self, network: nn.Module, program: Program, owners: Mapping[str, Owners]) -> None:
        """Takes `network` over: the unrolled architecture, its shared layers without weights."""
        super().__init__()
        self.program = program
        for stage in program.stages:
            parent, _, name = stage.name.rpartition(".")
            looped = LoopedStage(stage, network.get_submodule(stage.name))
            setattr(network.get_submodule(parent), name, looped)
        self.network = network
        self.owners = nn.ModuleDict(owners)
        self._wiring = tuple(_wiring(program))

    def set_trips(self, trips: Mapping[str, int], *, own_steps: bool = False) -> None:
        """Let loops run another number of times than they were found with; loops that are not named run as found.

        Trips past the last reuse the last one's norms and gains; with `own_steps` they get copies, which recalibrating or
        training then changes. Raises UnknownName for a loop that is not there, SettingError for fewer than one trip.
        """
        check_trips(self.program, trips)
        for stage in self.program.stages:
            module = self.network.get_submodule(stage.name)
            assert isinstance(module, LoopedStage)
            module.set_trips(trips, own_steps=own_steps)

    def compile_bodies(self, **options: Any) -> None:
        """torch.compile the body of every block, once for all of its steps; `options` are torch.compile's."""
        for module in self.modules():
            if isinstance(module, SteppedBlock):
                module.run_body = torch.compile(module.run_body, **options)  # type: ignore[method-assign]

    def forward(self, x: Tensor) -> Tensor:
        """x (n, c, h, w) -> logits (n, classes)."""
        weights = {group: owners.owner_weights() for group, owners in self.owners.items()}  # type: ignore[operator]
        given = {name: weights[group][owner] for name, group, owner in self._wiring}
        logits: Tensor = functional_call(self.network, given, (x,), tie_weights=False)
        return logits


def _repeats_with_state(modules: list[nn.Module]) -> bool:
    """Whether blocks without shared weights, such as norms between them, are one label with tensors of their own."""
    return len(modules) > 1 and any(True for _ in modules[0].state_dict())


def loop_tied(tied: SharedNetwork, program: Program) -> LoopedNetwork:
    """The looped form of a tied network: the same owners, norms and gains, stacked by step. `tied` is left as it was."""
    sources = {name: source for name, source in tied.sources.items() if isinstance(source, TiedLayers)}
    owners = {name: copy.deepcopy(source.stored) for name, source in sources.items()}
    device = next(tied.sources.parameters()).device
    looped = LoopedNetwork(copy.deepcopy(tied.network), program, owners).to(device)
    rows = {layer: (group.name, row) for group in tied.plan.groups for row, layer in enumerate(group.layers)}
    with torch.no_grad():
        for gain, step, layer in gain_slots(looped):
            group, row = rows[layer]
            given = sources[group].gains[row]
            if gain.dtype != given.dtype:  # of a body that has no parameter to tell its precision
                gain.data = gain.data.to(given)
            gain[step] = given
    return looped


def gain_slots(looped: LoopedNetwork) -> Iterator[tuple[nn.Parameter, int, str]]:
    """(stacked gains (steps,), step, name of the unrolled layer) for every use of an owner."""
    for stage in looped.program.stages:
        module = looped.network.get_submodule(stage.name)
        for label in dict.fromkeys(block.label for block in stage.blocks):
            alike = [block for block in stage.blocks if block.label == label]
            for step, block in enumerate(alike):
                for use in block.uses:
                    if use.group is not None:
                        yield (
                            module.get_parameter(join(f"blocks.{label}.body", use.position, "gain")),
                            step,
                            use.layer,
                        )


def unroll(looped: LoopedNetwork, network: nn.Module) -> nn.Module:
    """Write the looped network out again, layer by layer, into `network`, an architecture as it was before folding.

    This reads the program's uses, not its loops, and shares no code with the looped forward pass: it is what that pass is
    checked against.
    """
    program = looped.program
    state = looped.network.state_dict()
    owners = {name: source.owner_weights() for name, source in looped.owners.items()}  # type: ignore[operator]
    target: dict[str, Tensor] = {}
    staged = tuple(f"{stage.name}." for stage in program.stages)
    for name, tensor in state.items():
        if not name.startswith(staged):
            target[name] = tensor
    for stage in program.stages:
        steps: dict[str, int] = {}
        for block in stage.blocks:
            step = steps.get(block.label, 0)
            steps[block.label] = step + 1
            looped_block = looped.network.get_submodule(f"{stage.name}.blocks.{block.label}")
            stepped = isinstance(looped_block, SteppedBlock)
            target.update(_unrolled_block(stage, block, step if stepped else None, state))
            for use in block.uses:
                if use.group is not None and use.owner is not None:
                    gain = target.pop(f"{use.layer}.gain")
                    target[f"{use.layer}.weight"] = gain * owners[use.group][use.owner]
    network.load_state_dict({name: tensor.detach().clone() for name, tensor in target.items()}, assign=True)
    return network


def _unrolled_block(stage: Stage, block: Block, step: int | None, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that one block of the unrolled network has of its own; `step` is None where they are not stacked."""
    prefix = f"{stage.name}.blocks.{block.label}." + ("" if step is None else "body.")
    return {
        f"{block.name}.{key.removeprefix(prefix)}": value if step is None else value[step]
        for key, value in state.items()
        if key.startswith(prefix)
    }


def _wiring(program: Program) -> Iterator[tuple[str, str, int]]:
    """(parameter of the looped network, group, owner): where each label's layers take their weight from."""
    for stage in program.stages:
        for block in {block.label: block for block in stage.blocks}.values():
            for use in block.uses:
                if use.group is not None and use.owner is not None:
                    yield (
                        join(f"{stage.name}.blocks.{block.label}.body", use.position, "weight"),
                        use.group,
                        use.owner,
                    )
