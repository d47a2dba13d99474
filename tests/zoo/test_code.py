"""A user's own file: it runs where it is named and nowhere else, and what fails in it is one sentence."""

import re
import sys

import pytest
import torch

from foldnet.errors import RunError, SettingError
from foldnet.sharing.share import SharedNetwork
from foldnet.zoo.answering import check_answers
from foldnet.zoo.blueprint import blueprint, build
from foldnet.zoo.code import code_named, code_settled, file_named
from foldnet.zoo.family import arch_named, short_name
from foldnet.zoo.recorded import blueprint_in, shape_of

NETS = """
from dataclasses import dataclass
import torch
from torch import nn

@dataclass
class Conf:
    width: int = 4

class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
    def forward(self, x):
        return x + torch.relu(self.conv(x))

def make(num_classes, in_chans=3, depth=3):
    width = Conf().width
    body = nn.Sequential(*(Block(width) for _ in range(depth)))
    return nn.Sequential(nn.Conv2d(in_chans, width, 1), body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes))

def number(num_classes):
    return num_classes

def few():
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 2))

def broken(num_classes):
    return nn.Linear(num_classes, missing)
"""


def exactly(sentence: str) -> str:
    return f"^{re.escape(sentence)}$"


@pytest.fixture
def nets(tmp_path):
    file = tmp_path / "nets.py"
    file.write_text(NETS)
    return file


def test_a_file_that_is_named_makes_networks(nets):
    before = set(sys.modules)
    network = build(f"{nets}:make", classes=5, channels=1, templates=2, arch_option={"depth": 4})
    assert isinstance(network, SharedNetwork)
    assert [len(group.layers) for group in network.plan.groups] == [4]
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 5)
    left = set(sys.modules) - before
    assert all(
        re.fullmatch("_foldnet_code_[0-9a-f]{24}", name) for name in left if "nets" in name or "foldnet_code" in name
    )
    with code_named(nets):
        assert blueprint("nets.py:make").build()(torch.zeros(2, 3, 8, 8)).shape == (2, 10)


def test_nothing_else_makes_it_run(nets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = (
        "the network is made by a file of its owner's, 'nets.py', and code runs only where it is named; give "
        "`code='nets.py'`"
    )
    nets.write_text("raise RuntimeError('ran')")
    with pytest.raises(SettingError, match=exactly(said)):
        blueprint("nets.py:make").build()
    with pytest.raises(SettingError, match=exactly(said)):
        shape_of(blueprint("nets.py:make"))


def test_what_a_study_names_is_not_named_by_its_caller(nets):
    with (
        code_settled(None),
        arch_named(f"{nets}:make"),
        pytest.raises(SettingError, match="code runs only where it is named"),
    ):
        blueprint("nets.py:make").build()
    with code_settled(nets), arch_named("other.py:make"):
        assert file_named() == nets
    assert file_named() is None


def test_a_file_that_changed_is_refused(nets):
    with code_named(nets):
        network = shape_of(blueprint("nets.py:make"))
        again = blueprint_in(network, "nets.py:make")
        again.build()
    assert set(network["code"]) == {"sha256"}
    nets.write_text(NETS + "\n")
    said = (
        f"'{nets}' is not the file that made the network, or was changed since (its SHA-256 differs); name the 'nets.py' of "
        "that time with `code`"
    )
    with code_named(nets), pytest.raises(RunError, match=exactly(said)):
        again.build()
    assert again.arch == "nets.py:make"  # which needs no file


@pytest.mark.parametrize(
    ("function", "given", "said"),
    [
        ("mak", {}, "'{file}' has no function 'mak'; did you mean 'make'?"),
        ("number", {}, "'number' of '{file}' gives a int; let it return an nn.Module"),
        ("broken", {}, "'{file}', line 29, fails with NameError: name 'missing' is not defined"),
        ("make", {"dept": 3}, "`arch='{file}:make'` has no option 'dept'; did you mean 'depth'?"),
        (
            "make",
            {"depth": "x"},
            "'{file}', line 19, fails with TypeError: 'str' object cannot be interpreted as an integer",
        ),
    ],
)
def test_what_fails_in_a_file_is_said_with_its_line(nets, function, given, said):
    with pytest.raises(SettingError, match=exactly(said.format(file=nets))):
        build(f"{nets}:{function}", arch_option=given)


def test_a_network_that_answers_for_something_else_is_refused(nets):
    said = (
        "`arch='nets.py:few'` gives shape (2, 2) for 2 images and the data have 10 classes; it must give logits of shape "
        "(2, 10)"
    )
    with code_named(nets), pytest.raises(SettingError, match=exactly(said)):
        check_answers(blueprint("nets.py:few", size=8))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("x = (\n", "line 1, fails with SyntaxError: '(' was never closed"),
        ("\n1 / 0\n", "line 2, fails with ZeroDivisionError: division by zero"),
        ("import not_there_at_all", "line 1, fails with ModuleNotFoundError: No module named 'not_there_at_all'"),
    ],
)
def test_a_file_that_does_not_load_is_said_with_its_line(tmp_path, content, said):
    file = tmp_path / "nets.py"
    file.write_text(content)
    known = set(sys.modules)
    with pytest.raises(SettingError, match=exactly(f"'{file}', {said}")):
        build(f"{file}:make")
    assert not any("_foldnet_code_" in name for name in set(sys.modules) - known)


def test_files_that_are_none_and_two_files_are_refused(nets, tmp_path):
    other = tmp_path / "other.py"
    with (
        pytest.raises(
            SettingError, match=exactly(f"`code='{other}'` is no file; name the Python file that makes the network")
        ),
        code_named(other),
    ):
        pass
    other.write_text("x = 1")
    said = f"`arch='{nets}:make'` and `code='{other}'` name two files; leave `code` out"
    with pytest.raises(SettingError, match=exactly(said)), arch_named(f"{nets}:make", other):
        pass


def test_what_a_folder_calls_its_file_is_written_in_one_line_without_codes_of_a_terminal():
    network = {"classes": 3, "channels": 3, "size": 8, "code": {"sha256": "0" * 64}}
    built = blueprint_in(network, "\x1b[31mnets\n.py:make")
    said = (
        r"the network is made by a file of its owner's, '\x1b[31mnets\n.py', and code runs only where it is named; give "
        r"`code='\x1b[31mnets\n.py'`"
    )
    with pytest.raises(SettingError, match=exactly(said)):
        built.build_plain()


def test_runs_keep_the_name_of_a_file_and_not_its_place():
    assert short_name("/home/someone/nets.py:make") == "nets.py:make"
    assert short_name("swrn-28-2-4") == "swrn-28-2-4"
