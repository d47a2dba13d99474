"""Names of files and folders that nothing new can be given, and new names that several commands want at once."""

import os
import subprocess
import sys

import pytest

from foldnet.errors import OutputError
from foldnet.store.files import refuse_unnamed, write_new

LONG = "n" * 300
ITSELF = (
    "'{}' is the folder of the command itself or one around it, and nothing can take its place; give --out a name in it"
)


@pytest.mark.parametrize(
    "command",
    [
        ["train", "--out", f"runs/{LONG}"],
        ["fold", "runs/tied", "--no-evaluate", "--out", LONG],
        ["data", "mazes", "-o", f"{LONG}.npz"],
        ["render", "sharing", "-o", f"{LONG}.svg"],
    ],
    ids=lambda command: command[0],
)
def test_a_name_that_is_too_long_is_refused_in_a_sentence(cli, home, command):
    assert cli.refused(*command) == (
        f"'{command[-1]}' cannot be written (File name too long); free the place or choose another"
    )


@pytest.mark.parametrize("command", [["info", LONG], ["verify", LONG], ["fold", f"runs/{LONG}"]])
def test_a_name_that_is_too_long_to_be_anywhere_is_said_to_be(cli, home, command):
    said = cli.refused(*command)
    assert said.endswith("is too long a name for a file or folder; give a shorter one")
    assert len(said) < 140


@pytest.mark.parametrize("force", [["--force"], []])
@pytest.mark.parametrize("command", [["train", "--epochs", "1"], ["fold", "../soft", "--no-evaluate"]])
@pytest.mark.parametrize("place", [".", ".."])
def test_nothing_takes_the_place_of_where_one_stands(cli, home, monkeypatch, command, force, place):
    monkeypatch.chdir("runs/tied")
    before = sorted(os.listdir(".."))
    assert cli.refused(*command, "--out", place, *force) == ITSELF.format(place)
    assert sorted(os.listdir("..")) == before


def test_a_place_that_is_below_a_file_is_left_to_who_writes(tmp_path):
    (tmp_path / "file").touch()
    refuse_unnamed(tmp_path / "file/x")
    refuse_unnamed(tmp_path / "none/x")


def test_commands_that_want_a_new_name_at_once_get_one_each(tmp_path):
    code = "from pathlib import Path; from foldnet.store.files import write_new; print(write_new(Path('a.npz'), b'x' * 9).name)"
    running = [
        subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    names = sorted(process.communicate()[0].strip() for process in running)
    assert names == ["a-2.npz", "a-3.npz", "a-4.npz", "a.npz"]
    assert sorted(os.listdir(tmp_path)) == names
    assert {(tmp_path / name).read_bytes() for name in names} == {b"x" * 9}


def test_a_new_file_that_cannot_be_written_leaves_no_name(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left on device"):
        write_new(tmp_path / "a.npz", b"x")
    assert list(tmp_path.iterdir()) == []
