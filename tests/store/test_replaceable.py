"""--force replaces runs and folds and nothing else, and deletes nothing that foldnet does not know."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from foldnet.errors import OutputError
from foldnet.folding.folds import open_fold
from foldnet.store.artifact import ARTIFACTS, RUN, Contents
from foldnet.store.lock import UNFINISHED, unfinished_folder
from foldnet.training.runs import open_run

FOLD = "runs/tied/fold-0.95"
OPENED = {"run": open_run, "fold": open_fold}


def refused(folder, said, kind="run", force=1):
    with pytest.raises(OutputError, match=f"^{re.escape(said)}$"):
        ARTIFACTS[kind].check_replaceable(Path(folder), OPENED[kind], force=force)


@pytest.mark.usefixtures("home")
def test_what_foldnet_itself_writes_is_no_obstacle(cli):
    for command in (
        ["sharing", "runs/soft", "-o", "runs/soft/sharing.dot"],
        ["graph", FOLD, "-o", f"{FOLD}/graph.dot"],
    ):
        assert cli("render", *command).code == 0
    for name in (
        "soft/lsm.svg",
        "soft/history-2.pdf",
        "soft/sweep.json",
        "soft/lock.json",
        "tied/fold-0.95/depth.json",
    ):
        Path("runs", name).touch()
    for name in (f"soft/.fold-0.5{UNFINISHED}", f"soft/last/.x.a1b2c3d4{UNFINISHED}"):
        Path("runs", name).touch()
    Path("runs/soft/tensorboard").mkdir()
    Path("runs/soft/tensorboard/events.out.tfevents.1.host.2.0").touch()
    assert RUN.contents_of(Path("runs/soft")) == ARTIFACTS["fold"].contents_of(Path(FOLD)) == Contents()
    assert RUN.contents_of(Path("runs/tied")) == Contents(folds=("fold-0.95",))
    RUN.check_replaceable(Path("runs/soft"), open_run, force=1)
    ARTIFACTS["fold"].check_replaceable(Path(FOLD), open_fold, force=1)
    Path("empty").mkdir()
    RUN.check_replaceable(Path("empty"), open_run, force=1)


@pytest.mark.usefixtures("home")
def test_folds_and_notes_go_only_where_that_is_said_twice():
    for place in ("runs/tied/notes.md", f"{FOLD}/why.txt"):
        Path(place).write_text("mine")
    named = "'fold-0.95', 'fold-0.95/why.txt', 'notes.md'"
    refused(
        "runs/tied",
        f"'runs/tied' holds {named}; give `force=2` to delete that too, or give `out` another name",
    )
    RUN.check_replaceable(Path("runs/tied"), open_run, force=2)
    said = f"'{FOLD}' holds 'why.txt'; give `force=2` to delete that too, or give `out` another name"
    refused(FOLD, said, kind="fold")
    ARTIFACTS["fold"].check_replaceable(Path(FOLD), open_fold, force=2)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("thesis.tex", "thesis.tex"),
        ("photographs/1.jpg", "photographs"),
        ("last/mine.safetensors", "last/mine.safetensors"),
        ("tensorboard/mine.csv", "tensorboard/mine.csv"),
        ("fold-0.95/last/x", "fold-0.95/last"),
        (".gitignore", ".gitignore"),
    ],
)
def test_nothing_unknown_is_ever_deleted(home, name, said):
    file = home / "runs/tied" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("years")
    for force in (1, 2, 3):
        refused(
            "runs/tied",
            f"'runs/tied' holds '{said}', which foldnet did not write and never deletes; move that away, or give `out` another name",
            force=force,
        )


def test_links_are_unknown_and_many_names_are_counted(home):
    for number in range(7):
        (home / f"runs/soft/{number}.md").symlink_to("config.json")
    refused(
        "runs/soft",
        "'runs/soft' holds '0.md', '1.md', '2.md', '3.md', '4.md' and 2 more, which foldnet did not write and never deletes; "
        "move that away, or give `out` another name",
        force=2,
    )


def test_what_says_that_it_is_a_run_and_does_not_open_is_not_replaced(home, put):
    config = json.loads((home / "runs/soft/config.json").read_text())
    put(home / "runs/soft/config.json", json.dumps({name: config[name] for name in ("kind", "schema")}))
    said = "'runs/soft' is not replaced, as foldnet can't open it: 'runs/soft/config.json' "
    with pytest.raises(OutputError, match=f"^{re.escape(said)}"):
        RUN.check_replaceable(Path("runs/soft"), open_run, force=2)


@pytest.mark.usefixtures("home")
def test_another_kind_of_folder_is_not_replaced():
    Path("album").mkdir()
    Path("album/config.json").write_text('{"kind": "album"}')
    Path("file").touch()
    for place, kind in (("album", "run"), ("file", "run"), (FOLD, "run"), ("runs/soft", "fold"), ("runs", "run")):
        said = f"'{place}' is not the folder of a {kind}, and `force=True` replaces no other; give `out` another name"
        refused(place, said, kind=kind, force=2)


@pytest.mark.usefixtures("home")
def test_what_another_command_is_writing_is_not_deleted():
    with unfinished_folder(Path("runs/soft/fold-0.9")) as folder:
        refused(
            "runs/soft", f"another command is writing '{folder.name}' in 'runs/soft'; wait for it or stop it", force=2
        )


def test_the_command_line_counts_how_often_force_is_given(cli, home):
    command = ["fold", "runs/tied", "--no-evaluate", "--force"]
    (home / FOLD / "why.txt").write_text("mine")
    said = f"'{FOLD}' holds 'why.txt'; give --force --force to delete that too, or give --out another name"
    assert cli.refused(*command) == said
    assert cli.done(*command, "--force")["fold"] == FOLD
    assert not (home / FOLD / "why.txt").exists()
    shutil.copytree(home / "runs/tied", home / "copy", copy_function=os.link)
    said = "'copy' holds 'fold-0.95'; give --force --force to delete that too, or give --out another name"
    assert cli.refused("train", "--out", "copy", "--force") == said
