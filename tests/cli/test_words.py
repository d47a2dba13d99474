"""What the library says in Python, said in options."""

import inspect
import shlex
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

import foldnet
from foldnet.folding.settings import FoldSettings
from foldnet.training.settings import TrainSettings
from foldnet.verbs.bench_inference import bench_inference
from foldnet.verbs.bench_train import bench_train
from foldnet.verbs.check import check
from foldnet.verbs.data import SETS
from foldnet_cli.words import commands, options_of, spoken, spoken_notes

OPTIONS = {
    (words, name): option for words, command in commands().items() for name, option in options_of(command).items()
}
# What only Python has: an observer and a world of processes, a report that is not written, one group's thresholds as pairs.
PYTHON_ALONE = {"observer", "world", "written", "momentum", "given", "settings", "steps", "grids", "against", "inputs"}
QUOTABLE = st.text(st.characters(exclude_characters="'\"`", codec="utf-8"), min_size=1)


@pytest.mark.parametrize("words", sorted(commands()))
def test_every_setting_of_a_command_is_its_option(words):
    for name, option in options_of(commands()[words]).items():
        assert spoken(f"`{name}`") == option.on
        assert option.on == "--" + name.removeprefix("as_").replace("_", "-") or name in (
            "output",
            "part",
            "split",
            "from_run",
        )
        said = spoken(f"`{name}=True`")
        switched = any(
            known.switch for (_, other), known in OPTIONS.items() if other == name
        )  # as --residual of a graph
        assert said == (option.on if switched else f"{option.on} True")
        if not option.switch:
            assert spoken(f"`{name}=4`") == f"{option.on} 4"


@pytest.mark.parametrize(
    "function",
    [
        foldnet.train,
        foldnet.fold,
        foldnet.sweep,
        foldnet.lsm,
        foldnet.evaluate,
        foldnet.verify,
        foldnet.reach,
        foldnet.draw,
        bench_train,
        bench_inference,
        check,
    ],
)
def test_every_keyword_of_python_has_its_option(function):
    parameters = inspect.signature(function).parameters.values()
    keywords = [parameter.name for parameter in parameters if parameter.kind == inspect.Parameter.KEYWORD_ONLY]
    for name in set(keywords) - PYTHON_ALONE:
        assert spoken(f"`{name}`").startswith("--"), name


@pytest.mark.parametrize("settings", [TrainSettings, FoldSettings, *SETS.values()])
def test_every_field_of_the_settings_has_its_option(settings):
    for name in {field.name for field in fields(settings)} - PYTHON_ALONE - {"source"}:
        assert spoken(f"`{name}`").startswith("--"), name


@pytest.mark.parametrize(
    ("python", "shell"),
    [
        ("`max_drop=0.5`", "--max-drop 0.5"),
        ("`lr=5e-05`", "--lr 5e-05"),
        ("`windows=(5, 9)`", "--windows 5,9"),
        ("`steps={'stage2.loop1': 4}`", "--steps stage2.loop1=4"),
        ("`resume=True`", "--resume"),
        ("`force=2`", "--force --force"),
        ("`distill=False`", "--no-distill"),
        ("`shares=False`", "--no-shares"),
        ("`evaluated=False`", "--no-evaluate"),
        ("`thresholds`", "--threshold"),
        ("`dataset='paths'`", "--dataset paths"),
        ("`dataset='my data'`", "--dataset 'my data'"),
        ("`foldnet.fold('x')`", "`foldnet fold x`"),
        ("`foldnet.train()`", "`foldnet train`"),
        ("`foldnet.train(resume=True, out='a b')`", "`foldnet train --resume --out 'a b'`"),
        ("`foldnet.sweep('runs/x')`", "`foldnet fold runs/x --sweep`"),
        ("`foldnet.draw('x', out='a.svg')`", "`foldnet render graph x --out a.svg`"),
        ("`help(foldnet.train)`", "`foldnet train --help`"),
        ("it is the run's; add `force=True`, or the runs' `out`", "it is the run's; add --force, or the runs' --out"),
    ],
)
def test_python_becomes_what_is_typed(python, shell):
    assert spoken(python) == shell
    assert spoken(shell) == shell


@pytest.mark.parametrize(
    "text",
    [
        "`pip install 'foldnet[tensorboard]'`",
        "`no_such_setting=1`",
        "`foldnet.no_such_verb('x')`",
        "`foldnet.train(no_such_setting=1)`",
        "`foldnet.train(observer=1)`",
        "`foldnet.train(`",
        "`force=True",
        "'runs/`force=True`' is gone",
        "it's '`out`' and \"`out`\"",
        "``",
        "` out `",
        "resume=True",
    ],
)
def test_other_code_and_what_is_quoted_stay(text):
    assert spoken(text) == text


@given(QUOTABLE, QUOTABLE)
def test_quoted_text_stays_as_it_is(path, name):
    quoted = f"'{path}' exists already, \"`{name}`\" too; "
    assert spoken(quoted + "give `out` another name") == quoted + "give --out another name"


@given(st.text(st.characters(exclude_characters="`", codec="utf-8")))
def test_text_without_code_stays_as_it_is(text):
    assert spoken(text) == text


@given(st.text(min_size=1))
def test_a_value_is_quoted_as_the_shell_needs_it(value):
    said = spoken(f"`dataset={value!r}` is unknown")
    assert shlex.split(said) == ["--dataset", value, "is", "unknown"]


@given(st.text())
def test_no_text_breaks_it(text):
    assert isinstance(spoken(f"`{text}` and `out={text}` and `foldnet.fold({text})`"), str)


def test_only_notes_and_problems_of_a_report_are_spoken():
    plain = {"notes": ["give `out` another name"], "name": "`out`", "runs": [{"problem": "`force=True`"}]}
    said = {"notes": ["give --out another name"], "name": "`out`", "runs": [{"problem": "--force"}]}
    assert spoken_notes(plain) == said
