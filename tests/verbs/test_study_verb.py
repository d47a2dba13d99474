"""Studies that run: skipped where finished, taken up where killed, tried again where failed, and the same table whatever."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from foldnet.errors import RunError, SettingError
from foldnet.store.tensors import load_tensors
from foldnet.studies.course import Unwatched
from foldnet.studies.file import read_study_file
from foldnet.verbs.study import run_study, study_table

TOML = """
epochs = 2
batch_size = 256
[grid]
arch = ["wrn-10-1", "swrn-16-1-2"]
seed = [0, 1]
[fold]
threshold = 0.9
finetune = 0
"""


def made(folder, text=TOML):
    file = folder / "small.toml"
    file.write_text(text)
    return file


def timeless(report):
    """What a table says, times left out."""
    return [(line.name, line.dataset, line.score, line.parameters) for line in report.lines]


def weights(folder):
    runs = sorted(Path(folder, "runs").glob("*/last/checkpoint.safetensors"))
    return {run.parent.parent.name: load_tensors(run).tensors for run in runs}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A study that ran from beginning to end, two at one time."""
    folder = tmp_path_factory.mktemp("whole")
    report = run_study(made(folder), out=folder / "study", jobs=2, threads=1, device="cpu")
    return folder, report


def test_a_study_gives_a_line_a_form(whole):
    folder, report = whole
    names = ["wrn-10-1", "swrn-16-1-2", "swrn-16-1-2, fold (threshold=0.9)"]
    assert [line.name for line in report.lines] == names
    assert [len(line.score.values) for line in report.lines] == [2, 2, 2]
    assert report.exit_status == 0
    assert timeless(study_table(folder / "study")) == timeless(report)
    assert timeless(study_table(folder / "study" / "results.json")) == timeless(report)
    assert str(folder) not in (folder / "study" / "results.json").read_text()


def test_what_is_finished_is_not_run_again(whole):
    folder, report = whole
    before = {file: file.stat().st_mtime_ns for file in (folder / "study" / "runs").rglob("*") if file.is_file()}
    start = time.monotonic()
    again = run_study(folder / "small.toml", out=folder / "study")
    assert time.monotonic() - start < 60
    assert timeless(again) == timeless(report)
    assert before == {
        file: file.stat().st_mtime_ns for file in (folder / "study" / "runs").rglob("*") if file.is_file()
    }


def test_results_of_elsewhere_count_as_run(whole, tmp_path):
    folder, report = whole
    there = run_study(folder / "small.toml", out=tmp_path / "new", results=[folder / "study" / "results.json"])
    assert timeless(there) == timeless(report)
    assert not list((tmp_path / "new" / "runs").iterdir())


def test_a_dry_run_says_what_would_run_and_writes_nothing(whole, tmp_path):
    folder, _ = whole
    fresh = run_study(folder / "small.toml", out=tmp_path / "none", dry_run=True, jobs=2)
    assert [one.state for one in fresh.trials] == ["waiting"] * 4
    assert fresh.seconds is None
    assert not list(tmp_path.iterdir())
    done = run_study(folder / "small.toml", out=folder / "study", dry_run=True)
    assert {one.state for one in done.trials} == {"finished"}
    assert done.seconds == 0


def test_killed_at_any_moment_it_comes_to_the_same_end(whole, tmp_path):
    folder, report = whole
    command = [
        sys.executable,
        "-m",
        "foldnet_cli",
        "study",
        "run",
        str(folder / "small.toml"),
        "--out",
        str(tmp_path / "k"),
    ]
    command += ["--jobs", "2", "--threads", "1", "--device", "cpu"]
    for seconds in (4.0, 7.0):
        process = subprocess.Popen(
            command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    ended = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert timeless(study_table(tmp_path / "k")) == timeless(report)
    ours, theirs = weights(tmp_path / "k"), weights(folder / "study")
    assert ours.keys() == theirs.keys()
    assert all((ours[run][name] == theirs[run][name]).all() for run in theirs for name in theirs[run])


def test_a_trial_that_fails_is_named_and_the_others_go_on(tmp_path):
    text = 'epochs = 1\n[grid]\narch = "wrn-10-1"\n[[trial]]\narch = "wrn-10-1"\ndataset = "folder"\n'
    said = []

    class Watching(Unwatched):
        def said(self, sentence):
            said.append(sentence)

    report = run_study(made(tmp_path, text), out=tmp_path / "study", retries=1, threads=1, watcher=Watching())
    assert [line.dataset for line in report.lines] == ["digits"]
    assert [name for name, _ in report.missing] == ["wrn-10-1 folder seed 0"]
    assert report.exit_status == 1
    assert sum("it is tried again" in sentence for sentence in said) == 1


def test_folders_of_others_and_wrong_numbers_are_refused(whole, tmp_path, monkeypatch):
    folder, _ = whole
    other = tmp_path / "other.toml"
    other.write_text(TOML)
    with pytest.raises(RunError, match=r"is the folder of study 'small', not of 'other'; give `out` another name$"):
        run_study(other, out=folder / "study")
    with pytest.raises(SettingError, match=r"^`jobs=0` is not legal; give a whole number of at least 1$"):
        run_study(other, out=tmp_path / "o", jobs=0)
    with pytest.raises(SettingError, match=r"^`threads=0` is not legal; give a whole number of at least 1$"):
        run_study(other, out=tmp_path / "o", threads=0)
    with pytest.raises(SettingError, match=r"^`engine='slurm'` is not legal; choose local or ray$"):
        run_study(other, out=tmp_path / "o", engine="slurm")
    monkeypatch.setattr("foldnet.studies.estimate.memory_bytes", lambda: (2**40, 2**30))
    little = r"^`jobs=4` needs about .* GiB of memory at one time and 1.0 GiB are free; give `jobs=1`$"
    with pytest.raises(SettingError, match=little):
        run_study(other, out=tmp_path / "o", jobs=4)
    monkeypatch.undo()
    edited = json.loads((folder / "study" / "results.json").read_text())
    edited["results"][0]["settings"]["lr"] = 1.0
    (tmp_path / "edited.json").write_text(json.dumps(edited))
    with pytest.raises(
        RunError,
        match=r"edited.json' was changed after the study was written \(its SHA-256 differs\); restore it or run the "
        r"study again$",
    ):
        run_study(other, out=tmp_path / "o", results=[tmp_path / "edited.json"])
    del edited["sha256"]
    (tmp_path / "edited.json").write_text(json.dumps(edited))
    with pytest.raises(
        RunError, match=r"edited.json' has other settings for trial \w+ than its name says; it was edited$"
    ):
        run_study(other, out=tmp_path / "o", results=[tmp_path / "edited.json"])
    assert not (tmp_path / "o").exists()
    assert read_study_file(other).name == "other"


def test_what_only_starts_others_and_reads_results_imports_no_torch(whole):
    folder, _ = whole
    code = (
        "import sys\nfrom pathlib import Path\nfrom foldnet.studies.file import read_study_file\n"
        "from foldnet.verbs.study import study_table\n"
        f"read_study_file(Path({str(folder / 'small.toml')!r}))\nstudy_table({str(folder / 'study')!r})\n"
        "print([name for name in ('torch', 'scipy', 'ray') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    "edit",
    [
        {"trial": 3},
        {"train": {}},
        {"settings": {}},
        {"settings": {"arch": 3, "dataset": "digits", "seed": 0}},
        {"steps": [3]},
        {"steps": [{"kind": "fold", "made": {}}]},
    ],
)
def test_result_files_that_are_none_are_refused(whole, tmp_path, edit):
    content = json.loads((whole[0] / "study" / "results.json").read_text())
    content["results"][0] |= edit
    (tmp_path / "odd.json").write_text(json.dumps(content))
    said = r"odd.json' is not a study's result file; give the results.json of a study$"
    with pytest.raises(RunError, match=said):
        study_table(tmp_path / "odd.json")
    with pytest.raises(RunError, match=said):
        run_study(whole[0] / "small.toml", out=tmp_path / "o", results=[tmp_path / "odd.json"])
    assert not (tmp_path / "o").exists()
