"""How every command ends: exit codes, one sentence, --debug, and readers or users who go away."""

import os
import re
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import foldnet.verbs.info as info_recipe
from foldnet.errors import FoldnetWarning, RunError
from foldnet.store.tensors import load_tensors
from foldnet_cli import page

PROGRAM = [sys.executable, "-m", "foldnet_cli"]


def raising(error):
    """A recipe that fails."""

    def recipe(*arguments):
        raise error

    return recipe


@pytest.fixture
def failing(monkeypatch, tmp_path):
    """Make `foldnet info NAME` raise something."""
    monkeypatch.chdir(tmp_path)
    return lambda error: monkeypatch.setattr(info_recipe, "info", raising(error))


def test_an_error_on_purpose_is_its_sentence(cli, failing):
    failing(RunError("'x' is gone; bring it back"))
    assert cli.refused("info", "x") == "'x' is gone; bring it back"
    assert cli.refused("info", "x", "--json") == "'x' is gone; bring it back"


def test_a_warning_of_foldnet_is_one_sentence_said_once_and_those_of_others_are_theirs(cli, failing, monkeypatch):
    def recipe(name):
        for _ in range(2):
            warnings.warn(
                f"'{name}' {'was not checked ' * 6}\x1b[31m, see `max_drop=0.5`", FoldnetWarning, stacklevel=1
            )
        raise RunError("gone")

    failing(None)
    monkeypatch.setattr(info_recipe, "info", recipe)
    said = [
        "warning: 'x' was not checked was not checked was not checked was not checked was",
        "  not checked was not checked \\x1b[31m, see --max-drop 0.5",
        "Error: gone",
    ]
    assert cli("info", "x").err.splitlines() == said
    monkeypatch.setattr(info_recipe, "info", lambda name: warnings.warn("theirs", UserWarning, stacklevel=1))
    with pytest.warns(UserWarning, match="^theirs$"):
        cli("info", "x")


def test_an_unexpected_error_says_its_kind_and_how_to_see_more(cli, failing):
    failing(ZeroDivisionError("division by zero"))
    outcome = cli("info", "x")
    said = "Error: unexpected ZeroDivisionError: division by zero; add --debug for the traceback\n"
    assert (outcome.code, outcome.out, outcome.err) == (1, "", said)


@pytest.mark.parametrize(
    ("error", "code"), [(RunError("gone"), 1), (ZeroDivisionError("no"), 1), (KeyboardInterrupt(), 130)]
)
def test_debug_shows_the_traceback_before_the_sentence(cli, failing, error, code):
    failing(error)
    outcome = cli("info", "x", "--debug")
    assert (outcome.code, outcome.out) == (code, "")
    assert outcome.err.startswith("Traceback (most recent call last):")
    assert outcome.err.splitlines()[-1].startswith("interrupted" if code == 130 else "Error: ")


def test_ctrl_c_is_exit_130(cli, failing):
    failing(KeyboardInterrupt())
    outcome = cli("info", "x")
    assert (outcome.code, outcome.out, outcome.err) == (130, "", "interrupted\n")


def test_a_sentence_stays_one_line_whatever_stands_in_it(cli, failing):
    failing(RunError("'a\nb\x1b[31m\r\x07[red]c[/red]:smile:' is no name"))
    assert cli.refused("info", "x") == r"'a\nb\x1b[31m\r\x07[red]c[/red]:smile:' is no name"


@pytest.mark.parametrize("colours", [False, True])
def test_a_sentence_ends_its_lines_between_words_on_a_terminal_alone(cli, failing, monkeypatch, colours):
    path = "/a/path-that/" + "is-longer/" * 6 + "x"
    failing(RunError(f"'{path}' is gone; bring it back from wherever it was moved to, or name another"))
    monkeypatch.setenv("COLUMNS", "60")
    if colours:
        monkeypatch.setenv("FORCE_COLOR", "1")
    piped = re.sub(r"\x1b\[[0-9;]*m", "", cli("info", "x").err)
    assert piped == f"Error: '{path}' is gone; bring it back from wherever it was moved to, or name another\n"
    master, slave = os.openpty()
    with open(slave, "w") as terminal, open(master, "rb") as screen:
        monkeypatch.setattr(sys, "stderr", terminal)
        page.complain(str(f"'{path}' is gone; bring it back from wherever it was moved to, or name another"))
        shown = re.sub(rb"\x1b\[[0-9;]*m", b"", screen.read1()).decode()
    assert shown.splitlines() == [
        f"Error: '{path}'",
        "  is gone; bring it back from wherever it was moved to, or",
        "  name another",
    ]


@pytest.mark.parametrize("name", ["no\nrun", "runs/[bold]", "\x1b[2J", "ä/ö"])
def test_hostile_names_are_said_as_they_are(cli, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    shown = name.replace("\n", "\\n").replace("\x1b", "\\x1b")
    assert cli.refused("lsm", name) == f"'{shown}' is not a folder; give the folder of a run, such as runs/NAME"


@pytest.mark.parametrize("command", ["lsm", "fold", "evaluate", "render sharing", "render lsm", "render graph"])
def test_without_any_run_every_command_says_how_to_get_one(cli, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    said = "there is no run under 'runs'; train one with `foldnet train`, or name its folder"
    assert cli.refused(*command.split()) == said


@pytest.mark.parametrize("command", ["lsm", "fold", "evaluate", "info", "render sharing", "render lsm", "render graph"])
def test_an_empty_folder_is_not_a_run(cli, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    kind = "fold" if command == "render graph" else "run"
    assert cli.refused(*command.split(), "empty") == f"'empty' holds no config.json; it is not the folder of a {kind}"


@pytest.mark.parametrize("arguments", [["lsm", "runs/tied"], ["lsm", "runs/tied", "--json"], ["info"]])
def test_a_reader_who_goes_away_is_no_error(shelf, arguments):
    program = subprocess.Popen(
        [*PROGRAM, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    program.stdout.close()
    with program.stderr:
        assert program.stderr.read() == b""
    assert program.wait(60) == 0


def training(tmp_path: Path) -> subprocess.Popen:
    """A long training of a small network, two epochs of which are over."""
    options = ["--arch", "wrn-10-1", "--epochs", "2000", "--out", "run", "--precision", "fp32", "--device", "cpu"]
    program = subprocess.Popen(
        [*PROGRAM, "train", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    for epoch in (1, 2):
        assert program.stderr.readline().startswith(f"epoch   {epoch}  loss ")
    return program


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_in_a_training_finishes_the_step_and_saves(tmp_path, number):
    with training(tmp_path) as program:
        program.send_signal(number)
        assert program.wait(60) == 130
        assert program.stdout.read() == ""
        last = program.stderr.read().splitlines()[-1]
    told = re.fullmatch(
        r"stopped after (?:step (\d+) of )?epoch (\d+), all of it saved; "
        r"go on with `foldnet train --resume --out run`",
        last,
    )
    assert told, last
    assert {path.name for path in tmp_path.iterdir()} == {"run"}
    progress = load_tensors(tmp_path / "run/last/checkpoint.safetensors").metadata
    steps, epoch = int(told[1] or 0), int(told[2])
    assert progress["under_way"]["step"] == steps
    assert progress["epoch"] == (epoch - 1 if steps else epoch)
    assert len((tmp_path / "run/metrics.jsonl").read_text().splitlines()) == progress["epoch"]
    assert not (tmp_path / "run/report.json").exists()
    assert not (tmp_path / "run/lock.json").exists()


def test_a_second_ctrl_c_ends_a_training_at_once(tmp_path):
    with training(tmp_path) as program:
        program.send_signal(signal.SIGINT)
        program.send_signal(signal.SIGINT)
        assert program.wait(60) == 130
        assert program.stderr.read().splitlines()[-1].startswith(("interrupted", "stopped"))


def test_a_run_that_is_being_written_is_left_alone(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with training(tmp_path) as program:
        for option in ("--resume", "--force"):
            other = cli("train", "--out", "run", option)
            assert other.code == 1
            assert other.err.startswith(f"Error: run 'run' is being written by process {program.pid} on ")
        assert program.poll() is None
        program.kill()


def test_the_version_is_said(cli):
    from importlib.metadata import version

    outcome = cli("--version")
    assert (outcome.code, outcome.out) == (0, f"foldnet {version('foldnet')}\n")


def test_what_goes_wrong_before_torch_is_there_is_said_without_it():
    code = "import sys; import foldnet_cli.main, foldnet_cli.guard as guard\n"
    code += (
        "code = guard._fail('interrupted', 130, False, fault=False); assert 'torch' not in sys.modules; sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


def test_a_training_interrupted_before_its_first_step_says_how_to_go_on(tmp_path, monkeypatch):
    from foldnet.verbs import train as recipe

    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(recipe, "fit", interrupt)
    with pytest.raises(KeyboardInterrupt) as stopped:
        recipe.train(out=tmp_path / "run", arch="wrn-16-1", device="cpu")
    assert str(stopped.value) == (
        f"interrupted; go on from the last checkpoint, if any, with `foldnet.train(resume=True, out='{tmp_path / 'run'}')`"
    )
