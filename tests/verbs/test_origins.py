"""`foldnet train --plan FILE` and `--from RUN`: a network by the groups of an edited plan, and one that begins with a run's
weights."""

import json
import re

import pytest
import torch

import foldnet
from foldnet.errors import SettingError, ShapeMismatch, UnknownName
from foldnet.folding.opening import load
from foldnet.store.tensors import load_tensors
from foldnet.training.observer import Silent
from foldnet.training.runs import open_run
from foldnet.verbs import train as training
from foldnet.verbs.origins import origin_of
from foldnet.zoo.blueprint import build

QUICK = {"epochs": 1, "batch_size": 256, "device": "cpu", "precision": "fp32", "observer": Silent()}
STILL = 1e-12  # a learning rate that moves no weight


def exactly(sentence: str) -> str:
    return f"^{re.escape(sentence)}$"


@pytest.fixture
def soft(stock):
    return stock / "runs" / "soft"


@pytest.fixture
def plain(stock):
    return stock / "runs" / "plain"


def edited(tmp_path, change, arch="wrn-28-1", templates=3):
    """A plan's file, its content changed."""
    content = foldnet.plan(arch, templates=templates).to_json()
    change(content)
    (tmp_path / "plan.json").write_text(json.dumps(content))
    return tmp_path / "plan.json"


def checkpoint(run):
    return load_tensors(run / "last" / "checkpoint.safetensors").tensors


def test_an_edited_plan_is_what_shares_from_training_to_the_control_of_a_fold(tmp_path):
    def change(content):
        first, second, _ = content["groups"]
        first["layers"].remove("stage1.1.conv1")
        first["templates"] = 2
        second["name"] = "middle"
        second["layers"].insert(0, "stage2.0.conv2")  # which the network by itself keeps private

    plan, run = edited(tmp_path, change), tmp_path / "run"
    report = foldnet.train(plan=plan, out=run, **QUICK)
    assert (report.arch, report.templates) == ("wrn-28-1", 3)
    shared = load(run).plan
    assert [(group.name, len(group.layers), group.templates) for group in shared.groups] == [
        ("stage1", 5, 2),
        ("middle", 7, 3),
        ("stage3", 6, 3),
    ]
    private = dict(shared.private)
    assert private["stage1.1.conv1"] == "in no group of the plan"
    assert private["stage1.0.conv2"] == dict(build("swrn-28-1-3").plan.private)["stage1.0.conv2"]
    assert [group.name for group in foldnet.lsm(run).groups] == ["stage1", "middle", "stage3"]
    foldnet.fold(run, threshold=0.3, out=run / "fold-1", evaluated=False, observer=Silent())
    assert foldnet.verify(run / "fold-1", observer=Silent()).passed
    tied = foldnet.train(like=run / "fold-1", out=tmp_path / "tied", **QUICK)
    assert tied.parameters == foldnet.info(run / "fold-1").parameters
    assert foldnet.train(plan=plan, out=run, resume=True, observer=Silent()).seconds == report.seconds
    longer = foldnet.train(out=run, resume=True, observer=Silent(), epochs=2)
    assert (longer.epochs, longer.parameters) == (2, report.parameters)


def test_a_plan_as_it_is_gives_the_network_that_was_planned(tmp_path):
    found = foldnet.plan("torchvision/resnet18", templates=2, channels=3)
    options = {"depth": 4, "img_size": 8, "patch_size": 4, "embed_dim": 12, "num_heads": 3}
    ours = foldnet.plan("timm/vit_tiny_patch16_224", templates=2, arch_option=options)
    assert (found.arch, found.arch_option) == ("torchvision/resnet18", None)
    report = foldnet.train(plan=ours, out=tmp_path / "run", **QUICK)
    soft = load(tmp_path / "run")
    groups = [(group.name, group.layers, group.templates, group.shape) for group in soft.plan.groups]
    assert groups == [(group.name, group.layers, group.templates, group.shape) for group in ours.groups]
    assert soft.plan.private == ours.private
    assert report.arch == "timm/vit_tiny_patch16_224"


def without(name):
    return lambda content: content.pop(name)


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        (
            without("groups"),
            SettingError,
            "plan '{}' has no groups with 'name', 'layers' and 'templates' ('groups' is missing); write it with "
            "`foldnet plan` and --json",
        ),
        (
            lambda content: content["groups"][1].pop("templates"),
            SettingError,
            "plan '{}' has no groups with 'name', 'layers' and 'templates' ('templates' is missing); write it with "
            "`foldnet plan` and --json",
        ),
        (
            lambda content: content.update(groups=[]),
            SettingError,
            "plan '{}' has no group, so nothing would share; leave `plan` out",
        ),
        (
            lambda content: content["groups"][0].update(templates=7),
            SettingError,
            "group 'stage1' of 6 layers cannot have 7 templates; give it 1 to 6",
        ),
        (
            lambda content: content["groups"][0].update(layers=["stage1.1.conv1"]),
            SettingError,
            "group 'stage1' of a plan has 1 layer and sharing takes two; leave the group out",
        ),
        (
            lambda content: content.update(templates=1),
            SettingError,
            "plan '{}' says templates 1, and a group of it has 3; change the templates of its groups",
        ),
        *(
            (
                lambda content, name=name, value=value: content.update({name: value}),
                SettingError,
                f"plan '{{}}' has no legal '{name}', {value!r}; write it with `foldnet plan`",
            )
            for name, value in (("arch", 3), ("arch_option", ["depth"]), ("templates", "x"))
        ),
        (
            without("arch"),
            SettingError,
            "`plan` names no architecture; give `arch` beside it",
        ),
        (
            lambda content: content["groups"][0].update(name="stage\0"),
            SettingError,
            "group 'stage\\x00' of a plan has a name that is empty, too long or cannot be shown; give it 1 to 100 letters",
        ),
        (
            lambda content: content["groups"][0].update(layers=["nope", "no"], templates=2),
            UnknownName,
            "layer 'nope' of group 'stage1' does not exist; `foldnet plan` lists them",
        ),
        (
            lambda content: content["groups"][0]["layers"].append("stage1.1.conv3"),
            UnknownName,
            "layer 'stage1.1.conv3' of group 'stage1' does not exist; did you mean 'stage1.0.conv1' or "
            "'stage1.1.conv1' or 'stage1.1.conv2'?",
        ),
        (
            lambda content: content["groups"][0]["layers"].append("stage2.1.conv1"),
            ShapeMismatch,
            "layer 'stage2.1.conv1' has a weight of shape (32, 32, 3, 3), group 'stage1' is of shape (16, 16, 3, 3); "
            "give it a group of its own",
        ),
        (
            lambda content: content["groups"][1]["layers"].append("stage2.1.conv1"),
            SettingError,
            "layer 'stage2.1.conv1' stands in the plan twice; a layer belongs to one group",
        ),
        (
            lambda content: content["groups"][1].update(name="stage1"),
            SettingError,
            "group 'stage1' stands in the plan twice; give each group a name of its own",
        ),
    ],
)
def test_what_is_no_plan_or_does_not_fit_is_refused(tmp_path, change, kind, said):
    plan = edited(tmp_path, change)
    with pytest.raises(kind, match=exactly(said.format(plan))):
        foldnet.train(plan=plan, out=tmp_path / "run", **QUICK)
    assert [file.name for file in tmp_path.iterdir()] == ["plan.json"]


def test_a_plan_names_its_network(tmp_path, cli):
    plan = edited(tmp_path, lambda content: None)
    with pytest.raises(
        SettingError,
        match=exactly("`arch='wrn-16-1'` contradicts `plan`, which names a plan of wrn-28-1; leave `arch` out"),
    ):
        foldnet.train(plan=plan, arch="wrn-16-1", out=tmp_path / "run", **QUICK)
    said = cli.refused("train", "--plan", plan, "--group-by", "position", "--out", tmp_path / "run")
    assert said == "--group-by position contradicts --plan, which names a plan of wrn-28-1; leave --group-by out"


def test_a_run_begins_with_the_weights_of_another(soft, tmp_path):
    report = foldnet.train(from_run=soft, out=tmp_path / "run", **QUICK | {"lr": STILL, "recurrence": 0.0})
    before, after = load(soft), load(tmp_path / "run")
    for (name, theirs), own in zip(before.named_parameters(), after.parameters(), strict=True):
        torch.testing.assert_close(own, theirs, rtol=0, atol=1e-8, msg=name)
    history = load_tensors(tmp_path / "run" / "coefficients.safetensors").tensors
    for group, bank in before.sources.items():
        assert torch.equal(history[group][0], bank.coefficients)
    settings, theirs = open_run(tmp_path / "run").settings, open_run(soft).settings
    assert (settings.arch, settings.seed, settings.recurrence, settings.epochs) == (theirs.arch, theirs.seed, 0.0, 1)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["from"] == {
        "run": soft.name,
        "checkpoint": "last",
        "epoch": 3,
        "sha256": open_run(soft).digest("last"),
    }
    assert report.templates == 4


def test_killed_before_its_first_epoch_it_goes_on_with_them(soft, plain, tmp_path, monkeypatch):
    given = QUICK | {"from_run": soft, "lr": 0.01}
    whole = foldnet.train(out=tmp_path / "whole", **given)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "fit", killed)
        with pytest.raises(KeyboardInterrupt):
            foldnet.train(out=tmp_path / "part", **given)
    part = foldnet.train(out=tmp_path / "part", resume=True, observer=Silent())
    assert (part.score, part.best_score) == (whole.score, whole.best_score)
    first, second = checkpoint(tmp_path / "whole"), checkpoint(tmp_path / "part")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    with pytest.raises(
        SettingError, match=r"^`from_run` contradicts run '.*part', which did not begin with its weights;"
    ):
        foldnet.train(from_run=plain, out=tmp_path / "part", resume=True, observer=Silent())
    with pytest.raises(
        SettingError, match=r"^`from_run` contradicts run '.*whole', which did not begin with its weights;"
    ):
        foldnet.train(from_run=tmp_path / "part", out=tmp_path / "whole", resume=True, observer=Silent())


def test_weights_that_do_not_fit_are_refused(soft, tmp_path):
    said = (
        f"`from_run='{soft}'` does not fit swrn-28-1-4: tensor 'network.stem.weight' has shape (16, 1, 3, 3) "
        "there and (16, 3, 3, 3) in the network"
    )
    folder = tmp_path / "pictures"
    for split in ("train", "test"):
        for number, name in enumerate(("a", "b", "c")):
            place = folder / split / name
            place.mkdir(parents=True)
            for index in range(4):
                picture(place / f"{index}.png", 40 * number + index)
    with pytest.raises(SettingError, match=exactly(said)):
        foldnet.train(
            from_run=soft, dataset="folder", data_dir=str(folder), out=tmp_path / "run", validation=3, **QUICK
        )


def picture(file, value):
    from PIL import Image

    Image.new("L", (8, 8), value).save(file)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"arch": "wrn-28-1"},
            "`arch='wrn-28-1'` contradicts `from_run`, which names a run of swrn-28-1-4; leave `arch` out",
        ),
        (
            {"templates": 2},
            "`templates=2` contradicts `from_run`, which names a run of swrn-28-1-4; leave `templates` out",
        ),
        ({"plan": "plan.json"}, "`plan` and `from_run` contradict each other; give one of them"),
        ({"recall": True}, "`recall=True` and `from_run` contradict each other; leave one of them out"),
    ],
)
def test_contradictions_are_refused(soft, tmp_path, given, said):
    with pytest.raises(SettingError, match=exactly(said)):
        foldnet.train(from_run=soft, out=tmp_path / "run", **QUICK | given)
    assert not (tmp_path / "run").exists()


def test_an_origin_is_of_one_kind():
    with pytest.raises(SettingError, match=exactly("`like` and `plan` contradict each other; give one of them")):
        origin_of(like="a", plan="b", from_run=None)
