"""What untrained networks would merge is what fresh ones of torch do merge."""

import numpy as np
import pytest
import torch
from looping import families_in, fold_forms, planned, similarities_of

from foldnet.analysis.chance import chance
from foldnet.choosing.sweep import ladders_of
from foldnet.choosing.untrained import chance_levels, untrained_merging, untrained_similarities
from foldnet.folding.groups import cut_families, groups_of
from foldnet.program.data import count_loops
from foldnet.zoo.blueprint import build

FRESH = 400  # networks as torch starts them; a share of 5 % is then known to 1.1 points


@pytest.fixture(scope="module")
def soft():
    torch.manual_seed(0)
    return build("swrn-28-1-2").eval()


def merging(soft, unit, heights, metric="coefficients"):
    algebra = groups_of(soft)
    families = families_in(soft, groups_of(soft), unit)
    one = {entry.group.name: (tuple(range(len(entry.group.layers))),) for entry in algebra}
    levels = {family.name: [heights[family.name]] * len(family.positions) for family in families}
    whole = planned(soft, one).program
    return untrained_merging(algebra, families, levels, metric=metric, linkage="complete", whole=whole)


def started(soft, count, seed=7):
    """The same network with new coefficients, as torch starts them, again and again."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        for _ in range(count):
            for bank in soft.sources.values():
                torch.nn.init.orthogonal_(bank.coefficients)
            yield groups_of(soft)


def same_for_all(families, height):
    return dict.fromkeys((family.name for family in families), height)


def test_untrained_networks_of_two_templates_all_fold_at_the_usual_threshold_and_one_in_seven_loops(soft):
    found = merging(soft, "layer", same_for_all(families_in(soft, groups_of(soft), "layer"), 0.95))
    assert len(found.loops) >= 1000
    assert (sum(found.owners.values()) < 18).mean() > 0.999
    alike, loops = 0, 0
    for algebra in started(soft, 100):
        heights = {entry.group.name: 0.95 for entry in algebra}
        similar, families = similarities_of(algebra), families_in(soft, algebra, "layer")
        plan = planned(soft, cut_families(families, similar, heights, "complete"))
        alike += any(group.owners < 6 for group in plan.groups)
        loops += any(count_loops(stage.items) for stage in plan.program.stages)
    assert alike == 100
    assert loops / 100 == pytest.approx((found.loops > 0).mean(), abs=0.1)
    assert (found.loops > 0).mean() == pytest.approx(0.13, abs=0.03)


@pytest.mark.parametrize(
    ("unit", "metric"), [("layer", "coefficients"), ("block", "coefficients"), ("layer", "weights")]
)
def test_one_in_twenty_networks_that_torch_starts_passes_the_level_of_chance(soft, unit, metric):
    families = families_in(soft, groups_of(soft), unit)
    levels = chance_levels(groups_of(soft), families, metric)
    passed = 0
    for algebra in started(soft, FRESH):
        matrices = {entry.group.name: entry.similarity(metric) for entry in algebra}
        alike = [family.similarity(matrices) for family in families]
        passed += any(
            matrix[np.triu_indices(len(matrix), 1)].max() >= levels[family.name]
            for family, matrix in zip(families, alike, strict=True)
        )
    assert passed / FRESH == pytest.approx(0.05, abs=0.03)
    found = merging(soft, unit, levels, metric)
    assert (sum(found.owners.values()) < 18).mean() == pytest.approx(0.05, abs=0.015)


def test_the_levels_of_layers_are_those_that_lsm_stars_by(soft):
    levels = chance_levels(groups_of(soft), families_in(soft, groups_of(soft), "layer"), "coefficients")
    assert set(levels.values()) == {chance(6, 2, groups=3).network_q95}
    kept = families_in(soft, groups_of(soft), "layer", {"stage1.1.conv1"})
    fewer = chance_levels(groups_of(soft), kept, "coefficients")
    assert len(kept[0].positions[0][1]) == 5
    assert fewer["stage1"] < levels["stage1"]
    assert fewer["stage2"] == levels["stage2"]


def test_layers_of_one_template_are_alike_by_construction():
    soft = build("swrn-16-1-1").eval()
    assert set(
        chance_levels(groups_of(soft), families_in(soft, groups_of(soft), "layer"), "coefficients").values()
    ) == {1.0}


def test_a_network_of_which_one_group_has_one_template_is_judged_by_the_others(soft):
    algebra = groups_of(soft)
    alone = chance_levels(algebra[:1], families_in(soft, groups_of(soft), "layer")[:1], "coefficients")
    assert alone["stage1"] == chance(6, 2).network_q95


def test_the_trained_templates_make_the_level_by_weights(soft):
    algebra = groups_of(soft)
    one = algebra[0]
    alike = type(one)(one.group, one.coefficients, np.array([[1.0, 0.999], [0.999, 1.0]]), False)
    families = families_in(soft, groups_of(soft), "layer")[:1]
    level, usual = (chance_levels([entry], families, "weights")["stage1"] for entry in (alike, one))
    assert level > usual


def test_a_seed_gives_the_same_networks(soft):
    algebra = groups_of(soft)
    first, again, other = (
        next(iter(untrained_similarities(algebra, "coefficients", seed=seed)))["stage2"] for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    "keep", [frozenset(), frozenset({"stage2.2.conv1"}), frozenset({"stage3.1.conv2", "stage3.2.conv1"})]
)
@pytest.mark.parametrize("unit", ["layer", "block"])
def test_families_are_those_of_the_ladders(soft, unit, keep):
    algebra = groups_of(soft)
    families = families_in(soft, algebra, unit, keep)
    ladders = ladders_of(families, similarities_of(algebra), "complete")
    assert [ladder.name for ladder in ladders] == [family.name for family in families]
    matrices = {entry.group.name: entry.similarity("coefficients") for entry in algebra}
    for ladder, family in zip(ladders, families, strict=True):
        alike = family.similarity(matrices)
        assert len(ladder.rungs) == len(alike) - 1
        assert ladder.rungs[0].height == pytest.approx(alike[np.triu_indices(len(alike), 1)].max(), abs=1e-9)


def test_untrained_networks_are_never_asked_to_merge_what_their_levels_forbid(soft):
    families = families_in(soft, groups_of(soft), "layer")
    found = merging(soft, "layer", same_for_all(families, 1.1))
    assert set(sum(found.owners.values())) == {18}
    assert set(found.loops) == {0}
    everything = merging(soft, "layer", same_for_all(families, -1.0))
    assert set(sum(everything.owners.values())) == {3}
    _, _, plan = fold_forms(soft, 0.0)
    assert set(everything.loops) == {sum(count_loops(stage.items) for stage in plan.program.stages)}
