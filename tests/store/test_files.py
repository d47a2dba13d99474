"""Files are written whole or not at all."""

import errno
import os
import re
import stat
from itertools import islice
from pathlib import Path

import pytest

from foldnet.errors import OutputError
from foldnet.store.codec import read_json
from foldnet.store.files import free_name, new_folder, numbered, refuse_existing, refuse_link, write_json, write_whole
from foldnet.store.lock import UNFINISHED


def exactly(sentence: str) -> str:
    """The pattern that only this sentence matches."""
    return f"^{re.escape(sentence)}$"


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
    with new_folder(tmp_path / "b"):
        pass
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o750


@pytest.mark.parametrize("call", ["fsync", "replace"])
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
    refuse_existing(path, force=False)
    path.touch()
    refuse_existing(path, force=True)
    cases = [
        (path, False, f"'{path}' exists already; give `out` another name or add `force=True`"),
        (tmp_path, True, f"'{tmp_path}' is a folder; give `out` a file name inside it"),
        (
            tmp_path / "none" / "a.svg",
            True,
            f"'{tmp_path / 'none'}' is not a folder; make it first or give `out` another place",
        ),
        (Path(os.devnull), True, f"'{os.devnull}' is no file; give `out` another name"),
        (path / "a.svg", True, f"'{path}' is not a folder; make it first or give `out` another place"),
    ]
    for place, force, said in cases:
        with pytest.raises(OutputError, match=exactly(said)):
            refuse_existing(place, force=force)


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


def test_names_are_counted_on_whether_they_exist_or_not(tmp_path):
    assert [path.name for path in islice(numbered(tmp_path / "fold-0.95", folder=True), 2)] == [
        "fold-0.95",
        "fold-0.95-2",
    ]
    assert [path.name for path in islice(numbered(tmp_path / "a.svg", folder=False), 2)] == ["a.svg", "a-2.svg"]


def test_a_link_is_replaced_and_never_followed(tmp_path):
    outside = tmp_path / "outside"
    for link in (os.symlink, os.link):
        outside.write_text("mine")
        link(outside, tmp_path / "metrics.jsonl")
        write_whole(tmp_path / "metrics.jsonl", "new")
        assert (outside.read_text(), (tmp_path / "metrics.jsonl").read_text()) == ("mine", "new")
        (tmp_path / "metrics.jsonl").unlink()


def test_a_linked_folder_is_refused_by_name(tmp_path):
    (tmp_path / "last").symlink_to(tmp_path)
    said = f"'{tmp_path / 'last'}' is a link and foldnet writes through none inside a run; put the folder itself there"
    with pytest.raises(OutputError, match=exactly(said)):
        refuse_link(tmp_path / "last")
    refuse_link(tmp_path)


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path):
    abandoned, _ = tmp_path / f".b.12345678{UNFINISHED}", (tmp_path / ".b.swp").touch()
    abandoned.touch()
    write_whole(tmp_path / "a", "x")
    assert names(tmp_path) == [".b.swp", "a"]
