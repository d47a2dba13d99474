"""What the program says of itself, and what that costs."""

import re
import subprocess
import sys

import pytest

from foldnet_cli import words

OPTIONS = {
    "train": "--dataset --arch --epochs --batch-size --lr --seed --device --precision --recurrence --dropout --cutout "
    "--validation --data-dir --download --out --resume --force --recall --progressive --grid --windows --obstacles "
    "--target --size --examples --test-examples",
    "lsm": "--metric --history --checkpoint -o",
    "fold": "--threshold --max-drop --clusters --groups --metric --unit --tie --linkage --finetune --no-evaluate "
    "--dry-run --out",
    "render graph": "-o --residual --force",
    "render sharing": "-o --checkpoint --force",
    "render lsm": "-o --metric --checkpoint --force",
    "evaluate": "--checkpoint --data-dir --device --precision --batch-size --steps --dataset --grid --window --size",
    "data paths": "--count --grid --window --obstacles --seed --target -o --force",
    "data mazes": "--count --size --seed -o --force",
    "render paths": "--curves --examples -o",
    "render reach": "--trips --recalibrate --grid --window -o",
    "info": "",
    "doctor": "--check --device --skip",
    "bench train": "--arch --batch-size --steps --device --precision --compile --threads --profile -o --force",
}
COMMANDS = ["train", "lsm", "fold", "render", "evaluate", "info", "bench", "doctor"]
HEAVY = ["torch", "numpy", "scipy", "sklearn", "matplotlib", "networkx"]


def plain(text: str) -> str:
    """Without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.mark.parametrize("command", OPTIONS)
def test_every_command_names_its_options(cli, command):
    outcome = cli(*command.split(), "--help")
    assert (outcome.code, outcome.err) == (0, "")
    named = set(re.findall(r"(?<![\w-])-{1,2}[a-z][a-z-]*", plain(outcome.out)))
    assert {*OPTIONS[command].split(), "--json", "--debug", "--help"} <= named


@pytest.mark.parametrize("command", [*words.commands(), "", "render", "bench", "data"])
def test_no_help_is_cut_in_80_columns(cli, command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = plain(cli(*command.split(), "--help").out)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert "..." not in text.replace("[ARGS]...", "").replace("[RUN or FOLD]...", "").replace("[RUN]...", "").replace(
        "...]", ""
    )


def test_options_that_take_no_value_and_defaults_look_alike(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    text = plain(cli("fold", "--help").out)
    assert re.search(
        r"--metric +<str> +coefficients or weights.  \[default: coefficients; for a plain network weights\]", text
    )
    assert re.search(
        r"--force +<bool> +Replace the run or fold that is there; twice: with folds and notes inside it. ", text
    )
    assert "(default" not in "".join(plain(cli(*command.split(), "--help").out) for command in words.commands())


def test_the_program_names_its_commands_in_the_order_of_use(cli):
    outcome = cli("--help")
    assert outcome.code == 0
    listed = re.findall(r"^\W+([a-z]+) {2,}[A-Z]", plain(outcome.out), re.MULTILINE)
    assert [name for name in COMMANDS if name in listed] == COMMANDS
    assert listed.index("train") < listed.index("lsm") < listed.index("fold")


@pytest.mark.parametrize("arguments", [[], ["render"]])
def test_without_a_command_there_is_help(cli, arguments):
    outcome = cli(*arguments)
    assert outcome.code == 2
    assert "Usage: foldnet" in plain(outcome.out + outcome.err)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["frobnicate"], "No such command 'frobnicate'."),
        (["lsm", "--nope"], "No such option: --nope"),
        (["lsm", "a", "b"], "Got unexpected extra argument"),
        (["train", "--epochs", "many"], "Invalid value for '--epochs'"),
        (["evaluate", "--batch-size", "0"], "Invalid value for '--batch-size'"),
        (["lsm", "-o"], "Option '-o' requires an argument."),
    ],
)
def test_wrong_usage_is_exit_2_and_on_stderr(cli, arguments, sentence):
    outcome = cli(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert sentence in plain(outcome.err)
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("command", ["lsm", "fold", "evaluate", "info", "render graph", "render reach"])
def test_arguments_stand_in_one_pair_of_brackets(cli, command):
    usage = next(line for line in plain(cli(*command.split(), "--help").out).splitlines() if "Usage:" in line)
    assert "[OPTIONS] [" in usage
    assert "[[" not in usage


@pytest.mark.parametrize(
    ("command", "default"),
    [
        ("train", "[default: 200; densenet, densenetbc and resnext 300; gpt 10; digits 30; paths"),
        ("fold", "[default: 0.95]"),
        ("evaluate", "[default: the run's last]"),
        ("data mazes", "[default: a new one here]"),
    ],
)
def test_defaults_in_brackets_are_no_markup(cli, monkeypatch, command, default):
    monkeypatch.setenv("COLUMNS", "200")
    assert default in " ".join(plain(cli(*command.split(), "--help").out).split())


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["render", "graph", "--help"]])
def test_help_imports_nothing_heavy(arguments):
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['foldnet', *{arguments}]\n"
        "try:\n    runpy.run_module('foldnet_cli', run_name='__main__', alter_sys=True)\n"
        f"except SystemExit:\n    print('HEAVY', [name for name in {HEAVY} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY []"
    assert done.stderr == ""


def test_the_module_is_the_program_too():
    done = subprocess.run([sys.executable, "-m", "foldnet_cli", "--help"], capture_output=True, text=True, check=True)
    assert "Usage: python -m foldnet_cli [OPTIONS] COMMAND" in plain(done.stdout)
    assert done.stderr == ""


def test_the_script_for_completion_is_printed(monkeypatch):
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    code = "from foldnet_cli.main import main; import sys; sys.argv = ['foldnet', '--show-completion', 'bash']; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "complete -o default -F _foldnet_completion foldnet" in done.stdout
