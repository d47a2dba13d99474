"""Folders appear when they are full, replace others in one step, and get names of their own."""

import errno
import os
import re
import threading
from pathlib import Path

import pytest

from foldnet.errors import OutputError
from foldnet.store import files
from foldnet.store.files import exchange, new_folder, numbered_folder
from foldnet.store.lock import REPLACED, UNFINISHED, remove_leftovers


def exactly(sentence: str) -> str:
    """The pattern that only this sentence matches."""
    return f"^{re.escape(sentence)}$"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_run(folder):
    """Something to be replaced."""
    (folder / "config.json").write_text('{"kind": "run"}')


def check(folder: Path) -> None:
    """What is asked before a folder is replaced."""
    if (folder / "thesis.tex").exists():
        raise OutputError("a thesis")


def failing(number: int):
    """A system call that always fails with this error number."""

    def fail(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    return fail


@pytest.fixture(params=["exchanged", "renamed"])
def way(request, monkeypatch):
    """How names change: in one step, or in two as where the system cannot."""
    if request.param == "renamed":
        monkeypatch.setattr(files, "exchange", lambda one, other: False)
    return request.param


@pytest.fixture
def two_steps(monkeypatch):
    """A system that cannot exchange names."""
    monkeypatch.setattr(files, "exchange", lambda one, other: False)


def test_a_folder_appears_when_it_is_full(tmp_path):
    path = tmp_path / "parents" / "run"
    with new_folder(path) as temporary:
        (temporary / "a").write_text("x")
        assert not path.exists()
        assert temporary.parent == path.parent
    assert names(path) == ["a"]
    assert names(path.parent) == ["run"]


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_that_failed_vanishes_and_the_old_one_stays(tmp_path, force):
    path = tmp_path / "run"
    if force:
        path.mkdir()
        write_run(path)
    with pytest.raises(RuntimeError, match="stop"), new_folder(path, check=check if force else None) as new:  # noqa: PT012
        (new / "a").touch()
        raise RuntimeError("stop")
    assert names(tmp_path) == (["run"] if force else [])
    assert not force or names(path) == ["config.json"]


def test_a_full_disk_inside_the_block_is_said_plainly(tmp_path):
    path = tmp_path / "run"
    said = f"'{path}' cannot be written (No space left on device); free the place or choose another"
    with pytest.raises(OutputError, match=exactly(said)), new_folder(path):
        failing(errno.ENOSPC)()
    assert names(tmp_path) == []


def test_an_existing_folder_is_refused_or_replaced_whole(tmp_path, way):
    path = tmp_path / "run"
    path.mkdir()
    write_run(path)
    said = f"'{path}' exists already; give `out` another name or add `force=True`"
    with pytest.raises(OutputError, match=exactly(said)), new_folder(path):
        pass
    with new_folder(path, check=check) as temporary:
        (temporary / "new").touch()
    assert names(path) == ["new"]
    assert names(tmp_path) == ["run"]


@pytest.mark.usefixtures("two_steps")
@pytest.mark.parametrize("fails", [1, 2])
def test_a_folder_that_cannot_be_replaced_is_put_back(tmp_path, monkeypatch, fails):
    path = tmp_path / "run"
    path.mkdir()
    write_run(path)
    real, calls = os.rename, []

    def rename(source, target):
        calls.append(target)
        if len(calls) == fails:
            failing(errno.EIO)()
        real(source, target)

    monkeypatch.setattr(os, "rename", rename)
    with (
        pytest.raises(OutputError, match=re.escape(f"'{path}' cannot be written (Input/output error);")),
        new_folder(path, check=check) as temporary,
    ):
        (temporary / "new").touch()
    assert names(path) == ["config.json"]
    assert names(tmp_path) == ["run"]


@pytest.mark.usefixtures("two_steps")
def test_a_folder_that_cannot_even_be_put_back_stays_beside_its_place_until_the_next_command(tmp_path, monkeypatch):
    path = tmp_path / "run"
    path.mkdir()
    write_run(path)
    real, calls = os.rename, []

    def rename(source, target):
        calls.append(target)
        if len(calls) > 1:
            failing(errno.EIO)()
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", rename)
        with pytest.raises(OutputError, match=re.escape(f"'{path}' cannot be written (Input/output error);")):  # noqa: SIM117
            with new_folder(path, check=check):
                pass
    (aside,) = tmp_path.iterdir()
    assert aside.name.endswith(REPLACED)
    said = f"'{path}' exists already; give `out` another name or add `force=True`"
    with pytest.raises(OutputError, match=exactly(said)), new_folder(path):
        pass
    assert (names(tmp_path), names(path)) == (["run"], ["config.json"])


def test_where_names_are_exchanged_there_is_no_moment_with_neither(tmp_path, monkeypatch):
    """Nothing else is called but the one exchange: neither name is missing before or after it."""
    path = tmp_path / "run"
    path.mkdir()
    write_run(path)
    monkeypatch.setattr(os, "rename", failing(errno.EIO))
    with new_folder(path, check=check) as temporary:
        (temporary / "new").touch()
    assert (names(tmp_path), names(path)) == (["run"], ["new"])


def test_there_is_always_a_folder_while_it_is_replaced_again_and_again(tmp_path):
    """Where names can be exchanged, as on any Linux file system of today."""
    for name in ("one", "other", "run"):
        (tmp_path / name).mkdir()
    if not exchange(tmp_path / "one", tmp_path / "other"):
        return
    found, over = set(), threading.Event()

    def look() -> None:
        while not over.is_set():
            found.add((tmp_path / "run").is_dir())

    reader = threading.Thread(target=look)
    reader.start()
    for _ in range(30):
        with new_folder(tmp_path / "run", check=check) as temporary:
            (temporary / "new").touch()
    over.set()
    reader.join()
    assert found == {True}


def test_what_came_into_a_folder_while_its_successor_was_filled_is_seen(tmp_path):
    path = tmp_path / "run"
    path.mkdir()

    def fill() -> None:
        with new_folder(path, check=check):
            (path / "thesis.tex").write_text("years")

    with pytest.raises(OutputError, match=exactly("a thesis")):
        fill()
    assert (names(tmp_path), names(path)) == (["run"], ["thesis.tex"])
    with pytest.raises(OutputError, match=exactly("a thesis")):
        new_folder(path, check=check).__enter__()


def test_a_linked_folder_is_not_replaced(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to("elsewhere")
    said = f"'{tmp_path / 'run'}' is a link, which `force=True` does not replace; name the folder that it leads to"
    with pytest.raises(OutputError, match=exactly(said)), new_folder(tmp_path / "run", check=check):
        pass


def test_a_folder_that_came_to_be_while_another_was_filled_is_left_alone(tmp_path):
    def fill() -> None:
        with new_folder(tmp_path / "run") as temporary:
            (temporary / "mine").write_text("1")
            (tmp_path / "run").mkdir()
            (tmp_path / "run/precious").write_text("2")

    sentence = f"'{tmp_path / 'run'}' exists already; give `out` another name or add `force=True`"
    with pytest.raises(OutputError, match=exactly(sentence)):
        fill()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert (tmp_path / "run/precious").read_text() == "2"


def test_commands_that_pick_a_name_at_once_get_one_each(tmp_path):
    path = tmp_path / "fold-0.95"
    with numbered_folder(path) as (one, first), numbered_folder(path) as (two, second):
        (one / "a").touch()
        (two / "b").touch()
        assert (first, second) == (path, tmp_path / "fold-0.95-2")
        remove_leftovers(tmp_path)  # as a third command would: both are alive
    assert (names(tmp_path), names(first), names(second)) == (["fold-0.95", "fold-0.95-2"], ["a"], ["b"])


def test_a_name_that_a_killed_command_reserved_is_free_again(tmp_path):
    (tmp_path / f".run{UNFINISHED}").mkdir()
    (tmp_path / f".run{UNFINISHED}/config.json").touch()
    with numbered_folder(tmp_path / "run") as (_, name):
        pass
    assert (name, names(tmp_path)) == (tmp_path / "run", ["run"])


def test_a_name_that_another_command_finished_just_now_is_passed_over(tmp_path, monkeypatch):
    real = files.unfinished_folder

    def finished_before(name, **options):
        if name.name == "run":
            name.mkdir()
        return real(name, **options)

    monkeypatch.setattr(files, "unfinished_folder", finished_before)
    with numbered_folder(tmp_path / "run") as (_, name):
        pass
    assert (name.name, names(tmp_path)) == ("run-2", ["run", "run-2"])
