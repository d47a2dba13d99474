"""The folded network that really loops: a program executes owners, each held once, with per-step norms and gains."""

import copy
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from foldnet.errors import SettingError
from foldnet.folding.gained import only_calls_layers
from foldnet.folding.owners import Owners, TiedLayers
from foldnet.folding.ready import Ready, keep
from foldnet.folding.standing import in_several_places
from foldnet.folding.stepped import SteppedBlock, join
from foldnet.program.data import Block, Program, Stage, expand, gain_names, loops_in
from foldnet.program.trips import check_trips, give_own_steps, scales, schedule
from foldnet.sharing.in_order import stands_in
from foldnet.sharing.lend import lend
from foldnet.sharing.share import SharedNetwork
from foldnet.typed import checked

Place = tuple[
    str, str
]  # a stepped block of the looped network, and the position inside it of a layer that uses an owner


class LoopedStage(nn.Module):
    """A sequence of blocks as the program writes it: each label once, executed step by step."""

    only_calls_layers = True

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
            modules = [blocks.get_submodule(block.name.rpartition(".")[2]) for block in alike]
            tied = tuple(use.position for use in alike[0].uses if use.group is not None)
            stepped = tied or _repeats_with_state(modules)
            self.blocks[label] = SteppedBlock(modules, tied, elsewhere) if stepped else modules[0]

    def set_trips(self, trips: Mapping[str, int], *, own_steps: bool, damped: bool) -> None:
        """Run loops by `trips`; see LoopedNetwork.set_trips."""
        order = schedule(self.stage.items, trips)
        copied: dict[str, tuple[int, ...]] = {}
        self.scales = ()
        if damped:
            scaled = zip(order, scales(self.stage.items, trips), strict=True)
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

    def forward(self, x: Tensor) -> Tensor:
        """x (n, c, h, w) -> (n, c', h', w')."""
        for index in range(len(self.schedule)):
            x = self.run(index, x)
        return x

    def run(self, index: int, x: Any, *inputs: Any, **options: Any) -> Any:
        """One entry of the schedule; x is the state, further inputs are passed on to the block."""
        label, step = self.schedule[index]
        block, scale = self.blocks[label], self.scales[index] if self.scales else 1.0
        before = x if scale == 1.0 else x.clone()  # a block may write into its input
        if isinstance(block, SteppedBlock):
            after = block(x, step, *inputs, **options)
        else:
            after = block(x, *inputs, **options)
        return after if scale == 1.0 else self._damped(label, before, after, scale)

    def _damped(self, label: str, before: Tensor, after: Tensor, scale: float) -> Tensor:
        """The state between those before and after a block. Raises SettingError where their shapes differ."""
        if before.shape != after.shape:
            raise SettingError(
                f"`damped=True` scales what a block adds to its input, and block {label} of '{self.stage.name}' changes its shape; "
                f"leave `damped` out"
            )
        return torch.lerp(before, after, scale)


class LoopedList(LoopedStage):
    """The blocks of an nn.ModuleList, for another's forward to call: as many as the schedule has entries, each the entry's step."""

    only_calls_layers = True

    def __len__(self) -> int:
        return len(self.schedule)

    def __iter__(self) -> Iterator[Callable[..., Any]]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        """What calls one entry, or a list of them for a slice."""
        chosen = range(len(self))[index]
        if isinstance(chosen, range):
            return [self[one] for one in chosen]
        return partial(self.run, chosen)


class LoopedNetwork(nn.Module):
    """The looped form: `network` has its stages replaced by loops, `owners` holds the weights of each group once.

    Shapes: as those of the network that was folded.
    """

    def __init__(self, network: nn.Module, program: Program, owners: Mapping[str, Owners]) -> None:
        """Takes `network` over: the unrolled architecture, its shared layers without weights."""
        super().__init__()
        self.program = program
        names = [block.name for stage in program.stages for block in stage.blocks]
        elsewhere = in_several_places(network, {name: network.get_submodule(name) for name in names})
        for stage in program.stages:
            parent, _, name = stage.path.rpartition(".")
            sequence = network.get_submodule(stage.path)
            kind = LoopedList if isinstance(sequence, nn.ModuleList) else LoopedStage
            looped = kind(stage, sequence, elsewhere)
            if stage.path:
                setattr(network.get_submodule(parent), name, looped)
            else:
                network = looped
        self.network = network
        self.owners = nn.ModuleDict(owners)
        self._wiring = tuple(_wiring(program))
        self._ready: Ready | None = None

    @checked
    def set_trips(self, trips: Mapping[str, int], *, own_steps: bool = False, damped: bool = False) -> None:
        """Let loops run another number of times than they were found with; loops that are not named run as found.

        What comes of it depends on these arguments alone, not on earlier calls. 0 trips leave a loop out. Trips past the last reuse
        the last one's norms and gains; with `own_steps` they hold copies, which recalibrating or training then changes, and which
        are let go of when other trips are set. With `damped` a loop that was found with T trips and runs T' changes its state by
        T / T' of what each block would add, as an integration with more and smaller steps: blocks give x + T / T' (block(x) - x),
        which is what gains so scaled give in the layers that feed a residual sum.
        Raises UnknownName for a loop that is not there, SettingError for fewer than 0 trips or more than 10,000 runs of blocks, and
        with `damped` for a loop whose blocks are single layers, which add to no state.
        """
        check_trips(self.program, trips, "trips")
        for name in trips if damped else ():
            if not self.can_be_damped(name):
                raise SettingError(
                    f"`damped=True` scales what blocks add to their input, and loop '{name}' runs single layers, which add "
                    f"nothing to it; leave `damped` out"
                )
        for stage in self._stages():
            stage.set_trips(trips, own_steps=own_steps, damped=damped)

    def can_be_damped(self, loop: str) -> bool:
        """Whether a loop, by its name, has a block that may add to its input."""
        loops = ((stage, inner) for stage in self._stages() for inner in loops_in(stage.stage.items))
        return any(
            stage.adds_to_state(label) for stage, inner in loops if inner.name == loop for label in expand(inner.body)
        )

    def _stages(self) -> list[LoopedStage]:
        """The stages that loop, in order."""
        found = [self.network.get_submodule(stage.path) for stage in self.program.stages]
        return [stage for stage in found if isinstance(stage, LoopedStage)]

    def compile_bodies(self, **options: Any) -> None:
        """torch.compile the body of every block, once for all of its steps; `options` are torch.compile's."""
        for module in self.modules():
            if isinstance(module, SteppedBlock):
                module.compile_body(**options)
        self._ready = None

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Inputs and output are those of the network that was folded. Nothing of a module changes but what its own forward changes."""
        weights = {group: owners.owner_weights() for group, owners in self.owners.items()}  # type: ignore[operator]
        given = {place: weights[group][owner] for place, group, owner in self._wiring}
        if torch.compiler.is_dynamo_compiling():  # which makes no objects, and runs what it compiles without swapping
            tensors = {join(block, "body", position, "weight"): owner for (block, position), owner in given.items()}
            return functional_call(self.network, tensors, inputs, options, tie_weights=False)
        if torch.is_grad_enabled() or _recorded():
            return self._lent(given, either_side=False)(*inputs, **options)
        return self._kept(given)(*inputs, **options)

    def _kept(self, given: Mapping[Place, Tensor]) -> nn.Module:
        """The network with its owners and each step's tensors lent, the one of the call before where nothing has changed since."""
        ready, weights = self._ready, tuple(given.values())
        if ready is not None and ready.holds(self.network, weights):
            return ready.network
        if not only_calls_layers(self.network):
            return self._lent(given, either_side=False)
        with torch.inference_mode(False), torch.no_grad():
            network = self._lent(given, either_side=True)
            if all(
                isinstance(weight, nn.Parameter) for weight in weights
            ):  # those that are mixed are new in every call
                bodies = [module.body for module in self.network.modules() if isinstance(module, SteppedBlock)]
                self._ready = keep(self.network, network, weights, bodies)
        return network

    def _lent(self, given: Mapping[Place, Tensor], *, either_side: bool) -> nn.Module:
        """The network with its owners and each step's tensors lent; see gained for `either_side`."""
        owners: dict[str, dict[str, Tensor]] = {}
        for (block, position), owner in given.items():
            owners.setdefault(block, {})[position] = owner
        ready = {
            module: module.ready(owners.get(name, {}), either_side=either_side)
            for name, module in self.network.named_modules()
            if isinstance(module, SteppedBlock)
        }
        return lend(self.network, {}, ready)

    def __getstate__(self) -> dict[str, Any]:
        """What is kept between calls belongs to this network alone."""
        return {**vars(self), "_ready": None}


def _recorded() -> bool:
    """Whether torch.export or torch.jit.trace writes down what is computed: then nothing may come from an earlier call."""
    tracing: bool = torch.jit.is_tracing()  # type: ignore[attr-defined,no-untyped-call]
    return tracing or torch.compiler.is_compiling()


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
    for name, step, layer in gain_names(looped.program):
        yield looped.network.get_parameter(name), step, layer


def unroll(looped: LoopedNetwork, network: nn.Module) -> nn.Module:
    """Write the looped network out again, layer by layer, into `network`, an architecture as it was before folding.

    This reads the program's uses, not its loops, and shares no code with the looped forward pass: it is what that pass is
    checked against.
    """
    program = looped.program
    state = looped.network.state_dict()
    owners = {name: source.owner_weights() for name, source in looped.owners.items()}  # type: ignore[operator]
    target: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if not any(stands_in(name, stage.path) for stage in program.stages):
            target[name] = tensor
    for stage in program.stages:
        steps: dict[str, int] = {}
        for block in stage.blocks:
            step = steps.get(block.label, 0)
            steps[block.label] = step + 1
            looped_block = looped.network.get_submodule(join(stage.path, "blocks", block.label))
            stepped = looped_block if isinstance(looped_block, SteppedBlock) else None
            target.update(_unrolled_block(stage, block, step, stepped, state))
            for use in block.uses:
                if use.group is not None and use.owner is not None:
                    gain = target.pop(f"{use.layer}.gain")
                    target[f"{use.layer}.weight"] = gain * owners[use.group][use.owner]
    network.load_state_dict({name: tensor.detach().clone() for name, tensor in target.items()}, assign=True)
    return network


def _unrolled_block(
    stage: Stage, block: Block, step: int, stepped: SteppedBlock | None, state: dict[str, Tensor]
) -> dict[str, Tensor]:
    """The tensors that one block of the unrolled network has; `stepped` is None where none is stacked."""
    prefix = join(stage.path, "blocks", block.label, "" if stepped is None else "body") + "."
    found = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    if stepped is not None:
        found = {name: value if name in stepped.kept else value[step] for name, value in found.items()}
    return {join(block.name, name): value for name, value in found.items()}


def _wiring(program: Program) -> Iterator[tuple[Place, str, int]]:
    """(place, group, owner): where each label's layers take their weight from."""
    for stage in program.stages:
        for block in {block.label: block for block in stage.blocks}.values():
            for use in block.uses:
                if use.group is not None and use.owner is not None:
                    yield (join(stage.path, "blocks", block.label), use.position), use.group, use.owner
