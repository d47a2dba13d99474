"""What foldnet 0.1 wrote opens with one warning, and nothing is written to do so."""

import json
import re
import warnings

import pytest

import foldnet
from foldnet.errors import FoldnetWarning, RunError
from foldnet.folding.folds import open_fold
from foldnet.store.seals import SCHEMA, check_schema, sealed, upgraded
from foldnet.store.tensors import load_tensors, save_tensors
from foldnet.training.checkpoint import load_coefficients, read_metrics
from foldnet.training.runs import open_run
from foldnet.verbs.train import read_report

FOLD = "runs/tied/fold-0.95"


def of_0_1(folder, put):
    """Take from a run what 0.1 did not write."""
    config = json.loads((folder / "config.json").read_text())
    put(folder / "config.json", json.dumps({key: config[key] for key in config if key != "sha256"} | {"schema": 1}))
    report = json.loads((folder / "report.json").read_text())
    put(folder / "report.json", json.dumps({key: report[key] for key in report if key not in ("identity", "sha256")}))
    for checkpoint in ("last", "best"):
        file = folder / checkpoint / "checkpoint.safetensors"
        old = load_tensors(file)
        file.unlink()
        save_tensors(file, old.tensors, {key: old.metadata[key] for key in old.metadata if key != "seal"})
    (folder / "progress.json").unlink()


def said(folder):
    return f"^'{folder}' is of schema 1 and has no seal, so that a change to its files is not noticed$"


def test_an_unsealed_run_opens_with_one_warning_and_is_not_touched(home, put):
    from conftest import state_of

    of_0_1(home / "runs/soft", put)
    before = state_of(home)
    with pytest.warns(FoldnetWarning, match=said("runs/soft")):
        run = foldnet.load("runs/soft")
    assert run is not None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for checkpoint in ("last", "best"):
            foldnet.load("runs/soft", checkpoint=checkpoint)
        assert read_report(home / "runs/soft").epochs == len(read_metrics(home / "runs/soft")) == 3
        assert load_coefficients(home / "runs/soft")
    assert len([warning for warning in caught if str(warning.message).startswith("'runs/soft'")]) == 1
    assert state_of(home) == before


def test_the_command_line_says_so_once_in_one_sentence(cli, home, put):
    of_0_1(home / "runs/soft", put)
    outcome = cli("lsm", "runs/soft", "--history")
    said = "warning: 'runs/soft' is of schema 1 and has no seal, so that a change to its\n  files is not noticed\n"
    assert (outcome.code, outcome.err) == (0, said)


def test_an_unsealed_fold_opens_with_one_warning_and_is_not_touched(home, put):
    config = json.loads((home / FOLD / "config.json").read_text())
    old = {key: config[key] for key in config if key not in ("sha256", "files")} | {"schema": 1}
    old["network"] = {key: config["network"][key] for key in config["network"] if key != "size"}
    put(home / FOLD / "config.json", json.dumps(old))
    with pytest.warns(FoldnetWarning, match=said(FOLD)):
        fold = open_fold(home.joinpath(FOLD).relative_to(home))
    assert (fold.blueprint.size, fold.files) == (32, ())
    assert fold.load() is not None
    assert json.loads((home / FOLD / "config.json").read_text()) == old


def test_a_sealed_fold_of_schema_1_opens_without_a_word(home, put):
    config = json.loads((home / FOLD / "config.json").read_text())
    put(home / FOLD / "config.json", json.dumps(sealed(config | {"schema": 1})))
    assert open_fold(home / FOLD).load() is not None
    put(home / FOLD / "config.json", json.dumps(sealed(config | {"schema": 1}) | {"checkpoint": "best"}))
    with pytest.raises(RunError, match="was changed after the fold was written"):
        open_fold(home / FOLD)


def test_a_run_of_0_1_goes_on(home, put):
    """Its checkpoints are sealed from then on; its config.json stays what it is."""
    of_0_1(home / "runs/soft", put)
    (home / "runs/soft/report.json").unlink()
    config = (home / "runs/soft/config.json").read_bytes()
    with pytest.warns(FoldnetWarning, match=said("runs/soft")):
        report = foldnet.train(out="runs/soft", resume=True, device="cpu")
    assert report.epochs == 3
    assert (home / "runs/soft/config.json").read_bytes() == config
    with pytest.warns(FoldnetWarning, match=said("runs/soft")):
        assert open_run(home.joinpath("runs/soft").relative_to(home)).sealed is False


@pytest.mark.parametrize("schema", [0, SCHEMA + 1, "1", None, True])
def test_what_no_version_wrote_is_refused(tmp_path, schema):
    sentence = f"'{tmp_path}' has schema {schema!r} and this foldnet reads 1 to {SCHEMA}; use the version that wrote it"
    with pytest.raises(RunError, match=f"^{re.escape(sentence)}$"):
        check_schema({"schema": schema}, tmp_path)


def test_what_is_upgraded_is_a_copy():
    old = {"schema": 1, "kind": "fold", "network": {}}
    assert upgraded(old) == {"schema": SCHEMA, "kind": "fold", "network": {"size": 32}, "files": {}}
    assert old == {"schema": 1, "kind": "fold", "network": {}}
