"""Plain numbers that a step of a loop may have of its own, such as the rate of stochastic depth, which grows from block
to block."""

from torch import nn

Numbers = dict[tuple[str, str], int | float]  # (submodule, attribute) -> number

# By the name of the class, since that of timm is not imported: which attribute it is.
OWNED = {
    "AlphaDropout": "p",
    "Dropout": "p",
    "Dropout1d": "p",
    "Dropout2d": "p",
    "Dropout3d": "p",
    "DropPath": "drop_prob",
    "FeatureAlphaDropout": "p",
    "StochasticDepth": "p",
}


def owned_number(module: nn.Module) -> str | None:
    """The attribute of a module that its step may own; None where there is none, or where the module holds more than
    such numbers."""
    name = OWNED.get(type(module).__name__)
    bare = not module._modules and not module._parameters and not module._buffers
    return name if name is not None and bare and type(vars(module).get(name)) in (int, float) else None


def own_numbers(blocks: list[nn.Module]) -> dict[tuple[str, str], tuple[int | float, ...]]:
    """The numbers in which blocks of one structure differ, one a block."""
    found = {}
    for path, module in blocks[0].named_modules():
        name = owned_number(module)
        if name is not None:
            numbers = tuple(vars(block.get_submodule(path))[name] for block in blocks)
            if len(set(numbers)) > 1:
                found[path, name] = numbers
    return found
