"""What commands take where RUN or FOLD was left out, and where they look for it."""

import shutil

import pytest

from foldnet.training.runs import newest_run

RUN, FOLD = "runs/tied", "runs/tied/fold-0.95"
OF_RUNS = f"using {RUN}, the newest run"
OF_FOLDS = f"using {FOLD}, the newest fold of the newest run"


@pytest.mark.parametrize(
    ("command", "said", "field"),
    [
        (("lsm",), OF_RUNS, "run"),
        (("lsm", "--history", "-o", "h.svg"), OF_RUNS, "run"),
        (("fold", "--no-evaluate", "--dry-run"), OF_RUNS, "run"),
        (("fold", "--sweep", "--dry-run", "--groups", "stage3"), OF_RUNS, "run"),
        (("evaluate",), OF_RUNS, "path"),
        (("verify", "--no-data"), OF_FOLDS, "fold"),
        (("render", "sharing", "-o", "s.dot"), OF_RUNS, "run"),
        (("render", "lsm", "-o", "l.csv"), OF_RUNS, "run"),
        (("render", "graph", "-o", "g.dot"), OF_FOLDS, "fold"),
        (("render", "fold", "-o", "f.svg"), OF_FOLDS, "fold"),
        (("bench", "inference", "--batch-sizes", "1", "--repeats", "1", "--threads", "1"), OF_FOLDS, "fold"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else None,
)
def test_a_command_says_what_it_took(cli, home, command, said, field):
    outcome = cli(*command, "--json")
    assert outcome.code in (0, 3), outcome
    assert outcome.err.splitlines()[0] == said
    assert outcome.err.count("using ") == 1
    assert f'"{field}": "{FOLD if field == "fold" else RUN}"' in outcome.out


def test_what_is_named_is_not_said(cli, home):
    for command in (("lsm", RUN), ("render", "graph", FOLD, "-o", "g.dot")):
        assert cli(*command).err == ""


def test_the_fold_of_a_run_that_is_named_is_said(cli, home):
    outcome = cli("render", "graph", RUN, "-o", "g.dot", "--json")
    assert outcome.json == {"file": "g.dot", "fold": FOLD}
    assert outcome.err == f"using {FOLD}, the newest fold of {RUN}\n"


def test_a_training_says_which_run_it_goes_on_with(cli, home):
    shutil.rmtree(home / "runs/tied")
    shutil.rmtree(home / "runs/plain")
    outcome = cli("train", "--resume", "--json")
    assert outcome.err.splitlines()[0] == "using runs/soft, the newest run"
    assert outcome.json["run"] == "runs/soft"


@pytest.mark.parametrize("way", ["option", "environment"])
def test_runs_may_lie_elsewhere(cli, home, monkeypatch, way):
    (home / "runs").rename(home / "elsewhere")
    option = ("--home", "elsewhere")
    if way == "environment":
        monkeypatch.setenv("FOLDNET_HOME", "elsewhere")
        option = ()
        assert str(newest_run()) == "elsewhere/tied"
    assert cli("lsm", *option).err == "using elsewhere/tied, the newest run\n"
    assert [line["run"] for line in cli.done("runs", *option)["runs"]][-1] == "elsewhere/tied"
    assert '"runs": "elsewhere"' in cli("doctor", *option, "--json").out
    made = cli.done("train", "--arch", "wrn-10-1", "--epochs", "1", "--device", "cpu", *option)
    assert made["run"] == "elsewhere/digits-wrn-10-1-seed0"
    assert not (home / "runs").exists()


def test_the_option_wins_over_the_environment_and_leaves_it_as_it_was(cli, home, monkeypatch):
    monkeypatch.setenv("FOLDNET_HOME", "elsewhere")
    assert cli("lsm", "--home", "runs").err == f"{OF_RUNS}\n"
    said = "there is no run under 'elsewhere'; train one with `foldnet train`, or name its folder"
    assert cli.refused("lsm") == said
    assert cli("runs").out == "no runs under 'elsewhere'; train one with `foldnet train`\n"
    monkeypatch.setenv("FOLDNET_HOME", "")
    assert str(newest_run()) == RUN


def test_every_command_takes_a_home(cli):
    from foldnet_cli.words import commands, options_of

    assert {options_of(command)["home"].on for command in commands().values()} == {"--home"}
