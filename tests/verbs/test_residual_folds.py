"""foldnet fold --residual: what is written, counted, verified, opened again, and refused."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import planted
import pytest
import torch

import foldnet
from foldnet.errors import NothingToFold, RunError, SettingError
from foldnet.folding.folds import open_fold, save_fold, settings_of
from foldnet.proof.certificate import Certificate
from foldnet.store.seals import sealed
from foldnet.studies.file import study_of
from foldnet.training.observer import Silent
from foldnet.verbs import verify as recipe
from foldnet.verbs.bench_inference import forms_of
from foldnet.verbs.verify import verify

ARCH = "swrn-22-1-2"  # two shared blocks a stage, four layers
RANK = 2
NUMBERS = {"stage1": 16 + 144, "stage2": 32 + 288, "stage3": 64 + 576}  # that one rank of a layer takes
TIES = "tied weights against folding again, relative difference"
COUNTS = "report.json against the other files"
SETTINGS = "settings in report.json that are not config.json's"
LOOSE = {"threshold": 0.0, "shares": False, "observer": Silent()}


@pytest.fixture(autouse=True)
def few(monkeypatch):
    planted.use_few_digits(monkeypatch)
    monkeypatch.setattr(recipe, "RANDOM_INPUTS", 8)


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    """A run with a fold of one owner a stage whose layers keep residuals, made once."""
    made = tmp_path_factory.mktemp("residual") / "run"
    with pytest.MonkeyPatch.context() as patch:
        planted.use_few_digits(patch)
        planted.plant_run(made, arch=ARCH, rows=planted.ROWS[:4])
        foldnet.fold(made, residual=RANK, **LOOSE)
    return made


@pytest.fixture
def run(original, tmp_path) -> Path:
    """A copy of it, to be changed."""
    copy = tmp_path / "run"
    shutil.copytree(original, copy)
    return copy


@pytest.fixture
def made(run) -> Path:
    return run / "fold-0-residual2"


def report_of(folder: Path) -> Any:
    return json.loads((folder / "report.json").read_text())


def broken(certificate: Certificate) -> set[str]:
    return {promise.name for promise in certificate.promises if not promise.held}


def write(folder: Path, looped: Any = None, report: Any = None, settings: Any = None, **changes: Any) -> None:
    """The fold anew, as foldnet would write it: every digest is right."""
    opened = open_fold(folder)
    stated = settings_of(folder) | (settings or {})
    fold = dataclasses.replace(opened, **changes)
    save_fold(folder, fold, looped or opened.load(), stated, report or report_of(folder))


def test_a_fold_says_what_residuals_take_and_what_they_leave(run, made):
    report, plain = report_of(made), foldnet.fold(run, dry_run=True, **LOOSE).report
    assert (report["residual"], plain.residual) == (RANK, 0)
    for group, without in zip(report["groups"], plain.groups, strict=True):
        assert group["residual_numbers"] == 4 * RANK * NUMBERS[group["name"]]
        assert (group["owners"], group["stored"], without.residual_numbers) == (1, 1, 0)
        for layer, its in zip(group["layers"], without.layers, strict=True):
            assert (layer["gain"], layer["owner"]) == (its.gain, its.owner)
            assert layer["error"] < its.error
    added = sum(group["residual_numbers"] for group in report["groups"])
    assert report["parameters"]["folded"] - plain.parameters.folded == added
    fold = open_fold(made)
    assert [group.ranks for group in fold.groups] == [(RANK,)] * 3
    looped = fold.load()
    assert sum(one.numel() for one in looped.parameters()) == report["parameters"]["folded"]
    assert report["bytes"]["folded"] == (made / "weights.safetensors").stat().st_size
    told = foldnet.info(made)
    assert told.parameters == report["parameters"]["folded"]
    assert [group.residual for group in told.groups] == [RANK] * 3


def test_a_sound_fold_passes_and_its_looped_form_is_its_tied_one(run, made):
    certificate = verify(made)
    assert (broken(certificate), certificate.passed) == (set(), True)
    assert certificate.differences["relative"]["looped"] <= 1e-5
    forms, _ = forms_of(open_fold(made))
    x = torch.randn(4, 1, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(forms["tied"](x), forms["looped"](x), rtol=1e-4, atol=1e-5)
        before = forms["looped"](x)
        for source in forms["tied"].sources.values():
            for left in source.left:
                left.zero_()
        assert not torch.allclose(forms["tied"](x), before, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "settings",
    [{"finetune": 1, "finetune_lr": 0.01}, {"tie": "mean"}, {"unit": "block", "keep": ("stage1.1.conv1",)}],
    ids=["fine-tuned", "naive", "by blocks"],
)
def test_sound_folds_of_other_kinds_pass(run, settings):
    foldnet.fold(run, residual=1, out=run / "sound", **settings, **LOOSE)
    certificate = verify(run / "sound")
    assert (broken(certificate), certificate.passed) == (set(), True)


def test_fine_tuning_trains_residuals(run):
    tuned = foldnet.fold(run, residual=1, finetune=1, finetune_lr=0.01, dry_run=True, **LOOSE)
    before = foldnet.fold(run, residual=1, dry_run=True, **LOOSE)
    assert tuned.report.groups[0].layers == before.report.groups[0].layers  # as tied
    for name, source in tuned.tied.sources.items():
        for own, other in zip((*source.left, *source.right), _residuals(before.tied.sources[name]), strict=True):
            assert not torch.allclose(own, other)


def _residuals(source: Any) -> tuple[torch.Tensor, ...]:
    return (*source.left, *source.right)


def _noise(folder: Path, name: str) -> None:
    looped = open_fold(folder).load()
    with torch.no_grad():
        looped.network.get_parameter(f"stage2.blocks.A.body.conv1.{name}")[1].normal_()
    write(folder, looped)


def _nothing(folder: Path) -> None:
    looped = open_fold(folder).load()
    with torch.no_grad():
        for name, parameter in looped.named_parameters():
            if name.endswith("residual_left"):
                parameter.zero_()
    write(folder, looped)


def _said(folder: Path, edit: Any, settings: Any = None) -> None:
    report = report_of(folder)
    edit(report)
    write(folder, report=report, settings=settings)


def _hide(folder: Path) -> None:
    """A rank of zeros more, counted truly."""
    fold, report = open_fold(folder), report_of(folder)
    groups = tuple(dataclasses.replace(group, ranks=(RANK + 1,)) for group in fold.groups)
    larger = dataclasses.replace(fold, groups=groups).load_structure().to("cpu")
    state = fold.load().state_dict()
    for name, tensor in larger.state_dict().items():
        if "residual_" in name:
            padded = torch.zeros(tensor.shape)
            padded[tuple(map(slice, state[name].shape))] = state[name]
            state[name] = padded
    larger.load_state_dict(state)
    for group in report["groups"]:
        added = group["residual_numbers"] // RANK
        group["residual_numbers"] += added
        report["parameters"]["folded"] += added
        report["bytes"]["folded"] += 4 * added
    write(folder, larger, report, groups=groups)


FALSE = {
    "a rank that was not asked for": (_hide, f"groups with residuals of a rank above {RANK}"),
    "noise in B": (lambda folder: _noise(folder, "residual_left"), TIES),
    "noise in A": (lambda folder: _noise(folder, "residual_right"), TIES),
    "residuals of nothing": (_nothing, TIES),
    "fewer numbers": (
        lambda folder: _said(folder, lambda report: report["groups"][0].update(residual_numbers=0)),
        COUNTS,
    ),
    "another rank in the report": (lambda folder: _said(folder, lambda report: report.update(residual=1)), SETTINGS),
    "another rank everywhere": (
        lambda folder: _said(folder, lambda report: report.update(residual=1), {"residual": 1}),
        TIES,
    ),
}


@pytest.mark.parametrize(("spoil", "named"), FALSE.values(), ids=FALSE)
def test_a_fold_that_is_not_what_it_says_is_named(made, spoil, named):
    spoil(made)
    certificate = verify(made)
    assert named in broken(certificate)
    assert certificate.passed is False


def test_a_changed_file_of_weights_is_refused(made):
    file = made / "weights.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(RunError, match=r"^'.*weights.safetensors' was changed after the fold was written"):
        verify(made)


def _ranks(folder: Path, ranks: list[int]) -> None:
    """Other ranks in config.json, every digest right."""
    groups = tuple(dataclasses.replace(group, ranks=tuple(ranks)) for group in open_fold(folder).groups)
    write(folder, groups=groups)


@pytest.mark.parametrize(
    ("ranks", "said"),
    [
        (
            [1],
            r"does not fit the network \(the first of 12 tensors that differ is "
            r"'network.stage1.blocks.A.body.conv1.residual_left'\); it is another run's$",
        ),
        ([], r"does not fit the network \(the first of 12 tensors that differ is .*\); it is another run's$"),
        ([2, 2], r"do not make a network \(the ranks of residuals are 2 and the owners 1; give one rank an owner\)"),
        ([9999], r"do not make a network \(a residual of a weight \(16, 16, 3, 3\) cannot have rank 9999; give at most 16\)"),
        ([-1], r"'.*config.json' .*"),
    ],
)  # fmt: skip
def test_ranks_that_do_not_fit_are_refused(made, ranks, said):
    _ranks(made, ranks)
    with pytest.raises(RunError, match=said):
        foldnet.load(made)


def test_a_fold_from_before_there_were_residuals_opens_and_passes(run):
    foldnet.fold(run, out=run / "old", **LOOSE)
    config, report = json.loads((run / "old/config.json").read_text()), report_of(run / "old")
    del config["settings"]["residual"], report["residual"]
    for group in config["groups"]:
        del group["ranks"]
    for group in report["groups"]:
        del group["residual_numbers"]
    (run / "old/report.json").write_text(json.dumps(report))
    (run / "old/config.json").write_text(json.dumps(sealed(config)))
    planted.reseal(run / "old")
    certificate = verify(run / "old")
    assert (broken(certificate), certificate.passed) == (set(), True)


def test_a_budget_counts_residuals_and_a_sweep_is_of_one_rank(run):
    told = []
    noted = type("Noted", (Silent,), {"note": lambda self, text: told.append(text)})()
    swept = foldnet.sweep(run, residual=RANK, observer=Silent())
    first, last = swept.units["layer"][0], swept.units["layer"][-1]
    weights = sum(n for n in (16 * 16 * 9, 32 * 32 * 9, 64 * 64 * 9))
    assert first.stored_numbers == 2 * weights
    assert last.stored_numbers == weights + 4 * RANK * sum(NUMBERS.values())
    quick = {"shares": False, "evaluated": False, "observer": noted}
    least = min(point.parameters for point in swept.units["layer"])
    found = foldnet.fold(run, budget=f"{least}", residual=RANK, dry_run=True, **quick)
    assert found.report.parameters.folded == least
    assert told == [f"choosing from '{run / 'sweep.json'}'"]
    with pytest.raises(NothingToFold) as caught:
        foldnet.fold(run, budget=f"{least - 1}", residual=RANK, dry_run=True, **quick)
    said = (
        f"a `budget` of {least - 1:,} parameters cannot be reached: the smallest fold has {least:,}; give at least that"
    )
    assert str(caught.value) == said
    told.clear()
    foldnet.fold(run, budget=f"{least}", dry_run=True, **quick)
    assert told[0] == "sweep.json is of another residual, so the sweep is made anew"


def test_shares_of_the_added_loss_are_those_of_the_layers_that_keep_residuals(run):
    report = foldnet.fold(run, threshold=0.0, residual=1, groups=("stage3",), dry_run=True, observer=Silent()).report
    shares = [layer.added_loss_share for layer in report.groups[2].layers]
    assert sum(shares) == pytest.approx(1.0) or shares == [0.0] * 4


def test_hard_sharing_from_the_start_has_no_residuals(run, made, tmp_path):
    with pytest.raises(RunError) as caught:
        foldnet.train(like=made, out=tmp_path / "like", observer=Silent())
    assert str(caught.value) == (
        f"fold '{made}' keeps residuals, and what shares hard from the start has none; fold its run without `residual`"
    )
    study = {"grid": {"arch": ["swrn-16-1-2"]}, "fold": {"residual": [0, 2]}, "like": {}}
    with pytest.raises(SettingError) as caught:
        study_of(study, Path("a.toml"))
    assert str(caught.value) == (
        "study file 'a.toml' has a table [like] and a fold with residuals, and what shares hard from the start has none; "
        "leave one of them out"
    )
    steps = study_of({key: value for key, value in study.items() if key != "like"}, Path("a.toml")).trials[0].steps
    assert [step.title for step in steps] == ["fold", "fold (residual=2)"]


def test_the_command_line_takes_a_rank_and_shows_what_it_costs(cli, run, monkeypatch):
    monkeypatch.chdir(run.parent)
    options = ("--threshold", "0", "--residual", RANK, "--no-shares", "--dry-run")
    report = cli.done("fold", "run", *options)
    assert report["residual"] == RANK
    shown = cli("fold", "run", *options)
    assert shown.code == 0
    title = next(line for line in shown.out.splitlines() if line.startswith("group"))
    assert " ".join(title.split()) == "group layers templates owners stored residuals of rank 2 by chance"
    row = next(line for line in shown.out.splitlines() if line.startswith("stage1 "))
    assert row.split()[1:6] == ["4", "2", "1", "1", "1,280"]
    assert cli.refused("fold", "run", "--residual", "-1") == (
        "--residual -1 is not legal; give a whole number from 0 to 10000"
    )
    curve = cli.done("fold", "run", "--sweep", "--residual", RANK, "--dry-run")
    assert curve["units"]["layer"][-1]["stored_numbers"] > 2 * (256 + 1024 + 4096) * 9 / 2


def test_other_trips_are_evaluated_and_recalibrated(cli, run, made, monkeypatch):
    monkeypatch.chdir(run.parent)
    place = str(made.relative_to(run.parent))
    found = cli.done("evaluate", place, "--steps", "stage2.loop1=4", "--damped", "--recalibrate")
    assert 0 <= found["accuracy"] <= 1
