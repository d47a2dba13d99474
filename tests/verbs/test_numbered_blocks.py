"""A run whose network has its blocks in a list, or as numbered attributes: folded, verified, drawn, and which of its loops can be turned."""

import re

import pytest

import foldnet
from foldnet.errors import NothingToFold, SettingError
from foldnet.verbs.trips import depth
from foldnet.zoo.code import code_named

NETS = """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
    def forward(self, x):
        return x + torch.relu(self.norm(self.conv(x)))

class Numbered(nn.Module):
    def __init__(self, num_classes, in_chans):
        super().__init__()
        self.stem = nn.Conv2d(in_chans, 4, 1)
        self.block1, self.block2, self.block3 = Block(), Block(), Block()
        self.blocks = nn.ModuleList(Block() for _ in range(3))
        self.head = nn.Linear(4, num_classes)
    def forward(self, x):
        x = self.block3(self.block2(self.block1(self.stem(x))))
        for block in self.blocks:
            x = torch.tanh(block(x))
        return self.head(x.mean((2, 3)))

class Numbers(Numbered):
    def __init__(self, *given):
        super().__init__(*given)
        self.blocks = nn.ModuleList()

def make(num_classes, in_chans, listed=True):
    return (Numbered if listed else Numbers)(num_classes, in_chans)
"""
FIXED = "the network's own forward calls its blocks by their names, 'block1' and 'block2', and no others"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Runs of one epoch, and folds of them in which all is tied."""
    place = tmp_path_factory.mktemp("numbered")
    (place / "nets.py").write_text(NETS)
    given = {"templates": 1, "epochs": 1, "recurrence": 0.1, "recurrence_form": "loops", "precision": "fp32"}
    for name, listed in (("both", True), ("alone", False)):
        run = place / name
        foldnet.train(arch=f"{place}/nets.py:make", arch_option={"listed": listed}, out=run, **given)
        foldnet.fold(run, threshold=0.9, code=place / "nets.py", out=run / "fold", evaluated=False)
    return place


def test_a_fold_of_them_is_verified_and_drawn(place):
    fold, code = place / "both" / "fold", place / "nets.py"
    report = foldnet.fold(place / "both", threshold=0.9, code=code, dry_run=True, evaluated=False).report
    assert report.program.splitlines() == [
        "blockN: 3x { A }",
        "  A = { conv: a }",
        "blocks: 3x { A }",
        "  A = { conv: a }",
    ]
    assert foldnet.verify(fold, code=code).passed
    assert "blockN" in foldnet.draw(fold, place / "graph.json", code=code).read_text()


def test_the_dial_is_of_the_list_alone(place):
    fold, code = place / "both" / "fold", place / "nets.py"
    assert foldnet.evaluate(fold, steps={"blocks.loop1": 5}, code=code).steps == {"blocks.loop1": 5}
    said = f"`steps` names 'blockN.loop1', which runs as often as it was found: {FIXED}"
    with pytest.raises(SettingError, match=f"^{re.escape(said)}$"):
        foldnet.evaluate(fold, steps={"blockN.loop1": 5}, code=code)
    with code_named(code):
        assert [loop.name for loop in depth(fold, most=4).loops] == ["blocks.loop1"]
        fold = place / "alone" / "fold"
        said = f"the loops of fold '{fold}' run as often as they were found: {FIXED}"
        with pytest.raises(NothingToFold, match=f"^{re.escape(said)}$"):
            depth(fold)
