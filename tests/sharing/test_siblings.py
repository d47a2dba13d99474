"""Numbered attributes of one module on which equal blocks hang: which are found, what they are called, who shares."""

import pytest
from torch import nn

from foldnet.sharing.plan import plan_sharing
from foldnet.sharing.sequences import block_names, places_of, positions, sequences_of, siblings_in, siblings_of


def conv(width=4):
    return nn.Conv2d(width, width, 3, padding=1)


class Two(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.conv1, self.conv2 = conv(width), conv(width)


class Holding(nn.Module):
    def __init__(self, **parts):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)


def stage(count=2):
    return nn.Sequential(*(Two() for _ in range(count)))


def blocks(name, numbers=(1, 2)):
    return {f"{name}{number}": Two() for number in numbers}


NETWORKS = {  # the network, the sequences in it, the blocks of those that are siblings, its groups
    "of the network": (Holding(stem=conv(), **blocks("block")), ("blockN",), ("block1", "block2"), ["blockN"]),
    "in two rows": (
        Holding(**blocks("layer1_", (0, 1)), **blocks("layer2_", (0, 1, 2))),
        ("layer1_N", "layer2_N"),
        ("layer1_0", "layer1_1", "layer2_0", "layer2_1", "layer2_2"),
        ["layer1_N", "layer2_N"],
    ),
    "by number": (
        Holding(**blocks("block", (10, 9, 11))), ("blockN",), ("block9", "block10", "block11"), ["blockN"],
    ),
    "inside": (
        Holding(body=Holding(**blocks("block")), head=conv()), ("body.blockN",), ("body.block1", "body.block2"), ["body"],
    ),
    "the first another": (
        Holding(block1=Two(8), block2=Two(), block3=Two()), ("blockN",), ("block1", "block2", "block3"),
        ["blockN-8x8x3x3", "blockN-4x4x3x3"],
    ),
    "in each block of a sequence": (
        Holding(body=nn.Sequential(Holding(**blocks("unit")), nn.Sequential(Two(), nn.ReLU()))),
        ("body.0.unitN", "body.1"), ("body.0.unit1", "body.0.unit2"), ["body"],
    ),
    "in equal blocks of a sequence": (
        Holding(body=nn.Sequential(*(Holding(**blocks("unit")) for _ in range(2)))), ("body",), (), ["body"],
    ),
    "stages": (
        Holding(stage1=stage(), stage2=stage()), ("stage1", "stage2"), (), ["stage1", "stage2"],
    ),
    "layers": (Holding(conv1=conv(), conv2=conv(), body=Two()), ("body",), (), ["body"]),
    "unlike": (Holding(block1=Two(8), block2=Two()), ("block1", "block2"), (), ["block1", "block2"]),
    "one": (Holding(block1=Two(), other=Two()), ("block1", "other"), (), ["block1", "other"]),
    "beside what is called so": (
        Holding(blockN=Two(), **blocks("block")), ("blockN", "block1", "block2"), (), ["blockN", "block1", "block2"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", NETWORKS)
def test_equal_blocks_on_numbered_attributes_are_a_sequence(kind):
    network, sequences, members, groups = NETWORKS[kind]
    plan = plan_sharing(network)
    shared = [layer for group in plan.groups for layer in group.layers]
    assert [group.name for group in plan.groups] == groups
    assert sequences_of(network, shared) == sequences
    found = [name for sequence in sequences for name in siblings_of(network, sequence)]
    assert tuple(found) == members
    assert all(block_names(network, one) == siblings_of(network, one) for one in sequences if siblings_of(network, one))


def test_layers_of_siblings_stand_at_places_as_those_of_a_sequence_do():
    network = Holding(stem=conv(), **blocks("block", (1, 2, 3)))
    plan = plan_sharing(network)
    assert positions(network, plan) == {"blockN": ((0, 2, 4), (1, 3, 5))}
    assert places_of(network, ["block1.conv1", "block2.conv2", "stem"]) == {
        "block1.conv1": ("blockN", 0, "conv1"),
        "block2.conv2": ("blockN", 0, "conv2"),
    }
    grouped = plan_sharing(network, group_by="position")
    assert [group.layers for group in grouped.groups] == [
        tuple(f"block{block}.conv{place}" for block in (1, 2, 3)) for place in (1, 2)
    ]


def test_what_stands_under_two_numbers_is_no_sibling_and_shares_with_none():
    block = Two()
    network = Holding(block1=block, block2=block)
    assert siblings_in(network) == {}
    said = "its weight is used in several places"
    assert plan_sharing(network).private == (("block1.conv1", said), ("block1.conv2", said))
