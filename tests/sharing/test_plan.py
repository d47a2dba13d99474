"""Who shares with whom, and why not."""

import re
from dataclasses import FrozenInstanceError

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from foldnet.errors import SettingError, ShapeMismatch, UnknownName
from foldnet.sharing.plan import Group, SharingPlan, check_plan, plan_sharing
from foldnet.zoo.blueprint import build


def exactly(sentence: str) -> str:
    """The pattern that only this sentence matches."""
    return f"^{re.escape(sentence)}$"


FIRST = "first block of its stage, where width or resolution changes"
LONE = "the only layer of its shape in its stage"


class Net(nn.Module):
    """Any modules under any names; it never runs."""

    def __init__(self, **parts):
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)


def stack(count=3, width=4):
    return nn.Sequential(*[nn.Linear(width, width) for _ in range(count)])


def test_a_wide_resnets_plan_is_the_papers():
    plan = plan_sharing(build("wrn-28-1"), 4)
    assert [(group.name, group.shape, group.templates) for group in plan.groups] == [
        ("stage1", (16, 16, 3, 3), 4),
        ("stage2", (32, 32, 3, 3), 4),
        ("stage3", (64, 64, 3, 3), 4),
    ]
    assert plan.groups[1].layers == tuple(f"stage2.{block}.conv{n}" for block in (1, 2, 3) for n in (1, 2))
    assert plan.private == (
        ("stem", "outside the stages"),
        ("stage1.0.conv1", FIRST),
        ("stage1.0.conv2", FIRST),
        ("stage2.0.conv1", FIRST),
        ("stage2.0.conv2", FIRST),
        ("stage2.0.shortcut", FIRST),
        ("stage3.0.conv1", FIRST),
        ("stage3.0.conv2", FIRST),
        ("stage3.0.shortcut", FIRST),
        ("classifier", "outside the stages"),
    )


def test_every_weighted_layer_is_either_in_a_group_or_private_once():
    network = build("wrn-28-2")
    plan = plan_sharing(network)
    named = [layer for group in plan.groups for layer in group.layers] + [layer for layer, _ in plan.private]
    layers = [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert sorted(named) == sorted(layers)


def test_stages_of_a_users_network_are_the_first_parts_of_names():
    network = Net(body=nn.Sequential(stack(), stack(1, 5)), head=nn.Linear(4, 4), tail=nn.Linear(4, 4))
    plan = plan_sharing(network)
    assert plan.groups == (Group("body", ("body.0.0", "body.0.1", "body.0.2"), (4, 4), 3),)
    assert plan.private == (("body.1.0", LONE), ("head", LONE), ("tail", LONE))


def test_two_shapes_in_one_stage_are_two_groups_named_by_their_shapes():
    network = Net(body=nn.Sequential(stack(2), stack(2, 5), nn.Conv1d(2, 3, 5), nn.Conv1d(2, 3, 5)))
    assert [group.name for group in plan_sharing(network).groups] == ["body-4x4", "body-5x5", "body-3x2x5"]


def test_declared_sequences_name_groups_without_dots():
    network = Net(net=Net(first=stack(), second=stack()), aside=stack())
    network.sequences = ("net.first", "net.second")
    plan = plan_sharing(network)
    assert [group.name for group in plan.groups] == ["net-first", "net-second"]
    assert ("aside.0", "outside the stages") in plan.private


@pytest.mark.parametrize("stage", ["values", "keys", "type", "forward", "training"])
def test_a_stage_called_as_something_that_modules_have_gets_another_name(stage):
    network = nn.Module()
    network._modules[stage] = stack()
    assert plan_sharing(network).groups[0].name == f"{stage}-layers"


def test_a_weight_that_is_computed_stays_private():
    network = Net(body=nn.Sequential(*[weight_norm(nn.Linear(4, 4)) for _ in range(2)], *stack(2)))
    plan = plan_sharing(network)
    assert plan.groups[0].layers == ("body.2", "body.3")
    assert plan.private[0] == ("body.0", "its weight is computed from other parameters")


def changed(change):
    layers = stack(3)
    change(layers[1])
    return Net(body=layers)


UNFIT = {
    "parameter": (
        lambda layer: layer.register_parameter("gain", nn.Parameter(torch.ones(1))),
        "it has a 'gain' already, which layers of a loop are given",
    ),
    "buffer": (
        lambda layer: layer.register_buffer("gain", torch.ones(1)),
        "it has a 'gain' already, which layers of a loop are given",
    ),
    "attribute": (
        lambda layer: setattr(layer, "gain", 1.0),
        "it has a 'gain' already, which layers of a loop are given",
    ),
    "complex": (
        lambda layer: setattr(layer, "weight", nn.Parameter(torch.ones(4, 4, dtype=torch.complex64))),
        "its weight is of complex64, not of real floating-point numbers",
    ),
    "whole numbers": (
        lambda layer: setattr(layer, "weight", nn.Parameter(torch.ones(4, 4, dtype=torch.int8), False)),
        "its weight is of int8, not of real floating-point numbers",
    ),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_a_layer_that_no_owner_fits_stays_private_and_no_plan_makes_it_share(kind):
    change, reason = UNFIT[kind]
    network = changed(change)
    plan = plan_sharing(network)
    assert plan.groups == (Group("body", ("body.0", "body.2"), (4, 4), 2),)
    assert plan.private == (("body.1", reason),)
    said = f"layer 'body.1' of group 'body' cannot share; {reason}"
    with pytest.raises(SettingError, match=f"^{re.escape(said)}$"):
        check_plan(network, SharingPlan((Group("body", ("body.0", "body.1"), (4, 4), 1),), ()))


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_layers_of_empty_weights_stay_private():
    plan = plan_sharing(Net(body=stack(2, 0)))
    assert plan.private == (("body.0", "its weight is empty"), ("body.1", "its weight is empty"))


def test_lazy_layers_must_be_called_first():
    said = "layer 'body.0' has no weight yet; call the network once, which makes it, and share then"
    network = Net(body=nn.Sequential(*[nn.LazyLinear(4) for _ in range(3)]))
    with pytest.raises(SettingError, match=f"^{re.escape(said)}$"):
        plan_sharing(network)
    network.body(torch.ones(1, 4))
    assert len(plan_sharing(network).groups) == 1


def test_kept_layers_stay_private_with_their_reason():
    network = Net(body=stack(4))
    plan = plan_sharing(network, keep={"body.1": "it is special"})
    assert plan.groups[0].layers == ("body.0", "body.2", "body.3")
    assert plan.private == (("body.1", "it is special"),)
    said = "layer 'body.9' to keep is not a layer of the network; did you mean 'body.0' or 'body.1' or 'body.2'?"
    with pytest.raises(UnknownName, match=exactly(said)):
        plan_sharing(network, keep={"body.9": "x"})


@pytest.mark.parametrize(
    ("templates", "expected"),
    [(None, (3, 2)), (1, (1, 1)), (3, (3, 2)), (9, (3, 2)), ({"b": 1}, (3, 1)), ({}, (3, 2))],
)
def test_templates_are_one_number_or_one_a_group(templates, expected):
    plan = plan_sharing(Net(a=stack(3), b=stack(2)), templates)
    assert tuple(group.templates for group in plan.groups) == expected


@pytest.mark.parametrize(
    ("templates", "error", "said"),
    [
        ({"b": 3}, SettingError, "group 'b' of 2 layers cannot have 3 templates; give it 1 to 2"),
        (0, SettingError, "group 'alpha' of 3 layers cannot have 0 templates; give it 1 to 3"),
        ({"b": -1}, SettingError, "group 'b' of 2 layers cannot have -1 templates; give it 1 to 2"),
        ({"alpa": 1}, UnknownName, "group 'alpa' does not exist; did you mean 'alpha'?"),
    ],
)
def test_illegal_templates_are_refused(templates, error, said):
    with pytest.raises(error, match=exactly(said)):
        plan_sharing(Net(alpha=stack(3), b=stack(2)), templates)


def test_planning_reads_a_network_that_has_no_storage():
    with torch.device("meta"):
        network = build("wrn-40-8")
    assert [len(group.layers) for group in plan_sharing(network).groups] == [10, 10, 10]


def test_a_plan_is_frozen():
    plan = plan_sharing(Net(a=stack()))
    with pytest.raises(FrozenInstanceError):
        plan.groups = ()


NOT_SHAREABLE = "cannot share; only convolutions, linear layers and other parameters that are matrices or more can"


@pytest.mark.parametrize(
    ("groups", "error", "said"),
    [
        (
            [Group("g", ("a.0", "a.7"), (4, 4), 1)],
            UnknownName,
            "layer 'a.7' of group 'g' does not exist; did you mean 'a.0' or 'a.1' or 'a.2'?",
        ),
        (
            [Group("g", ("a.0", "a.0"), (4, 4), 1)],
            SettingError,
            "layer 'a.0' stands in the plan twice; a layer belongs to one group",
        ),
        (
            [Group("g", ("a.0",), (4, 4), 1), Group("h", ("a.0",), (4, 4), 1)],
            SettingError,
            "layer 'a.0' stands in the plan twice; a layer belongs to one group",
        ),
        (
            [Group("g", ("a.0", "b.0"), (4, 4), 1)],
            ShapeMismatch,
            "layer 'b.0' has a weight of shape (5, 5), group 'g' is of shape (4, 4); give it a group of its own",
        ),
        ([Group("g", ("a.0", "a"), (4, 4), 1)], SettingError, f"layer 'a' of group 'g' {NOT_SHAREABLE}"),
        ([Group("g", ("norm",), (4,), 1)], SettingError, f"layer 'norm' of group 'g' {NOT_SHAREABLE}"),
        (
            [Group("g", ("made",), (4, 4), 1)],
            SettingError,
            "layer 'made' of group 'g' cannot share; its weight is computed from other parameters",
        ),
        (
            [Group("g", ("a.0",), (4, 4), 1), Group("g", ("a.1",), (4, 4), 1)],
            SettingError,
            "group 'g' stands in the plan twice; give each group a name of its own",
        ),
        *(
            (
                [Group(name, ("a.0",), (4, 4), 1)],
                SettingError,
                f"a group cannot be called '{name}', modules forbid it; choose another name",
            )
            for name in ("a.b", "", "keys")
        ),
    ],
)
def test_plans_that_do_not_fit_are_refused(groups, error, said):
    network = Net(a=stack(), b=stack(1, 5), norm=nn.BatchNorm2d(4), made=weight_norm(nn.Linear(4, 4)))
    with pytest.raises(error, match=exactly(said)):
        check_plan(network, SharingPlan(tuple(groups), ()))


def embeddings(**options):
    return nn.Sequential(*(nn.Sequential(nn.Embedding(6, 4, **options)) for _ in range(2)))


@pytest.mark.parametrize("options", [{"max_norm": 1.0}, {"padding_idx": 0}, {"sparse": True}])
def test_embeddings_that_treat_their_weight_as_their_own_do_not_share(options):
    assert [group.layers for group in plan_sharing(embeddings()).groups] == [("0.0", "1.0")]
    plan = plan_sharing(embeddings(**options))
    said = f"an embedding with {next(iter(options))} treats its weight as its own"
    assert plan == SharingPlan((), (("0.0", said), ("1.0", said)))


def test_recurrent_layers_and_what_a_weight_is_computed_from_do_not_share():
    network = nn.Sequential(nn.GRU(4, 4), nn.GRU(4, 4))
    said = "a recurrent layer keeps its weights in one piece of memory"
    assert dict(plan_sharing(network).private) == {
        f"{layer}:weight_{kind}_l0": said for layer in (0, 1) for kind in ("ih", "hh")
    }
    made = nn.Sequential(*(nn.utils.parametrizations.weight_norm(nn.Bilinear(4, 4, 4)) for _ in range(2)))
    assert plan_sharing(made) == SharingPlan((), ())


def test_vectors_and_biases_in_any_shape_are_no_layers():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale, self.bias_table = nn.Parameter(torch.ones(4, 1, 1)), nn.Parameter(torch.ones(4, 4))
            self.matrix = nn.Parameter(torch.ones(4, 3))

    plan = plan_sharing(nn.Sequential(Scaled(), Scaled()))
    assert [(group.layers, group.shape) for group in plan.groups] == [(("0:matrix", "1:matrix"), (4, 3))]
    assert plan.private == ()


def test_layers_at_one_place_in_equal_blocks_share_where_position_is_asked_for():
    network = build("wrn-28-1")
    plan = plan_sharing(network, 2, group_by="position")
    assert [group.name for group in plan.groups] == [f"stage{s}-conv{c}" for s in (1, 2, 3) for c in (1, 2)]
    assert [group.layers for group in plan.groups][:2] == [
        ("stage1.1.conv1", "stage1.2.conv1", "stage1.3.conv1"),
        ("stage1.1.conv2", "stage1.2.conv2", "stage1.3.conv2"),
    ]
    by_stage = plan_sharing(network)
    assert {layer for group in plan.groups for layer in group.layers} == {
        layer for group in by_stage.groups for layer in group.layers
    }
    twice = nn.Sequential(*(stack(2) for _ in range(2)))
    found = plan_sharing(Net(a=twice, b=stack(3)), group_by="position")
    assert len({group.name for group in found.groups}) == len(found.groups)


def test_a_layer_alone_at_its_place_says_so_and_other_groupings_are_none():
    two = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    uneven = Net(a=nn.Sequential(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), two))
    assert len(plan_sharing(uneven).groups[0].layers) == 3
    assert {reason for _, reason in plan_sharing(uneven, group_by="position").private} == {
        "the only layer at its place in equal blocks"
    }
    with pytest.raises(SettingError, match=exactly("`group_by='shape'` is not legal; choose stage or position")):
        plan_sharing(uneven, group_by="shape")
