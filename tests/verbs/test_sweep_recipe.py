"""The sweep, the depth dial and their pictures, on a planted run: what is written, and what is refused."""

import json

import pytest
from planted import plant_run, use_few_digits

from foldnet.errors import NothingToFold, RunError, SettingError
from foldnet.store.seals import sealed
from foldnet.verbs.fold import fold
from foldnet.verbs.render import render
from foldnet.verbs.sweep import sweep
from foldnet.verbs.trips import depth


@pytest.fixture(autouse=True)
def run(tmp_path, monkeypatch):
    """A planted run in the working folder."""
    use_few_digits(monkeypatch)
    monkeypatch.chdir(tmp_path)
    plant_run(tmp_path / "run")
    return tmp_path / "run"


def test_a_sweep_is_written_and_drawn(run):
    report = sweep("run")
    assert json.loads((run / "sweep.json").read_text()) == sealed(report.to_json())
    assert {unit: len(points) for unit, points in report.units.items()} == {"layer": 16, "block": 7}
    for points in report.units.values():
        owners = [point.owners for point in points]
        assert owners == sorted(owners, reverse=True)
        assert (points[0].merged, points[0].owners) == ("", 18)
    assert report.units["layer"][-1].owners == 3
    assert report.units["block"][-1].owners == 6
    drawn = render("sweep", "run").file
    assert drawn == render("sweep", "run", force=True).file
    assert drawn.name == "sweep.svg"
    assert "<svg" in drawn.read_text()


def test_a_sweep_may_leave_nothing_behind(run):
    assert sweep("run", written=False, groups=("stage1",)).file is None
    assert not (run / "sweep.json").exists()


def test_without_a_sweep_there_is_nothing_to_draw():
    with pytest.raises(RunError) as caught:
        render("sweep", "run")
    assert str(caught.value) == "run 'run' has no sweep.json; make it with `foldnet.sweep('run')`"


@pytest.mark.parametrize("content", ["{}", "[]", '{"units": {"layer": [{}]}, "knee": {}}'])
def test_a_damaged_sweep_is_named(run, content):
    (run / "sweep.json").write_text(json.dumps(sealed(json.loads(content))) if content != "[]" else content)
    with pytest.raises(RunError) as caught:
        render("sweep", "run")
    assert "sweep.json" in str(caught.value)
    assert not (run / "sweep.svg").exists()


def test_depth_is_measured_for_every_loop_and_drawn():
    made = fold("run", shares=False).report.fold
    drawn = render("depth", made, most=3)
    report = drawn.report
    assert [(loop.name, loop.found) for loop in report.loops] == [(f"stage{n}.loop1", 2) for n in (1, 2, 3)]
    for loop in report.loops:
        curves = loop.curves()
        assert list(curves) == ["accuracy", "recalibrated", "damped", "damped_recalibrated"]
        assert all([trips for trips, _ in curve] == [0, 1, 2, 3] for curve in map(sorted, curves.values()))
        for plain, damped in (("accuracy", "damped"), ("recalibrated", "damped_recalibrated")):
            same = {trips for trips in range(4) if dict(curves[plain])[trips] == dict(curves[damped])[trips]}
            assert same >= {0, 2}
    assert len({dict(loop.accuracy)[2] for loop in report.loops}) == 1  # as found, whichever loop is named
    assert "<svg" in drawn.file.read_text()
    assert "<svg" in render("fold", made).file.read_text()


def test_depth_without_loops_or_trips_is_refused():
    with pytest.raises(SettingError) as caught:
        depth("run", most=0)
    assert str(caught.value) == "`most=0` is not legal; give a whole number from 1 to 10000"
    made = fold(
        "run", shares=False, evaluated=False, clusters=None, groups=("stage1",), keep=("stage1.1.conv1",)
    ).report.fold
    with pytest.raises(NothingToFold) as caught:
        depth(made)
    assert str(caught.value) == (
        f"fold '{made}' has no loop to turn; fold it at a lower `threshold`, or with `unit='block'`"
    )
