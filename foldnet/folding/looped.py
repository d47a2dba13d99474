"""The folded network that really loops: a program executes owners, each held once, with per-step norms and gains."""

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from foldnet.bounds import checked
from foldnet.errors import SettingError
from foldnet.folding.equality import own_numbers
from foldnet.folding.memory import in_several_places
from foldnet.folding.owners import only_calls_layers, use_owner
from foldnet.folding.parts import pairs
from foldnet.folding.ready import Ready, keep
from foldnet.folding.stages import LoopedAlone, LoopedList, LoopedSiblings, LoopedStage, Sibling
from foldnet.folding.stepped import SteppedBlock
from foldnet.program.data import Program, check_trips, expand, gain_names
from foldnet.sharing.lend import Lent, lend, undisturbed
from foldnet.sharing.sequences import holder_of, joined, own_keys, stands_in, weight_name
from foldnet.sharing.share import SharedNetwork
from foldnet.sharing.tied import Owners, TiedLayers, use

Place = tuple[str, str]  # a stepped block of a looped network, and in it the position of a layer that uses an owner


class LoopedNetwork(nn.Module):
    """The looped form: `network` has its stages replaced by loops, `owners` holds the weights of each group once.

    Shapes: as those of the network that was folded.
    """

    def __init__(self, network: nn.Module, program: Program, owners: Mapping[str, Owners]) -> None:
        """Takes `network` over: the unrolled architecture, its shared layers without weights."""
        super().__init__()
        self.program = program
        blocks = {block.name: network.get_submodule(block.name) for block in program.blocks}
        elsewhere = in_several_places(network, blocks)
        for stage in program.stages:
            sequence = network.get_submodule(stage.path.rpartition(".")[0] if stage.siblings else stage.path)
            kind = LoopedAlone if stage.alone else LoopedList if isinstance(sequence, nn.ModuleList) else LoopedStage
            looped = (LoopedSiblings if stage.siblings else kind)(stage, sequence, elsewhere)
            if isinstance(looped, LoopedSiblings):
                for name, place in looped.places().items():
                    network.set_submodule(name, place)
            elif stage.path:
                network.set_submodule(stage.path, looped)
            else:
                network = looped
        self.network = network
        self.owners = nn.ModuleDict(owners)
        self._wiring = tuple(_wiring(program))
        for (name, position), group, owner in self._wiring:
            if rank := owners[group].rank(owner):
                self.network.get_submodule(name).add_residuals(position, rank, owners[group].form[2])  # type: ignore[operator]
        self._ready: Ready | None = None
        self._only_calls_layers = only_calls_layers(network)  # torch's compiler does not follow how that is found

    @checked
    def set_trips(self, trips: Mapping[str, int], *, own_steps: bool = False, damped: bool = False) -> None:
        """Let loops run another number of times than they were found with; loops that are not named run as found.

        What comes of it depends on these arguments alone, not on earlier calls. 0 trips leave a loop out. Trips past
        the last reuse the last one's norms and gains; with `own_steps` they hold copies, which recalibrating or
        training then changes, and which are let go of when other trips are set. With `damped` a loop that was found
        with T trips and runs T' changes its state by T / T' of what each block would add, as an integration with more
        and smaller steps: blocks give x + T / T' (block(x) - x), which is what gains so scaled give in the layers that
        feed a residual sum. Raises UnknownName for a loop that is not there, SettingError for fewer than 0 trips or
        more than 10,000 runs of blocks, and with `damped` for a loop whose blocks are single layers, which add to no
        state.
        """
        check_trips(self.program, trips, "trips")
        for name in trips if damped else ():
            if not self.can_be_damped(name):
                raise SettingError(
                    f"`damped=True` scales what blocks add to their input, and loop '{name}' runs single layers, "
                    "which add nothing to it; leave `damped` out"
                )
        for stage in self._stages():
            stage.set_trips(trips, own_steps=own_steps, damped=damped)

    def can_be_damped(self, loop: str) -> bool:
        """Whether a loop, by its name, has a block that may add to its input."""
        bodies = ((stage, one.body) for stage in self._stages() for one in stage.stage.loops if one.name == loop)
        return any(stage.adds_to_state(label) for stage, body in bodies for label in expand(body))

    def _stages(self) -> list[LoopedStage]:
        """The stages that loop, in order."""
        found = [self.network.get_submodule(stage.path) for stage in self.program.stages]
        return [stage for stage in found if isinstance(stage, LoopedStage)]

    def compile_bodies(self, **options: Any) -> None:
        """torch.compile the body of every block, once for all of its steps; `options` are torch.compile's."""
        for _, block in self._stepped():
            block.compile_body(**options)
        self._ready = None

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Inputs and output are those of the network that was folded. Nothing of a module changes but what its own
        forward changes."""
        return next(self._passes(inputs, options))

    def _passes(self, inputs: tuple[Any, ...], options: dict[str, Any]) -> Iterator[Any]:
        """One pass. A generator: see SharedNetwork."""
        weights = {group: owners.owner_weights() for group, owners in self.owners.items()}  # type: ignore[operator]
        given = {place: weights[group][owner] for place, group, owner in self._wiring}
        if torch.compiler.is_dynamo_compiling() and not self._only_calls_layers:
            torch._dynamo.graph_break()  # in a graph modules are the loop's own, which whoever looks at them would see
        if torch.compiler.is_dynamo_compiling():
            yield functional_call(self.network, self._in_parts(given), inputs, options, tie_weights=False)
            return
        # What torch.export or torch.jit.trace writes down may not come from an earlier call.
        recorded = torch.jit.is_tracing() or torch.compiler.is_compiling()  # type: ignore[attr-defined,no-untyped-call]
        kept = None if torch.is_grad_enabled() or recorded else undisturbed(self._kept)(given)
        yield kept(*inputs, **options) if kept is not None else undisturbed(self._lent_pass)(given, inputs, options)

    def _lent_pass(self, given: Mapping[Place, Tensor], inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """One pass of lent modules, which are what they were to whoever looks at them."""
        lent = self._lent(given)
        with ExitStack() as stack:
            for _, block in self._stepped():
                stack.enter_context(block.shown())
            return next(lent.passes(self._put, inputs, options))

    def _kept(self, given: Mapping[Place, Tensor]) -> nn.Module | None:
        """The network with its owners and each step's tensors lent, the one of the call before where nothing has
        changed since; None where its forward may do more than call layers.
        """
        ready, weights = self._ready, tuple(given.values())
        if ready is not None and ready.holds(self.network, weights):
            return ready.network
        compiled = any(block.compiled for _, block in self._stepped())
        hooked = any(module._forward_hooks or module._forward_pre_hooks for module in self.network.modules())
        if compiled or hooked or not only_calls_layers(self.network):  # whoever is shown a layer may do more with it
            return None
        with torch.inference_mode(False), torch.no_grad():
            network = self._lent(given, scaled=False).module
            if all(isinstance(weight, nn.Parameter) for weight in weights):  # mixed ones are new in every call
                bodies = [block.body for _, block in self._stepped()]
                self._ready = keep(self.network, network, weights, bodies)
        return network  # type: ignore[no-any-return]

    def lent_by(self, used: Callable[..., Tensor]) -> nn.Module:
        """The network with each step's tensors lent, in which the weight of a layer that uses an owner is what `used`
        gives for the owner, the gain and what there is of a residual."""
        weights = {group: owners.owner_weights() for group, owners in self.owners.items()}  # type: ignore[operator]
        return self._lent({place: weights[group][owner] for place, group, owner in self._wiring}, used=used).module  # type: ignore[no-any-return]

    def _lent(self, given: Mapping[Place, Tensor], *, scaled: bool = True, used: Callable[..., Tensor] = use) -> Lent:
        """The network with each step's tensors lent; its layers' weights are made by `used`, or see use_owner."""
        instead: dict[nn.Module, nn.Module] = {}
        tensors: dict[nn.Module, dict[str, Any]] = {}
        later: dict[nn.Module, tuple[Tensor, ...]] = {}
        parts: list[nn.Module] = []
        for name, block in self._stepped():
            block.follow()
            for _, part, own, found in block.given(_owners_of(name, given)):
                for key, usage in found.items():
                    if scaled or key != "weight" or "forward" in vars(part):  # who knows what is done with the weight
                        own[key] = used(own[key], *usage)
                    else:
                        later[part] = usage
                tensors.setdefault(part, {}).update(own)
            if block.compiled:  # numbers of a step's own come as inputs, so that one body is compiled for all
                for (path, attribute), numbers in own_numbers(list(block.parts)).items():
                    for part in block.parts:
                        tensors.setdefault(part.get_submodule(path), {})[attribute] = numbers[0]
            parts += block.parts
        for stage in (module for module in self.network.modules() if isinstance(module, LoopedStage)):
            instead |= stage.instead()
        instead |= {one: one.entry() for one in self.network.modules() if isinstance(one, Sibling)}
        lent = lend(self.network, tensors, instead, parts)
        for part, usage in later.items():
            use_owner(lent.views[part].seen, *usage)
        return lent

    def _in_parts(self, given: Mapping[Place, Tensor]) -> dict[str, Tensor]:
        """Each step's tensors by where they stand in the parts, which are in the modes that their bodies are in."""
        found: dict[str, Tensor] = {}
        for name, block in self._stepped():
            for _, module, twins in pairs(block.body, list(block.parts)):
                for twin in (twin for twin in twins if twin.training != module.training):
                    twin.training = module.training
            for place, _, own, usages in block.given(_owners_of(name, given)):
                own |= {key: use(own[key], *usage) for key, usage in usages.items()}
                found.update((joined(name, "parts", place, key), tensor) for key, tensor in own.items())
        return found

    def _put(self, module: nn.Module, name: str, tensor: Any) -> bool:
        """Keep what a pass assigned to a buffer of a step."""
        return any(block.put(module, name, tensor) for _, block in self._stepped())

    def _stepped(self) -> list[tuple[str, SteppedBlock]]:
        """The stepped blocks, by name."""
        return [(name, module) for name, module in self.network.named_modules() if isinstance(module, SteppedBlock)]

    def __getstate__(self) -> dict[str, Any]:
        """What is kept between calls belongs to this network alone."""
        return {**vars(self), "_ready": None}


def _owners_of(block: str, given: Mapping[Place, Tensor]) -> dict[str, Tensor]:
    """The owners that one stepped block uses, by the position of the layer."""
    return {position: owner for (name, position), owner in given.items() if name == block}


def loop_tied(tied: SharedNetwork, program: Program) -> LoopedNetwork:
    """The looped form of a tied network: the same owners, norms, gains and residuals, stacked by step. `tied` is left
    as it was."""
    return loop_used_up(copy.deepcopy(tied), program)


def loop_used_up(tied: SharedNetwork, program: Program) -> LoopedNetwork:
    """The looped form, made of the modules of the tied network, which is of no use any more: its copies are a third of
    what a point of a sweep of small images takes."""
    sources = {name: source for name, source in tied.sources.items() if isinstance(source, TiedLayers)}
    owners = {name: source.stored for name, source in sources.items()}
    usages = {name: source.usages() for name, source in sources.items()}
    device = next(tied.sources.parameters()).device
    looped = LoopedNetwork(tied.network, program, owners).to(device)
    rows = {layer: (group.name, row) for group in tied.plan.groups for row, layer in enumerate(group.layers)}
    with torch.no_grad():
        for stacks, step, layer in usage_slots(looped):
            group, row = rows[layer]
            for stack, given in zip(stacks, usages[group][row], strict=True):
                if stack.dtype != given.dtype:  # of a body that has no parameter to tell its precision
                    stack.data = stack.data.to(given)
                stack[step] = given
    return looped


def usage_slots(looped: LoopedNetwork) -> Iterator[tuple[list[nn.Parameter], int, str]]:
    """(what is stacked of how an owner is used, step, name of the unrolled layer) for every use of an owner: gains
    (steps,), and B (steps, O, r) and A (steps, r, I * kernel) where there are residuals."""
    for name, step, layer in gain_names(looped.program):
        held = looped.network.get_submodule(name.rpartition(".")[0])._parameters
        yield [stack for key in own_keys(layer) if (stack := held.get(key)) is not None], step, layer


def gain_slots(looped: LoopedNetwork) -> Iterator[tuple[nn.Parameter, int, str]]:
    """(stacked gains (steps,), step, name of the unrolled layer) for every use of an owner."""
    return ((stacks[0], step, layer) for stacks, step, layer in usage_slots(looped))


def unroll(looped: LoopedNetwork, network: nn.Module) -> nn.Module:
    """Write the looped network out again, layer by layer, into `network`, an architecture as it was before folding.

    This reads the program's uses, not its loops, and shares no code with the looped forward pass but that of one use of
    an owner: it is what that pass is checked against.
    """
    stages, state = looped.program.stages, looped.network.state_dict()
    owners = {name: source.owner_weights() for name, source in looped.owners.items()}  # type: ignore[operator]
    target = {name: one for name, one in state.items() if not any(stands_in(name, stage.path) for stage in stages)}
    for stage in stages:
        steps: Counter[str] = Counter()
        for block in stage.blocks:
            step, place = steps[block.label], joined(stage.path, "blocks", block.label)
            steps[block.label] += 1
            stepped = looped.network.get_submodule(place)
            inside = f"{place}.body." if isinstance(stepped, SteppedBlock) else f"{place}."
            for name in (name.removeprefix(inside) for name in state if name.startswith(inside)):
                own = isinstance(stepped, SteppedBlock) and name not in stepped.kept
                target[joined(block.name, name)] = state[inside + name][step] if own else state[inside + name]
            for one in block.uses:
                if one.group is not None and one.owner is not None:
                    keys = (joined(holder_of(one.layer), key) for key in own_keys(one.layer))
                    usage = [target.pop(key) for key in keys if key in target]
                    target[weight_name(one.layer)] = use(owners[one.group][one.owner], *usage)
    network.load_state_dict({name: tensor.detach().clone() for name, tensor in target.items()}, assign=True)
    return network


def _wiring(program: Program) -> Iterator[tuple[Place, str, int]]:
    """(place, group, owner): where each label's layers take their weight from."""
    for stage in program.stages:
        for block in {block.label: block for block in stage.blocks}.values():
            for one in block.uses:
                if one.group is not None and one.owner is not None:
                    yield (joined(stage.path, "blocks", block.label), one.position), one.group, one.owner
