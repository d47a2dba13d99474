"""Banks of templates (Savarese & Maire, https://arxiv.org/abs/1902.09701, equation 1), networks whose layers take their
weights from them or from elsewhere, and the way back to one that holds its own."""

import copy
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from foldnet.bounds import checked
from foldnet.errors import NothingToFold, SettingError
from foldnet.options import check_choice
from foldnet.sharing.lend import Lent, lend, nowhere, undisturbed
from foldnet.sharing.plan import NO_PARTNER, SharingPlan, check_plan, plan_sharing
from foldnet.sharing.sequences import holder_of, key_of, weight_name

INITS = ("new", "weights")
SLICE = 1 << 16  # numbers of each weight that are in double precision at a time


class Bank(nn.Module):
    """Weights mixed from shared templates: W_i = sum_j alpha_ij T_j.

    Shapes: templates (K, O, *kernel, I), coefficients (L, K); weights() is (L, O, I, *kernel). The input channels of a
    template stand last, so that the weights of convolutions come out channels-last without a copy.
    """

    def __init__(self, layers: int, templates: int, shape: tuple[int, ...]) -> None:
        """`shape` is that of one weight, (O, I, *kernel). Templates start Kaiming normal, coefficients orthogonal."""
        super().__init__()
        self.templates = nn.Parameter(torch.empty(templates, shape[0], *shape[2:], shape[1]))
        self.coefficients = nn.Parameter(torch.empty(layers, templates))
        if not self.templates.is_meta:  # there random numbers would do nothing but import a second's worth of modules
            nn.init.normal_(self.templates, std=math.sqrt(2.0 / math.prod(shape[1:])))
            nn.init.orthogonal_(self.coefficients)

    def weights(self) -> Tensor:
        """All weights of the group by one matrix product, (L, O, I, *kernel)."""
        return mix(self.coefficients, self.templates)

    def layer_weights(self) -> tuple[Tensor, ...]:
        """The same as L weights (O, I, *kernel)."""
        return self.weights().unbind(0)


def mix(coefficients: Tensor, templates: Tensor) -> Tensor:
    """sum_j a_ij T_j: coefficients (M, K), templates (K, O, *kernel, I) -> weights (M, O, I, *kernel)."""
    mixed = coefficients @ templates.flatten(1)
    return mixed.view(-1, *templates.shape[1:]).movedim(-1, 2)


def gram(rows: Tensor | Sequence[Tensor]) -> Tensor:
    """G = T T^t, (K, ...) or K tensors of one shape -> (K, K): inner products in float64 without a copy of more than
    one slice of all."""
    flat = [row.detach().flatten() for row in rows]
    total = torch.zeros(len(flat), len(flat), dtype=torch.float64, device=flat[0].device)
    for start in range(0, len(flat[0]), SLICE):
        wide = torch.stack([row[start : start + SLICE] for row in flat]).double()
        total += wide @ wide.T
    return total


class SharedNetwork(nn.Module):
    """A network and the sources of its shared weights, which are made anew in every forward pass.

    `network` is the architecture as it was, its shared layers without weights; `sources` holds one source a group,
    whose `layer_weights` are those of the group's layers in their order. With banks as sources the network is soft,
    with owners it is tied.
    Shapes: as those of `network`.
    """

    def __init__(self, network: nn.Module, plan: SharingPlan, sources: dict[str, nn.Module]) -> None:
        super().__init__()
        self.plan = plan
        for name in (layer for group in plan.groups for layer in group.layers):
            network.get_submodule(holder_of(name)).register_parameter(key_of(name), None)
        self.network = network
        self.sources = nn.ModuleDict(sources)

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Inputs and output are those of the network's own forward. Nothing of a module changes but what that forward
        changes."""
        return next(self._passes(inputs, options))

    def _passes(self, inputs: tuple[Any, ...], options: dict[str, Any]) -> Iterator[Any]:
        """One pass. A generator: torch.compile follows it where the whole network makes one graph, which swaps no
        tensors when it runs; where a graph breaks torch leaves generators alone, so that tensors are lent to what is
        compiled piece by piece.
        """
        given = dict(self.shared_weights())
        if torch.compiler.is_dynamo_compiling():
            yield functional_call(self.network, given, inputs, options, tie_weights=False)
        else:
            yield from undisturbed(self._lent)(given).passes(nowhere, inputs, options)

    def _lent(self, given: Mapping[str, Tensor]) -> Lent:
        """The network with its shared weights lent."""
        tensors: dict[nn.Module, dict[str, Tensor]] = {}
        for name, weight in given.items():
            module, _, key = name.rpartition(".")
            tensors.setdefault(self.network.get_submodule(module), {})[key] = weight
        return lend(self.network, tensors, {})

    def shared_weights(self) -> Iterator[tuple[str, Tensor]]:
        """(name of the parameter, weight (O, I, *kernel)) for every shared layer: one matrix product a group."""
        for group in self.plan.groups:
            weights = self.sources[group.name].layer_weights()  # type: ignore[operator]
            for name, weight in zip(group.layers, weights, strict=True):
                yield weight_name(name), weight


@checked
def share(model: nn.Module, plan: SharingPlan | int | None = None, *, init: str = "new") -> SharedNetwork:
    """A soft network: the layers that the plan names mix their weights from one bank a group.

    `plan` may be the number of templates a group, or None for one template a layer; plan_sharing then says who
    shares. `init` is "new" for banks that begin as if nothing were trained, but for the scale of the weights where
    the network's attribute `starts_at_scale` is true, or "weights" for those that come closest to the weights that
    the layers have: with one template a layer they compute the same. `model` itself is left as it was.

    Raises UnknownName, ShapeMismatch or SettingError where the plan does not fit, SettingError for a network that
    cannot be copied or another `init`, NothingToFold where no layer has a partner.
    """
    check_choice("init", init, INITS)
    if isinstance(model, SharedNetwork):
        raise SettingError("the network shares its weights already; share the plain network that it came from")
    if not isinstance(plan, SharingPlan):
        plan = plan_sharing(model, plan)
    check_plan(model, plan)
    if not plan.groups:
        said = "no two layers of the network have one weight shape in one stage; there is nothing to share"
        found = next((entry for entry in plan.private if entry[1] not in NO_PARTNER), None)
        raise NothingToFold(said if found is None else f"{said}; layer '{found[0]}' may not share: {found[1]}")
    sources: dict[str, nn.Module] = {}
    for group in plan.groups:
        stands_for = model.get_parameter(weight_name(group.layers[0]))  # whose device and precision the bank gets
        bank = sources[group.name] = Bank(len(group.layers), group.templates, group.shape).to(stands_for)
        if init == "weights":
            from foldnet.sharing.convert import fill_bank

            fill_bank(bank, [model.get_parameter(weight_name(layer)) for layer in group.layers])
    # The weights that are not used need no copy: a large network's would be most of what it takes.
    replaced = (model.get_parameter(weight_name(layer)) for group in plan.groups for layer in group.layers)
    try:
        copied = copy.deepcopy(model, {id(weight): None for weight in replaced})
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = textwrap.shorten(str(error), 100, placeholder="...")
        raise SettingError(f"the network cannot be copied ({reason}); leave out what copy.deepcopy refuses") from error
    shared = SharedNetwork(copied, plan, sources)
    return at_scale(shared, model) if init == "new" else shared


@torch.no_grad()
def at_scale(shared: SharedNetwork, model: nn.Module) -> SharedNetwork:
    """`shared` itself; where `model`, whose layers have weights of their own, says `starts_at_scale`, what is stored of
    a group is scaled in place such that its weights have the root mean square of those that they stand for.

    Without that a decoder of bytes begins with weights about four times as large as its recipe wants, whose residual
    sum grows with depth: sgpt-6-64-4-3 came to 3.86 bits per byte of held-out text in 400 steps of 16 windows of 64
    bytes, with it to 3.70, and its plain twin to 3.67.
    """
    for group in shared.plan.groups if getattr(model, "starts_at_scale", False) else ():
        source = shared.sources[group.name]
        own = torch.stack([model.get_parameter(weight_name(layer)).square().mean() for layer in group.layers]).mean()
        made = torch.stack([weight.square().mean() for weight in source.layer_weights()]).mean()  # type: ignore[operator]
        for name, stored in source.named_parameters():
            if name.rpartition(".")[2] not in ("coefficients", "gains"):
                stored.mul_((own / made).sqrt())
    return shared


@torch.no_grad()
def fix_coefficients(shared: SharedNetwork, model: nn.Module) -> SharedNetwork:
    """`shared` itself, which was made of `model`, with coefficients that no training changes; where a group has one
    template they are 1, so that its layers are one and the same: a loop made by hand."""
    for bank in banks_of(shared).values():
        bank.coefficients.requires_grad_(False)
        if bank.coefficients.shape[1] == 1:
            bank.coefficients.fill_(1.0)
    return at_scale(shared, model)


@checked
def materialise(model: nn.Module) -> nn.Module:
    """The dense form of a soft or tied network: the same architecture with every weight written out, a network of its
    own.

    A network that shares nothing comes back as a copy. Raises NothingToFold for a looped one.
    """
    if hasattr(model, "set_trips"):
        raise NothingToFold(
            "the network loops, so its layers hold no weights of their own; write out the tied network that "
            "`foldnet.fold` gives beside it, or the soft network that was folded"
        )
    if not isinstance(model, SharedNetwork):
        return copy.deepcopy(model)
    dense = copy.deepcopy(model.network)
    with torch.no_grad():
        for name, weight in model.shared_weights():
            module, _, key = name.rpartition(".")
            dense.get_submodule(module).register_parameter(key, nn.Parameter(weight.detach().clone()))
    return dense


def banks_of(model: nn.Module) -> dict[str, Bank]:
    """The banks of a soft network by group, in the order of the plan; empty for any other network."""
    sources = getattr(model, "sources", {})
    return {name: source for name, source in sources.items() if isinstance(source, Bank)}
