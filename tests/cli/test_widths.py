"""Where there is no terminal, no line is wider than 80 columns."""

import pytest

from foldnet.show.lines import wrapped
from foldnet_cli.page import shortened

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


def test_a_path_is_never_broken():
    path = "/somewhere/" + "a" * 90
    assert wrapped(f"wrote {path}") == f"wrote {path}"
    assert wrapped("word " * 40).split() == ["word"] * 40


def test_a_long_name_loses_its_middle():
    assert shortened("stage1.0.conv1", 14) == "stage1.0.conv1"
    assert shortened("encoder.layers.11.attention.query", 15) == "encoder…n.query"
