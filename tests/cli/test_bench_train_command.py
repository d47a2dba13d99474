"""foldnet bench train as a user meets it."""

import json
from pathlib import Path

TINY = ("--arch", "swrn-16-1-1", "--batch-size", 4, "--steps", 2, "--threads", 1, "--device", "cpu")


def test_a_table_with_the_three_networks(cli):
    outcome = cli("bench", "train", *TINY, "--precision", "fp32")
    assert outcome.code == 0, outcome
    lines = outcome.out.splitlines()
    assert lines[0].split("  ")[0] == "batch 4"
    assert [line.split()[0] for line in lines[1:4]] == ["reference", "plain", "soft"]
    assert lines[1].split()[-2:] == ["fp32", "126,688"]
    below = " ".join(" ".join(lines[5:]).split())
    assert below.startswith("swrn-16-1-1 and wrn-16-1, ")
    assert ", cpu, 1 thread, torch " in below
    assert (
        "the reference mixes one layer's weight at a time, in fp32 and NCHW; plain and soft are what `foldnet train` runs"
    ) in below


def test_where_the_time_goes(cli):
    outcome = cli("bench", "train", *TINY, "--profile")
    assert outcome.code == 0, outcome
    lines = outcome.out.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("soft, operator"))
    rows = lines[start + 1 : lines.index("", start)]
    assert rows[-1].split()[0] == "other"
    # A long name beside a long time goes on in a line of its own.
    assert all(row.split()[-1] == "%" or len(row.split()) == 1 for row in rows)


def test_json_on_stdout_and_in_a_file(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = cli.done("bench", "train", *TINY, "-o", "bench.json")
    assert json.loads(Path("bench.json").read_text()) == found
    assert set(found["ratios"]) == {"soft_to_reference", "soft_to_plain"}
    assert cli.refused("bench", "train", *TINY, "-o", "bench.json") == (
        "'bench.json' exists already; give --out another name or add --force"
    )
    assert cli.refused("bench", "train", "--arch", "wrn-28-4") == (
        "--arch wrn-28-4 is plain and the bench compares a soft network with its twin; write 'swrn-28-4-4'"
    )
