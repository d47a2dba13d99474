"""What layers of a group compute on the same inputs: the inner products of their outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from foldnet.errors import SettingError
from foldnet.folding.calling import batches_of, count_of, inputs_of, refuse_nan, run_on
from foldnet.sharing.lend import view
from foldnet.sharing.plan import SHAREABLE, SharingPlan
from foldnet.sharing.sequences import weight_name


@torch.no_grad()
def output_products(trained: nn.Module, plan: SharingPlan, batches: Iterable[Any]) -> dict[str, Tensor]:
    """By group the inner products (L, L), float64, of what its L weights give for every input that any of its layers is
    called with while the network, in evaluation mode, runs on batches of x or (x, y): sum over x of <W_i x, W_j x>.

    Groups of other parameters than the weights of convolutions and linear layers, or of such as the network's forward
    does not call, are left out: nobody can say what they compute. Raises SettingError where there is no batch, or the
    network cannot be run on one.
    """
    found: dict[str, Tensor] = {}
    hooks = []
    for group in plan.groups:
        layers = [trained.get_submodule(layer) for layer in group.layers if ":" not in layer]
        if len(layers) == len(group.layers) and all(isinstance(layer, SHAREABLE) for layer in layers):
            weights = [trained.get_parameter(weight_name(layer)) for layer in group.layers]
            found[group.name] = torch.zeros(len(weights), len(weights), dtype=torch.float64)
            add = _adding(weights, found[group.name])
            hooks += [layer.register_forward_pre_hook(add) for layer in layers]
    was_training, seen = trained.training, 0
    try:
        trained.eval()
        for batch in batches_of(batches):
            positional, options = inputs_of(batch)
            refuse_nan((positional, options))
            with run_on(positional, options):
                trained(*positional, **options)
            seen += count_of((positional, options))
    finally:
        trained.train(was_training)
        for hook in hooks:
            hook.remove()
    if not seen:
        raise SettingError("there is no batch to compare outputs on; give an iterable of x or (x, y) not used up")
    return {name: products for name, products in found.items() if products.any()}


def _adding(weights: Sequence[Tensor], total: Tensor) -> Any:
    """A hook that adds the inner products of what these weights give for a layer's input."""

    def add(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        def given(weight: Tensor) -> Tensor:
            lent: Mapping[str, Any] = {"weight": weight, "bias": None}
            output: Tensor = type(layer).forward(view(layer, lent), *inputs)
            return output.flatten().double()

        outputs = torch.stack([given(weight) for weight in weights])
        total.add_((outputs @ outputs.T).cpu())

    return add
