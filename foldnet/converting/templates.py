"""A trained network to a soft one: a bank for each group that comes closest to its layers, beside the control of the
same size, whose layers have weights of low rank."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from foldnet.analysis.choices import CLOSENESS
from foldnet.converting.outputs import output_products
from foldnet.errors import SettingError
from foldnet.options import check_choice
from foldnet.sharing.convert import Spectrum, fill_bank, spectrum_of
from foldnet.sharing.low_rank import kept_by_ranks, truncated
from foldnet.sharing.plan import Group, SharingPlan
from foldnet.sharing.sequences import weight_name
from foldnet.sharing.share import Bank, SharedNetwork, share
from foldnet.store.codec import Count


@dataclass(frozen=True, slots=True)
class Kept:
    """The energy (sum of squared numbers) of a group's weights, and what is left of it where they are stored in at most
    so many numbers in three ways: templates with coefficients, weights of low rank, and the layers' mean, to which each
    layer adds a matrix of low rank (None where there is no room for it). `outputs` is the share of the
    energy of what the layers compute that the templates keep, where they were chosen by that.
    """

    energy: float
    templates: float
    low_rank: float
    residual: float | None
    outputs: float | None = None


@dataclass(frozen=True, slots=True)
class ConvertedGroup:
    """A group: its layers, the templates that they got, the numbers that are stored now and were before, and the shares
    of energy that templates and the other ways keep in that many numbers."""

    computed: ClassVar = ("kept", "low_rank_kept", "residual_kept", "outputs_kept=energy.outputs")
    unwritten: ClassVar = ("energy",)
    name: str
    layers: tuple[str, ...]
    shape: tuple[int, ...]
    templates: Count
    numbers: Count
    dense_numbers: Count
    energy: Kept

    @property
    def kept(self) -> float:
        """Share of the weights' energy that the templates keep, 0..1."""
        return share_kept([self], "templates")

    @property
    def low_rank_kept(self) -> float:
        """The same of weights of low rank."""
        return share_kept([self], "low_rank")

    @property
    def residual_kept(self) -> float | None:
        """The same of the mean and residuals of low rank."""
        return None if self.energy.residual is None else share_kept([self], "residual")


@dataclass(frozen=True, slots=True)
class Conversion:
    """The soft network, the control of the same stored numbers, and what each group keeps."""

    soft: SharedNetwork
    control: SharedNetwork
    groups: tuple[ConvertedGroup, ...]

    @property
    def is_exact(self) -> bool:
        """Whether every group has a template a layer, so that the soft network computes what the trained one does."""
        return all(group.templates == len(group.layers) for group in self.groups)


def share_kept(groups: Sequence[ConvertedGroup], way: str) -> float:
    """The share of the energy of all groups together that one way, a field of Kept, keeps, 0..1."""
    whole = sum(group.energy.energy for group in groups)
    kept: float = sum(getattr(group.energy, way) for group in groups)
    return min(1.0, kept / whole) if whole else 1.0


def to_templates(
    trained: nn.Module, plan: SharingPlan, metric: str = "weights", batches: Iterable[Any] | None = None
) -> Conversion:
    """Give the groups that the plan names, one after the other, the banks that come closest to the weights of a trained
    network, or with metric "outputs" to what its layers compute on batches of x or (x, y). It is left as it was.

    Raises SettingError for another metric, for "outputs" without batches and for batches with another, and what `share`
    raises.
    """
    check_choice("metric", metric, CLOSENESS)
    if (metric == "outputs") != (batches is not None):
        wrong = (
            "needs `batches` of inputs; give some" if batches is None else "has no use for `batches`; leave them out"
        )
        raise SettingError(f"`metric={metric!r}` {wrong}")
    soft = share(trained, plan)
    products = output_products(trained, plan, batches) if batches is not None else {}
    control: dict[str, nn.Module] = {}
    groups = []
    for group in plan.groups:
        weights = [trained.get_parameter(weight_name(layer)).detach() for layer in group.layers]
        bank = soft.sources[group.name]
        assert isinstance(bank, Bank)
        numbers = sum(parameter.numel() for parameter in bank.parameters())
        groups.append(_converted(group, bank, weights, numbers, products))
        control[group.name] = truncated(weights, numbers)
    return Conversion(soft, SharedNetwork(copy.deepcopy(soft.network), plan, control), tuple(groups))


def _converted(
    group: Group, bank: Bank, weights: list[Tensor], numbers: int, products: Mapping[str, Tensor]
) -> ConvertedGroup:
    """Fill the bank of one group, and say what is kept."""
    spectrum = spectrum_of(weights)
    by_outputs = Spectrum.of(products[group.name]) if group.name in products else None
    outputs = None if by_outputs is None else fill_bank(bank, weights, by_outputs)
    if by_outputs is None:
        fill_bank(bank, weights, spectrum)
    kept = energies_kept(weights, group.templates, numbers, spectrum, by_outputs, outputs)
    dense = len(group.layers) * math.prod(group.shape)
    return ConvertedGroup(group.name, group.layers, group.shape, group.templates, numbers, dense, kept)


def energies_kept(
    weights: Sequence[Tensor],
    templates: int,
    numbers: int,
    spectrum: Spectrum,
    chosen: Spectrum | None = None,
    outputs: float | None = None,
) -> Kept:
    """What is left of the weights of a group in so many numbers; `spectrum` is theirs, `chosen` the one whose
    directions the templates have where that is another, `outputs` what those keep of it."""
    squares = spectrum.values.square()
    if chosen is None:
        left = float(squares[:templates].sum())
    else:  # the rows' part in the span of the chosen directions
        rows = spectrum.columns * spectrum.values
        left = float((chosen.columns[:, :templates].T @ rows).square().sum())
    return Kept(float(squares.sum()), left, kept_by_ranks(weights, numbers), _with_residual(weights, numbers), outputs)


def _with_residual(weights: Sequence[Tensor], numbers: int) -> float | None:
    """What the mean weight keeps, and with it matrices of low rank in the numbers that are left."""
    left = numbers - weights[0].numel()
    if left < 0:
        return None
    mean = torch.zeros_like(weights[0], dtype=torch.float64)
    for weight in weights:
        mean += weight.detach().double() / len(weights)
    return float(len(weights) * mean.square().sum()) + kept_by_ranks(weights, left, mean)
