"""`foldnet train --like FOLD`: a fold's network trained from the start, which stores what the fold stores."""

import json
import shutil

import pytest
import torch

import foldnet
from foldnet.errors import NothingToFold, RunError, SettingError
from foldnet.folding.folds import open_fold
from foldnet.folding.opening import load
from foldnet.sharing.share import materialise
from foldnet.sharing.tied import TiedLayers
from foldnet.store.tensors import load_tensors
from foldnet.training.observer import Silent
from foldnet.training.runs import open_run

QUICK = {"epochs": 1, "batch_size": 256, "device": "cpu", "precision": "fp32"}


@pytest.fixture(scope="module")
def soft(tmp_path_factory):
    """A soft run of three templates with two folds: of few owners, and of more than the templates."""
    run = tmp_path_factory.mktemp("like") / "soft"
    foldnet.train(arch="swrn-28-1-3", out=run, seed=3, cutout=2, observer=Silent(), **QUICK)
    groups = {
        f"stage{stage}": [f"stage{stage}.{block}.conv{conv}" for block in (1, 2, 3) for conv in (1, 2)]
        for stage in (1, 2, 3)
    }
    names = {name: layers for name, layers in groups.items() if all(layer in _layers(run) for layer in layers)}
    assert names
    for name, pairs in (("few", lambda one: [one[0::2], one[1::2]]), ("many", lambda one: [one[:2]])):
        file = run.parent / f"{name}.json"
        file.write_text(json.dumps({group: pairs(layers) for group, layers in names.items()}))
        foldnet.fold(run, clusters=str(file), out=run / name, observer=Silent(), evaluated=False)
    return run


def _layers(run):
    return [layer for group in foldnet.lsm(run).groups for layer in group.layers]


@pytest.mark.parametrize("name", ["few", "many"])
def test_it_stores_what_the_fold_stores_and_ties_the_same_layers(soft, tmp_path, name):
    report = foldnet.train(like=soft / name, out=tmp_path / "run", observer=Silent())
    fold = open_fold(soft / name)
    tied, looped = load(tmp_path / "run"), load(soft / name)
    assert report.tied
    assert report.parameters == sum(one.numel() for one in looped.parameters())
    forms = {group: source.stored.form for group, source in tied.sources.items()}
    assert forms == {group.name: (group.owners, group.templates, group.shape, ()) for group in fold.groups}
    assert any(templates is None for _, templates, *_ in forms.values()) is (name == "few")
    assert all(isinstance(source, TiedLayers) for source in tied.sources.values())
    dense = materialise(tied)
    uses = [use for use in fold.program.uses if use.owner is not None]
    for one in uses:
        for other in (other for other in uses if other.group == one.group):
            alike = torch.nn.functional.cosine_similarity(
                *(dense.get_parameter(f"{use.layer}.weight").flatten() for use in (one, other)), dim=0
            )
            assert (abs(abs(alike.item()) - 1) < 1e-5) is (one.owner == other.owner)


def test_settings_are_those_of_the_run_but_for_what_is_given_and_the_regulariser(soft, tmp_path):
    foldnet.train(like=soft / "few", out=tmp_path / "run", seed=5, observer=Silent())
    ours, theirs = open_run(tmp_path / "run").settings, open_run(soft).settings
    assert (ours.arch, ours.cutout, ours.epochs, ours.batch_size) == (theirs.arch, 2, 1, 256)
    assert (ours.seed, theirs.seed, ours.recurrence) == (5, 3, 0.0)
    assert theirs.recurrence > 0


def test_a_fold_without_its_run_is_enough(soft, tmp_path):
    shutil.copytree(soft / "few", tmp_path / "alone")
    foldnet.train(like=tmp_path / "alone", out=tmp_path / "run", observer=Silent(), **QUICK)
    assert open_run(tmp_path / "run").settings.cutout == 0
    assert open_run(tmp_path / "run").blueprint.ties == open_run_ties(soft / "few", tmp_path)


def open_run_ties(fold, tmp_path):
    foldnet.train(like=fold, out=tmp_path / "again", observer=Silent())
    return open_run(tmp_path / "again").blueprint.ties


def test_resumed_it_ends_as_never_stopped(soft, tmp_path):
    whole = foldnet.train(like=soft / "many", out=tmp_path / "whole", epochs=2, observer=Silent())
    foldnet.train(like=soft / "many", out=tmp_path / "part", epochs=1, observer=Silent())
    part = foldnet.train(like=soft / "many", out=tmp_path / "part", epochs=2, resume=True, observer=Silent())
    assert part.epochs == whole.epochs
    with pytest.raises(SettingError, match=r"^`like` contradicts run '.*part', which shares otherwise; leave it out"):
        foldnet.train(like=soft / "few", out=tmp_path / "part", resume=True, observer=Silent())
    again = foldnet.train(out=tmp_path / "part", resume=True, observer=Silent())
    assert again.tied
    first = load_tensors(tmp_path / "whole" / "last" / "checkpoint.safetensors").tensors
    assert {name for name in first if "coefficients" in name or "gains" in name}


def test_what_shares_hard_is_neither_compared_nor_folded(soft, tmp_path):
    foldnet.train(like=soft / "few", out=tmp_path / "run", observer=Silent())
    with pytest.raises(
        NothingToFold, match=r"^group 'stage1' shares hard already, so there is nothing left to compare"
    ):
        foldnet.lsm(tmp_path / "run")
    with pytest.raises(NothingToFold, match=r"^the network shares hard already, so there is nothing left to fold$"):
        foldnet.fold(tmp_path / "run", observer=Silent())
    assert foldnet.evaluate(tmp_path / "run", observer=Silent()).form == "tied"
    assert foldnet.info(tmp_path / "run").parameters == foldnet.info(soft / "few").parameters


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"arch": "wrn-28-1"},
            r"^`arch='wrn-28-1'` contradicts `like`, which names a fold of swrn-28-1-3; leave `arch` out$",
        ),
        ({"recurrence": 0.2}, r"^`recurrence=0.2` has no meaning with `like`: what shares hard has no coefficients to"),
        ({"recall": True}, r"^`recall=True` and `like` contradict each other; leave one of them out$"),
    ],
)
def test_contradictions_are_refused(soft, tmp_path, given, said):
    with pytest.raises(SettingError, match=said):
        foldnet.train(like=soft / "few", out=tmp_path / "run", observer=Silent(), **given)
    assert not (tmp_path / "run").exists()


def test_what_is_no_fold_is_refused(tmp_path):
    with pytest.raises(
        RunError, match=r"nowhere' is not a folder; give the folder of a fold, such as runs/NAME/fold-0.95$"
    ):
        foldnet.train(like=tmp_path / "nowhere", out=tmp_path / "run", observer=Silent())


def test_changed_ties_do_not_open(soft, tmp_path):
    foldnet.train(like=soft / "few", out=tmp_path / "run", observer=Silent())
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    config["network"]["ties"]["stage1"][0] = 7
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    with pytest.raises(RunError, match=r"config.json"):
        load(tmp_path / "run")
