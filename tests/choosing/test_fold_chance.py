"""A fold says what chance would have merged, and does not advise what chance would do."""

import pytest
import torch

import foldnet
from foldnet.choosing.advice import FoldChance
from foldnet.show.report import share_of_draws as share
from foldnet_cli.page import show

ONE, TWO, THREE, FOUR = torch.eye(4)
APART = torch.stack([ONE, TWO, THREE, FOUR, ONE + THREE, ONE - THREE])


def network(**rows):
    """An untrained swrn-28-1-4 in which the named stages have these coefficients and all others similarities up to 0.71."""
    torch.manual_seed(0)
    model = foldnet.build("swrn-28-1-4").eval()
    with torch.no_grad():
        for name, bank in model.sources.items():
            bank.coefficients.copy_(rows.get(name, APART))
    return model


def alike(cosine):
    """Blocks 2 and 3 of a stage are `cosine` alike in both layers, in 4 templates."""
    one, other, axis = torch.eye(4)[:3]
    turn = (1 - cosine**2) ** 0.5
    return torch.stack(
        [one + other, other - axis, one, other, cosine * one + turn * axis, cosine * other + turn * axis]
    )


def pair(cosine):
    """Only the first layers of blocks 2 and 3 are so much alike."""
    return torch.stack([ONE, TWO, THREE, FOUR, cosine * THREE + (1 - cosine**2) ** 0.5 * FOUR, ONE + TWO])


def shown(report, capsys):
    show(report)
    return capsys.readouterr().out.splitlines()


def test_what_untrained_networks_would_merge_too_is_said_and_warned_of(capsys):
    report = foldnet.fold(network(stage2=pair(0.92)), threshold=0.9).report
    chance = report.chance
    assert [chance.groups.get(name) is None for name in ("stage1", "stage2", "stage3")] == [True, False, True]
    assert 0.05 < chance.groups.get("stage2") < chance.merges
    lines = shown(report, capsys)
    assert f"of untrained networks {share(chance.merges)} merge as much" in " ".join(lines)
    assert "that may be chance: --threshold chance merges what 95 % of them do not" in lines
    assert "(!) more than 5 % of untrained networks would merge as much in that group" in lines
    document = report.to_json()
    assert document["chance"].keys() == {"levels", "draws", "merges", "loops"}
    assert document["chance"]["draws"] >= 1000
    assert [group["chance"] for group in document["groups"]] == [
        chance.groups.get(group.name) for group in report.groups
    ]


def test_what_they_would_not_merge_is_not_warned_of(capsys):
    report = foldnet.fold(network(stage2=alike(0.9999)), threshold=0.99).report
    chance = report.chance
    assert chance.groups.get("stage1") is None
    assert chance.groups.get("stage2") == 0.0
    assert (chance.merges, chance.loops, report.loops) == (pytest.approx(0.0, abs=0.001), 0.0, 1)
    lines = shown(report, capsys)
    assert f"of untrained networks {share(chance.merges)} merge as much, < 0.1 % loop as much" in lines
    assert not [line for line in lines if "chance:" in line or "(!)" in line]
    row = next(line for line in lines if line.startswith("stage2  "))
    assert row.split() == ["stage2", "6", "4", "4", "4", "<", "0.1", "%"]


def test_three_groups_are_judged_together():
    """One merge in one group of three: 5 % of single groups would, and 14 % of networks."""
    report = foldnet.fold(network(stage2=pair(0.98)), threshold=0.95).report
    chance = report.chance
    assert chance.groups.get("stage2") == pytest.approx(0.05, abs=0.02)
    assert chance.merges == pytest.approx(0.14, abs=0.03)


@pytest.mark.parametrize("unit", ["layer", "block"])
def test_the_threshold_of_chance_merges_what_is_beyond_it(unit):
    report = foldnet.fold(network(stage2=alike(0.98)), threshold="chance", unit=unit).report
    assert report.why == "more alike than 95 % of untrained networks are anywhere"
    assert report.threshold == pytest.approx(0.976 if unit == "layer" else 0.636, abs=0.01)
    assert [group.owners for group in report.groups] == [6, 4, 6]
    assert report.chance.merges <= 0.05
    assert report.near_misses == ()


def test_the_threshold_of_chance_is_the_level_that_lsm_stars_by():
    model = network()
    (level,) = {group.chance.network_q95 for group in foldnet.lsm(model).groups}
    assert foldnet.fold(model, threshold="chance").report.threshold == level


def test_one_group_may_have_a_threshold_of_its_own_beside_that_of_chance():
    report = foldnet.fold(network(stage2=alike(0.98)), threshold="chance", thresholds=(("stage2", 0.99),)).report
    assert report.threshold["stage2"] == 0.99
    assert report.threshold["stage1"] == report.threshold["stage3"] == pytest.approx(0.976, abs=0.005)
    assert [group.owners for group in report.groups] == [6, 6, 6]


def test_by_weights_the_trained_templates_make_the_level():
    model = network()
    with torch.no_grad():
        templates = model.sources["stage1"].templates
        templates.copy_(templates[:1] + 0.05 * templates)
    levels = foldnet.fold(model, threshold="chance", metric="weights").report.threshold
    assert levels["stage1"] > 0.99 > levels["stage2"]


def test_near_misses_below_chance_are_kept_but_not_advised(capsys):
    lower, higher = (
        foldnet.fold(network(stage2=alike(cosine)), threshold=0.999, groups=("stage2",)).report
        for cosine in (0.9, 0.99)
    )
    for report, beyond in ((lower, False), (higher, True)):
        (miss,) = [miss for miss in report.to_json()["near_misses"] if miss["stage"] == "stage2"]
        assert miss["beyond_chance"] is beyond
        said = [line for line in shown(report, capsys) if line.startswith("near miss: ")]
        assert len(said) == beyond


def test_the_first_merge_is_said_to_be_chance_where_it_may_be(capsys):
    for cosine, beyond in ((0.9, False), (0.99, True)):
        report = foldnet.fold(network(stage2=alike(cosine)), threshold=0.999).report
        lines = shown(report, capsys)
        assert f"nothing merged; at --threshold {cosine - 0.001 * (cosine == 0.9):.3f} something would"[:40] in "".join(
            lines
        )
        assert ("in more than 5 % of untrained networks something would merge there too" in lines) is not beyond
        document = report.to_json()
        assert document["would_merge_at"] == pytest.approx(cosine, abs=1e-4)
        assert document["would_merge_beyond_chance"] is beyond
        assert document["chance"]["merges"] is None


def test_a_users_own_clusters_are_judged_at_the_least_similarity_in_them(tmp_path):
    file = tmp_path / "mine.json"
    file.write_text('{"stage2": [["stage2.2.conv1", "stage2.3.conv1"]]}')
    report = foldnet.fold(network(stage2=pair(0.95)), clusters=str(file)).report
    chance = report.chance
    assert chance.groups.get("stage1") is None
    assert chance.groups.get("stage2") == pytest.approx(0.05, abs=0.02)
    assert chance.merges == pytest.approx(0.14, abs=0.03)


def test_shares_are_never_shown_as_nothing():
    assert [share(value) for value in (0.0, 0.0004, 0.0005, 0.05, 1.0)] == [
        "< 0.1 %",
        "< 0.1 %",
        "0.1 %",
        "5.0 %",
        "100.0 %",
    ]


def test_advice_is_what_lies_above_the_level_of_its_own_ladder():
    chance = FoldChance({"stage1": 0.95, "stage2": 0.85})
    assert [chance.surpassed(name, 0.9) for name in ("stage1", "stage2")] == [False, True]
