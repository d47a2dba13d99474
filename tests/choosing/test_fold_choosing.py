"""What chooses a fold: drops, budgets, the knee; what contradicts; how folders are called; and what fine-tuning reports."""

import pytest
from planted import plant_run, use_few_digits

from foldnet.errors import FoldnetError, NothingToFold, SettingError
from foldnet.verbs.fold import fold


@pytest.fixture(autouse=True)
def run(tmp_path, monkeypatch):
    """A planted run in the working folder."""
    use_few_digits(monkeypatch)
    monkeypatch.chdir(tmp_path)
    plant_run(tmp_path / "run")
    return tmp_path / "run"


def folded(**settings):
    return fold("run", shares=False, dry_run=True, **settings).report


def said_by(error, **settings):
    with pytest.raises(error) as caught:
        folded(**settings)
    return str(caught.value)


def test_any_drop_allows_complete_tying():
    report = folded(max_drop=100)
    assert [group.owners for group in report.groups] == [1, 1, 1]
    assert report.why == "stores least within 100 points of the soft network's validation accuracy"
    assert report.threshold is None
    assert 0 <= report.validation_accuracy <= 1


@pytest.mark.parametrize("budget", ["12M", "12MB", "500k"])
def test_a_budget_is_kept(budget):
    report = folded(budget=budget)
    assert report.why == f"best validation accuracy within {budget}"
    assert report.parameters.folded <= 500_000


def test_a_budget_out_of_reach_says_what_can_be_reached():
    said = said_by(NothingToFold, budget="1k")
    least = folded(max_drop=100).parameters.folded
    assert said == (
        f"a `budget` of 1,000 parameters cannot be reached: the smallest fold has {least:,}; give at least that"
    )


def test_the_knee_is_chosen_with_its_reason():
    report = folded(threshold="auto", unit="block")
    assert "knee" in report.why or "shared numbers give" in report.why
    assert report.near_misses == ()


def test_groups_and_kept_layers_stay_as_they_were_in_the_sweep():
    report = folded(max_drop=100, groups=("stage1", "stage2"), keep=("stage2.1.conv1",))
    assert [group.owners for group in report.groups] == [1, 2, 6]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"max_drop": 1.0, "budget": "1M"}, "`max_drop` and `budget` contradict each other; give one of them"),
        ({"clusters": "x", "budget": "1M"}, "`clusters` and `budget` contradict each other; give one of them"),
        ({"max_drop": 1.0, "threshold": 0.9}, "`max_drop` and `threshold` contradict each other; give one of them"),
        (
            {"threshold": "auto", "thresholds": (("stage1", 0.9),)},
            "`threshold='auto'` and thresholds of single groups contradict each other; give one of them",
        ),
        ({"control": True}, "`control=True` needs epochs to train; add `finetune=2`"),
        (
            {"budget": "big"},
            "`budget='big'` is not a size; write 12M or 500k for parameters, 12MB or 500kB for bytes",
        ),
    ],
)
def test_what_contradicts_is_refused(settings, said):
    assert said_by(FoldnetError, **settings) == said


@pytest.mark.parametrize("budget", ["big", "1k"])
def test_a_budget_that_cannot_be_met_is_refused_before_anything_is_judged(budget, monkeypatch):
    monkeypatch.setattr("foldnet.choosing.laboratory.Laboratory.recalibrated", None)
    assert said_by(FoldnetError, budget=budget).startswith(
        "a `budget` of 1,000 " if budget == "1k" else f"`budget={budget!r}` "
    )


@pytest.mark.parametrize("chooser", [{"max_drop": 1.0}, {"budget": "1M"}, {"threshold": "auto"}])
def test_without_validation_images_nothing_can_be_chosen(chooser, run, monkeypatch):
    from foldnet.training import session

    real = session.split_of_run
    from dataclasses import replace

    monkeypatch.setattr(
        "foldnet.choosing.laboratory.split_of_run",
        lambda *args: (real(*args)[0], replace(real(*args)[1], validation=None)),
    )
    assert said_by(SettingError, **chooser) == (
        "run 'run' was trained without validation data (`validation=0`), so nothing can be chosen "
        "or weighed; give `threshold` a number, or train a run with `validation=0.1`"
    )


def test_finetuning_with_a_teacher_and_a_control_fills_the_accuracies():
    accuracy = folded(finetune=1, distill=True, control=True).accuracy
    found = (accuracy.soft, accuracy.soft_recalibrated, accuracy.tied, accuracy.recalibrated)
    assert all(0 <= value <= 1 for value in (*found, accuracy.finetuned, accuracy.soft_finetuned))
    assert accuracy.images == 50


def test_without_finetuning_there_is_no_control():
    accuracy = folded().accuracy
    assert (accuracy.finetuned, accuracy.soft_finetuned) == (None, None)


def test_folders_say_what_was_asked():
    names = [
        fold("run", shares=False, evaluated=False, **settings).report.fold
        for settings in ({}, {"threshold": 0.9, "unit": "block", "tie": "mean"}, {"threshold": 0.9})
    ]
    assert names == ["run/fold-0.95", "run/fold-0.9-block-mean", "run/fold-0.9"]
    assert fold("run", shares=False, budget="1M").report.fold == "run/fold-1M"
