"""What a killed command left goes with the next; what a living one writes stays, and so does everything else."""

import fcntl
import os
import subprocess
import sys

import pytest

from foldnet.errors import OutputError, RunError
from foldnet.store.files import new_folder
from foldnet.store.lock import (
    REPLACED,
    UNFINISHED,
    is_abandoned,
    is_leftover,
    remove_leftovers,
    replaced_meanwhile,
    unfinished_file,
    unfinished_folder,
)
from foldnet.training.runs import open_run

# A process that is in the middle of writing a file and a folder, and is killed there.
WRITE = """
import os, signal, sys
from pathlib import Path
from foldnet.store.lock import unfinished_file, unfinished_folder
handle, _ = unfinished_file(Path(sys.argv[1]) / "metrics.jsonl")
with unfinished_folder(Path(sys.argv[1]) / "fold-0.95") as folder:
    (folder / "config.json").touch()
    print("writing", flush=True)
    sys.stdin.read()
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_a_process_writes_is_a_leftover_once_it_is_killed(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout.readline() == b"writing\n"
        (tmp_path / ".metrics.jsonl.swp").touch()
        before = names(tmp_path)
        assert [name for name in before if not is_leftover(tmp_path / name)] == [".metrics.jsonl.swp"]
        remove_leftovers(tmp_path)
        assert names(tmp_path) == before  # its owner lives
        assert not any(is_abandoned(path) for path in tmp_path.iterdir() if is_leftover(path))
        process.kill()
        process.wait()
    remove_leftovers(tmp_path)
    assert names(tmp_path) == [".metrics.jsonl.swp"]


def test_links_and_pipes_under_such_a_name_are_left_alone(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/precious").touch()
    (tmp_path / f".a.12345678{UNFINISHED}").symlink_to("kept")
    os.mkfifo(tmp_path / f".b.12345678{UNFINISHED}")
    before = names(tmp_path)
    remove_leftovers(tmp_path)
    assert (names(tmp_path), names(tmp_path / "kept")) == (before, ["precious"])


def test_where_the_file_system_knows_no_locks_nothing_is_taken_for_abandoned(tmp_path, monkeypatch):
    def refuse(handle, operation):
        raise OSError("no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    handle, path = unfinished_file(tmp_path / "a")
    os.close(handle)
    with unfinished_folder(tmp_path / "b") as folder:
        remove_leftovers(tmp_path)
        assert (path.exists(), folder.exists()) == (True, True)


def test_what_is_removed_before_it_is_held_is_made_anew(tmp_path, monkeypatch):
    real, calls = fcntl.flock, []

    def raced(handle, operation):
        calls.append(handle)
        if len(calls) in (1, 3):  # another process saw the name before it was held
            for path in tmp_path.iterdir():
                path.unlink() if path.is_file() else path.rmdir()
        real(handle, operation)

    monkeypatch.setattr(fcntl, "flock", raced)
    handle, path = unfinished_file(tmp_path / "a")
    assert path.exists()
    os.close(handle)
    path.unlink()
    with unfinished_folder(tmp_path / "b", reserve=True) as folder:
        assert names(tmp_path) == [folder.name]
    assert len(calls) == 4


def test_a_folder_between_its_two_names_is_named_to_readers_and_put_back_by_the_next_writer(tmp_path):
    aside = tmp_path / f".run.12345678{REPLACED}"
    aside.mkdir()
    (aside / "config.json").write_text("{}")
    run = tmp_path / "run"
    assert replaced_meanwhile(run) == aside
    with pytest.raises(
        RunError, match=rf"^'{run}' was about to be replaced when a command was killed; rename '{aside}' back to it$"
    ):
        open_run(run)
    with pytest.raises(OutputError, match="exists already"), new_folder(run):
        pass
    assert (names(tmp_path), names(run)) == (["run"], ["config.json"])
    assert replaced_meanwhile(run) is None


def test_what_was_replaced_is_removed_once_its_successor_stands(tmp_path):
    (tmp_path / f".run.12345678{REPLACED}").mkdir()
    (tmp_path / "run").mkdir()
    remove_leftovers(tmp_path)
    assert names(tmp_path) == ["run"]
