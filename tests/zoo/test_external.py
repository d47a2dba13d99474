"""Networks of torchvision and timm by their names: what is made, and what is refused before anything is."""

import importlib
import re
import warnings

import pytest
import torch

import foldnet.zoo.external as external
from foldnet.errors import FoldnetError, FoldnetWarning, MissingTool, NothingToFold, RunError, SettingError, UnknownName
from foldnet.sharing.share import SharedNetwork
from foldnet.training.settings import TrainSettings, train_settings
from foldnet.zoo.answering import check_answers
from foldnet.zoo.blueprint import blueprint, build
from foldnet.zoo.recorded import blueprint_in, shape_of

TINY = {"img_size": 8, "patch_size": 4, "depth": 3, "embed_dim": 16, "num_heads": 2}
VIT = "timm/vit_tiny_patch16_224"


def exactly(sentence: str) -> str:
    return f"^{re.escape(sentence)}$"


@pytest.mark.parametrize(
    ("name", "channels", "options", "groups"),
    [
        ("torchvision/resnet18", 3, {}, ["layer1", "layer2", "layer3", "layer4"]),
        ("torchvision/vit_b_32", 3, {"image_size": 32}, None),
        (VIT, 1, TINY, ["blocks-48x16", "blocks-16x16", "blocks-64x16", "blocks-16x64"]),
        ("timm/resnet18", 5, {"layers": [2, 1, 1, 1]}, ["layer1"]),
    ],
)
def test_any_of_them_becomes_soft(name, channels, options, groups):
    with torch.device("meta"):
        plain = build(name, classes=7, channels=channels, arch_option=options)
        soft = build(name, classes=7, channels=channels, arch_option=options, templates=2)
    assert isinstance(soft, SharedNetwork)
    assert {parameter.device.type for parameter in soft.parameters()} == {"meta"}
    if groups is not None:
        assert [group.name for group in soft.plan.groups] == groups
    assert {group.templates for group in soft.plan.groups} == {2}
    fewer = sum(one.numel() for one in soft.parameters()) < sum(one.numel() for one in plain.parameters())
    assert fewer
    found = blueprint(name, classes=7, channels=channels, arch_option=options, templates=2)
    assert (found.task, found.templates, found.plain.templates, found.plain.arch) == ("classes", 2, None, name)


def test_templates_are_those_of_names():
    assert blueprint("wrn-16-1", templates=2) == blueprint("swrn-16-1-2")
    assert blueprint("swrn-16-1", templates=1) == blueprint("swrn-16-1-1")
    assert blueprint("swrn-16-1-2", templates=2) == blueprint("swrn-16-1-2")
    assert blueprint("wrn-16-1", templates=99) == blueprint("swrn-16-1-2")
    assert blueprint("cnn-4-2-recall", templates=3) == blueprint("scnn-4-2-3-recall")
    assert blueprint("resnext-29-2x4", templates=1) == blueprint("sresnext-29-2x4-1")


@pytest.mark.parametrize(
    ("name", "given", "error", "said"),
    [
        ("timm/resnet18x", {}, UnknownName, "architecture 'timm/resnet18x' is not in timm's list; did you mean 'resnet18' or 'resnet18d' or 'seresnet18'?"),
        ("timm/hf-hub:a/b", {}, UnknownName, "architecture 'timm/hf-hub:a/b' is not in timm's list"),
        ("timm/local-dir:/x", {}, UnknownName, "architecture 'timm/local-dir:/x' is not in timm's list"),
        ("torchvision/vit_b_17", {}, UnknownName, "architecture 'torchvision/vit_b_17' is not in torchvision's list; did you mean 'vit_b_16' or 'vit_b_32' or 'vit_h_14'?"),
        ("torchvision/fcn_resnet50", {}, UnknownName, None),
        ("torchvision/resnet18", {"channels": 1}, SettingError, "`arch='torchvision/resnet18'` takes 3 channels and the data have 1; take one of timm's, whose networks take any number"),
        ("timm/resnet18", {"arch_option": {"drop_rat": 1}}, SettingError, "`arch='timm/resnet18'` has no option 'drop_rat'; did you mean 'drop_block_rate' or 'drop_path_rate' or 'drop_rate'?"),
        ("torchvision/vit_b_16", {"arch_option": {"dropot": 1}}, SettingError, "`arch='torchvision/vit_b_16'` has no option 'dropot'; did you mean 'attention_dropout' or 'dropout'?"),
        ("wrn-16-1", {"arch_option": {"depth": 3}}, SettingError, "`arch_option='depth'` has no place in 'wrn-16-1', whose numbers stand in its name; leave it out"),
        ("swrn-16-1-2", {"templates": 1}, SettingError, "`templates=1` contradicts `arch='swrn-16-1-2'`; leave one of them out"),
        ("torchvision/densenet121", {"templates": 0}, SettingError, "`templates=0` is not legal; give a whole number from 1 to 1000"),
        ("torchvision/alexnet", {"templates": 2}, NothingToFold, "no two layers of the network have one weight shape in one stage; there is nothing to share"),
    ],
)  # fmt: skip
def test_what_is_no_network_is_refused(name, given, error, said):
    with pytest.raises(error, match=exactly(said) if said else "is not in torchvision's list"), torch.device("meta"):
        build(name, **given)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        *((name, True, "loads or downloads something, which no option of an architecture may; leave it out") for name in (
            "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "backbone_pretrained", "checkpoint_path", "weights", "weights_backbone", "cache_dir",
        )),
        ("num_classes", 5, "is what the data say; leave it out"),
        ("in_chans", 5, "is what the data say; leave it out"),
        ("layers", {"a": 1}, "is neither a number, a text, true, false nor null, nor a list of these"),
        ("layers", [[1]], "is neither a number, a text, true, false nor null, nor a list of these"),
        ("a-b", 1, "has a name that no option can have; write key=value"),
    ],
)  # fmt: skip
def test_options_that_load_are_refused_wherever_they_come_from(option, value, said, tmp_path):
    sentence = f"`arch_option={f'{option}={value}'!r}` {said}"
    given = {"arch": "timm/resnet18", "arch_option": {option: value}}
    for refusing in (
        lambda: blueprint("timm/resnet18", arch_option={option: value}),
        lambda: TrainSettings(**given),
        lambda: train_settings(given),
    ):
        with pytest.raises(SettingError, match=exactly(sentence)):
            refusing()


def test_networks_with_further_heads_answer_with_one():
    with torch.device("meta"):
        assert build("torchvision/googlenet").aux_logits is False


def test_a_library_that_is_missing_is_named(monkeypatch):
    def missing(name, *rest):
        raise ImportError(name)

    monkeypatch.setattr(external, "import_module", missing)
    external._of_timm.cache_clear()
    said = "timm is not installed; `pip install 'foldnet[timm]'` brings it"
    with pytest.raises(MissingTool, match=exactly(said)):
        blueprint("timm/resnet18")
    monkeypatch.undo()
    assert blueprint("timm/resnet18").arch == "timm/resnet18"
    assert importlib.import_module("timm").__version__


def test_what_made_a_network_is_kept_and_compared():
    made = blueprint(VIT, channels=1, size=8, arch_option=TINY, templates=2)
    network = shape_of(made)
    version = importlib.import_module("timm").__version__
    assert network["library"]["version"] == version
    named = {"arch_option": TINY, "templates": 2}
    again = blueprint_in(network, VIT, **named)
    with torch.device("meta"):
        assert isinstance(again.build(), SharedNetwork)
    assert shape_of(again) == network
    older = blueprint_in(network | {"library": network["library"] | {"version": "0.1"}}, VIT, **named)
    said = f"the network was made with timm 0.1, and timm {version} is installed"
    with (
        torch.device("meta"),
        pytest.warns(FoldnetWarning, match=exactly(f"{said}; its layers have the same names and shapes")),
    ):
        older.build()
    other = blueprint_in(network | {"library": {"version": "0.1", "structure": "0"}}, VIT, **named)
    with (
        torch.device("meta"),
        pytest.raises(RunError, match=exactly(f"{said}, which makes another network of '{VIT}'; install 0.1")),
    ):
        other.build()
    for wrong in ({}, {"library": 3}, {"library": {"version": 1, "structure": "x"}}):
        with pytest.raises((KeyError, ValueError)):
            blueprint_in({"classes": 10, "channels": 1, "size": 8} | wrong, VIT, **named)


def test_what_does_not_run_on_the_data_is_found_before_training():
    check_answers(blueprint(VIT, channels=1, size=8, arch_option=TINY))
    said = (
        f"`arch='{VIT}'` does not run on images of 1x8x8 (Input height (8) doesn't match model (224)); choose a size that it "
        "takes, or tell it theirs with `arch_option`"
    )
    with pytest.raises(SettingError, match=exactly(said)):
        check_answers(blueprint(VIT, channels=1, size=8))


def test_nothing_but_refusals_of_ones_own_comes_out_of_constructors():
    for options in ({"depth": "x"}, {"embed_dim": -3}, {"num_heads": 0}):
        with (
            pytest.raises(FoldnetError, match=r"^`arch='timm/vit_tiny_patch16_224'`.* makes no network \("),
            torch.device("meta"),
        ):
            build(VIT, arch_option=options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build(VIT, arch_option=TINY | {"img_size": 16})
