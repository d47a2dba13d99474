"""Where there is no terminal, no line is wider than 80 columns."""

from io import StringIO

import pytest

from foldnet.show.report import shortened, wrapped
from foldnet_cli.page import Page

BENCH = ("--threads", "1", "--device", "cpu")


@pytest.mark.parametrize(
    "command",
    [
        ("info", "runs/soft"),
        ("info", "runs/tied/fold-0.95"),
        ("info", "runs/soft/last/checkpoint.safetensors"),
        ("info", "swrn-28-10-4"),
        ("info",),
        ("runs",),
        ("lsm", "runs/tied"),
        ("lsm", "runs/plain"),
        ("fold", "runs/tied", "--dry-run", "--no-evaluate"),
        ("fold", "runs/tied", "--dry-run", "--finetune", "1", "--control"),
        ("fold", "runs/tied", "--sweep", "--dry-run", "--groups", "stage3"),
        ("evaluate", "runs/tied"),
        ("evaluate", "runs/tied/fold-0.95"),
        ("doctor",),
        ("bench", "train", "--arch", "swrn-16-1-1", "--batch-size", "4", "--steps", "2", *BENCH),
        ("bench", "inference", "runs/tied/fold-0.95", "--batch-sizes", "1", "--repeats", "1", *BENCH),
    ],
    ids=" ".join,
)
def test_no_line_is_wider_than_80_columns(cli, shelf, command):
    outcome = cli(*command)
    assert outcome.code == 0, outcome
    lines = (outcome.out + outcome.err).splitlines()
    assert [line for line in lines if len(line.rstrip()) > 80] == []


def test_a_training_and_what_is_made_of_it_stay_within_80_columns(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command in (
        ("train", "--arch", "swrn-16-1-2", "--epochs", "1", "--device", "cpu", "--precision", "fp32"),
        ("fold", "--no-shares"),
        ("verify", "--images", "8"),
        ("render", "sharing"),
        ("lsm", "--history"),
        ("data", "mazes", "--count", "2"),
    ):
        outcome = cli(*command)
        assert outcome.code in (0, 3), outcome  # 3: a few images do not check everything
        assert [line for line in (outcome.out + outcome.err).splitlines() if len(line.rstrip()) > 80] == []


def test_long_names_widen_no_line_in_which_they_fit(cli, home):
    name = "n" * 72
    (home / "runs/tied").rename(home / "runs" / name)
    run, fold = f"runs/{name}", f"runs/{name}/fold-0.95"
    put_aside = home / "runs" / "e\x1b[31m"  # written out it is three letters longer
    (home / "runs/plain").rename(put_aside)
    for command in (
        *[("runs",), ("info", run), ("info", fold), ("info", put_aside), ("lsm", run), ("lsm",), ("evaluate", run)],
        *[("fold", run, "--dry-run", "--no-evaluate"), ("fold", run, "--no-evaluate"), ("verify", fold, "--no-data")],
        *[("render", "sharing"), ("verify", "--no-data")],
    ):
        outcome = cli(*command)
        assert outcome.code in (0, 3), outcome
        lines = (outcome.out + outcome.err).splitlines()
        # A path that fits into no line stays whole, and nothing comes behind it.
        assert [line for line in lines if len(line.rstrip()) > 80 and len(line.split()[-1]) <= 78] == []


def test_a_path_is_never_broken():
    path = "/somewhere/" + "a" * 90
    assert wrapped(f"wrote {path}") == f"wrote {path}"
    assert wrapped(f"wrote {path}, and more") == f"wrote {path},\n  and more"
    assert wrapped("word " * 40).split() == ["word"] * 40
    assert wrapped("right: 98.89 %, and more", width=14) == "right:\n  98.89 %, and\n  more"


@pytest.mark.parametrize("width", [40, 100])
def test_a_terminal_gets_lines_that_end_between_words(width):
    out = StringIO()
    page = Page(file=out, force_terminal=True, width=width, color_system=None)
    page.print("word " * 40)
    page.print("\x1b" * 9 + " word" * 15)  # wider when written out
    lines = out.getvalue().splitlines()
    assert {word for line in lines for word in line.split()} == {"word", "\\x1b" * 9}
    assert max(map(len, lines)) <= width


def test_a_long_name_loses_its_middle():
    assert shortened("stage1.0.conv1", 14) == "stage1.0.conv1"
    assert shortened("encoder.layers.11.attention.query", 15) == "encoder…n.query"
