"""Folds that are not what they say, every digest stated anew: each is refused or named, and sound ones of every kind pass."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import planted
import pytest
import torch
from torch import nn

from foldnet.choosing.laboratory import Laboratory
from foldnet.folding.folds import open_fold, save_fold, settings_of
from foldnet.program.data import Step
from foldnet.program.text import program_text
from foldnet.proof.certificate import Certificate
from foldnet.store.seals import seal_of
from foldnet.store.tensors import digest_of, load_tensors, save_tensors
from foldnet.training.checkpoint import save_checkpoint
from foldnet.training.observer import Silent
from foldnet.training.runs import open_run
from foldnet.verbs import verify as recipe
from foldnet.verbs.fold import fold
from foldnet.verbs.verify import verify
from foldnet.zoo.scaling import Scaling

ARCH = "swrn-22-1-2"  # blocks A A of each stage, two owners, two templates
PRIVATE = "private tensors that are not the checkpoint's"
TIES = "tied weights against folding again, relative difference"
NORMS = "norms against the training images, in standard deviations"
COUNTS = "report.json against the other files"
GAINS = "gains and errors in report.json against tying again, difference"
PROGRAM = "program of folding the checkpoint again"
ADVICE = "advice in report.json that is not that of folding again"
ORIGIN = "architecture, classes, channels, size, dropout and scaling of the run"


@pytest.fixture(autouse=True)
def few(monkeypatch):
    planted.use_few_digits(monkeypatch)
    monkeypatch.setattr(recipe, "RANDOM_INPUTS", 8)


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    """A run with a fold whose accuracies were measured, made once."""
    made = tmp_path_factory.mktemp("false") / "run"
    with pytest.MonkeyPatch.context() as patch:
        planted.use_few_digits(patch)
        planted.plant_run(made, arch=ARCH, rows=planted.ROWS[:4])
        shutil.copytree(made / "last", made / "best")
        fold(made, out=made / "fold", shares=False)
    return made


@pytest.fixture
def run(original, tmp_path) -> Path:
    """A copy of it, to be spoilt."""
    copy = tmp_path / "run"
    shutil.copytree(original, copy)
    return copy


def write(folder: Path, looped: nn.Module | None = None, report: Any = None, **changes: Any) -> None:
    """The fold anew, as foldnet would write it: every digest is right."""
    opened, settings = open_fold(folder), settings_of(folder) | changes.pop("settings", {})
    if "dropout" in changes:
        changes["options"] = dataclasses.replace(opened.blueprint.options, dropout=changes.pop("dropout"))
    network = {name: changes.pop(name) for name in ("options", "size") if name in changes}
    save_fold(
        folder,
        dataclasses.replace(opened, blueprint=dataclasses.replace(opened.blueprint, **network), **changes),
        looped or opened.load(),
        settings,
        report or json.loads((folder / "report.json").read_text()),
    )


def report_of(folder: Path) -> Any:
    return json.loads((folder / "report.json").read_text())


def broken(certificate: Certificate) -> set[str]:
    return {promise.name for promise in certificate.promises if not promise.held}


def change(spoil: Callable[[Any], None]) -> Callable[[Path], None]:
    """A spoiler of the tensors alone."""

    def spoiler(folder: Path) -> None:
        looped = open_fold(folder).load()
        with torch.no_grad():
            spoil(looped)
        write(folder, looped)

    return spoiler


def say(edit: Callable[[Any], None], settings: dict[str, Any] | None = None, **changes: Any) -> Callable[[Path], None]:
    """A spoiler of the report and of what config.json says."""

    def spoiler(folder: Path) -> None:
        report = report_of(folder)
        edit(report)
        write(folder, report=report, settings=settings or {}, **changes)

    return spoiler


def noise(tensor: torch.Tensor) -> None:
    tensor.normal_(generator=torch.Generator().manual_seed(0))


def private_convolutions(looped: Any) -> None:
    for name, parameter in looped.network.named_parameters():
        if parameter.dim() == 4 and "owners" not in name:
            noise(parameter)


def reset_norms(looped: Any) -> None:
    for name, buffer in looped.network.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.fill_(0.0 if name.endswith("mean") else 1.0)


def permute_norms(looped: Any) -> None:
    norm = looped.network.get_submodule("stage2.blocks.A.body.norm1")
    norm.running_mean.copy_(norm.running_mean.flip(-1))


def permute_classes(looped: Any) -> None:
    looped.network.classifier.weight.copy_(looped.network.classifier.weight.roll(1, 0))
    looped.network.classifier.bias.copy_(looped.network.classifier.bias.roll(1, 0))


def shift_a_norm(looped: Any) -> None:
    looped.network.get_submodule("stage1.blocks.A.body.norm2").bias[1, 0] += 0.5


def noisy_owner(looped: Any) -> None:
    noise(next(looped.owners["stage3"].parameters()))


def swap_gains(folder: Path) -> None:
    """The report's gains are swapped too."""
    looped, report = open_fold(folder).load(), report_of(folder)
    gain = looped.network.get_submodule("stage2.blocks.A.body.conv1").gain
    with torch.no_grad():
        gain.copy_(gain.flip(0))
    layers = {layer["name"]: layer for layer in report["groups"][1]["layers"]}
    one, other = layers["stage2.1.conv1"], layers["stage2.2.conv1"]
    one["gain"], other["gain"] = other["gain"], one["gain"]
    write(folder, looped, report)


def unroll_a_loop(folder: Path) -> None:
    """A A in place of 2x { A }, which computes the same."""
    program, report = open_fold(folder).program, report_of(folder)
    first = program.stages[0]
    first = dataclasses.replace(first, items=(first.items[0], Step("A"), Step("A")))
    edited = dataclasses.replace(program, stages=(first, *program.stages[1:]))
    report |= {"program": program_text(edited), "loops": 2}
    looped = dataclasses.replace(open_fold(folder), program=edited).load_structure()
    looped.load_state_dict(open_fold(folder).load().state_dict())
    write(folder, looped, report, program=edited)


def claim(report: Any, form: str, value: Any) -> None:
    """The report says so, as accuracy and as score."""
    report["accuracy"][form] = report["score"][form] = value


def claim_a_tuning(folder: Path) -> None:
    report = report_of(folder)
    report["finetune"]["epochs"] = 2
    claim(report, "finetuned", report["accuracy"]["recalibrated"])
    write(folder, report=report, settings={"finetune": 2})


def tune_to_noise(folder: Path) -> None:
    """Owners and norms of noise, and a fine accuracy that they do not have."""
    change(noisy_owner)(folder)
    report = report_of(folder)
    report["finetune"]["epochs"] = 2
    claim(report, "finetuned", 0.98)
    write(folder, report=report, settings={"finetune": 2})


def take_another_run(folder: Path) -> None:
    """The run around the fold is another, and the fold says that it was made from it."""
    other = folder.parent.with_name("other")
    planted.plant_run(other, arch=ARCH, rows=planted.ROWS[:4], seed=1)
    foreign = load_tensors(other / "last" / "checkpoint.safetensors")
    seal = seal_of(open_run(folder.parent).identity, [], {})  # as a careful forger would
    save_tensors(folder.parent / "last" / "checkpoint.safetensors", foreign.tensors, foreign.metadata | {"seal": seal})
    write(folder, run_sha256=digest_of(other / "last" / "checkpoint.safetensors", "model"))


def accuracy_of(form: str, value: Any) -> Callable[[Path], None]:
    return say(lambda report: claim(report, form, value))


def split_a_cluster(report: Any) -> None:
    group = report["groups"][0]
    one = group["clusters"].pop()
    group["clusters"] += [[layer] for layer in one]


def give_shares(**shares: Any) -> Callable[[Path], None]:
    """Shares of the added loss, of some layers, 0 of the others."""

    def edit(report: Any) -> None:
        for group in report["groups"]:
            for layer in group["layers"]:
                layer["added_loss_share"] = shares.get(layer["name"].replace(".", "_"), 0.0)

    return say(edit)


APART = {"sequence": "stage1", "attribute": "x", "blocks": ["a", "b"], "reason": "y"}
STATEMENTS = "statements in report.json that are not those of folding again"
TEXTS = "texts in report.json that are long or hold what is not printed"
SHARES = "shares of the added loss in report.json that are none"
PROOF = "proof in report.json"
UNREAD = "report.json is the report of a fold"

FALSE = {
    "classifier noise": (change(lambda looped: noise(looped.network.classifier.weight)), PRIVATE),
    "class order permuted": (change(permute_classes), PRIVATE),
    "private convolutions replaced": (change(private_convolutions), PRIVATE),
    "a norm's bias shifted at one step": (change(shift_a_norm), PRIVATE),
    "norms reset": (change(reset_norms), NORMS),
    "norms permuted": (change(permute_norms), NORMS),
    "an owner of noise": (change(noisy_owner), TIES),
    "gains swapped, the report's too": (swap_gains, TIES),
    "a loop unrolled": (unroll_a_loop, PROGRAM),
    "accuracy 1.0": (accuracy_of("recalibrated", 1.0), "accuracy of recalibrated in report.json"),
    "a soft network better than it is": (accuracy_of("soft", 0.9), "accuracy of soft in report.json"),
    "a soft network recalibrated to less": (accuracy_of("soft_recalibrated", 0.9), "accuracy of soft_recalibrated in report.json"),
    "a tie without loss": (accuracy_of("tied", 1.0), "accuracy of tied in report.json"),
    "an accuracy that is no number": (accuracy_of("tied", "all"), UNREAD),
    "more test images": (accuracy_of("images", 10_000), "test images in report.json"),
    "accuracy of a tuning that was none": (
        accuracy_of("finetuned", 0.9),
        "accuracy of finetuned in report.json, which tells of no fine-tuning",
    ),
    "validation accuracy": (
        say(lambda report: report.update(validation_accuracy=0.9, validation_score=0.9)),
        "accuracy of validation in report.json",
    ),
    "tuning claimed, nothing moved": (claim_a_tuning, "tensors that fine-tuning moved"),
    "owners of noise, tuning claimed": (tune_to_noise, "accuracy of finetuned in report.json"),
    "another run's checkpoint": (take_another_run, TIES),
    "clusters that the program has not": (
        say(split_a_cluster),
        "groups whose clusters in report.json are not the program's",
    ),
    "owners that the program has not": (
        say(lambda report: report["groups"][1]["layers"][0].update(owner=1)),
        "groups whose clusters in report.json are not the program's",
    ),
    "more parameters before": (say(lambda report: report["parameters"].update(soft=7)), COUNTS),
    "another measure": (say(lambda report: report.update(measure="F1")), COUNTS),
    "lower is better": (say(lambda report: report.update(better="lower")), COUNTS),
    "a score that is not the accuracy": (say(lambda report: report["score"].update(tied=1.0)), COUNTS),
    "more templates": (say(lambda report: report["groups"][2].update(templates=4)), COUNTS),
    "fewer bytes": (say(lambda report: report["bytes"].update(folded=7)), COUNTS),
    "errors of nothing": (
        say(lambda report: [layer.update(error=0.9) for layer in report["groups"][0]["layers"]]),
        GAINS,
    ),
    "another threshold in the report": (say(lambda report: report.update(threshold=0.99)), "threshold in report.json"),
    "another threshold everywhere": (
        say(lambda report: report.update(threshold=0.1), {"threshold": 0.1}),
        "groups whose clusters are not those at the threshold",
    ),
    "less chance than there is": (say(lambda report: report["chance"].update(merges=0.5)), ADVICE),
    "less chance in a group": (say(lambda report: report["groups"][0].update(chance=0.0)), ADVICE),
    "another run's name": (say(lambda report: report.update(run="other")), STATEMENTS),
    "stages searched greedily": (say(lambda report: report.update(greedy=["stage1"])), STATEMENTS),
    "blocks kept apart by nothing": (say(lambda report: report.update(kept_apart=[APART])), STATEMENTS),
    "the best of all": (say(lambda report: report.update(why="best of all")), STATEMENTS),
    "a text that colours": (say(lambda report: report.update(why="\x1b[31mbest\n\nError: x")), TEXTS),
    "a text of a book": (say(lambda report: report.update(why="x" * 2000)), TEXTS),
    "what no fold says": (say(lambda report: report.update(more=1)), UNREAD),
    "a share above 1": (give_shares(stage1_1_conv1=1.5), UNREAD),
    "shares that sum to more": (give_shares(stage1_1_conv1=0.99, stage1_2_conv1=0.99), SHARES),
    "a share that is no number": (give_shares(stage1_1_conv1="all"), UNREAD),
    "a proof on more inputs": (say(lambda report: report["proof"].update(count=360)), PROOF),
    "a proof on other inputs": (say(lambda report: report["proof"].update(inputs="all")), PROOF),
    "a proof of a difference": (say(lambda report: report["proof"].update(relative=0.003)), PROOF),
    "a proof of less than nothing": (say(lambda report: report["proof"].update(relative=-1e-7)), PROOF),
    "a proof of nothing": (say(lambda report: report.update(proof=[])), UNREAD),
    "a near miss of nothing": (
        say(lambda report: report["near_misses"].append({"stage": "stage1", "threshold": 0.9})),
        UNREAD,
    ),
    "a near miss that is none": (
        say(lambda report: report["near_misses"].append({"stage": "stage1", "threshold": 0.9, "program": "2x { A }"})),
        ADVICE,
    ),
    "another metric": (say(lambda report: report.update(metric="weights")), "metric in report.json"),
    "a gain that is no number": (
        say(lambda report: report["groups"][0]["layers"][0].update(gain="1")),
        UNREAD,
    ),
    "another tie in the report": (
        say(lambda report: report.update(tie="mean")),
        "settings in report.json that are not config.json's",
    ),
    "another tie everywhere": (say(lambda report: report.update(tie="mean"), {"tie": "mean"}), TIES),
    "settings that are not legal": (
        say(lambda report: report.update(unit="row"), {"unit": "row"}),
        "settings in config.json fold the checkpoint",
    ),
    "dropout that it was not trained with": (say(lambda report: None, dropout=0.5), ORIGIN),
    "images of another size": (say(lambda report: None, size=16), ORIGIN),
    "pixels of another scale": (say(lambda report: None, scaling=Scaling(1.0, (0.0,), (1.0,))), ORIGIN),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "named"), FALSE.values(), ids=FALSE)
def test_a_fold_that_is_not_what_it_says_is_named(run, spoil, named):
    spoil(run / "fold")
    certificate = verify(run / "fold")
    assert named in broken(certificate)
    assert (certificate.passed, certificate.exit_status) == (False, 1)


SOUND = {
    "as usual": {},
    "of the best checkpoint": {"checkpoint": "best"},
    "at chance": {"threshold": "chance"},
    "fine-tuned": {"finetune": 1, "finetune_lr": 0.01},
    "by blocks, signed, one layer kept": {"unit": "block", "tie": "signed", "keep": ("stage1.1.conv1",)},
    "of the user's clusters, naive": {"clusters": "mine.json", "tie": "mean"},
    "at the knee": {"threshold": "auto", "groups": ("stage3",)},
    "within a drop": {"max_drop": 100.0, "groups": ("stage3",)},
    "without data": {"evaluated": False, "thresholds": (("stage2", 0.2),)},
}


@pytest.mark.parametrize("settings", SOUND.values(), ids=SOUND)
def test_a_sound_fold_passes(run, tmp_path, monkeypatch, settings):
    monkeypatch.chdir(tmp_path)
    Path("mine.json").write_text(json.dumps({"stage3": [["stage3.1.conv1", "stage3.2.conv1", "stage3.2.conv2"]]}))
    fold(run, out=run / "sound", shares=False, **settings)
    certificate = verify(run / "sound")
    reason = "the reason for the knee in report.json cannot be made again: only bounds are checked"
    assert (broken(certificate), certificate.notes) == (set(), (reason,) if settings.get("threshold") == "auto" else ())
    assert (certificate.passed, certificate.exit_status) == (True, 0)
    assert certificate.verdict == f"passed: {len(certificate.promises)} of {len(certificate.promises)} promises hold"


def test_noise_that_says_how_bad_it_is_is_named_where_tuning_is_claimed(run):
    """Nobody can tell fine-tuning from other weights: what is left of the tied network says how far to believe it."""
    tune_to_noise(run / "fold")
    laboratory = Laboratory(open_run(run), None, "cpu", Silent())
    looped = laboratory.recalibrated(open_fold(run / "fold").load())
    report = report_of(run / "fold")
    claim(report, "finetuned", laboratory.score(looped, laboratory.test).accuracy)
    write(run / "fold", looped, report)
    certificate = verify(run / "fold")
    assert (broken(certificate), certificate.passed, certificate.exit_status) == (set(), None, 3)
    assert certificate.notes == (
        "nothing is left of stage3.1.conv1.weight, stage3.2.conv1.weight as they were tied: "
        "fine-tuning cannot be told from other weights there",
    )


def test_the_accuracy_of_a_network_that_was_not_kept_is_named_and_keeps_no_fold_from_passing(run):
    fold(run, out=run / "tuned", shares=False, finetune=1, finetune_lr=0.01, control=True)
    certificate = verify(run / "tuned")
    assert (broken(certificate), certificate.passed, certificate.exit_status) == (set(), True, 0)
    assert certificate.notes == (
        "the accuracy in report.json of soft_finetuned, the control, is not compared: its network is not kept",
    )
    accuracy_of("soft_finetuned", 1.5)(run / "tuned")
    assert broken(verify(run / "tuned")) == {"accuracy of soft_finetuned in report.json from 0 to 1"}


def test_shares_are_held_to_their_bounds_and_named(run):
    give_shares(stage1_1_conv1=0.7, stage1_2_conv2=0.3)(run / "fold")
    certificate = verify(run / "fold")
    assert (broken(certificate), certificate.passed) == (set(), True)
    assert certificate.notes == (
        "the tied layers' shares of the added loss in report.json cannot be made again: only bounds are checked",
    )
    assert certificate.to_json()["notes"] == list(certificate.notes)


def test_few_images_compare_no_accuracies(run):
    accuracy_of("recalibrated", 1.0)(run / "fold")
    certificate = verify(run / "fold", images=5)
    assert (broken(certificate), certificate.passed) == (set(), None)
    assert certificate.notes == (
        "the accuracies in report.json (soft, soft_recalibrated, tied, recalibrated) are not compared without all test images",
    )
    assert certificate.verdict == "nothing false was found, but not everything could be checked"


def test_an_edited_checkpoint_is_not_the_one_that_was_folded(run):
    file = run / "last" / "checkpoint.safetensors"
    saved = load_tensors(file)
    saved.tensors["model/network.classifier.bias"][0] += 1
    save_tensors(file, saved.tensors, saved.metadata)
    certificate = verify(run / "fold")
    assert (broken(certificate), certificate.passed) == (set(), None)
    assert certificate.notes[0] == (
        "checkpoint 'last' of run 'run' is not the one that was folded (its digest differs): "
        "soft and dense, and what folding the run again gives, are left out"
    )
    assert certificate.notes[1] == (
        "the accuracies in report.json of soft, soft_recalibrated, tied are not compared: their networks are not here"
    )
    assert certificate.verdict == "consistent in itself; not compared with its run"


def test_a_soft_network_that_overflows_is_named_as_that(run):
    """Scales of a thousand, layer upon layer, leave fp32: no form of such a network gives numbers."""
    model, progress = open_run(run).load()
    with torch.no_grad():
        for norm in (module for module in model.modules() if isinstance(module, nn.BatchNorm2d)):
            norm.weight.mul_(1e3)
            norm.running_var.mul_(1e-6)
    save_checkpoint(run / "last", model, None, progress, seal_of(open_run(run).identity, [], {}))
    fold(run, out=run / "large", evaluated=False)
    certificate = verify(run / "large")
    assert (broken(certificate), certificate.passed, certificate.exit_status) == (set(), None, 3)
    said = "the soft network itself overflows fp32 on {} inputs: its forms cannot be compared there"
    assert certificate.notes == (said.format("test"), said.format("random"))
    shutil.move(run / "large", run.with_name("alone"))
    certificate = verify(run.with_name("alone"))
    assert (broken(certificate), certificate.passed) == (set(), None)
    assert certificate.notes[1] == said.format("random").replace("soft", "tied")
