"""Folding as plan and application."""

import copy
import re

import numpy as np
import pytest
import torch
from looping import families_in, fold_forms, planned, similarities_of
from torch import nn

from foldnet.errors import NothingToFold, SettingError, UnknownName
from foldnet.folding.groups import check_metric, cut_families, groups_of
from foldnet.folding.looped import LoopedNetwork
from foldnet.folding.plan import apply_fold, soft_network
from foldnet.program.data import Loop, Step, count_reuses
from foldnet.sharing.share import share
from foldnet.sharing.tied import TiedLayers
from foldnet.zoo.blueprint import build


def exactly(sentence: str) -> str:
    """The pattern that only this sentence matches."""
    return f"^{re.escape(sentence)}$"


ALONE = tuple((row,) for row in range(6))
NONE = "the network has no shared groups, so there is nothing to fold; train a soft one, such as swrn-28-2-4"


def planted(pattern, *, seed=0, templates=4, dtype=torch.float32):
    """A network of which every group's layer l has a multiple, of any sign and length, of the row pattern[l]."""
    torch.manual_seed(seed)
    soft = build(f"swrn-28-1-{templates}").to(dtype).eval()
    rows = torch.randn(6, templates, dtype=dtype)
    factors = torch.tensor([1.0, -0.5, 2.0, -1.5, 0.25, -3.0], dtype=dtype)
    with torch.no_grad():
        for bank in soft.sources.values():
            bank.coefficients.copy_(factors[:, None] * rows[pattern])
    return soft


def relative(a, b):
    return (torch.linalg.vector_norm(a - b) / torch.linalg.vector_norm(b)).item()


@pytest.mark.parametrize("pattern", [[0, 1, 0, 1, 0, 1], [0, 0, 1, 1, 2, 3], [0] * 6, [0, 1, 1, 0, 0, 1]])
@pytest.mark.parametrize("metric", ["coefficients", "weights"])
@pytest.mark.parametrize("how", ["gain"])
def test_exactly_proportional_layers_fold_exactly_at_threshold_1(pattern, metric, how):
    soft = planted(pattern, dtype=torch.float64)
    looped, tied, plan = fold_forms(soft, 1.0, metric=metric, tie=how)
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    expected = soft(x)
    assert relative(tied.eval()(x), expected) < 1e-6
    assert relative(looped.eval()(x), expected) < 1e-6
    for group in plan.groups:
        assert group.tie.assignment.tolist() == pattern
        assert group.owners == len(set(pattern))
        assert group.stored == min(group.owners, 4)
    assert count_reuses(plan.program) == 3 * (6 - len(set(pattern)))


def test_single_precision_folds_as_exactly_as_it_counts():
    soft = planted([0, 1, 0, 1, 0, 1])
    looped, _, _ = fold_forms(soft, 1.0, metric="weights")
    x = torch.randn(2, 3, 8, 8)
    assert relative(looped.eval()(x), soft(x)) < 1e-5


def test_blocks_alike_become_a_loop():
    _, _, plan = fold_forms(planted([0, 1, 0, 1, 0, 1]), 0.99)
    for stage in plan.program.stages:
        assert stage.items == (Step("private1"), Loop(3, (Step("A"),), f"{stage.name}.loop1"))
    assert plan.program.before == ("stem",)
    assert plan.program.after == ("classifier",)


def test_two_positions_of_a_block_may_use_one_owner():
    """Nothing but the whole program says where an owner is used: conv1 and conv2 of every block have the same."""
    soft = planted([0] * 6)
    looped, tied, plan = fold_forms(soft, 0.99)
    body = looped.network.stage2.blocks["A"].body
    assert body.conv1.weight is body.conv2.weight is None
    assert [group.owners for group in plan.groups] == [1, 1, 1]
    names = [name for name in looped.state_dict() if name.startswith("owners.stage2")]
    assert names == ["owners.stage2.owners.0"]
    x = torch.randn(2, 3, 8, 8)
    assert relative(looped.eval()(x), tied.eval()(x)) <= 1e-5


def test_the_unit_says_whether_single_layers_or_whole_blocks_are_tied():
    soft = planted([0, 1, 0, 2, 0, 1])
    layer, block = (fold_forms(soft, 0.9999, unit=unit)[2] for unit in ("layer", "block"))
    assert layer.groups[0].clusters == ((0, 2, 4), (1, 5), (3,))
    assert block.groups[0].clusters == ((0, 4), (1, 5), (2,), (3,))
    assert [item.label for item in block.program.stages[0].items] == ["private1", "A", "B", "A"]


def test_groups_without_a_threshold_stay_as_they_are():
    soft = planted([0, 1, 0, 1, 0, 1])
    algebra = groups_of(soft)
    for unit in ("layer", "block"):
        families = families_in(soft, [entry for entry in algebra if entry.group.name == "stage2"], unit)
        found = cut_families(families, similarities_of(algebra), {"stage2": 0.99}, "complete")
        assert found == {"stage1": ALONE, "stage2": ((0, 2, 4), (1, 3, 5)), "stage3": ALONE}
    looped, _, plan = fold_forms(soft, 0.99, groups=("stage2",))
    assert [group.clusters for group in plan.groups] == [ALONE, ((0, 2, 4), (1, 3, 5)), ALONE]
    assert [len(stage.items) for stage in plan.program.stages] == [4, 2, 4]
    x = torch.randn(2, 3, 8, 8)
    assert relative(looped.eval()(x), soft(x)) < 1e-4


def test_a_threshold_for_each_group():
    soft = planted([0, 1, 0, 1, 0, 1])
    plan = fold_forms(soft, 1.0, thresholds=(("stage2", 0.0), ("stage3", 0.999)))[2]
    assert [group.owners for group in plan.groups] == [2, 1, 2]


def test_a_users_own_clusters_are_applied():
    soft = planted([0, 1, 2, 3, 0, 1])
    plan = planned(soft, {"stage3": ((0, 1, 2, 3, 4, 5),)}, "signed")
    tied = apply_fold(soft, plan)
    assert isinstance(tied.sources["stage3"], TiedLayers)
    assert tied.sources["stage3"].gains.abs().tolist() == [1] * 6
    assert plan.groups[2].weight_numbers == 64 * 64 * 9
    assert [group.owners for group in plan.groups] == [6, 6, 1]


def test_a_stronger_threshold_never_ties_more():
    torch.manual_seed(0)
    soft = build("swrn-28-1-2")
    owners = [sum(g.owners for g in fold_forms(soft, threshold)[2].groups) for threshold in np.linspace(0, 1, 9)]
    assert owners == sorted(owners)
    assert (owners[0], owners[-1]) == (3, 18)


def test_folding_leaves_the_soft_network_as_it_was_and_shares_no_memory():
    soft = planted([0, 1, 0, 1, 2, 3])
    before = copy.deepcopy(soft.state_dict())
    for network in fold_forms(soft, 0.9)[:2]:
        with torch.no_grad():
            for tensor in network.state_dict().values():
                tensor.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in soft.state_dict().items())


@pytest.mark.parametrize("metric", ["coefficients", "weights"])
def test_what_is_alike_does_not_depend_on_the_precision(metric):
    soft = planted([0, 1, 0, 1, 2, 3])
    single, double = fold_forms(soft, 0.99, metric=metric)[2], fold_forms(soft.double(), 0.99, metric=metric)[2]
    assert single.program == double.program


@pytest.mark.parametrize("make", [lambda: build("wrn-28-1"), lambda: nn.Linear(2, 2)])
def test_a_plain_network_is_refused(make):
    with pytest.raises(NothingToFold, match=exactly(NONE)):
        fold_forms(make())


def test_a_folded_network_is_refused():
    looped, tied, _ = fold_forms(build("swrn-28-1-4"), 0.5)
    assert isinstance(looped, LoopedNetwork)
    with pytest.raises(NothingToFold, match=exactly(NONE)):
        soft_network(looped)
    with pytest.raises(
        NothingToFold, match=exactly("the network shares hard already, so there is nothing left to fold")
    ):
        soft_network(tied)
    said = "group 'stage1' shares hard already, so there is nothing left to compare or to fold"
    with pytest.raises(NothingToFold, match=exactly(said)):
        groups_of(tied)


GROUPS = "the groups are stage1, stage2, stage3"


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        *(
            (
                {"threshold": value},
                SettingError,
                f"`threshold={value}` is not a similarity; give a number from 0 to 1, chance or auto",
            )
            for value in (1.5, -0.1, float("nan"))
        ),
        (
            {"thresholds": (("stage1", -0.1),), "unit": "block"},
            SettingError,
            "`threshold=-0.1` is not a similarity; give a number from 0 to 1, chance or auto",
        ),
        (
            {"unit": "blocks"},
            SettingError,
            "`unit='blocks'` is not legal; choose layer or block; did you mean 'block'?",
        ),
        (
            {"metric": "weigths"},
            SettingError,
            "`metric='weigths'` is not legal; choose coefficients or weights; did you mean 'weights'?",
        ),
        ({"linkage": "ward"}, SettingError, "`linkage='ward'` is not legal; choose complete, average or single"),
        ({"tie": "best"}, SettingError, "`tie='best'` is not legal; choose gain, signed or mean"),
        (
            {"thresholds": (("stage4", 0.5),)},
            UnknownName,
            "`thresholds` names 'stage4', which is no group; did you mean 'stage1' or 'stage2' or 'stage3'?",
        ),
    ],
)
def test_bad_options_are_refused(options, error, said):
    with pytest.raises(error, match=exactly(said)):
        fold_forms(build("swrn-28-1-4"), **options)


def test_clusters_of_a_group_that_is_not_there_or_that_are_no_partition_are_refused():
    soft = build("swrn-28-1-4")
    with pytest.raises(UnknownName, match=exactly(f"group 'zzz' does not exist; {GROUPS}")):
        planned(soft, {"zzz": ALONE})
    said = "the clusters are not a partition of 6 layers; put every layer into exactly one"
    with pytest.raises(SettingError, match=exactly(said)):
        planned(soft, {"stage1": ((0, 1), (1, 2, 3, 4, 5))})


def test_a_diverged_network_is_refused_in_one_sentence():
    soft = build("swrn-28-1-4")
    with torch.no_grad():
        soft.sources["stage2"].coefficients[0, 0] = float("nan")
    said = "the coefficients hold nan at row 0, column 0; did the training diverge?"
    with pytest.raises(SettingError, match=exactly(said)):
        fold_forms(soft)


def test_the_metric_of_soft_and_plain_networks():
    soft, plain = build("swrn-16-1-2"), build("wrn-16-1")
    assert check_metric(None, soft) == "coefficients"
    assert check_metric(None, plain) == "weights"
    assert check_metric("weights", soft) == "weights"
    said = "`metric='coefficients'` needs a soft network, and this one is plain; use `metric='weights'`"
    with pytest.raises(SettingError, match=exactly(said)):
        check_metric("coefficients", plain)


def test_the_layers_of_a_plain_network_are_compared_by_their_weights():
    plain = build("wrn-28-1")
    algebra = groups_of(plain)
    group = algebra[1]
    flat = np.stack(
        [plain.get_parameter(f"{n}.weight").detach().double().flatten().numpy() for n in group.group.layers]
    )
    unit = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    np.testing.assert_allclose(group.similarity("weights"), np.abs(unit @ unit.T), atol=1e-6)
    assert group.plain
    assert group.weight_numbers == 32 * 32 * 9
    said = "no two layers have one weight shape in one stage; there is nothing to compare"
    with pytest.raises(NothingToFold, match=exactly(said)):
        groups_of(nn.Linear(2, 2))


def test_the_chance_level_of_plain_layers_is_that_of_random_directions():
    plain, soft = groups_of(build("wrn-28-1"))[0], groups_of(build("swrn-28-1-4"))[0]
    assert plain.chance("weights").max < 0.1
    assert soft.chance("coefficients").max > 0.5
    assert soft.chance("weights").max > 0.5


def test_only_one_shared_layer_of_each_block_may_fold():
    """conv1s alike, conv2s apart: no loop, but owners are reused."""
    looped, tied, plan = fold_forms(planted([0, 1, 0, 2, 0, 3]), 0.9999)
    assert [len(stage.items) for stage in plan.program.stages] == [4, 4, 4]
    assert count_reuses(plan.program) == 6
    x = torch.randn(2, 3, 8, 8)
    assert relative(looped.eval()(x), tied.eval()(x)) <= 1e-5


def test_a_group_with_one_template_folds_into_one_owner():
    torch.manual_seed(0)
    soft = share(build("wrn-28-1"), 1).eval()
    looped, _, plan = fold_forms(soft, 1.0)
    assert [group.owners for group in plan.groups] == [1, 1, 1]
    x = torch.randn(2, 3, 8, 8)
    assert relative(looped.eval()(x), soft(x)) < 1e-5
