"""Sequences: where blocks follow each other, each once, so that they may come to loop."""

from torch import nn

from foldnet.errors import NothingToFold

# What a class may not change, if running it is to mean running its children in order.
_RUNNING = ("forward", "__call__", "_call_impl", "_wrapped_call_impl", "__iter__", "__getattr__", "__getattribute__")
_LISTING = (*_RUNNING, "__getitem__", "__len__")


def runs_in_order(module: nn.Module) -> bool:
    """Whether a module does nothing but run its children in order, each once; a hook of its own would be lost in a
    loop."""
    return _is_plain(module, nn.Sequential, _RUNNING)


def lists_blocks(module: nn.Module) -> bool:
    """Whether a module does nothing but hold its children, each once, for another's forward to run."""
    return _is_plain(module, nn.ModuleList, _LISTING)


def is_sequence(module: nn.Module) -> bool:
    """Whether the children of a module may come to loop."""
    return runs_in_order(module) or lists_blocks(module)


def holds_stages(name: str, module: nn.Module, layers: list[str]) -> bool:
    """Whether a sequence is one of sequences: of its children in which `layers` stand there is but one, or each is a
    sequence and they stand in several of its blocks.
    """
    prefix = f"{name}." if name else ""
    inside = [layer.removeprefix(prefix).split(".") for layer in layers if stands_in(layer, name)]
    children = {parts[0] for parts in inside}
    return len(children) == 1 or all(is_stage(module, child, inside) for child in children)


def is_stage(module: nn.Module, child: str, inside: list[list[str]]) -> bool:
    """Whether a child is a sequence in several of whose blocks there are layers, `inside` the module, their names in
    parts."""
    blocks = {parts[1] for parts in inside if parts[0] == child and len(parts) > 1}
    return len(blocks) > 1 and is_sequence(module.get_submodule(child))


def joined(*names: str) -> str:
    """Names of modules as one; a network is called "" inside itself."""
    return ".".join(name for name in names if name)


def stands_in(layer: str, sequence: str) -> bool:
    """Whether a layer is somewhere inside a sequence, by their names; everything is inside the network, ""."""
    return not sequence or layer.startswith(f"{sequence}.")


def _is_plain(module: nn.Module, kind: type[nn.Module], methods: tuple[str, ...]) -> bool:
    """Whether a module is of a kind none of whose methods were changed, without hooks, its children all different."""
    if not isinstance(module, kind) or len(list(module.named_children())) != len(module._modules):
        return False
    held = vars(module)
    plain = all(getattr(type(module), name, None) is getattr(kind, name, None) for name in methods)
    return plain and held.keys().isdisjoint(methods) and not any(held[name] for name in held if name.endswith("_hooks"))


def sequences_of(network: nn.Module, layers: list[str]) -> tuple[str, ...]:
    """The sequences of blocks in which `layers` stand, by their names: those that the network declares, else its
    outermost nn.Sequential and nn.ModuleList; "" is the network itself.

    Raises NothingToFold for a shared layer outside them: a loop needs blocks that follow each other, each once.
    """
    modules = dict(network.named_modules())
    declared = tuple(getattr(network, "sequences", ()))
    for name in declared:
        if name not in modules or not is_sequence(modules[name]):
            raise NothingToFold(
                f"'{name}', which the network's attribute 'sequences' names, is no nn.Sequential or "
                "nn.ModuleList of blocks that each run once, in order, so it cannot come to loop; make it one"
            )

    def missed() -> list[str]:
        return [layer for layer in layers if not any(stands_in(layer, name) for name in declared)]

    if not declared:
        declared = _outermost(modules, layers, inner=True)
        if missed():
            declared = _outermost(modules, layers, inner=False)
    if missed():
        raise outside(missed()[0])
    return tuple(name for name in declared if any(stands_in(layer, name) for layer in layers))


def _outermost(modules: dict[str, nn.Module], layers: list[str], *, inner: bool) -> tuple[str, ...]:
    """The sequences that stand in no other; with `inner` those that hold whole stages give way to these."""
    found: list[str] = []
    for name, module in modules.items():
        candidate = runs_in_order(module) if not name else is_sequence(module)
        if candidate and any(stands_in(layer, name) for layer in layers):
            gives_way = inner and (not name or lists_blocks(module)) and holds_stages(name, module, layers)
            if not gives_way and not any(stands_in(name, outer) for outer in found):
                found.append(name)
    return tuple(found)


def block_names(network: nn.Module, sequence: str) -> tuple[str, ...]:
    """Qualified names of the blocks of one sequence, in order."""
    return tuple(joined(sequence, name) for name, _ in network.get_submodule(sequence).named_children())


def outside(layer: str) -> NothingToFold:
    """What is wrong with a shared layer outside the sequences."""
    return NothingToFold(
        f"layer '{layer}' shares weights but stands in no nn.Sequential or nn.ModuleList of blocks, so it "
        "cannot come to loop; put its blocks into one, or name the sequences in the network's attribute 'sequences'"
    )
