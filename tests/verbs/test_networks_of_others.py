"""Networks that others wrote go the whole way: trained, measured, folded, verified; code of a user's own only where it is
named."""

import json
import re

import pytest
import torch

import foldnet
from foldnet.errors import SettingError, UnknownName
from foldnet.studies.file import read_study_file
from foldnet.training.runs import open_run
from foldnet.zoo.code import code_named

NETS = """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
    def forward(self, x):
        return x + torch.relu(self.conv(x))

def make(num_classes, in_chans, depth=3):
    body = nn.Sequential(*(Block() for _ in range(depth)))
    return nn.Sequential(nn.Conv2d(in_chans, 4, 1), body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes))
"""
NEEDED = "the network is made by a file of its owner's, 'nets.py', and code runs only where it is named; give `code='nets.py'`"


def exactly(sentence: str) -> str:
    return f"^{re.escape(sentence)}$"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    place = tmp_path_factory.mktemp("others")
    (place / "nets.py").write_text(NETS)
    options = {"depth": 4}
    foldnet.train(
        arch=f"{place}/nets.py:make", templates=2, arch_option=options, epochs=1, out=place / "run", precision="fp32"
    )
    return place


def test_a_users_network_goes_the_whole_way(trained):
    run, code = trained / "run", trained / "nets.py"
    assert str(trained) not in (run / "config.json").read_text()
    report = foldnet.lsm(run, code=code)
    assert [len(group.layers) for group in report.groups] == [4]
    folded = foldnet.fold(run, threshold=0.0, code=code, out=trained / "fold", evaluated=False)
    assert folded.report.program == "1: 4x { A }\n  A = { conv: a }"
    assert foldnet.info(trained / "fold", code=code).parameters < foldnet.info(run, code=code).parameters
    looped = foldnet.load(trained / "fold", code=code)
    with torch.no_grad():
        assert looped(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    with pytest.raises(SettingError, match=exactly(NEEDED)):
        foldnet.load(run)
    with pytest.raises(SettingError, match=exactly(NEEDED)):
        foldnet.lsm(run)
    assert open_run(run).settings.network == "nets.py:make (depth=4), 2 templates"


def test_what_comes_next_names_the_file_that_has_to_be_named(trained, cli):
    outcome = cli("train", "--resume", "--out", trained / "run", "--arch", f"{trained / 'nets.py'}:make")
    said = " ".join(outcome.out.split())
    assert (outcome.code, "next, each with --code and the path of nets.py: foldnet lsm" in said) == (0, True)


def test_settings_files_name_no_code(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(trained)
    file = tmp_path / "settings.toml"
    file.write_text("arch = 'nets.py:make'\ntemplates = 2\n[arch_option]\ndepth = 2")
    with pytest.raises(SettingError, match=exactly(NEEDED)):
        foldnet.train(config=file, epochs=1, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    study = tmp_path / "study.toml"
    study.write_text("name = 'others'\n[grid]\narch = 'nets.py:make'\ntemplates = [1, 2]\n")
    with pytest.raises(SettingError, match=re.escape(NEEDED)):
        read_study_file(study)
    with code_named("nets.py"):
        trials = read_study_file(study).trials
        assert [trial.settings.templates for trial in trials] == [1, 2]
        assert len({trial.name for trial in trials}) == 2
    assert trials[0].title == "nets.py:make, 1 template digits seed 0"


def test_a_run_that_is_called_as_a_function_of_a_file_runs_nothing(trained, tmp_path):
    (tmp_path / "nets.py").write_text(NETS)
    run = tmp_path / "nets.py:make"
    run.mkdir()
    (run / "config.json").write_text((trained / "run" / "config.json").read_text())
    with pytest.raises(SettingError, match=exactly(NEEDED)):
        foldnet.plan(run)
    assert foldnet.plan(run, code=tmp_path / "nets.py").templates == 2


def test_what_libraries_make_is_opened_again(tmp_path):
    tiny = {"img_size": 8, "patch_size": 4, "depth": 2, "embed_dim": 8, "num_heads": 2}
    given = {"arch": "timm/vit_tiny_patch16_224", "arch_option": tiny, "templates": 1, "epochs": 1}
    report = foldnet.train(out=tmp_path / "run", **given)
    assert (report.arch, report.templates) == (given["arch"], 1)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["settings"]["arch_option"], config["settings"]["templates"]) == (tiny, 1)
    network = foldnet.load(tmp_path / "run")
    with torch.no_grad():
        assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    with pytest.raises(
        UnknownName,
        match=exactly(
            "architecture 'timm/vit_tiny' is not in timm's list; did you mean 'convit_tiny' or 'davit_tiny' or 'gcvit_tiny'?"
        ),
    ):
        foldnet.train(arch="timm/vit_tiny", epochs=1, out=tmp_path / "other")


def test_templates_of_a_setting_and_of_a_name_are_one_trial(tmp_path):
    study = tmp_path / "study.toml"
    study.write_text("name = 'x'\n[[trial]]\narch = 'wrn-16-1'\ntemplates = 2\n[[trial]]\narch = 'swrn-16-1-2'\n")
    with pytest.raises(SettingError, match="two trials that are one; leave one out"):
        read_study_file(study)


def test_layers_that_share_by_position_are_opened_and_folded_so(tmp_path):
    given = {"templates": 1, "group_by": "position", "dataset": "digits", "epochs": 1}
    foldnet.train(arch="wrn-22-1", out=tmp_path / "run", **given)
    names = [f"stage{stage}-conv{place}" for stage in (1, 2, 3) for place in (1, 2)]
    assert [group.name for group in foldnet.lsm(tmp_path / "run").groups] == names
    assert [group.name for group in foldnet.plan(tmp_path / "run").groups] == names
    folded = foldnet.fold(tmp_path / "run", threshold=0.9, out=tmp_path / "fold", evaluated=False)
    assert folded.report.loops == 3
    assert [group.name for group in foldnet.info(tmp_path / "fold").groups] == names
    said = "`group_by='position'` has no meaning for 'wrn-16-1', which shares nothing; give `templates`"
    with pytest.raises(SettingError, match=exactly(said)):
        foldnet.train(arch="wrn-16-1", group_by="position")
