"""Standard output that is closed, full, or read by nobody; names that a terminal would obey."""

import io
import subprocess
import sys

import pytest

from foldnet.show.report import spelt_out
from foldnet_cli.page import Page, complain

FOLDNET = [sys.executable, "-m", "foldnet_cli"]
FULL = "standard output cannot be written (No space left on device); free the place or send it elsewhere"


def in_shell(command: str, folder) -> tuple[int, str]:
    """(exit code, stderr) of `foldnet ...` with redirections, which the shell does before foldnet starts."""
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {command}', "sh", *FOLDNET], capture_output=True, text=True, cwd=folder, timeout=120
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("--version >&-", "Error: standard output is closed; send it to a file, or to /dev/null\n"),
        ("--version >/dev/full", f"Error: {FULL}\n"),
        ("--help >/dev/full", f"Error: {FULL}\n"),
        ("--version >/dev/full 2>&-", ""),
    ],
)
def test_a_closed_or_full_stdout_is_one_sentence(command, said, tmp_path):
    assert in_shell(command, tmp_path) == (1, said)


def test_a_closed_stderr_or_stdin_is_no_matter(tmp_path):
    assert in_shell("--version <&- 2>&-", tmp_path) == (0, "")


def test_a_working_directory_that_was_removed_is_said(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    # The shell removes the directory under its own feet, before foldnet starts there.
    done = subprocess.run(
        ["sh", "-c", 'rmdir "$PWD"; exec "$@" info', "sh", *FOLDNET],
        capture_output=True,
        text=True,
        cwd=gone,
        timeout=120,
    )
    assert done.returncode == 1
    assert done.stderr == "Error: the working directory was removed; change to one that exists\n"


def test_a_report_that_finds_no_room_is_one_sentence(shelf, monkeypatch, capfd):
    from foldnet_cli.main import app

    for arguments in (["info", "runs/soft"], ["info", "runs/soft", "--json"]):
        full = open("/dev/full", "w")  # noqa: SIM115 (what is thrown away below is this file's)
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as end:
            app(arguments)
        assert end.value.code == 1
        assert capfd.readouterr().err == f"Error: {FULL}\n"
        full.close()


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("stage1", "stage1"),
        ("größer\n", "größer\n"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\rb\tc\x07", "a\\rb\\tc\\x07"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("half \ud800", "half \\ud800"),
    ],
)
def test_what_a_terminal_would_obey_is_spelt_out(text, plain):
    assert spelt_out(text) == plain


def test_pages_print_names_but_obey_them_not():
    from rich.table import Table

    file = io.StringIO()
    table = Table("a\x1b[2J", "b")
    table.add_row("\x1b]0;title\x07", "\x9b31m")
    Page(file=file, width=100).print(table, "\x1b[31mred")
    assert "\x1b" not in file.getvalue()
    assert "\x9b" not in file.getvalue()
    assert "\\x1b[2J" in file.getvalue()
    assert "\\x1b]0;title" in file.getvalue()


def test_a_complaint_is_one_line(capsys):
    complain("run 'a\nError: b\x1b[0m' is missing")
    assert capsys.readouterr().err == "Error: run 'a\\nError: b\\x1b[0m' is missing\n"
