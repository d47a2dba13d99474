"""A certificate: what it proves of a sound fold, what it refuses, and which broken promises it finds."""

import dataclasses
import hashlib
import json
import math
import re
import shutil
from pathlib import Path

import planted
import pytest
import torch
from torch import nn

import foldnet
from foldnet.data.sources import Digits
from foldnet.errors import BrokenPromise, DataError, OutputError, RunError, SettingError
from foldnet.folding.folds import StoredGroup, open_fold, save_fold, settings_of
from foldnet.folding.stepped import SteppedBlock
from foldnet.program.data import Loop, Program, Step
from foldnet.proof.certificate import Certificate
from foldnet.proof.fold_report import FoldReport
from foldnet.sharing.share import materialise
from foldnet.sharing.tied import Owners
from foldnet.store.codec import from_plain
from foldnet.store.seals import sealed
from foldnet.store.tensors import file_bytes
from foldnet.training.runs import open_run
from foldnet.verbs.evaluate import evaluate
from foldnet.verbs.fold import fold
from foldnet.verbs.verify import verify

STAGES = ("stage1", "stage2", "stage3")
LEFT_OUT = "soft and dense, and what folding the run again gives, are left out"
NO_NORMS = "batch norm cannot be compared without the run's checkpoint"
CHANGED = "was changed after the fold was written (its SHA-256 differs); restore it or fold the run again"


def exactly(sentence: str) -> str:
    return f"^{re.escape(sentence)}$"


@pytest.fixture(autouse=True)
def few(monkeypatch):
    planted.use_few_digits(monkeypatch)


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    """A run with a fold, made once."""
    made = tmp_path_factory.mktemp("verify") / "run"
    with pytest.MonkeyPatch.context() as patch:
        planted.use_few_digits(patch)
        planted.plant_run(made)
        fold(made, out=made / "fold", evaluated=False)
    return made


@pytest.fixture
def run(original, tmp_path) -> Path:
    """A copy of it, to be spoilt."""
    copy = tmp_path / "run"
    shutil.copytree(original, copy)
    return copy


def broken(certificate: Certificate) -> list[str]:
    return [promise.name for promise in certificate.promises if not promise.held]


def save_again(folder: Path, looped: nn.Module, **changes) -> None:
    """Write a fold anew as foldnet would, with another network or program, and the report as it was."""
    opened = dataclasses.replace(open_fold(folder), **changes)
    save_fold(folder, opened, looped, settings_of(folder), json.loads((folder / "report.json").read_text()))


def test_a_sound_fold_passes(run):
    certificate = verify(run)
    assert certificate.passed
    certificate.check()
    found = json.loads((run / "fold" / "certificate.json").read_text())
    assert found == json.loads(json.dumps(sealed(certificate.to_json() | {"fold": "fold"})))
    assert (found["passed"], found["run"]) == (True, "run")
    assert found["verdict"] == f"passed: {len(found['promises'])} of {len(found['promises'])} promises hold"
    for pair in ("dense", "looped"):
        assert found["relative_difference"][pair] <= 1e-5
        assert found["mean_abs_difference"][pair] <= found["max_abs_difference"][pair]
    assert (found["agreement"], found["notes"]) == (1.0, [])
    assert 0.0 <= found["agreement_soft"] <= 1.0
    assert all(promise["held"] for promise in found["promises"])
    assert [(entry["inputs"], entry["count"]) for entry in found["inputs"]] == [("test", 50), ("random", 256)]
    assert len(found["layers"]) == 40
    assert {layer["kind"] for layer in found["layers"]} == {"conv", "block", "linear"}
    assert all(layer["looped"]["relative"] <= 1e-5 and layer["dense"]["relative"] <= 1e-5 for layer in found["layers"])


def test_a_certificate_and_a_report_are_read_as_they_were_written(run):
    verify(run)
    for kind, name in ((Certificate, "certificate.json"), (FoldReport, "report.json")):
        found = json.loads((run / "fold" / name).read_text())
        found.pop("sha256", None)  # a certificate is sealed, and of a report the fold's config.json states the digest
        assert from_plain(kind, found).to_json() == found
        with pytest.raises(ValueError, match=r"^'fold' expected str( \| null)?, got int$"):
            from_plain(kind, found | {"fold": 1})
        with pytest.raises(ValueError, match=r"^'odd' is unknown$"):
            from_plain(kind, found | {"odd": 1})


def test_its_counts_are_those_of_the_files(run):
    found = verify(run).to_json()
    report = json.loads((run / "fold" / "report.json").read_text())
    assert found["parameters"] == report["parameters"]
    assert found["bytes"]["folded"] == (run / "fold" / "weights.safetensors").stat().st_size
    assert found["bytes"]["dense"] == report["bytes"]["dense"]
    names = ("config.json", "program.json", "report.json", "weights.safetensors")
    assert found["files"] == {
        name: hashlib.sha256((run / "fold" / name).read_bytes()).hexdigest() for name in sorted(names)
    }
    assert found["checkpoint_sha256"] == json.loads((run / "fold" / "config.json").read_text())["run_sha256"]
    limits = {promise["name"]: promise["limit"] for promise in found["promises"]}
    assert [limits[f"weights stored for {stage}"] for stage in STAGES] == [2, 2, 2]  # of 3 owners: K is less
    assert limits["weights of shape 16x16x3x3 in the file"] == 4  # and the two of the first block


def test_its_accuracies_are_those_of_evaluate(run):
    certificate = verify(run)
    assert certificate.accuracy["soft"] == certificate.accuracy["dense"] == evaluate(run).accuracy
    assert certificate.accuracy["tied"] == certificate.accuracy["looped"] == evaluate(run / "fold").accuracy
    assert certificate.images == 50


def test_an_older_certificate_makes_way(run):
    file = run / "fold" / "certificate.json"
    file.write_text("old")
    verify(run, images=1)
    assert json.loads(file.read_text())["passed"] is True


def test_nothing_is_written_where_not_asked(run):
    assert foldnet.verify(run / "fold", written=False, images=3).images == 3
    assert not (run / "fold" / "certificate.json").exists()


def test_images_below_one_are_refused(run):
    sentence = "`images=0` is not legal; give a whole number from 1 to 1000000000"
    with pytest.raises(SettingError, match=exactly(sentence)):
        verify(run, images=0)


@pytest.mark.parametrize("name", ["program.json", "report.json", "weights.safetensors"])
def test_a_changed_file_is_refused(run, name):
    file = run / "fold" / name
    content = file.read_bytes()
    flipped = content[:-1] + bytes([content[-1] ^ 1])
    file.write_bytes(flipped if name == "weights.safetensors" else content.replace(b"stage1.1", b"stage1.9", 1))
    with pytest.raises(RunError, match=exactly(f"'{file}' {CHANGED}")):
        verify(run)


def test_a_changed_config_is_refused(run):
    file = run / "fold" / "config.json"
    file.write_text(file.read_text().replace('"dropout": 0.0', '"dropout": 0.5'))
    with pytest.raises(RunError, match=exactly(f"'{file}' {CHANGED}")):
        verify(run)


def test_a_config_without_a_digest_is_refused(run):
    file = run / "fold" / "config.json"
    config = json.loads(file.read_text())
    del config["sha256"]
    file.write_text(json.dumps(config))
    with pytest.raises(
        RunError, match=exactly(f"'{file}' states no digest; it was edited or is foreign, so fold the run again")
    ):
        verify(run)


def test_no_certificate_is_written_through_a_link_inside_a_run(run, tmp_path):
    (run / "fold").rename(tmp_path / "elsewhere")
    (run / "fold").symlink_to(tmp_path / "elsewhere")
    said = f"'{run / 'fold'}' is a link and foldnet writes through none inside a run; put the folder itself there"
    with pytest.raises(OutputError, match=exactly(said)):
        verify(run / "fold", data=False)
    assert not (tmp_path / "elsewhere/certificate.json").exists()
    assert verify(run / "fold", data=False, written=False).passed is not False


def test_a_missing_file_is_refused(run):
    file = run / "fold" / "report.json"
    file.unlink()
    with pytest.raises(RunError, match=exactly(f"'{file}' is missing; was the folder copied whole?")):
        verify(run)


def test_weights_of_another_fold_are_refused_at_loading(run, tmp_path):
    planted.plant_run(tmp_path / "other", seed=1)
    fold(tmp_path / "other", out=tmp_path / "other" / "fold", evaluated=False)
    file = run / "fold" / "weights.safetensors"
    shutil.copy(tmp_path / "other" / "fold" / "weights.safetensors", file)
    with pytest.raises(RunError, match=exactly(f"'{file}' {CHANGED}")):
        open_fold(run / "fold").load()


def test_a_changed_gain_breaks_promises_whatever_the_digests_say(run):
    folder = run / "fold"
    looped = open_fold(folder).load()
    with torch.no_grad():
        looped.network.stage2.blocks["A"].body.conv1.gain[1] *= 1.1
    save_again(folder, looped)
    certificate = verify(folder)
    assert not certificate.passed
    assert broken(certificate) == [
        "gains against report.json, relative difference",
        "tied weights against folding again, relative difference",
        "distance of tied to soft weights against report.json, difference",
    ]
    first, second, third = (promise for promise in certificate.promises if not promise.held)
    sentence = (
        f"fold '{folder}' breaks 3 promises ({first.name}: {first.value!r} instead of at most 1e-06; "
        f"{second.name}: {second.value!r} instead of at most 1e-05; "
        f"{third.name}: {third.value!r} instead of at most 1e-05); fold the run again"
    )
    with pytest.raises(BrokenPromise, match=exactly(sentence)):
        certificate.check()
    assert json.loads((folder / "certificate.json").read_text())["passed"] is False


def test_a_changed_gain_is_found_from_the_run_even_where_the_report_agrees(run):
    folder = run / "fold"
    looped = open_fold(folder).load()
    gain = looped.network.stage2.blocks["A"].body.conv1.gain
    with torch.no_grad():
        gain[1] *= 1.1
    save_again(folder, looped)
    report = json.loads((folder / "report.json").read_text())
    next(entry for entry in report["groups"][1]["layers"] if entry["name"] == "stage2.2.conv1")["gain"] = gain[1].item()
    (folder / "report.json").write_text(json.dumps(report))
    planted.reseal(folder)
    assert broken(verify(folder)) == [
        "gains and errors in report.json against tying again, difference",
        "tied weights against folding again, relative difference",
        "distance of tied to soft weights against report.json, difference",
    ]


def test_a_report_that_says_other_counts_breaks_a_promise(run):
    folder = run / "fold"
    report = json.loads((folder / "report.json").read_text())
    report["loops"], report["groups"][0]["stored"] = 7, 1
    (folder / "report.json").write_text(json.dumps(report))
    planted.reseal(folder)
    certificate = verify(folder, data=False)
    wrong = next(promise for promise in certificate.promises if not promise.held)
    assert broken(certificate) == ["report.json against the other files"]
    assert wrong.value == "loops is 7, not 3; groups.stage1.stored is 1, not 2"


def test_an_edited_trip_count_is_refused(run):
    folder = run / "fold"
    file = folder / "program.json"
    file.write_text(file.read_text().replace('"times": 2', '"times": 3', 1))
    planted.reseal(folder)
    sentence = (
        "the program cannot be read: the items of stage 'stage1' do not run its blocks in their order; "
        "it was damaged or edited, so fold the run again"
    )
    with pytest.raises(RunError, match=exactly(sentence)):
        verify(folder)


def test_a_program_with_a_trip_less_breaks_promises(run):
    """One block is dropped from items, blocks and tensors alike: the program is legal, but not this network's."""
    folder = run / "fold"
    opened = open_fold(folder)
    stage = opened.program.stages[0]
    blocks = tuple(block for block in stage.blocks if block.name != "stage1.2")
    items = tuple(Step("A") if isinstance(item, Loop) else item for item in stage.items)
    shorter = dataclasses.replace(stage, blocks=blocks, items=items)
    program = Program(opened.program.before, (shorter, *opened.program.stages[1:]), opened.program.after)
    looped = dataclasses.replace(opened, program=program).load_structure()
    save_again(folder, looped, program=program)
    certificate = verify(folder)
    assert broken(certificate) == ["layers that program and architecture do not both have"]
    wrong = next(promise for promise in certificate.promises if not promise.held)
    assert wrong.value == "stage1.2.conv1, stage1.2.conv2"
    assert certificate.notes == ("the program does not fit the architecture, so that no form could be run",)
    assert (certificate.inputs, certificate.agreement) == ((), None)
    sentence = (
        f"fold '{folder}' breaks a promise (layers that program and architecture do not both have: "
        f"'stage1.2.conv1, stage1.2.conv2' instead of ''); fold the run again"
    )
    with pytest.raises(BrokenPromise, match=exactly(sentence)):
        certificate.check()


def test_a_weight_too_many_in_the_file_breaks_a_promise(run):
    folder = run / "fold"
    opened, looped = open_fold(folder), open_fold(folder).load()
    group = opened.groups[0]
    assert (group.owners, group.templates) == (planted.OWNERS, 2)
    written_out = Owners(group.owners, None, group.shape)
    for owner, weight in zip(written_out.owners, looped.owners["stage1"].owner_weights(), strict=True):
        owner.data.copy_(weight)
    looped.owners["stage1"] = written_out
    groups = (StoredGroup(group.name, group.owners, None, group.shape), *opened.groups[1:])
    save_again(folder, looped, groups=groups)
    assert broken(verify(folder, data=False)) == [
        "weights stored for stage1",
        "weights of shape 16x16x3x3 in the file",
        "report.json against the other files",
    ]


def test_a_looped_forward_that_is_not_the_tied_one_breaks_promises(run, monkeypatch):
    """The tied form shares no code with the loops: what is wrong in the loops shows."""
    entry = SteppedBlock.entry
    monkeypatch.setattr(SteppedBlock, "entry", lambda self, step: entry(self, 0))
    certificate = verify(run, data=False)
    assert "relative difference of looped to tied on random inputs" in broken(certificate)
    assert certificate.worst("looped", "relative") > 1e-3


def test_what_is_not_a_number_breaks_promises_and_leaves_json(run):
    folder = run / "fold"
    looped = open_fold(folder).load()
    with torch.no_grad():
        looped.network.stage2.blocks["A"].body.norm1.weight[1] = math.nan
    save_again(folder, looped)
    certificate = verify(folder)
    assert "relative difference of looped to tied on test inputs" in broken(certificate)
    found = json.loads((folder / "certificate.json").read_text())
    assert "numbers in the file that are not finite" in broken(certificate)
    assert found["relative_difference"]["looped"] is None
    assert found["relative_difference"]["dense"] <= 1e-5


def test_a_run_that_is_gone_leaves_random_inputs(run, tmp_path):
    shutil.move(run / "fold", tmp_path / "fold")
    certificate = verify(tmp_path / "fold")
    assert (certificate.passed, certificate.exit_status) == (None, 3)
    certificate.check()
    assert certificate.notes == (
        f"run 'run' is not around the fold, and no `run` names it: {LEFT_OUT}, and only random inputs are compared",
        "batch norm cannot be compared without the run's data",
    )
    found = certificate.to_json()
    assert found["passed"] is None
    assert found["verdict"] == "consistent in itself; not compared with its run"
    assert found["relative_difference"]["dense"] is None
    assert found["relative_difference"]["looped"] <= 1e-5
    assert (found["agreement"], found["agreement_soft"]) == (1.0, None)
    assert found["accuracy"] == {"soft": None, "dense": None, "tied": None, "looped": None}
    assert found["parameters"] == json.loads((tmp_path / "fold" / "report.json").read_text())["parameters"]
    assert [entry["inputs"] for entry in found["inputs"]] == ["random"]


def test_a_run_elsewhere_is_found_where_it_is_named(run, tmp_path):
    shutil.move(run / "fold", tmp_path / "fold")
    assert verify(tmp_path / "fold", run=run).passed is True


def test_another_run_that_is_named_is_refused(run, tmp_path):
    other = tmp_path / "other"
    planted.plant_run(other, seed=1)
    sentence = (
        f"`run={str(other)!r}` is not the run of '{run / 'fold'}' (the digest of its checkpoint 'last' differs); "
        f"name the run 'run' as it was when it was folded"
    )
    with pytest.raises(RunError, match=exactly(sentence)):
        verify(run / "fold", run=other)


def test_data_that_are_gone_are_said_and_data_that_are_named_must_be_there(run, monkeypatch):
    def gone(*arguments, **options):
        raise DataError("no digits here")

    monkeypatch.setattr(Digits, "images", gone)
    certificate = verify(run)
    assert (certificate.passed, certificate.images) == (None, None)
    assert certificate.notes == (
        "the data of run 'run' are not to be had as they were, and no `data_dir` names them: "
        "only random inputs are compared",
    )
    with pytest.raises(DataError, match=exactly("no digits here")):
        verify(run, data_dir=Path("here"))


def test_a_checkpoint_that_is_gone_leaves_out_soft_and_dense(run):
    shutil.rmtree(run / "last")
    certificate = verify(run)
    assert certificate.passed is None
    assert certificate.notes == (f"checkpoint 'last' of run 'run' is gone: {LEFT_OUT}", NO_NORMS)
    assert [found.inputs for found in certificate.inputs] == ["test", "random"]
    assert (certificate.accuracy["soft"], certificate.worst("dense", "relative")) == (None, None)
    assert certificate.accuracy["looped"] is not None


def test_a_checkpoint_that_changed_leaves_out_soft_and_dense(run, tmp_path):
    planted.plant_run(tmp_path / "other", seed=1)
    shutil.copy(tmp_path / "other" / "last" / "checkpoint.safetensors", run / "last" / "checkpoint.safetensors")
    certificate = verify(run)
    assert certificate.notes == (
        f"checkpoint 'last' of run 'run' is not the one that was folded (its digest differs): {LEFT_OUT}",
        NO_NORMS,
    )
    assert certificate.passed is None
    assert certificate.checkpoint_sha256 != open_fold(run / "fold").run_sha256


def test_a_checkpoint_that_is_damaged_leaves_out_soft_and_dense(run):
    file = run / "last" / "checkpoint.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    certificate = verify(run)
    assert certificate.notes == (
        f"checkpoint 'last' of run 'run' cannot be read, since it was cut short or changed: {LEFT_OUT}",
        NO_NORMS,
    )
    assert certificate.passed is None


def test_without_data_random_inputs_are_compared(run):
    certificate = verify(run, data=False)
    assert certificate.passed is None
    assert certificate.notes == ("no test images were asked for: only random inputs are compared",)
    assert certificate.images is None
    assert certificate.worst("dense", "relative") <= 1e-5


def test_a_tie_that_is_far_off_is_compared_by_its_size(tmp_path):
    """A mean of weights of very different lengths is thousands of times as far from the short one as that is long."""
    rows = [[1e4, -2e4], [1.0, 2.0], [0.1, 1.0], [3.0, 0.4], [1.0, 0.2], [0.3, -0.8]]
    planted.plant_run(tmp_path / "run", rows=rows)
    plan = fold(tmp_path / "run", out=tmp_path / "run/fold", evaluated=False, threshold=0.0, tie="mean").plan
    assert max(group.tie.errors.max() for group in plan.groups) > 1000
    name = "distance of tied to soft weights against report.json, difference"
    promises = {promise.name: promise for promise in verify(tmp_path / "run/fold", data=False).promises}
    assert promises[name].held, promises[name]


def test_a_fold_whose_report_counts_bytes_as_version_0_1_did_passes(run):
    made = run / "fold"
    file = made / "report.json"
    report = json.loads(file.read_text())
    looped = open_fold(made).load()
    soft = open_run(run).blueprint.build()
    forms = {"soft": soft, "dense": materialise(soft), "folded": looped}
    bare = {form: file_bytes(model.state_dict(), stated=False) for form, model in forms.items()}
    assert report["bytes"]["folded"] > bare["folded"]
    file.write_text(json.dumps(report | {"bytes": bare}))
    planted.reseal(made)
    assert verify(run).passed
