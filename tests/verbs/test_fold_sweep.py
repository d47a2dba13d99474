"""The curve is measured once: a fold takes it from the run while weights and settings are the same, and says how long it takes else."""

import json
import re

import pytest
from planted import plant_run, use_few_digits

from foldnet.choosing.choose import soft_of
from foldnet.choosing.laboratory import Laboratory
from foldnet.choosing.sweep import within_drop
from foldnet.choosing.sweep_file import kept_curve
from foldnet.errors import NothingToFold, RunError
from foldnet.folding.settings import FoldSettings
from foldnet.store.seals import sealed
from foldnet.training.observer import Silent
from foldnet.training.runs import open_run
from foldnet.verbs.fold import fold
from foldnet.verbs.render import render
from foldnet.verbs.sweep import announcing, lasting, sweep

ONE = {"groups": ("stage1",), "keep": ("stage1.1.conv1", "stage1.1.conv2")}  # three merges of layers, one of blocks


class Listening(Silent):
    """Keeps what it is told."""

    def __init__(self):
        self.said = []

    def note(self, sentence):
        self.said.append(sentence)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A planted run with its sweep; what a test changes it puts back."""
    with pytest.MonkeyPatch.context() as patch:
        use_few_digits(patch)
        home = tmp_path_factory.mktemp("swept")
        patch.chdir(home)
        plant_run(home / "run")
        report = sweep("run", **ONE)
        yield home / "run", report


@pytest.fixture
def kept(swept, monkeypatch):
    """The same from inside its folder, where a new sweep would be noticed."""
    monkeypatch.chdir(swept[0].parent)
    use_few_digits(monkeypatch)
    monkeypatch.setattr(Laboratory, "judge", lambda *_: pytest.fail("a sweep was made"))
    return swept


def folded(**settings):
    listening = Listening()
    report = fold("run", dry_run=True, evaluated=False, shares=False, observer=listening, **(ONE | settings)).report
    return report, listening.said


@pytest.mark.parametrize("chooser", [{"max_drop": 100.0}, {"budget": "1M"}, {"threshold": "auto"}])
@pytest.mark.parametrize("unit", ["layer", "block"])
def test_what_chooses_takes_the_curve_that_the_run_keeps(kept, chooser, unit):
    report, said = folded(unit=unit, **chooser)
    assert said == ["choosing from 'run/sweep.json'"]
    assert report.validation_accuracy in {point.accuracy for point in kept[1].units[unit]}


def test_a_kept_curve_is_the_one_that_was_measured(kept):
    folder, report = kept
    run = open_run(folder)
    for unit in ("layer", "block"):
        curve = kept_curve(run, soft_of(run.load("last")[0], FoldSettings(unit=unit, **ONE)))
        assert (curve.points, curve.soft) == (report.units[unit], report.soft)


def test_what_a_drop_takes_is_one_function_of_the_curve(kept):
    _, report = kept
    point = within_drop(report.units["layer"], report.soft, 1.0)
    taken, _ = folded(max_drop=100.0)
    assert taken.validation_accuracy == point.accuracy
    group = taken.groups[0]
    names = [layer.name for layer in group.layers]
    assert tuple(tuple(map(names.index, cluster)) for cluster in group.clusters) == point.clusters[group.name]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"metric": "weights"}, "sweep.json is of another metric"),
        ({"tie": "mean"}, "sweep.json is of another tie"),
        ({"linkage": "average"}, "sweep.json is of another linkage"),
        ({"groups": ("stage2",), "keep": ()}, "sweep.json is of other groups"),
        ({"keep": ()}, "sweep.json is of other kept layers"),
    ],
)
def test_a_curve_of_other_settings_is_not_taken(swept, monkeypatch, settings, said):
    monkeypatch.chdir(swept[0].parent)
    use_few_digits(monkeypatch)
    monkeypatch.setattr("foldnet.verbs.sweep._walk", lambda *_: swept[1].units["layer"][:1])
    _, heard = folded(max_drop=100.0, **settings)
    assert heard == [f"{said}, so the sweep is made anew"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda sweep: sweep["of"].update(checkpoint_sha256="0" * 64), "sweep.json is of other weights"),
        (lambda sweep: sweep["of"].update(split="0"), "sweep.json is of other validation images"),
        (lambda sweep: sweep.pop("of"), "sweep.json cannot be used ('of')"),
        (lambda sweep: sweep["units"].pop("layer"), "sweep.json cannot be used ('layer')"),
        (
            lambda sweep: sweep["units"]["layer"][-1]["clusters"].update(stage1=[[0, 1], [9]]),
            "sweep.json cannot be used (the clusters are not a partition of 6 layers; put every layer into exactly one)",
        ),
        (
            lambda sweep: sweep["units"]["layer"][-1].update(stored_numbers=1),
            "sweep.json does not say what its clusters give",
        ),
    ],
)
def test_a_curve_of_other_weights_or_a_damaged_one_is_not_taken(swept, monkeypatch, change, said):
    folder, report = swept
    monkeypatch.chdir(folder.parent)
    use_few_digits(monkeypatch)
    monkeypatch.setattr("foldnet.verbs.sweep._walk", lambda *_: report.units["layer"][:1])
    sound = (folder / "sweep.json").read_text()
    content = json.loads(sound)
    change(content)
    (folder / "sweep.json").write_text(json.dumps(sealed(content)))
    try:
        assert folded(max_drop=100.0)[1] == [f"{said}, so the sweep is made anew"]
    finally:
        (folder / "sweep.json").write_text(sound)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda sweep: [point.update(accuracy=0.99) for point in sweep["units"]["layer"]],
            "'run/sweep.json' was changed after the sweep was written (its SHA-256 differs)",
        ),
        (lambda sweep: sweep.pop("sha256"), "'run/sweep.json' states no digest"),
    ],
)
def test_a_changed_curve_is_neither_taken_nor_drawn(swept, monkeypatch, change, said):
    folder, report = swept
    monkeypatch.chdir(folder.parent)
    use_few_digits(monkeypatch)
    monkeypatch.setattr("foldnet.verbs.sweep._walk", lambda *_: report.units["layer"][:1])
    sound = (folder / "sweep.json").read_text()
    content = json.loads(sound)
    change(content)
    (folder / "sweep.json").write_text(json.dumps(content))
    try:
        assert folded(max_drop=100.0)[1] == [f"{said}, so the sweep is made anew"]
        with pytest.raises(RunError, match=f"^{re.escape(said)}; .*sweep the run again$"):
            render("sweep", "run", folder.with_name("sweep.svg"))
        assert not folder.with_name("sweep.svg").exists()
    finally:
        (folder / "sweep.json").write_text(sound)


@pytest.mark.parametrize("budget", ["1k", "1kB"])
def test_a_budget_out_of_reach_is_refused_before_any_data_are_read(kept, monkeypatch, budget):
    monkeypatch.setattr("foldnet.verbs.fold.Laboratory", lambda *_: pytest.fail("data were read"))
    with pytest.raises(NothingToFold, match=r"cannot be reached: the smallest fold has [\d,]+; give at least that$"):
        folded(budget=budget)


def test_the_time_is_said_after_the_first_fold_and_once():
    listening, ticks = Listening(), iter((0.0, 2.0, 5.0, 9.0))
    judge = announcing(lambda plan: plan, "sweep by layer", 30, listening, clock=lambda: next(ticks))
    assert judge("first") == "first"
    assert listening.said == ["sweep by layer: about 30 folds to judge, about 60 s"]
    assert judge("second") == "second"
    assert len(listening.said) == 1


def test_a_sweep_says_how_long_it_will_take_before_its_second_fold(swept, monkeypatch):
    monkeypatch.chdir(swept[0].parent)
    use_few_digits(monkeypatch)
    listening, heard = Listening(), []
    real = Laboratory.judge

    def judge(self, soft, plan):
        heard.append(len(listening.said))
        return real(self, soft, plan)

    monkeypatch.setattr(Laboratory, "judge", judge)
    fold(
        "run",
        dry_run=True,
        evaluated=False,
        shares=False,
        observer=listening,
        max_drop=100.0,
        unit="block",
        tie="mean",
        **ONE,
    )
    assert heard == [1, 2]
    assert listening.said[0] == "sweep.json is of another tie, so the sweep is made anew"
    assert listening.said[1].startswith("sweep by block: about 2 folds to judge, a")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.2, "a second or so"),
        (40.4, "about 40 s"),
        (99, "about 99 s"),
        (200, "about 3 min"),
        (4800, "about 1 h 20 min"),
        (3599, "about 1 h 0 min"),
    ],
)
def test_times_are_rounded(seconds, said):
    assert lasting(seconds) == said
