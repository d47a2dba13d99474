"""What a stranger wrote is read within bounds, or refused in one sentence."""

import errno
import json
import os
import re
import socket

import pytest

from foldnet.errors import RunError
from foldnet.store.codec import NotPlain, open_plain, parse_json, parse_toml, read_bytes, read_json, read_text


def exactly(sentence: str) -> str:
    """The pattern that only this sentence matches."""
    return f"^{re.escape(sentence)}$"


def test_unreadable_json_is_one_sentence(tmp_path, monkeypatch):
    path = tmp_path / "config.json"
    with pytest.raises(RunError, match=exactly(f"'{path}' is missing; was the folder copied whole?")):
        read_json(path)
    whole = json.dumps({"a": [1, 2]})
    path.write_text(whole[:-3])
    said = f"'{path}' is not valid JSON (Expecting value: line 1 column 11 (char 10)); it was cut short or edited"
    with pytest.raises(RunError, match=exactly(said)):
        read_json(path)
    path.write_bytes(b"\xff{}")
    with pytest.raises(RunError, match=re.escape(f"'{path}' is not valid JSON ('utf-8' codec can't decode byte 0xff")):
        read_json(path)

    def refuse(*arguments):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", refuse)
    said = f"'{path}' cannot be read (Permission denied); check its permissions"
    with pytest.raises(RunError, match=exactly(said)):
        read_json(path)


def test_what_is_no_plain_file_is_neither_waited_for_nor_drained(tmp_path):
    pipe, folder, zero, link = (tmp_path / name for name in ("pipe", "folder", "zero", "link"))
    os.mkfifo(pipe)
    folder.mkdir()
    zero.symlink_to("/dev/zero")
    (tmp_path / "there").write_text("{}")
    link.symlink_to(tmp_path / "there")
    follows = "is a symbolic link, and none is followed inside a run or fold; copy the folder with `cp -RL`"
    for path, said in (
        (pipe, "is a named pipe and not a plain file; put one there"),
        (folder, "is a folder and not a plain file; put one there"),
        (zero, follows),
        (link, follows),
    ):
        with pytest.raises(RunError, match=exactly(f"'{path}' {said}")):
            read_json(path)
    with pytest.raises(NotPlain, match=exactly("is a device and not a plain file; put one there")):
        read_bytes(zero, links=True)
    assert read_text(link, links=True) == "{}"


def test_a_socket_is_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's name may not be long
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        with pytest.raises(RunError, match=r"^'.*socket' cannot be read \(No such device or address\)"):
            read_json(tmp_path / "socket")


def test_a_file_is_read_up_to_a_size(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    assert read_bytes(path, most=5) == b"12345"
    said = "has more than 4 bytes, the most that foldnet reads there; put a smaller file there"
    with pytest.raises(NotPlain, match=exactly(said)):
        read_bytes(path, most=4)
    with open_plain(path) as file:
        assert file.read(2) == b"12"
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path / "a\0b")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "nested more than 100 deep"),
        ("[" * 101 + "]" * 101, "nested more than 100 deep"),
        ('{"a":' * 300 + "1" + "}" * 300, "nested more than 100 deep"),
        ("9" * 5000, "a number of 5,000 digits"),
        ("-" + "9" * 40, "a number of 41 digits"),
        ("[1e999]", "1e999 is beyond all numbers"),
        ("[NaN]", "NaN is no JSON number"),
        ("[-Infinity]", "-Infinity is no JSON number"),
        (r'["\ud800"]', "'utf-8' codec can't encode character '\\ud800' in position 2: surrogates not allowed"),
    ],
)
def test_json_has_bounds(text, said):
    with pytest.raises(ValueError, match=exactly(said)):
        parse_json(text)


def test_json_within_the_bounds_is_what_it_is():
    deep = "[" * 100 + "]" * 100
    assert json.dumps(parse_json(deep)).replace(" ", "") == deep
    assert parse_json('{"a": [1, -2.5, 1e300, null, true], "b": "\\ud83d\\ude00"}') == {
        "a": [1, -2.5, 1e300, None, True],
        "b": "\N{GRINNING FACE}",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = 1\nb = " + "[" * 990 + "]", "nested more than 100 deep"),
        ("a = [\n" + "[\n" * 200 + "]" * 201, "nested more than 100 deep"),
        ("\n" + ".".join("a" * 501), "line 2 has more than 1,000 characters"),
        ("a = " + "9" * 5000, "line 1 has more than 1,000 characters"),
    ],
)
def test_toml_has_bounds(text, said):
    with pytest.raises(ValueError, match=exactly(said)):
        parse_toml(text)


def test_toml_within_the_bounds_is_what_it_is():
    assert parse_toml("a = 1\n[b]\nc = [1, 2]\n") == {"a": 1, "b": {"c": [1, 2]}}
