"""Files are written whole or not at all."""

import errno
import os
import re
import stat
from pathlib import Path

import pytest

from foldnet.errors import OutputError
from foldnet.files import free_name, new_folder, refuse_existing, write_json, write_whole
from foldnet.reading import read_json


def exactly(sentence: str) -> str:
    """The pattern that only this sentence matches."""
    return f"^{re.escape(sentence)}$"


def write_run(folder):
    """What makes a folder one of foldnet's."""
    (folder / "config.json").write_text('{"kind": "run"}')


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def failing(number: int):
    """A system call that always fails with this error number."""

    def fail(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    return fail


@pytest.fixture
def umask():
    """A mask of 027 while the test runs."""
    before = os.umask(0o027)
    yield
    os.umask(before)


def test_text_and_bytes_are_written_and_replace_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    write_whole(path, "größer\n")
    assert path.read_bytes() == "größer\n".encode()
    write_whole(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.usefixtures("umask")
def test_files_and_folders_have_the_modes_that_the_mask_allows(tmp_path):
    write_whole(tmp_path / "a", "x")
    with new_folder(tmp_path / "b", force=False):
        pass
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o750


@pytest.mark.parametrize("call", ["fsync", "replace", "chmod"])
def test_a_failing_disk_leaves_the_old_content_and_no_stray_file(tmp_path, monkeypatch, call):
    path = tmp_path / "report.json"
    write_whole(path, "old")
    monkeypatch.setattr(os, call, failing(errno.ENOSPC))
    said = f"'{path}' cannot be written (No space left on device); free the place or choose another"
    with pytest.raises(OutputError, match=exactly(said)):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["report.json"]


def test_a_disk_that_fills_while_writing_leaves_the_old_content(tmp_path, monkeypatch):
    path = tmp_path / "a"
    write_whole(path, "old")
    real = os.fdopen

    def full(handle, mode):
        file = real(handle, mode, buffering=0)

        class Full:
            def __enter__(self):
                return self

            def __exit__(self, *error):
                file.close()

            def write(self, data):
                file.write(data[:2])
                failing(errno.ENOSPC)()

        return Full()

    monkeypatch.setattr(os, "fdopen", full)
    with pytest.raises(OutputError, match=re.escape(f"'{path}' cannot be written (No space left on device);")):
        write_whole(path, "new content")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_ctrl_c_while_writing_leaves_no_stray_file(tmp_path, monkeypatch):
    def interrupted(handle):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "a", "x")
    assert names(tmp_path) == []


def test_a_missing_parent_and_a_folder_in_the_way_are_one_sentence(tmp_path):
    path = tmp_path / "none" / "a"
    said = f"'{path}' cannot be written (No such file or directory); free the place or choose another"
    with pytest.raises(OutputError, match=exactly(said)):
        write_whole(path, "x")
    folder = tmp_path / "folder"
    folder.mkdir()
    said = f"'{folder}' cannot be written (Is a directory); free the place or choose another"
    with pytest.raises(OutputError, match=exactly(said)):
        write_whole(folder, "x")
    assert names(tmp_path) == ["folder"]


def test_json_goes_round_and_no_file_is_left_of_a_value_that_json_has_not(tmp_path):
    path = tmp_path / "a.json"
    value = {"name": "stage1", "matrix": [[1.0, 0.1 + 0.2]], "none": None}
    write_json(path, value)
    assert read_json(path) == value
    assert path.read_text().endswith("}\n")
    with pytest.raises(ValueError, match="Out of range float values are not JSON compliant"):
        write_json(tmp_path / "b.json", {"loss": float("nan")})
    assert names(tmp_path) == ["a.json"]


def test_what_exists_is_refused_with_the_option_that_mends_it(tmp_path):
    path = tmp_path / "a.svg"
    refuse_existing(path, force=False, option="-o")
    path.touch()
    refuse_existing(path, force=True, option="-o")
    cases = [
        (path, False, f"'{path}' exists already; give -o another name or add --force"),
        (tmp_path, True, f"'{tmp_path}' is a folder; give -o a file name inside it"),
        (
            tmp_path / "none" / "a.svg",
            True,
            f"'{tmp_path / 'none'}' is not a folder; make it first or give -o another place",
        ),
        (path / "a.svg", True, f"'{path}' is not a folder; make it first or give -o another place"),
    ]
    for place, force, said in cases:
        with pytest.raises(OutputError, match=exactly(said)):
            refuse_existing(place, force=force, option="-o")


def test_free_names_count_on_before_the_ending(tmp_path):
    assert free_name(tmp_path / "a.svg") == tmp_path / "a.svg"
    for taken, free in [("a.svg", "a-2.svg"), ("a-2.svg", "a-3.svg")]:
        (tmp_path / taken).touch()
        assert free_name(tmp_path / "a.svg") == tmp_path / free
    (tmp_path / "run").touch()
    assert free_name(tmp_path / "run") == tmp_path / "run-2"


def test_a_dot_in_a_folders_name_is_no_ending(tmp_path):
    (tmp_path / "fold-0.95").mkdir()
    assert free_name(tmp_path / "fold-0.95") == tmp_path / "fold-0.95-2"


def test_a_folder_appears_when_it_is_full(tmp_path):
    path = tmp_path / "parents" / "run"
    with new_folder(path, force=False) as temporary:
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
    with pytest.raises(RuntimeError, match="stop"), new_folder(path, force=force) as temporary:  # noqa: PT012
        (temporary / "a").touch()
        raise RuntimeError("stop")
    assert names(tmp_path) == (["run"] if force else [])
    assert not force or names(path) == ["config.json"]


def test_a_full_disk_inside_the_block_is_said_plainly(tmp_path):
    path = tmp_path / "run"
    said = f"'{path}' cannot be written (No space left on device); free the place or choose another"
    with pytest.raises(OutputError, match=exactly(said)), new_folder(path, force=False):
        failing(errno.ENOSPC)()
    assert names(tmp_path) == []


def test_force_replaces_only_what_foldnet_wrote(tmp_path):
    path = tmp_path / "photographs"
    path.mkdir()
    (path / "config.json").write_text('{"kind": "album"}')
    said = f"'{path}' is not a folder that foldnet wrote, and --force replaces no other; remove it yourself"
    with pytest.raises(OutputError, match=exactly(said)), new_folder(path, force=True):
        pass
    assert names(path) == ["config.json"]
    (path / "config.json").unlink()
    with new_folder(path, force=True) as temporary:
        (temporary / "new").touch()
    assert names(path) == ["new"]


def test_an_existing_folder_is_refused_or_replaced_whole(tmp_path):
    path = tmp_path / "run"
    path.mkdir()
    write_run(path)
    said = f"'{path}' exists already; give --out another name or add --force"
    with pytest.raises(OutputError, match=exactly(said)), new_folder(path, force=False):
        pass
    with new_folder(path, force=True) as temporary:
        (temporary / "new").touch()
    assert names(path) == ["new"]
    assert names(tmp_path) == ["run"]


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
        new_folder(path, force=True) as temporary,
    ):
        (temporary / "new").touch()
    assert names(path) == ["config.json"]
    assert names(tmp_path) == ["run"]


def test_a_folder_that_cannot_even_be_put_back_is_kept_aside(tmp_path, monkeypatch):
    path = tmp_path / "run"
    path.mkdir()
    write_run(path)
    real, calls = os.rename, []

    def rename(source, target):
        calls.append(target)
        if len(calls) > 1:
            failing(errno.EIO)()
        real(source, target)

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(OutputError, match=re.escape(f"'{path}' cannot be written (Input/output error);")):  # noqa: SIM117
        with new_folder(path, force=True):
            pass
    (aside,) = tmp_path.iterdir()
    assert names(aside / "run") == ["config.json"]


def test_a_folder_that_came_to_be_while_another_was_filled_is_left_alone(tmp_path):
    def fill() -> None:
        with new_folder(tmp_path / "run", force=False) as temporary:
            (temporary / "mine").write_text("1")
            (tmp_path / "run").mkdir()
            (tmp_path / "run/precious").write_text("2")

    sentence = f"'{tmp_path / 'run'}' exists already; give --out another name or add --force"
    with pytest.raises(OutputError, match=exactly(sentence)):
        fill()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert (tmp_path / "run/precious").read_text() == "2"
