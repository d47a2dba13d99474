"""foldnet report: what its pages say, of what, and what they refuse."""

import json
import re
import shutil
from dataclasses import replace
from html import escape
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from planted import plant_run, use_few_digits

from foldnet.choosing.sweep import SweepPoint
from foldnet.data.tasks import CLASSES
from foldnet.errors import OutputError, RunError, SettingError
from foldnet.store.artifact import RUN
from foldnet.store.seals import seal_of, sealed
from foldnet.training.checkpoint import save_checkpoint
from foldnet.training.observer import Progress
from foldnet.training.runs import open_run
from foldnet.verbs.fold import fold
from foldnet.verbs.pages.run import page_of_run
from foldnet.verbs.pages.similar import short_names, thinned
from foldnet.verbs.pages.stops import score_of, shortest, ways_of
from foldnet.verbs.pages.write import run_html
from foldnet.verbs.report import report
from foldnet.verbs.sweep import Knee, SweepReport, Unfolded, sweep
from foldnet.verbs.verify import verify


@pytest.mark.parametrize(
    ("height", "below", "wanted"),
    [
        (0.98765, 0.9, 0.98),
        (0.98765, 0.985, 0.987),
        (0.98765, 0.9871, 0.9876),
        (1.0, 0.5, 1.0),
        (0.5, 0.0, 0.5),
        (0.001, 0.0, 0.001),
        (0.0, 0.0, 0.0),
        (0.3, 0.29999999999999993, 0.3),
    ],
)
def test_a_threshold_has_the_fewest_digits_that_tell_it_from_the_next(height, below, wanted):
    assert shortest(height, below) == wanted


def test_layers_are_named_without_what_all_their_names_begin_with():
    assert short_names(["stage1.1.conv1", "stage1.2.conv2"]) == ["1.conv1", "2.conv2"]
    assert short_names(["blocks.0.attn.qkv"]) == ["qkv"]
    assert short_names(["a", "a.b"]) == ["a", "a.b"]
    assert short_names(["stem.conv", "stem.conv2"]) == ["conv", "conv2"]


def test_the_stops_of_a_threshold_are_the_folds_that_it_gives(shelf):
    run = open_run(shelf / "runs" / "tied")
    stops = ways_of(run, run.load()[0]).stops
    found = [{group.name: group.owners for group in stop.report.groups} for stop in stops]
    assert found == [
        {"stage1": 6, "stage2": 2, "stage3": 1},
        {"stage1": 4, "stage2": 2, "stage3": 1},
        {"stage1": 1, "stage2": 1, "stage3": 1},  # at 0, where all that is left merges at once
    ]
    for stop in stops:
        for threshold in {stop.threshold, stop.height or stop.threshold}:
            made = fold(run.folder, threshold=threshold, evaluated=False, dry_run=True)
            assert made.plan.program == stop.plan.program
            same = {"threshold": None, "near_misses": ()}
            ours, theirs = (one.to_json() | same | {"run": None, "chance": None} for one in (stop.report, made.report))
            for one in (*ours["groups"], *theirs["groups"]):
                one.pop("chance")  # at another threshold, which gives the same fold, chance is another
            assert ours == theirs


def test_at_its_threshold_a_stop_says_word_for_word_what_fold_says(shelf):
    run = open_run(shelf / "runs" / "soft")
    stops = ways_of(run, run.load()[0]).stops
    for stop in (stops[0], stops[len(stops) // 2], stops[-1]):
        made = fold("runs/soft", threshold=stop.threshold, evaluated=False, dry_run=True).report
        assert stop.report.to_json() | {"run": "runs/soft"} == made.to_json()
        assert [part.to_html() for part in stop.report.parts()][2:] != []


def test_of_many_at_most_so_many_are_kept_and_the_last():
    assert thinned(7, 4) == [0, 2, 4, 6]
    assert thinned(8, 4) == [0, 3, 6, 7]
    assert thinned(1, 4) == [0]
    assert all(len(thinned(count, 50)) <= 51 for count in range(1, 500))


def long_sweep():
    """Of 28 layers: 15 merges by layer, and as many by block, which are fewer."""
    sizes = {"parameters": 1_080_322, "bytes": 4_349_712, "stored_numbers": 1_080_322}
    point = SweepPoint(
        0.987654321,
        0.987654321,
        59,
        60,
        **sizes,
        unit="layer",
        merged="stage1",
        height=0.98765,
        clusters={},
        owners=12,
        loops=3,
        reuses=6,
    )
    knees = dict.fromkeys(("layer", "block"), Knee(9, "where the curve bends most"))
    points = dict.fromkeys(knees, (replace(point, merged=""), *(point,) * 15))
    score = Unfolded(0.99, 0.98)
    return SweepReport(
        "runs/soft", None, "coefficients", "gain", "complete", score, score, 60, 1_467_322, points, knees, 9.9
    )


def test_a_page_of_28_layers_has_at_most_500_kb_however_long_it_was_trained(shelf):
    page, tied = page_of_run(shelf / "runs" / "soft"), page_of_run(shelf / "runs" / "tied")
    draws = np.random.default_rng(0).uniform(size=(1001, 6, 6))
    line = page.metrics[-1] | {"train_loss": 0.123456789, "validation_loss": 0.987654321}
    long = replace(
        page,
        metrics=tuple(line | {"epoch": epoch} for epoch in range(1, 1001)),
        history=dict.fromkeys(page.history, draws),
        sweep=long_sweep(),
        folds=tied.folds * 30,
        sources=page.sources | {"sweep": page.sources["similar"]},
    )
    html = run_html(long)
    assert (len(page.info.groups), len(page.ways.stops)) == (3, 16)
    assert 200_000 < len(html.encode()) <= 500_000
    assert "Numbers of 201 epochs" in html
    assert "22 older folds with pages of their own: runs/tied/fold-0.95, " in html


def test_a_page_is_one_file_and_the_same_every_time(home, cli):
    first = cli.done("report", "runs/tied", "-o", "one.html")
    assert first == {"file": "one.html", "kind": "run", "stops": 3, "bytes": (home / "one.html").stat().st_size} | {
        "seconds": first["seconds"]
    }
    assert first["bytes"] < 300_000
    assert report("runs/tied", "two.html").bytes == first["bytes"]
    html = (home / "one.html").read_text()
    assert html == (home / "two.html").read_text()
    assert not re.search(r"(src|href)=\"(?!#|data:,)", html)
    assert str(home) not in html
    assert "<h1>foldnet: runs/tied</h1>" in html


def test_without_a_name_the_newest_run_gets_one_and_stays_replaceable(home, cli):
    outcome = cli("report")
    assert outcome.err.startswith("using runs/tied, the newest run\n")
    assert "wrote runs/tied/report.html\n" in outcome.err
    assert re.search(r"^page of a run: \d+ kB, 3 stops of the threshold, [\d.]+ s$", outcome.out.strip())
    assert cli.done("report")["file"] == "runs/tied/report-2.html"
    assert RUN.contents_of(home / "runs" / "tied").unknown == ()


def test_outside_of_the_working_directory_a_folder_is_its_name_alone(home, monkeypatch, tmp_path_factory):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    report(home / "runs" / "tied", "page.html")
    html = Path("page.html").read_text()
    assert "<h1>foldnet: tied</h1>" in html
    assert str(home) not in html


def test_a_fold_has_a_page_that_begins_with_it(home):
    assert report("runs/tied/fold-0.95", "page.html").kind == "fold"
    html = (home / "page.html").read_text()
    assert "foldnet report runs/tied/fold-0.95" in html
    assert "No certificate: nobody has verified this fold; " in html
    slider = re.search(r'<input type="range" id="at" [^>]*>', html)[0]
    assert 'value="0"' in slider


def test_a_certificate_is_shown_and_one_of_other_files_is_said_to_be(home, put):
    verify("runs/tied/fold-0.95", data=False)
    report("runs/tied", "page.html")
    assert "<b>Certificate: </b>" in (home / "page.html").read_text()
    file = home / "runs" / "tied" / "fold-0.95" / "certificate.json"
    content = json.loads(file.read_text())
    put(file, json.dumps(sealed(content | {"files": content["files"] | {"program.json": "0" * 64}})))
    report("runs/tied", "page.html", force=True)
    assert "Its certificate is of other files; " in (home / "page.html").read_text()


def test_what_is_not_there_is_left_out_and_said(home, monkeypatch):
    report("runs/plain", "plain.html")
    html = (home / "plain.html").read_text()
    assert 'id="threshold"' not in html
    assert 'id="history"' not in html
    assert "similarity of weights" in html
    monkeypatch.setenv("PATH", "")
    report("runs/tied", "tied.html")
    html = (home / "tied.html").read_text()
    assert "The graphs are left out: Graphviz&#x27;s program dot is not installed; install it " in html
    assert "Accuracies are left out: the run has no sweep yet; " in html


def test_a_sweep_with_its_knee_and_the_dial_of_the_loops_are_shown(tmp_path, monkeypatch):
    use_few_digits(monkeypatch)
    monkeypatch.chdir(tmp_path)
    run = plant_run(tmp_path / "run")
    save_checkpoint(
        tmp_path / "run" / "last", run.load()[0], None, Progress(0, None, None, 0.0), seal_of(run.identity, [], {})
    )
    made = sweep("run")
    fold("run", threshold=0.9, shares=False)
    report("run", "page.html", depth=True)
    html = (tmp_path / "page.html").read_text()
    assert "recommended: the knee" in html
    assert f"Knee by layer: {escape(made.knee['layer'].why)}." in html
    stops = ways_of(run, run.load()[0]).stops
    last = made.units["layer"][-1]
    assert stops[-1].score == CLASSES.counted(last.score, last.images, last.right)
    assert f"Validation accuracy: {stops[-1].score}" in html
    assert 'id="depth"' in html
    assert "trips through stage1.loop1, found with 2" in html
    assert "foldnet report run --depth" in html


def test_only_the_same_clusters_have_a_score(shelf):
    run = open_run(shelf / "runs" / "tied")
    stop = ways_of(run, run.load()[0]).stops[0]
    whole = {group.name: group.clusters for group in stop.plan.groups}
    merged = {name: its for name, its in whole.items() if any(len(cluster) > 1 for cluster in its)}
    points = [
        SimpleNamespace(clusters=clusters, score=score, images=4, right=None)
        for clusters, score in (({}, 0.25), (merged, 0.5))
    ]
    assert score_of(stop.plan, SimpleNamespace(points=points), CLASSES) == "50.00 % (2 of 4)"
    assert score_of(stop.plan, SimpleNamespace(points=points[:1]), CLASSES) is None


def test_a_file_that_exists_is_refused(home, cli):
    (home / "page.html").write_text("mine")
    assert cli.refused("report", "runs/tied", "-o", "page.html") == (
        "'page.html' exists already; give --out another name or add --force\n".rstrip()
    )
    with pytest.raises(
        OutputError, match=r"^'page\.html' exists already; give `out` another name or add `force=True`$"
    ):
        report("runs/tied", "page.html")
    with pytest.raises(SettingError, match=r"^'page\.pdf' has ending '\.pdf'; give it one of \.html$"):
        report("runs/tied", "page.pdf")
    assert report("runs/tied", "page.html", force=True).bytes > 10_000


@pytest.mark.parametrize(
    "name", ["metrics.jsonl", "coefficients.safetensors", "config.json", "report.json", "fold-0.95/report.json"]
)
def test_a_run_whose_files_changed_is_refused(home, put, name):
    file = home / "runs" / "tied" / name
    if name == "report.json":
        shutil.copy(home / "runs" / "soft" / name, file)
    elif name == "coefficients.safetensors":
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        put(file, bytes(content))
    else:
        put(file, re.sub(r"\d(?=[,}\n])", lambda digit: f"{(int(digit[0]) + 1) % 10}", file.read_text(), count=1))
    with pytest.raises(RunError) as refused:
        report("runs/tied", "page.html")
    assert f"runs/tied/{name}" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (home / "page.html").exists()
