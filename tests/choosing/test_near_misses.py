"""Near misses: what would loop if the threshold were a little lower."""

import math

import pytest
import torch
from looping import families_in, fold_forms, similarities_of
from torch import nn

from foldnet.choosing.advice import FoldChance, NearMiss, near_misses, written
from foldnet.choosing.choose import soft_of
from foldnet.choosing.sweep import ladders_of
from foldnet.folding.groups import groups_of
from foldnet.folding.settings import FoldSettings
from foldnet.program.data import Loop, Step
from foldnet.sharing.share import share
from foldnet.zoo.blueprint import build

STAGES = {"stage1", "stage2", "stage3"}


def turned(base, angle, axis):
    """A unit row at `angle` from the unit row `base`, towards `axis`."""
    return math.cos(angle) * base + math.sin(angle) * axis


def planted(cosine):
    """Stage 2's blocks 2 and 3 are block 1 turned, so that |cos| of every pair of blocks is at least `cosine`."""
    torch.manual_seed(0)
    soft = build("swrn-28-1-6").eval()
    unit, angle = torch.eye(6), math.acos(cosine)
    one, other, axis = unit[0], unit[1], unit[2]
    rows = [one, other, turned(one, angle / 2, axis), turned(other, angle / 2, axis)]
    rows += [turned(one, angle, axis), turned(other, angle, axis)]
    with torch.no_grad():
        for name, bank in soft.sources.items():
            bank.coefficients.copy_(torch.stack(rows) if name == "stage2" else unit)
    return soft


def found(soft, threshold, unit="layer", groups=STAGES, levels=None):
    algebra = groups_of(soft)
    _, _, plan = fold_forms(soft, threshold, unit=unit)
    families = families_in(soft, [entry for entry in algebra if entry.group.name in groups], unit)
    ladders = ladders_of(families, similarities_of(algebra), "complete")
    chance = FoldChance(levels or dict.fromkeys((ladder.name for ladder in ladders), 1.0))
    return near_misses(soft_of(soft, FoldSettings()), plan, ladders, chance)


@pytest.mark.parametrize("unit", ["layer", "block"])
def test_a_stage_whose_blocks_are_nearly_alike_is_named_with_its_program(unit):
    (miss,) = found(planted(0.93), 0.99, unit, {"stage2"})
    # One merge loops two of the three blocks already: 3 labels become 2 or, in one step more, 1.
    assert miss.stage == "stage2"
    assert miss.threshold == pytest.approx(math.cos(math.acos(0.93) / 2), abs=1e-6)
    assert miss.program in ("private; 2x { A }; B", "private; A; 2x { B }")


@pytest.mark.parametrize("unit", ["layer", "block"])
def test_below_the_first_loop_the_whole_stage_is_next(unit):
    (miss,) = found(planted(0.93), 0.95, unit, {"stage2"})
    assert (miss.stage, miss.program) == ("stage2", "private; 3x { A }")
    assert miss.threshold == pytest.approx(0.93, abs=1e-6)
    assert str(miss) in (
        "at 0.930 stage2 would become private; 3x { A }",
        "at 0.929 stage2 would become private; 3x { A }",
    )


def test_folding_at_the_threshold_of_a_near_miss_gives_its_program():
    soft = planted(0.93)
    (miss,) = found(soft, 0.95, groups={"stage2"})
    assert found(soft, int(miss.threshold * 1000) / 1000, groups={"stage2"}) == ()


@pytest.mark.parametrize(
    ("levels", "beyond"), [({"stage1": 0.5, "stage2": 0.95}, False), ({"stage1": 0.99, "stage2": 0.9}, True)]
)
def test_a_near_miss_is_beyond_chance_above_the_level_of_its_own_ladder(levels, beyond):
    (miss,) = found(planted(0.93), 0.95, groups={"stage2"}, levels=levels)
    assert (miss.stage, miss.beyond_chance) == ("stage2", beyond)


def test_what_loops_whole_misses_nothing():
    assert found(planted(0.99), 0.95, groups={"stage2"}) == ()


def test_the_threshold_is_said_rounded_down_so_that_it_works():
    assert str(NearMiss("stage1", 0.93999, "private; 2x { A }")) == "at 0.939 stage1 would become private; 2x { A }"


def test_labels_are_counted_as_written():
    assert written((Step("A"), Loop(3, (Step("B"), Loop(2, (Step("C"),)))))) == 3


class Plain(nn.Module):
    """relu(conv(x))."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.conv(x))


class Normed(Plain):
    """norm(relu(conv(x)))."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(super().forward(x))


def test_a_rung_of_one_family_keeps_the_ties_of_the_other():
    network = nn.Sequential()
    network.add_module("body", nn.Sequential(Plain(), Plain(), Plain(), Plain(), Normed(), Normed()))
    soft = share(network, 6).eval()
    unit = torch.eye(6)
    rows = [unit[0], unit[0], unit[0], unit[0], unit[1], turned(unit[1], math.acos(0.9), unit[2])]
    with torch.no_grad():
        soft.sources["body"].coefficients.copy_(torch.stack(rows))
    (miss,) = found(soft, 0.95, "block", {"body", "body, family 2"})
    assert (miss.stage, miss.program) == ("body", "4x { A }; 2x { B }")
    assert miss.threshold == pytest.approx(0.9, abs=1e-6)
