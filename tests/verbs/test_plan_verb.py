"""What `foldnet plan` says before anything is trained."""

import re

import pytest
import torch
from torch import nn

from foldnet.errors import NothingToFold, SettingError, UnknownName
from foldnet.verbs.plan import plan
from foldnet.zoo.blueprint import build


def exactly(sentence: str) -> str:
    return f"^{re.escape(sentence)}$"


@pytest.mark.parametrize("templates", [1, 2, 3, 9])
def test_sizes_are_those_of_the_network_that_is_built(templates):
    found = plan("timm/resnet18", templates=templates)
    with torch.device("meta"):
        plain = build("timm/resnet18")
        soft = build("timm/resnet18", templates=templates)
    assert found.before == sum(one.numel() for one in plain.parameters())
    assert found.after == sum(one.numel() for one in soft.parameters())
    assert [(one.name, one.layers, one.templates, one.shape) for one in found.groups] == [
        (one.name, one.layers, one.templates, one.shape) for one in soft.plan.groups
    ]
    assert found.private == soft.plan.private
    assert (found.bytes_before, found.bytes_after) == (4 * found.before, 4 * found.after)
    plainly = found.to_json()
    assert [group["saves"] for group in plainly["groups"]] == [templates < len(group.layers) for group in found.groups]


def test_soft_names_bring_their_templates_and_others_one_a_layer():
    assert plan("swrn-16-1-1").templates == 1
    whole = plan("wrn-16-1")
    assert [group.templates for group in whole.groups] == [2, 2, 2]
    assert whole.texts()[0] == "sharing saves nothing in stage1, stage2, stage3: as many templates as layers, or nearly"
    assert whole.assumed == "3 input channels and 10 classes"


def test_a_budget_takes_the_most_templates_that_fit():
    sizes = [plan("wrn-40-1", templates=count).after for count in range(1, 11)]
    for count, size in enumerate(sizes, start=1):
        assert plan("wrn-40-1", budget=str(size)).templates == count
        assert plan("wrn-40-1", budget=f"{4 * size}B").templates == count
    said = (
        f"`budget='{sizes[0] - 1}'` is less than 'wrn-40-1' can have: with one template a group it has {sizes[0]:,} parameters; "
        "give more"
    )
    with pytest.raises(SettingError, match=exactly(said)):
        plan("wrn-40-1", budget=str(sizes[0] - 1))


def test_a_network_in_memory_and_a_users_file_are_planned(tmp_path):
    body = nn.Sequential(*(nn.Sequential(nn.Linear(4, 4), nn.ReLU()) for _ in range(3)))
    found = plan(nn.Sequential(nn.Linear(2, 4), body, nn.Linear(4, 5)), templates=1)
    assert [(group.name, len(group.layers), group.saves) for group in found.groups] == [("1", 3, True)]
    file = tmp_path / "nets.py"
    file.write_text(
        "from torch import nn\ndef make(depth=2):\n    return nn.Sequential(*(nn.Conv2d(3, 3, 1) for _ in range(depth)))\n"
    )
    assert [len(one.layers) for one in plan(f"{file}:make", arch_option={"depth": 4}).groups] == [4]


def test_what_cannot_be_planned_is_refused():
    with pytest.raises(
        NothingToFold,
        match=exactly("no two layers of 'densenet-7-1' have one weight shape in one stage; there is nothing to share"),
    ):
        plan("densenet-7-1")
    with pytest.raises(
        SettingError, match=exactly("`templates=2` and `budget='1M'` contradict each other; give one of them")
    ):
        plan("wrn-16-1", templates=2, budget="1M")
    with pytest.raises(UnknownName, match="is not in timm's list"):
        plan("timm/nothing-like-it")
    with pytest.raises(SettingError, match="the network shares its weights already"):
        plan(build("swrn-16-1-1"))


def test_a_constructor_that_needs_numbers_is_said_to_allocate(tmp_path):
    (tmp_path / "nets.py").write_text(
        "import torch\nfrom torch import nn\n"
        "def make(numbers):\n"
        "    depth = int(torch.linspace(2, 3, 2)[1].item()) if numbers else 3\n"
        "    return nn.Sequential(*(nn.Linear(8, 8) for _ in range(depth)))\n"
    )
    for numbers in (True, False):
        found = plan(f"{tmp_path}/nets.py:make", arch_option={"numbers": numbers})
        assert found.allocated is numbers
        assert found.before == 3 * 72
        rows = {row[0]: row[1] for row in found.tables()[0].rows}
        assert rows.get("memory") == ("allocated once, since its constructor needs numbers" if numbers else None)
        assert (found.arch, found.arch_option) == ("nets.py:make", {"numbers": numbers})
