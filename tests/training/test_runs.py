"""Run folders: written whole, found by age, and refused in one sentence when they are not what they should be."""

import errno
import json
import os
import re
import shutil
from pathlib import Path

import pytest
import torch

from foldnet.errors import OutputError, RunError
from foldnet.folding.opening import fold_folder
from foldnet.sharing.share import SharedNetwork
from foldnet.store.artifact import RUN
from foldnet.store.seals import sealed
from foldnet.training.begin import clear_leftovers
from foldnet.training.checkpoint import append_metrics, load_coefficients, read_metrics, save_coefficients
from foldnet.training.runs import Run, all_runs, create_run, default_name, newest_run, open_run
from foldnet.training.settings import TrainSettings
from foldnet.verbs.train import read_report
from foldnet.zoo.blueprint import blueprint

READERS = (
    ["lsm", "runs/soft"],
    ["fold", "runs/soft", "--no-evaluate"],
    ["evaluate", "runs/soft"],
    ["render", "sharing", "runs/soft", "-o", "a.dot"],
    ["render", "lsm", "runs/soft", "-o", "a.npz"],
)
OF_CONFIG = (*READERS, ["info", "runs/soft"], ["lsm", "runs/soft", "--history", "-o", "h.npz"])
CONFIG = "'runs/soft/config.json'"
WEIGHTS = "'runs/soft/last/checkpoint.safetensors'"


def exactly(sentence):
    return f"^{re.escape(sentence)}$"


def edited(home, **changes):
    """The run's config.json with something else in it."""
    return json.dumps(sealed(json.loads((home / "runs/soft/config.json").read_text()) | changes))


def settings_with(home, **changes):
    settings = json.loads((home / "runs/soft/config.json").read_text())["settings"]
    return edited(home, settings=settings | changes)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", f"{CONFIG} is not valid JSON (Expecting value: line 1 column 1 (char 0)); it was cut short or edited"),
        (
            '{"schema": 1,',
            f"{CONFIG} is not valid JSON (Expecting property name enclosed in double quotes: line 1 column 14 (char 13)); "
            "it was cut short or edited",
        ),
        ("[]", f"{CONFIG} is not that of a run; it was edited, or 'runs/soft' is not foldnet's"),
        ("null", f"{CONFIG} is not that of a run; it was edited, or 'runs/soft' is not foldnet's"),
        ('{"kind": ["run"]}', f"{CONFIG} is not that of a run; it was edited, or 'runs/soft' is not foldnet's"),
        ('{"kind": "run"}', f"{CONFIG} has schema None and this foldnet reads 1 to 3; use the version that wrote it"),
        (
            '{"kind": "run", "schema": 2}',
            f"{CONFIG} is not a run's (KeyError('settings')); it was edited or is foreign",
        ),
    ],
)
@pytest.mark.parametrize("command", OF_CONFIG)
def test_a_config_that_is_no_runs(cli, home, put, command, content, said):
    put(home / "runs/soft/config.json", content)
    assert cli.refused(*command) == said


@pytest.mark.parametrize("schema", [99, 0, "1", None, 1.5])
def test_another_schema_is_refused(cli, home, put, schema):
    put(home / "runs/soft/config.json", edited(home, schema=schema))
    said = f"{CONFIG} has schema {schema!r} and this foldnet reads 1 to 3; use the version that wrote it"
    assert cli.refused("lsm", "runs/soft") == said


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"surprise": 1}, "'surprise' does not exist"),
        ({"epochs": "many"}, "--epochs many is not legal; give a whole number from 1 to 10000"),
        ({"lr": -1}, "--lr -1 is not legal; give a number above 0, at most 1000"),
        ({"precision": "fp8"}, "--precision fp8 is not legal; choose auto, fp32 or bf16"),
    ],
)
def test_settings_that_are_not_legal_are_the_files_fault(cli, home, put, changes, reason):
    put(home / "runs/soft/config.json", settings_with(home, **changes))
    said = cli.refused("lsm", "runs/soft")
    assert said.startswith(f"{CONFIG} has a setting that is not legal ({reason}")
    assert said.endswith("); restore the file")


@pytest.mark.parametrize("name", ["classes", "channels", "size"])
@pytest.mark.parametrize("value", [-1, 10**9, "many", None])
def test_sizes_that_are_not_legal(cli, home, put, name, value):
    network = json.loads((home / "runs/soft/config.json").read_text())["network"]
    put(home / "runs/soft/config.json", edited(home, network=network | {name: value}))
    said = cli.refused("lsm", "runs/soft")
    assert said.startswith(
        f"{CONFIG} has a setting that is not legal ('{name}' {value} is not legal; give a whole number from 1 to "
    )
    assert said.endswith("); restore the file")


def test_any_leaf_of_a_config_may_be_anything(home, put):
    """Whatever is put in its place, what comes is a run or a RunError."""
    file = home / "runs/soft/config.json"
    config = json.loads(file.read_text())
    places = [(config, key) for key in config] + [
        (config[part], key) for part in ("settings", "network") for key in config[part]
    ]
    opened, said = 0, []
    for holder, key in places:
        kept = holder.pop(key)
        for value in (None, "x", -1, 2.5, [], {}, True, "../\n"):
            holder[key] = value
            put(file, json.dumps(sealed(config)))
            try:
                open_run(home / "runs/soft")
                opened += 1
            except RunError as error:
                said.append(str(error))
        holder[key] = kept
    assert opened > 0
    assert len(said) > 50
    assert all("config.json" in sentence or "is the folder of" in sentence for sentence in said)


def truncate(content):
    return content[: len(content) // 2]


def flip(content):
    """One bit, far behind the header."""
    changed = bytearray(content)
    changed[len(content) // 3] ^= 4
    return bytes(changed)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (truncate, f"{WEIGHTS} cannot be read as tensors ("),
        (lambda content: b"", f"{WEIGHTS} cannot be read as tensors ("),
        (lambda content: b"\xff" * 100, f"{WEIGHTS} cannot be read as tensors ("),
        (flip, f"{WEIGHTS} was changed after it was written (its digest differs); restore the original file"),
    ],
)
@pytest.mark.parametrize("command", READERS)
def test_damaged_weights(cli, home, put, command, damage, said):
    file = home / "runs/soft/last/checkpoint.safetensors"
    put(file, damage(file.read_bytes()))
    assert cli.refused(*command).startswith(said)


def test_weights_that_are_another_programs(cli, home, put):
    from safetensors.torch import save

    file = home / "runs/soft/last/checkpoint.safetensors"
    for content in (save({"a": torch.zeros(3)}), save({"a": torch.zeros(3)}, {"foldnet": "{}"})):
        put(file, content)
        said = f"{WEIGHTS} was not written by foldnet; point at a run or fold folder that was"
        assert cli.refused("lsm", "runs/soft") == said


def test_weights_of_another_run_or_kind(cli, home, put):
    file = home / "runs/soft/last/checkpoint.safetensors"
    put(file, (home / "runs/plain/last/checkpoint.safetensors").read_bytes())
    said = cli.refused("evaluate", "runs/soft")
    assert said.startswith(f"{WEIGHTS} does not fit the network (the first of ")
    assert said.endswith("); it is another run's")
    put(file, (home / "runs/tied/fold-0.95/weights.safetensors").read_bytes())
    said = f"{WEIGHTS} has no part 'model'; it is not the file that it should be"
    assert cli.refused("evaluate", "runs/soft") == said


@pytest.mark.parametrize("command", READERS)
def test_weights_that_are_gone(cli, home, command):
    (home / "runs/soft/last/checkpoint.safetensors").unlink()
    said = f"{WEIGHTS} is lost, with which the training had come to epoch 3; restore it, use --checkpoint best, or train again with --force"
    assert cli.refused(*command) == said


def test_a_folder_without_config(cli, home):
    (home / "runs/soft/config.json").unlink()
    assert cli.refused("lsm", "runs/soft") == "'runs/soft' holds no config.json; it is not the folder of a run"


def test_a_config_that_cannot_be_read(cli, shelf, monkeypatch):
    real = os.open

    def refuse(path, *arguments, **keywords):  # root may read what is forbidden
        if str(path) == "runs/soft/config.json":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(path, *arguments, **keywords)

    monkeypatch.setattr(os, "open", refuse)
    said = "'runs/soft/config.json' cannot be read (Permission denied); check its permissions"
    assert cli.refused("lsm", "runs/soft") == said


@pytest.mark.parametrize("name", ["config.json", "last", "last/checkpoint.safetensors"])
def test_no_link_inside_a_run_is_followed(cli, home, name):
    place = home / "runs/soft" / name
    place.rename(home / "elsewhere")
    place.symlink_to(home / "elsewhere")
    said = f"'runs/soft/{name}' is a symbolic link, and none is followed inside a run or fold; copy the folder with `cp -RL`"
    assert cli.refused("lsm", "runs/soft") == said


def some_run(folder, **settings):
    chosen = TrainSettings(**settings)
    return Run(folder, chosen, blueprint(chosen.arch, channels=1, size=8, dropout=chosen.dropout), "fp32", "hash")


def test_a_run_is_read_as_it_was_written(tmp_path):
    run = some_run(tmp_path, arch="swrn-16-1-2", dropout=0.25, validation=0.2)
    create_run(tmp_path, run, {"torch": "1"})
    assert open_run(tmp_path) == run
    assert RUN.config(tmp_path)["machine"] == {"torch": "1"}


def test_what_is_loaded_is_on_the_cpu_in_evaluation_mode(shelf):
    run = open_run(shelf / "runs/soft")
    model, progress = run.load()
    assert isinstance(model, SharedNetwork)
    assert not model.training
    assert {tensor.device.type for tensor in model.state_dict().values()} == {"cpu"}
    assert (progress.epoch, open_run(shelf / "runs/soft").load("best")[1].epoch) == (3, progress.best_epoch)


def test_runs_are_ordered_by_age_not_by_name(tmp_path):
    for name, created in (("b", "2001"), ("a", "2003"), ("c", "2002")):
        folder = tmp_path / name
        folder.mkdir()
        create_run(folder, some_run(folder), {})
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(sealed(config | {"created": created})))
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    assert [folder.name for folder in all_runs(tmp_path)] == ["b", "c", "a"]
    assert newest_run(tmp_path) == tmp_path / "a"


def test_damaged_runs_are_listed_before_sound_ones_and_what_is_no_run_is_not(tmp_path):
    for name in ("sound", "cut", "lost", "linked", "fold", "notes", "foreign"):
        (tmp_path / name).mkdir()
    for name in ("sound", "cut", "lost", "linked"):
        create_run(tmp_path / name, some_run(tmp_path / name), {})
        (tmp_path / name / "metrics.jsonl").write_text("")
    (tmp_path / "cut/config.json").write_text('{"kind": "r')
    (tmp_path / "lost/config.json").unlink()
    (tmp_path / "linked/config.json").unlink()
    (tmp_path / "linked/config.json").symlink_to("/dev/zero")
    (tmp_path / "fold/config.json").write_text('{"kind": "fold"}')
    (tmp_path / "notes/config.json").write_text("{")
    (tmp_path / "foreign/config.json").write_text('{"kind": "car"}')
    assert [folder.name for folder in all_runs(tmp_path)] == ["cut", "linked", "lost", "sound"]
    assert newest_run(tmp_path).name == "sound"


def test_runs_made_one_after_the_other_differ_in_age(tmp_path):
    for number in range(20):
        folder = tmp_path / f"{100 - number}"
        folder.mkdir()
        create_run(folder, some_run(folder), {})
    assert [folder.name for folder in all_runs(tmp_path)] == [f"{100 - number}" for number in range(20)]


def test_metrics_that_are_a_folder_are_not_metrics_that_are_none(tmp_path):
    assert read_metrics(tmp_path) == []
    (tmp_path / "metrics.jsonl").mkdir()
    said = f"'{tmp_path / 'metrics.jsonl'}' is a folder and not a plain file; put one there"
    with pytest.raises(RunError, match=exactly(said)):
        read_metrics(tmp_path)


def test_no_runs(tmp_path):
    assert all_runs(tmp_path / "nowhere") == []
    said = f"there is no run under '{tmp_path}'; train one with `foldnet.train()`, or name its folder"
    with pytest.raises(RunError, match=exactly(said)):
        newest_run(tmp_path)


def test_names_say_what_is_trained():
    assert default_name(TrainSettings(arch="wrn-16-1", seed=3)) == Path("runs") / "digits-wrn-16-1-seed3"


def test_metrics_are_a_line_an_epoch(tmp_path):
    assert read_metrics(tmp_path) == []
    lines = [{"epoch": 1, "loss": 0.1 + 0.2}, {"epoch": 2, "loss": None}]
    append_metrics(tmp_path, lines)
    assert read_metrics(tmp_path) == lines
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize("content", ['{"epoch": 1}\n{"epo', "\n", "\ufffd"])
def test_metrics_that_were_cut_short(tmp_path, content):
    (tmp_path / "metrics.jsonl").write_text(content)
    with pytest.raises(
        RunError, match=r"^'.*/metrics\.jsonl' is not one JSON object a line \(.*\); restore it or remove it$"
    ):
        read_metrics(tmp_path)


@pytest.mark.parametrize("content", ["", None])
def test_metrics_that_lack_epochs_of_the_checkpoint_are_lost(cli, home, put, content):
    file = home / "runs/soft/metrics.jsonl"
    put(file, content) if content is not None else file.unlink()
    said = "'runs/soft/metrics.jsonl' holds 0 of the 3 entries that the checkpoint counts; restore it"
    assert cli.done("info", "runs/soft")["trained"]["problem"] == said


def test_metrics_of_an_epoch_that_stands_there_twice_are_no_metrics(tmp_path):
    append_metrics(tmp_path, [{"epoch": 1}, {"epoch": 1}])
    said = f"'{tmp_path / 'metrics.jsonl'}' has not one line an epoch, in order; restore it"
    with pytest.raises(RunError, match=exactly(said)):
        read_metrics(tmp_path)


def test_coefficients_come_back(tmp_path):
    history = {"stage1": torch.randn(3, 6, 4), "stage2": torch.randn(3, 6, 2)}
    save_coefficients(tmp_path, history)
    loaded = load_coefficients(tmp_path)
    assert loaded.keys() == history.keys()
    assert all(torch.equal(loaded[name], history[name]) for name in history)
    said = f"'{tmp_path / 'x' / 'coefficients.safetensors'}' is missing; was the folder copied whole?"
    with pytest.raises(RunError, match=exactly(said)):
        load_coefficients(Path(tmp_path, "x"))


def test_the_last_row_of_the_history_is_the_network(shelf):
    from foldnet.sharing.share import banks_of

    model, progress = open_run(shelf / "runs/soft").load()
    history = load_coefficients(shelf / "runs/soft")
    for name, bank in banks_of(model).items():
        assert history[name].shape == (progress.epoch + 1, 6, 4)
        assert torch.equal(history[name][-1], bank.coefficients.detach())
        assert not torch.equal(history[name][0], history[name][-1])


def change_lr(folder, put):
    config = json.loads((folder / "config.json").read_text())
    put(folder / "config.json", json.dumps(config | {"settings": config["settings"] | {"lr": 0.0123}}))


def change_metrics(folder, put):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    put(folder / "metrics.jsonl", "".join(json.dumps(json.loads(line) | {"train_loss": 0.1}) + "\n" for line in lines))


def change_coefficients(folder, put):
    history = load_coefficients(folder)
    (folder / "coefficients.safetensors").unlink()
    save_coefficients(folder, {name: rows + 1 for name, rows in history.items()})


def change_report(folder, put):
    report = json.loads((folder / "report.json").read_text())
    put(folder / "report.json", json.dumps(report | {"test_accuracy": 1.0}))


@pytest.mark.parametrize(
    ("change", "name", "read"),
    [
        (change_lr, "config.json", open_run),
        (change_metrics, "metrics.jsonl", read_metrics),
        (change_coefficients, "coefficients.safetensors", load_coefficients),
        (change_report, "report.json", read_report),
    ],
)
def test_what_was_changed_is_named(home, put, change, name, read):
    folder = Path("runs/soft")
    read(folder)
    change(folder, put)
    said = f"'runs/soft/{name}' was changed after the run was written (its SHA-256 differs); restore it or train again"
    with pytest.raises(RunError, match=exactly(said)):
        read(folder)


@pytest.mark.parametrize("checkpoint", ["last", "best"])
def test_a_checkpoint_of_another_run_is_refused(home, put, checkpoint):
    """Of the same architecture, so that its tensors fit."""
    file = home / "runs/soft" / checkpoint / "checkpoint.safetensors"
    put(file, (home / "runs/tied/last/checkpoint.safetensors").read_bytes())
    said = (
        f"'runs/soft/{checkpoint}/checkpoint.safetensors' is not a checkpoint of run 'runs/soft' but another run's; "
        f"restore its own"
    )
    with pytest.raises(RunError, match=exactly(said)):
        open_run(Path("runs/soft")).load(checkpoint)


def test_a_report_of_another_run_is_refused(home, put):
    put(home / "runs/soft/report.json", (home / "runs/plain/report.json").read_bytes())
    said = "'runs/soft/report.json' is not the report of run 'runs/soft' but another run's; restore its own"
    with pytest.raises(RunError, match=exactly(said)):
        read_report(Path("runs/soft"))


def test_a_linked_checkpoint_folder_is_refused_where_it_would_be_written_through(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/.x.a1b2c3d4.foldnet-unfinished").touch()
    (tmp_path / "run").mkdir()
    (tmp_path / "run/best").symlink_to("../elsewhere")
    said = (
        f"'{tmp_path / 'run/best'}' is a link and foldnet writes through none inside a run; put the folder itself there"
    )
    with pytest.raises(OutputError, match=exactly(said)):
        clear_leftovers(tmp_path / "run")
    assert len(list((tmp_path / "elsewhere").iterdir())) == 1


def test_no_bad_folder_hides_the_good_ones(cli, home):
    wrong = {
        "deep": "[" * 100_000,
        "digits": '{"kind": "run", "schema": ' + "9" * 5000 + "}",
        "list": "[]",
        "created": '{"kind": "run", "schema": 1, "created": "99999"}',
    }
    for name, text in wrong.items():
        (home / "runs" / name).mkdir()
        (home / "runs" / name / "config.json").write_text(text)
    for name in ("pipe", "link", "zero"):
        (home / "runs" / name).mkdir()
    os.mkfifo(home / "runs/pipe/config.json")
    (home / "runs/link/config.json").symlink_to(home / "runs/soft/config.json")
    (home / "runs/zero/config.json").symlink_to("/dev/zero")
    shutil.copytree(home / "runs/deep", home / "runs/tied/fold-bad")
    sound = {"plain", "soft", "tied"}
    listed = [line for line in cli.done("info")["runs"] if line["problem"] is None]
    assert {Path(line["run"]).name for line in listed} == sound
    assert fold_folder(home / "runs/tied").name == "fold-0.95"
    assert newest_run(home / "runs").name == "tied"
