"""How reports look on a terminal and elsewhere."""

import dataclasses
import json
import re
from pathlib import Path

import pytest

import foldnet
from foldnet.drawing.output import Written
from foldnet.verbs.listing import Runs
from foldnet_cli.page import show, to_json

SHADES = re.compile(r"\x1b\[(30|97|37|38;5;\d+|38;2;[\d;]+);48;2;(\d+);(\d+);(\d+)m([^\x1b]*)\x1b\[0m")


@pytest.fixture
def terminal(monkeypatch):
    """Make the console believe in a terminal of many colours."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_on_a_terminal_the_matrix_is_shaded_white_for_one(cli, shelf, terminal):
    outcome = cli("lsm", "runs/tied")
    groups = cli.done("lsm", "runs/tied")["groups"]
    cells = [(red, green, blue, text) for _, red, green, blue, text in SHADES.findall(outcome.out)]
    values = [value for group in groups for row in group["matrix"] for value in row]
    assert len(cells) == len(values) == 3 * 36
    for (red, green, blue, text), value in zip(cells, values, strict=True):
        assert red == green == blue == str(round(255 * value))
        assert text[:5] == f" {value:.2f}"


def test_elsewhere_there_are_no_colours(cli, shelf):
    assert "\x1b" not in cli("lsm", "runs/tied").out


def test_the_matrix_names_its_layers_and_stars_what_chance_rarely_shows(cli, shelf):
    lines = cli("lsm", "runs/tied").out.splitlines()
    assert lines[0] == "layer similarity by coefficients: runs/tied, checkpoint last (epoch 3)"
    assert lines[2] == "stage1: 6 layers, 4 templates"
    assert lines[3] == "1.conv1  1.00  0.00  0.00  0.00  0.71  0.00 "
    stage2 = lines.index("stage2: 6 layers, 4 templates")
    assert lines[stage2 + 1] == "1.conv1  1.00  0.00  1.00* 0.00  1.00* 0.00 "
    assert lines[stage2 + 7 : stage2 + 9] == [
        "largest off-diagonal 1.000; by chance: mean 0.27, expected maximum 0.77",
        "* above 0.976: reached in under 5 % of untrained networks",
    ]


def test_a_matrix_of_more_layers_has_shades_without_numbers(capsys, terminal):
    show(foldnet.lsm(foldnet.build("swrn-52-1-2")))
    out = capsys.readouterr().out
    assert len(SHADES.findall(out)) == 3 * 14 * 14
    assert {text for *_, text in SHADES.findall(out)} <= {"  ", " *"}


def test_without_shades_a_matrix_of_more_layers_has_numbers(capsys):
    report = foldnet.lsm(foldnet.build("swrn-52-1-2"))
    show(report)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if "columns" in line][:2] == ["columns 1 to 12", "columns 13 to 14"]
    first, second = [line for line in lines if line.startswith("1.conv1")][:2]
    numbers = [float(cell.rstrip("*")) for cell in (first.split()[1:] + second.split()[1:])]
    assert numbers == [pytest.approx(value, abs=0.0051) for value in report.groups[0].matrix[0]]


def test_a_matrix_that_is_too_wide_is_said_to_be(capsys):
    show(foldnet.lsm(foldnet.build("swrn-136-1-1")))
    out = capsys.readouterr().out
    assert out.count("too wide for a terminal; write it with -o FILE.png or FILE.csv") == 3
    assert max(map(len, out.splitlines())) < 200


def test_a_network_in_memory_is_called_that(capsys):
    show(foldnet.lsm(foldnet.build("swrn-16-1-2")))
    assert capsys.readouterr().out.splitlines()[0] == "layer similarity by coefficients: network in memory"


@pytest.mark.parametrize("name", ["[bold]x[/bold].csv", "[/].csv", ":smile:.csv", "a" * 150 + ".csv"])
def test_names_of_files_are_printed_as_they_are(capsys, name):
    show(Written(Path(name)))
    assert capsys.readouterr().out == f"wrote {name}\n"


@pytest.mark.parametrize("name", ["[bold]run[red]", ":smile:", "a" * 120])
def test_names_of_runs_are_printed_as_they_are(cli, home, name):
    (home / "runs" / "tied").rename(home / "runs" / name)
    for command in ("lsm", "evaluate", "info"):
        assert f"runs/{name}" in cli(command, f"runs/{name}").out
    assert f"runs/{name}" in cli("info").out
    assert f"runs/{name}/fold-0.95" in cli("evaluate", f"runs/{name}/fold-0.95").out


def test_what_is_written_is_one_object(capsys):
    assert to_json(Written(Path("a/b.csv"))) == '{"file": "a/b.csv"}'
    assert to_json(Runs("runs", ())) == '{"runs": []}'


def test_a_fold_shows_program_sizes_and_counts(cli, shelf):
    report = json.loads((shelf / "runs/tied/fold-0.95/report.json").read_text())
    out = cli("fold", "runs/tied", "--dry-run", "--no-shares").out
    assert out.startswith(report["program"] + "\n")
    assert "loops 2, reuses 9" in out
    assert f"{report['parameters']['folded']:,}" in out
    assert f"{report['bytes']['dense']:,}" in out
    images = report["accuracy"]["images"]
    for name in ("soft", "soft_recalibrated", "tied", "recalibrated"):
        right = round(report["accuracy"][name] * images)
        assert f"{100 * right / images:.2f} % ({right} of {images})" in out
    assert out.endswith("dry run: nothing written\n")


def test_a_tied_layers_share_of_the_added_loss_is_called_that_where_it_was_measured(shelf, capsys):
    folded = foldnet.fold("runs/tied", dry_run=True, evaluated=False)
    report = folded.report
    layers = [layer for group in report.to_json()["groups"] for layer in group["layers"]]
    assert {layer["added_loss_share"] for layer in layers} == {None}
    show(folded)
    assert "weight error\n" in capsys.readouterr().out.replace(" \n", "\n")
    shares = {"stage2.1.conv1": 0.75, "stage2.2.conv1": 0.25}
    groups = tuple(
        dataclasses.replace(
            group,
            layers=tuple(
                dataclasses.replace(layer, added_loss_share=shares.get(layer.name, 0.0)) for layer in group.layers
            ),
        )
        for group in report.groups
    )
    show(dataclasses.replace(report, groups=groups))
    lines = capsys.readouterr().out.splitlines()
    title = next(line for line in lines if line.startswith("tied layer"))
    assert title.split("weight error")[1].strip() == "share of added validation loss"
    assert next(line for line in lines if line.startswith("stage2.1.conv1")).split()[-2:] == ["75", "%"]


def test_a_fold_without_data_says_so(cli, shelf):
    out = cli("fold", "runs/tied", "--dry-run", "--no-evaluate").out
    assert "not evaluated: batch norm is as it was before tying" in out


def test_a_training_ends_with_what_comes_next(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arch = ["--arch", "swrn-16-1-2", "--epochs", "1", "--precision", "fp32", "--device", "cpu"]
    outcome = cli("train", *arch, "--out", "here")
    assert outcome.code == 0
    assert outcome.out.splitlines()[0].split() == ["run", "here"]
    assert outcome.out.endswith("next: foldnet lsm here, foldnet fold here, foldnet render graph here\n")
    epochs = outcome.err.splitlines()
    assert len(epochs) == 1
    assert epochs[0].startswith("epoch   1  loss ")
