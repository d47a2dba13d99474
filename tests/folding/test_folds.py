"""Fold folders: opened as they were written, or refused; and nothing that is opened anywhere can run code."""

import ast
import json
import platform
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import foldnet
import foldnet_cli
from foldnet.errors import FoldnetError, RunError
from foldnet.folding import folds
from foldnet.folding.folds import Fold, open_fold, read_fold, stored_groups
from foldnet.folding.looped import LoopedNetwork
from foldnet.folding.opening import fold_folder, open_network
from foldnet.store import artifact
from foldnet.store.seals import sealed
from foldnet.verbs.info import info

FOLD = "runs/tied/fold-0.95"
READERS = (["evaluate", FOLD], ["render", "graph", FOLD, "-o", "a.dot"])
OF_CONFIG = (*READERS, ["info", FOLD])
CHANGED = "was changed after the fold was written (its SHA-256 differs); restore it or fold the run again"


def test_opening_a_fold_loads_no_compiler(shelf):
    code = (
        "import sys; from pathlib import Path; from foldnet.folding.folds import open_fold; "
        "open_fold(Path(sys.argv[1])).load(); print([one for one in ('sympy', 'torch._dynamo') if one in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, FOLD], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_fold_is_read_as_it_was_written(shelf):
    fold = open_fold(shelf / FOLD)
    assert (fold.arch, fold.checkpoint, fold.blueprint.classes, fold.blueprint.shape) == (
        "swrn-28-1-4",
        "last",
        10,
        (1, 8, 8),
    )
    assert fold.run == "tied"
    assert [(group.name, group.owners, group.templates) for group in fold.groups] == [
        ("stage1", 6, 4),
        ("stage2", 2, None),
        ("stage3", 1, None),
    ]
    looped = fold.load()
    assert isinstance(looped, LoopedNetwork)
    assert not looped.training
    assert stored_groups(looped) == fold.groups
    assert {parameter.device.type for parameter in fold.load_structure().to("meta").parameters()} == {"meta"}


def test_its_structure_needs_no_memory(shelf):
    with torch.device("meta"):
        structure = open_fold(shelf / FOLD).load_structure()
    assert {tensor.device.type for tensor in structure.state_dict().values()} == {"meta"}
    loaded = open_fold(shelf / FOLD).load().state_dict()
    assert {name: tensor.shape for name, tensor in structure.state_dict().items()} == {
        name: tensor.shape for name, tensor in loaded.items()
    }


def test_the_newest_fold_is_the_one_made_last(cli, home):
    assert fold_folder() == Path(FOLD)
    later = cli.done("fold", "runs/tied", "--no-evaluate", "--out", "runs/tied/a")["fold"]
    assert str(fold_folder(Path("runs/tied"))) == later == "runs/tied/a"
    (home / "runs/tied/zzz").mkdir()
    (home / "runs/tied/zzz/config.json").write_text("{")
    assert str(fold_folder()) == later
    shutil.copytree(home / later, home / "runs/tied/yyy")
    (home / "runs/tied/yyy/program.json").write_text("{}")
    assert str(fold_folder()) == later, "of those made last, the one that opens"


def test_a_damaged_fold_is_listed_with_what_is_wrong(cli, home):
    shutil.copytree(home / FOLD, home / "runs/tied/yyy")
    (home / "runs/tied/yyy/config.json").unlink()
    assert artifact.FOLD.all_in(Path("runs/tied")) == [Path("runs/tied/yyy"), Path(FOLD)]
    folds = next(run for run in cli.done("info")["runs"] if run["run"] == "runs/tied")["folds"]
    assert folds[0]["problem"] == "'runs/tied/yyy' holds no config.json; it is not the folder of a fold"


def test_a_fold_that_is_a_link_is_listed_as_what_it_is(cli, home):
    (home / FOLD).rename(home / "elsewhere")
    (home / FOLD).symlink_to(home / "elsewhere")
    said = f"'{FOLD}' is a symbolic link, and none is followed inside a run or fold; copy the folder with `cp -RL`"
    assert [fold["problem"] for fold in cli.done("info", "runs/tied")["trained"]["folds"]] == [said]


def test_nothing_is_said_of_a_fold_whose_report_was_changed(cli, home, put):
    report = json.loads((home / FOLD / "report.json").read_text())
    put(home / FOLD / "report.json", json.dumps(report | {"measure": "luck"}))
    assert cli.done("info", FOLD)["folded"]["problem"] == f"'{FOLD}/report.json' {CHANGED}"


def test_weights_that_lost_their_own_digest_are_judged_by_what_the_fold_says_of_them(cli, home, put):
    weights = f"{FOLD}/weights.safetensors"
    assert cli.done("info", weights)["sound"] is True
    put(home / weights, (home / weights).read_bytes().replace(b'"foldnet"', b'"fnldnet"'))
    assert cli.done("info", weights)["sound"] is False
    shutil.copy(home / weights, home / "alone.safetensors")
    assert cli.done("info", "alone.safetensors")["sound"] is None


def test_a_fold_elsewhere_that_is_linked_or_not_finished_is_not_the_newest(home):
    shutil.copytree(home / FOLD, home / "elsewhere")
    config = json.loads((home / "elsewhere/config.json").read_text())
    (home / "elsewhere/config.json").write_text(json.dumps(sealed(config | {"created": "9999"})))
    (home / "runs/tied/zzz").symlink_to(home / "elsewhere")
    shutil.copytree(home / "elsewhere", home / "runs/tied/.fold-0.95.a1b2c3d4.foldnet-unfinished")
    assert fold_folder(Path("runs/tied")) == Path(FOLD)


def test_a_fold_that_is_replaced_while_it_is_read_comes_whole(cli, home, monkeypatch):
    """What was opened is the old one; before its weights are read, another stands there."""
    cli.done("fold", "runs/tied", "--no-evaluate", "--threshold", "0", "--out", "new")
    old, new = open_fold(Path(FOLD)), open_fold(Path("new"))
    read, times = folds.load_tensors, []

    def replaced_first(file):
        times.append(file)
        if len(times) == 1:
            Path(FOLD).rename("old")
            Path("new").rename(FOLD)
        return read(file)

    monkeypatch.setattr(folds, "load_tensors", replaced_first)
    fold, looped = read_fold(Path(FOLD), Fold.load)
    assert len(times) == 2
    assert fold.program == looped.program == new.program != old.program
    assert fold.files == new.files


def test_a_fold_that_is_changed_is_not_read_again_and_one_that_changes_for_ever_is_given_up(home, put, monkeypatch):
    file = home / FOLD / "program.json"
    program = file.read_text()
    put(file, "{}")
    with pytest.raises(RunError, match="was changed after the fold was written"):
        read_fold(Path(FOLD), Fold.load)
    put(file, program)
    numbers = iter(range(100))
    monkeypatch.setattr(folds, "_which", lambda folder: next(numbers))
    put(file, "{}")
    said = f"^'{FOLD}' is replaced again and again while it is read; wait for whoever does that$"
    with pytest.raises(RunError, match=said):
        read_fold(Path(FOLD), Fold.load)


def test_a_run_without_folds_says_how_to_make_one(cli, shelf):
    said = "run 'runs/soft' has no fold; make one with `foldnet fold runs/soft`"
    assert cli.refused("render", "graph", "runs/soft") == said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", f"'{FOLD}/config.json' is not valid JSON (Expecting value: line 1 column 1 (char 0)); "),
        ("[]", f"'{FOLD}/config.json' is not that of a run; it was edited, or '{FOLD}' is not foldnet's"),
        ('{"kind": "else"}', f"'{FOLD}/config.json' is not that of a run; it was edited, or '{FOLD}' is not foldnet's"),
        (
            '{"kind": "fold", "schema": 99}',
            f"'{FOLD}/config.json' has schema 99 and this foldnet reads 1 to 3; use the version that wrote it",
        ),
        (
            '{"kind": "fold", "schema": 2}',
            f"'{FOLD}/config.json' is not a fold's (KeyError('files')); it was edited or is foreign",
        ),
    ],
)
@pytest.mark.parametrize("command", OF_CONFIG)
def test_a_config_that_is_no_folds(cli, home, put, command, content, said):
    put(home / FOLD / "config.json", content)
    assert cli.refused(*command).startswith(said)


@pytest.mark.parametrize("command", OF_CONFIG)
def test_a_config_that_was_edited(cli, home, put, command):
    file = home / FOLD / "config.json"
    put(file, file.read_text().replace('"owners": 2', '"owners": 3'))
    assert cli.refused(*command) == f"'{FOLD}/config.json' {CHANGED}"


@pytest.mark.parametrize(
    "content", ["garbage", "{}", "", "[[[", '{"schema": 1, "before": [], "stages": [], "after": []}']
)
@pytest.mark.parametrize("command", OF_CONFIG)
def test_a_program_that_was_changed(cli, home, put, command, content):
    put(home / FOLD / "program.json", content)
    assert cli.refused(*command) == f"'{FOLD}/program.json' {CHANGED}"


@pytest.mark.parametrize("command", OF_CONFIG)
def test_a_program_that_is_gone(cli, home, command):
    (home / FOLD / "program.json").unlink()
    assert cli.refused(*command) == f"'{FOLD}/program.json' is missing; was the folder copied whole?"


def truncate(content):
    return content[:-1000]


def flip(content):
    changed = bytearray(content)
    changed[-4] ^= 4
    return bytes(changed)


def foreign(content):
    from safetensors.torch import save

    return save({"a": torch.zeros(3)})


@pytest.mark.parametrize(
    ("damage", "start"),
    [
        (truncate, "cannot be read as tensors ("),
        (lambda content: b"", "cannot be read as tensors ("),
        (flip, "was changed after it was written (its digest differs); restore the original file"),
        (foreign, "was not written by foldnet; point at a run or fold folder that was"),
    ],
)
@pytest.mark.parametrize("command", READERS)
def test_damaged_weights(cli, home, put, command, damage, start):
    file = home / FOLD / "weights.safetensors"
    put(file, damage(file.read_bytes()))
    assert cli.refused(*command).startswith(f"'{FOLD}/weights.safetensors' {start}")


@pytest.mark.parametrize("command", READERS)
def test_weights_that_are_gone(cli, home, command):
    (home / FOLD / "weights.safetensors").unlink()
    assert cli.refused(*command) == f"'{FOLD}/weights.safetensors' is missing; was the folder copied whole?"


def test_weights_of_another_fold(cli, home, put):
    cli.done("fold", "runs/tied", "--no-evaluate", "--threshold", "0", "--out", "other")
    cli.done("fold", "runs/tied", "--no-evaluate", "--tie", "mean", "--out", "alike")
    file = home / FOLD / "weights.safetensors"
    put(file, (home / "other/weights.safetensors").read_bytes())
    assert cli.refused("evaluate", FOLD).startswith(f"'{FOLD}/weights.safetensors' does not fit the network (")
    put(file, (home / "alike/weights.safetensors").read_bytes())  # same names and shapes, other numbers
    assert cli.refused("evaluate", FOLD) == f"'{FOLD}/weights.safetensors' {CHANGED}"


@pytest.mark.parametrize("name", ["config.json", "program.json"])
def test_whatever_a_file_says_what_comes_is_a_fold_or_a_sentence(home, put, name):
    file = home / FOLD / name
    value = json.loads(file.read_text())
    refused = 0
    for holder, key in list(places_in(value)):
        kept = holder[key]
        for other in (None, "x", -1, 2.5, [], {}):
            holder[key] = other
            put(file, json.dumps(value))
            try:
                info(home / FOLD)
                open_network(home / FOLD)
            except FoldnetError:
                refused += 1
        holder[key] = kept
    assert refused > 100


def places_in(value, width=2):
    """(holder, key) of every entry, of lists only the first ones."""
    keys = list(value) if isinstance(value, dict) else range(min(len(value), width))
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places_in(value[key], width)


def test_a_fold_copied_elsewhere_is_the_same(shelf, tmp_path):
    shutil.copytree(shelf / FOLD, tmp_path / "copy")
    images = torch.randn(3, 1, 8, 8)
    assert torch.equal(foldnet.load(tmp_path / "copy")(images), foldnet.load(shelf / FOLD)(images))


def test_a_fold_says_nothing_of_the_machine_that_made_it(cli, home, monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "the-host")
    monkeypatch.setattr(platform, "node", lambda: "the-host")
    for name in ("USER", "LOGNAME", "HOSTNAME"):
        monkeypatch.setenv(name, f"the-{name}")
    layers = [["stage3.1.conv1", "stage3.2.conv1"]]
    (home / "mine.json").write_text(json.dumps({"stage3": layers}))
    made = home / "given"
    cli.done("fold", home / "runs/tied", "--no-shares", "--clusters", home / "mine.json", "--out", made)
    assert cli("verify", made, "--run", home / "runs/tied", "--images", "4").code == 3  # accuracies are not compared
    assert json.loads((made / "report.json").read_text())["why"] == "clusters of mine.json"
    files = sorted(path.name for path in made.iterdir())
    assert files == ["certificate.json", "config.json", "program.json", "report.json", "weights.safetensors"]
    for name in files:
        content = (made / name).read_bytes()
        header = content[8 : 8 + int.from_bytes(content[:8], "little")] if name.endswith("safetensors") else content
        for told in (str(home), str(Path.home()) + "/", '"/', "'/", "the-host", "the-USER", "the-LOGNAME"):
            assert told.encode() not in header, (name, told)


def test_loading_unpickles_nothing(shelf, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("something was unpickled")

    for place in ("torch.load", "torch.serialization.load", "pickle.load", "pickle.loads", "pickle.Unpickler"):
        monkeypatch.setattr(place, refuse)
    for path in ("runs/soft", "runs/plain", FOLD):
        foldnet.load(path)
    foldnet.lsm("runs/soft")
    assert all(path.suffix in (".json", ".jsonl", ".safetensors") for path in shelf.rglob("*") if path.is_file())


@pytest.mark.parametrize("package", [foldnet, foldnet_cli])
def test_no_module_unpickles_but_the_one_that_checks_first(package):
    """torchvision's CIFAR batches are pickles; they are read after their checksums. A .pth file of weights is read by
    torch's loader that makes nothing but tensors. A user's own file runs where its user names it."""
    suspects = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
    found = set()
    for file in Path(package.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if suspects & {name.split(".")[0] for name in names} or called in ("torch.load", "eval", "exec", "np.load"):
                found.add(file.name)
            if called == "exec":
                assert file.parts[-2:] == ("zoo", "code.py")
            if called == "torch.load":
                assert "weights_only=True" in map(ast.unparse, node.keywords)
    assert found <= {"cifar.py", "convert_origin.py", "code.py"}


def test_a_missing_folder(shelf):
    with pytest.raises(
        RunError, match=r"^'nope' is not a folder; give the folder of a fold, such as runs/NAME/fold-0\.95$"
    ):
        open_fold(Path("nope"))
