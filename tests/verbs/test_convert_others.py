"""Networks that others wrote are converted with weights from a file, and what is written goes the whole way."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import foldnet
from foldnet.data.images import load_digits
from foldnet.data.sources import Digits
from foldnet.errors import SettingError, UnknownName
from foldnet.training.runs import open_run
from foldnet.zoo.blueprint import build

NETS = """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
    def forward(self, x):
        return x + torch.relu(self.norm(self.conv(x)))

def make(num_classes, in_chans, depth=3, width=4):
    stages = [nn.Sequential(*(Block(width) for _ in range(count))) for count in (depth, 2)]
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes)
    return nn.Sequential(nn.Conv2d(in_chans, width, 1), *stages, *head)
"""
DEPTH = {"depth": 4}
VIT = {"img_size": 8, "patch_size": 4, "depth": 3, "embed_dim": 16, "num_heads": 2}
X = torch.linspace(-1, 1, 4 * 8 * 8).reshape(4, 1, 8, 8)


def few_digits():
    """500 training images, of which 360 are for validation, and 50 test images."""
    digits = load_digits()
    return replace(digits, train=digits.train.take(torch.arange(500)), test=digits.test.take(torch.arange(50)))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder with a file of a user's own, where every run sees few digits."""
    monkeypatch.chdir(tmp_path)
    few = few_digits()
    monkeypatch.setattr(Digits, "images", lambda *args, **kwargs: few)
    (tmp_path / "nets.py").write_text(NETS)
    return tmp_path


def weights_of(arch, options, channels=1):
    """A file of the weights of a network that differs in all of them, and the network."""
    torch.manual_seed(0)
    network = build(arch, channels=channels, arch_option=options).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
    save_file(network.state_dict(), "weights.safetensors")
    return network


def relative(one, other):
    return ((one - other).norm() / other.norm()).item()


@pytest.mark.parametrize(
    ("arch", "options", "code"),
    [("nets.py:make", DEPTH, ("--code", "nets.py")), ("timm/vit_tiny_patch16_224", VIT, ())],
    ids=["file", "timm"],
)
def test_weights_of_others_are_converted_and_go_the_whole_way(arch, options, code, place, cli):
    network = weights_of(arch, options)
    given = [word for name, value in options.items() for word in ("--arch-option", f"{name}={value}")]
    own = ("convert", "--arch", arch, *given, "--weights", "weights.safetensors", "--out", "runs/soft")
    report = cli.done(*own, "--templates", 4)
    assert (report["kept"], report["source"], report["arch"]) == (pytest.approx(1.0), "weights.safetensors", arch)
    soft = foldnet.load("runs/soft", **({"code": "nets.py"} if code else {}))
    assert relative(soft(X), network(X)) <= 1e-5
    assert cli.done("evaluate", "runs/soft", *code)["score"] == report["score"]["original"]
    assert open_run(place / "runs" / "soft").settings.arch_option == options if not code else True
    groups = cli.done("lsm", "runs/soft", *code)["groups"]
    assert [group["templates"] for group in groups] == [len(group["layers"]) for group in groups]
    fold = cli.done("fold", "runs/soft", "--threshold", 0, "--no-shares", *code)
    assert fold["loops"] >= 1
    assert cli.done("verify", fold["fold"], *code)["passed"] is True
    looped = cli.done(*own, "--force", "--force", "--loops", 1, "--fit", 2)
    assert looped["loops"] == fold["loops"]
    assert cli.done("verify", looped["fold"], *code)["passed"] is True
    if code:
        needed = "the network is made by a file of its owner's, 'nets.py', and code runs only where it is named; "
        assert cli.refused("fold", "runs/soft") == f"{needed}give --code nets.py"


def test_torchvisions_networks_are_converted(place, monkeypatch):
    grey = few_digits()
    three = {
        part: replace(images, pixels=images.pixels.repeat(1, 3, 4, 4))
        for part, images in (("train", grey.train), ("test", grey.test))
    }
    coloured = replace(grey, mean=3 * grey.mean, std=3 * grey.std, **three)
    monkeypatch.setattr(Digits, "images", lambda *args, **kwargs: coloured)
    arch, options = "torchvision/mobilenet_v2", {"width_mult": 0.1}
    network, x = weights_of(arch, options, channels=3), torch.linspace(-1, 1, 2 * 3 * 32 * 32).reshape(2, 3, 32, 32)
    made = foldnet.convert(arch=arch, arch_option=options, weights="weights.safetensors", templates=99, device="cpu")
    assert made.report.run == "runs/digits-torchvision-mobilenet_v2-templates99-converted"
    assert relative(foldnet.load(made.report.run)(x), network(x)) <= 1e-5


def test_a_run_of_a_users_file_is_converted_where_the_file_is_named(place):
    given = {"arch": "nets.py:make", "arch_option": DEPTH, "epochs": 1, "precision": "fp32", "device": "cpu"}
    foldnet.train(out="runs/plain", **given)
    made = foldnet.convert("runs/plain", templates=4, out="runs/soft", code="nets.py")
    assert made.report.score.converted == made.report.score.original
    with pytest.raises(SettingError, match=r"code runs only where it is named; give `code='nets.py'`$"):
        foldnet.convert("runs/plain", templates=4)
    assert sorted(path.name for path in (place / "runs").iterdir()) == ["plain", "soft"]


def test_groups_have_numbers_of_their_own_and_keep_them(place, cli):
    network = weights_of("nets.py:make", DEPTH)
    own = ("convert", "--arch", "nets.py:make", "--arch-option", "depth=4", "--weights", "weights.safetensors")
    report = cli.done(*own, "--templates", 3, "--templates", "2=1", "--out", "runs/soft")
    assert [group["templates"] for group in report["groups"]] == [3, 1]
    run = open_run(place / "runs" / "soft")
    assert (run.blueprint.templates, [group.templates for group in run.blueprint.groups]) == (3, [3, 1])
    config = json.loads((run.folder / "config.json").read_text())
    assert config["converted"]["templates"] == {"1": 3, "2": 1}
    code = ("--code", "nets.py")
    assert [group["templates"] for group in cli.done("lsm", "runs/soft", *code)["groups"]] == [3, 1]
    assert cli.done("train", "--resume", "--out", "runs/soft", "--epochs", 2, *code)["epochs"] == 2
    fold = cli.done("fold", "runs/soft", "--threshold", 0.9, "--no-shares", *code)["fold"]
    assert cli.done("verify", fold, *code)["passed"] is True
    assert cli.done("bench", "inference", fold, "--repeats", 1, "--batch-sizes", 1, *code)
    made = foldnet.convert(
        arch="nets.py:make", arch_option=DEPTH, weights="weights.safetensors", templates={"2": 2}, out="runs/whole"
    )
    assert [group.templates for group in made.report.groups] == [4, 2]
    assert relative(foldnet.load("runs/whole", code="nets.py")(X), network(X)) <= 1e-5


def test_loops_keep_no_more_bodies_than_each_group_has(place, cli):
    weights_of("nets.py:make", DEPTH)
    own = ("convert", "--arch", "nets.py:make", "--arch-option", "depth=4", "--weights", "weights.safetensors")
    report = cli.done(*own, "--loops", 3, "--fit", 0, "--out", "runs/looped")
    assert report["runs"] == [{"sequence": "1", "segments": report["runs"][0]["segments"]}]
    groups = cli.done("lsm", "runs/looped", "--code", "nets.py")["groups"]
    assert [group["templates"] for group in groups] == [3, 2]
    assert cli.done("verify", report["fold"], "--code", "nets.py")["passed"] is True


def test_old_files_without_the_counter_of_batch_norm_fit(place):
    network = weights_of("nets.py:make", DEPTH)
    kept = {name: tensor for name, tensor in network.state_dict().items() if "num_batches_tracked" not in name}
    torch.save({"state_dict": kept}, "old.th")
    foldnet.convert(arch="nets.py:make", arch_option=DEPTH, weights="old.th", templates=4, out="runs/soft")
    assert relative(foldnet.load("runs/soft", code="nets.py")(X), network(X)) <= 1e-5


def test_the_first_tensor_that_does_not_fit_is_named(place, cli):
    weights_of("nets.py:make", {"width": 6})
    own = ("convert", "--arch", "nets.py:make", "--weights", "weights.safetensors", "--templates", 2)
    said = "--weights weights.safetensors does not fit nets.py:make: tensor"
    assert cli.refused(*own) == f"{said} '0.weight' has shape (6, 1, 1, 1) there and (4, 1, 1, 1) in the network"
    weights_of("nets.py:make", DEPTH)
    extra = f"{said.removesuffix('tensor')}it holds a tensor '1.3.conv.weight' of shape (4, 4, 3, 3), which the network"
    assert cli.refused(*own) == f"{extra} has not"
    missing = f"{said} '1.4.conv.weight' of shape (4, 4, 3, 3) is missing there"
    assert cli.refused(*own, "--arch-option", "depth=5") == missing
    vit = ("--arch", "timm/vit_tiny_patch16_224", *(f"--arch-option={name}={value}" for name, value in VIT.items()))
    assert cli.refused("convert", *vit, "--weights", "weights.safetensors", "--templates", 2) == (
        "--weights weights.safetensors does not fit timm/vit_tiny_patch16_224: "
        "tensor 'cls_token' of shape (1, 1, 16) is missing there"
    )


@pytest.mark.parametrize(
    ("given", "kind", "said"),
    [
        ({"templates": {"3": 1}}, UnknownName, "group '3' does not exist$"),
        ({"templates": {"1": 5}}, SettingError, "group '1' of 4 layers cannot have 5 templates; give it 1 to 4"),
        ({"templates": {"1": 0}}, SettingError, "`templates` of group '1' 0 is not legal; give a whole number from 1"),
        ({"loops": 2, "by_group": [("1", 2)]}, SettingError, "a conversion needs one of `templates` and `loops`; "),
        ({"templates": 1, "arch": None}, SettingError, "`weights` needs `arch` beside it; give both, or a run"),
        ({"templates": 1, "weights": None}, SettingError, "`arch='nets.py:make'` needs `weights` beside it; give both"),
    ],
)
def test_what_is_refused(given, kind, said, place):
    weights_of("nets.py:make", DEPTH)
    own = {"arch": "nets.py:make", "arch_option": DEPTH, "weights": "weights.safetensors", "out": "runs/soft"}
    with pytest.raises(kind, match=f"^{said}"):
        foldnet.convert(**own | given)
    assert not (place / "runs").exists()


def test_numbers_of_groups_on_the_command_line(place, cli):
    weights_of("nets.py:make", DEPTH)
    own = ("convert", "--arch", "nets.py:make", "--weights", "weights.safetensors")
    said = "--templates 'many' is not a number or GROUP=NUMBER; write 4 or stage3=2"
    assert cli.refused(*own, "--templates", "many") == said
