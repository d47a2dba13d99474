"""Two names are exchanged in one step, or not at all."""

import ctypes
import re
import sys

import pytest

from foldnet.store.files import exchange


def test_folders_exchange_their_names(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    done = exchange(tmp_path / "one", tmp_path / "other")
    found = {name: [path.name for path in (tmp_path / name).iterdir()] for name in ("one", "other")}
    assert found == ({"one": ["other"], "other": ["one"]} if done else {"one": ["one"], "other": ["other"]})


def test_what_is_missing_is_an_error(tmp_path):
    (tmp_path / "one").mkdir()
    if exchange(tmp_path / "one", tmp_path / "one"):
        with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / "one"))):
            exchange(tmp_path / "one", tmp_path / "other")


@pytest.mark.parametrize("missing", ["system", "library", "file system"])
def test_where_it_cannot_be_nothing_is_done(tmp_path, monkeypatch, missing):
    class Library:
        """A C library whose file system refuses."""

        def renameat2(self, *arguments):
            ctypes.set_errno(22)
            return -1

    if missing == "system":
        monkeypatch.setattr(sys, "platform", "darwin")
    else:
        library = object() if missing == "library" else Library()
        monkeypatch.setattr(ctypes, "CDLL", lambda name, use_errno: library)
    assert not exchange(tmp_path / "one", tmp_path / "other")
