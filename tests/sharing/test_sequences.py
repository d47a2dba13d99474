"""Where blocks follow each other: inner sequences, the network itself, lists of blocks; and who shares there."""

import pytest
from torch import nn

from foldnet.errors import SettingError
from foldnet.sharing.plan import Group, SharingPlan, check_plan, plan_sharing
from foldnet.sharing.sequences import is_sequence, lists_blocks, runs_in_order, sequences_of


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = conv(), conv()


class Holding(nn.Module):
    def __init__(self, inside):
        super().__init__()
        self.inside = inside


class Backwards(nn.Sequential):
    def __iter__(self):
        return reversed(list(super().__iter__()))


class Doubling(nn.Sequential):
    def forward(self, x):
        return 2 * super().forward(x)


class Named(nn.Sequential):
    def __init__(self, *layers):
        super().__init__(*layers)
        self.kind = "a block"


def conv():
    return nn.Conv2d(4, 4, 3, padding=1)


def unit():
    return nn.Sequential(conv(), nn.BatchNorm2d(4), nn.ReLU())


def both(*blocks):
    return tuple(f"{block}.conv{number}" for block in blocks for number in (1, 2))


NETWORKS = {
    "layers": (nn.Sequential(conv(), nn.ReLU(), conv()), {"network": ("0", "2")}, ("",)),
    "blocks": (
        nn.Sequential(nn.Conv2d(3, 4, 1), Two(), Two(), nn.Sequential(nn.Flatten(), nn.Linear(4, 2))),
        {"network": both(1, 2)},
        ("",),
    ),
    "a stage between layers": (
        nn.Sequential(conv(), nn.Sequential(Two(), Two()), conv()), {"1": both("1.0", "1.1")}, ("1",),
    ),
    "units": (nn.Sequential(unit(), unit(), unit()), {"network": ("0.0", "1.0", "2.0")}, ("",)),
    "a network behind another": (
        nn.Sequential(nn.Identity(), Holding(nn.Sequential(Two(), Two()))),
        {"1": both("1.inside.0", "1.inside.1")},
        ("1.inside",),
    ),
    "a list": (Holding(nn.ModuleList([Two(), Two()])), {"inside": both("inside.0", "inside.1")}, ("inside",)),
    "a list of stages": (
        Holding(nn.ModuleList([nn.Sequential(Two(), Two()), nn.Sequential(Two(), Two())])),
        {"inside": both("inside.0.0", "inside.0.1", "inside.1.0", "inside.1.1")},
        ("inside.0", "inside.1"),
    ),
    "stages between layers": (
        Holding(nn.Sequential(conv(), nn.Sequential(Two(), Two()), unit(), nn.Sequential(Two(), Two(), Two()))),
        {"inside": ("inside.0", *both("inside.1.0", "inside.1.1"), "inside.2.0", *both("inside.3.0", "inside.3.1", "inside.3.2"))},
        ("inside.0", "inside.1", "inside.2", "inside.3"),
    ),
    "blocks inside what does more": (
        Holding(nn.Sequential(Doubling(nn.Identity(), nn.Sequential(Two(), Two())), nn.Sequential(Two(), Two(), Two()))),
        {"inside": both("inside.0.1.0", "inside.0.1.1", "inside.1.0", "inside.1.1", "inside.1.2")},
        ("inside.0.1", "inside.1"),
    ),
    "no sequence": (Holding(Two()), {"inside": both("inside")}, ("inside",)),
    "a list of units": (Holding(nn.ModuleList([unit(), unit()])), {"inside": ("inside.0.0", "inside.1.0")}, ("inside",)),
}  # fmt: skip


@pytest.mark.parametrize("kind", NETWORKS)
def test_who_shares_and_where_it_may_loop(kind):
    network, groups, sequences = NETWORKS[kind]
    plan = plan_sharing(network)
    assert {group.name: group.layers for group in plan.groups} == groups
    assert sequences_of(network, [layer for group in plan.groups for layer in group.layers]) == sequences


def hooked(module):
    module.register_forward_hook(lambda module, args, out: 2 * out)
    return module


def patched(module):
    module.forward = lambda x: x
    return module


def again(module):
    module.append(module[0])
    return module


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (unit(), True),
        (Named(conv(), conv()), True),
        (Backwards(conv(), conv()), False),
        (Doubling(conv(), conv()), False),
        (hooked(unit()), False),
        (patched(unit()), False),
        (again(unit()), False),
        (nn.ModuleDict({"a": conv()}), False),
    ],
)
def test_a_sequence_only_runs_its_children_in_order_each_once(module, expected):
    assert (runs_in_order(module), is_sequence(module), lists_blocks(module)) == (expected, expected, False)


def test_a_list_is_a_sequence_unless_a_block_stands_in_it_twice():
    blocks = nn.ModuleList([conv(), conv()])
    assert (runs_in_order(blocks), lists_blocks(blocks)) == (False, True)
    assert not is_sequence(again(blocks))


def test_a_weight_that_is_used_in_several_places_stays_private():
    network = nn.Sequential(conv(), conv(), conv(), conv())
    network[1].weight = network[0].weight
    plan = plan_sharing(network)
    assert [group.layers for group in plan.groups] == [("2", "3")]
    assert plan.private == tuple((layer, "its weight is used in several places") for layer in ("0", "1"))
    said = "layer '0' of group 'a' cannot share; its weight is used in several places"
    with pytest.raises(SettingError, match=f"^{said}$"):
        check_plan(network, SharingPlan((Group("a", ("0", "2"), (4, 4, 3, 3), 2),), ()))
