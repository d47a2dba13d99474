"""Groups that someone chose layer by layer, in a plan that was edited. Knows no torch until it plans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from foldnet.bounds import shown
from foldnet.errors import SettingError, UnknownName, nearest

if TYPE_CHECKING:
    from torch import nn

    from foldnet.sharing.plan import SharingPlan

LEFT_OUT = "in no group of the plan"
LONGEST = 100  # letters of a group's name


@dataclass(frozen=True, slots=True)
class ChosenGroup:
    """Layers, by name, that are to share a bank of `templates` templates."""

    name: str
    layers: tuple[str, ...]
    templates: int

    def check(self) -> None:
        """Raise SettingError for a name that no file can show, fewer than two layers, or templates that so many layers
        cannot have."""
        if not self.name.isprintable() or not 1 <= len(self.name) <= LONGEST:
            raise SettingError(
                f"group {shown(repr(self.name))} of a plan has a name that is empty, too long or cannot be shown; give "
                f"it 1 to {LONGEST} letters"
            )
        if len(self.layers) < 2:
            said = f"group '{self.name}' of a plan has {len(self.layers)} layer{'s' * (len(self.layers) != 1)}"
            raise SettingError(f"{said} and sharing takes two; leave the group out")
        if not 1 <= self.templates <= len(self.layers):
            raise SettingError(
                f"group '{self.name}' of {len(self.layers)} layers cannot have {self.templates} templates; "
                f"give it 1 to {len(self.layers)}"
            )


def plan_of_groups(network: nn.Module, groups: Sequence[ChosenGroup]) -> SharingPlan:
    """The plan in which these groups share, and every other layer stays private: for the reason that it has by itself,
    else since no group names it.

    A layer that the network itself keeps private may share where a group names it. Raises UnknownName, ShapeMismatch
    and SettingError for what does not fit the network.
    """
    from foldnet.sharing.plan import Group, SharingPlan, check_plan, layers_of, plan_sharing
    from foldnet.sharing.sequences import weight_name

    layers, own = layers_of(network), dict(plan_sharing(network).private)
    found = []
    for group in groups:
        group.check()
        first = group.layers[0]
        if first not in layers:
            near = nearest(first, layers) or "; `foldnet plan` lists them"
            raise UnknownName(f"layer '{first}' of group '{group.name}' does not exist{near}")
        shape = tuple(network.get_parameter(weight_name(first)).shape)
        found.append(Group(group.name, group.layers, shape, group.templates))
    named = {layer for group in groups for layer in group.layers}
    private = tuple((layer, own.get(layer, LEFT_OUT)) for layer in layers if layer not in named)
    plan = SharingPlan(tuple(found), private)
    check_plan(network, plan)
    return plan
