"""Which modules are sequences of blocks: those that do nothing but run their children in order, and lists of blocks."""

from torch import nn

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
    changed = any(getattr(type(module), name, None) is not getattr(kind, name, None) for name in methods)
    held = vars(module)
    return (
        not changed
        and not any(name in held for name in methods)
        and not any(value for name, value in held.items() if name.endswith("_hooks"))
    )
