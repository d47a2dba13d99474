"""The page of a study: its networks and trainings, and results that changed."""

import json
import os
import re
import shutil

import pytest

from foldnet.errors import RunError
from foldnet.store.seals import sealed
from foldnet.verbs.report import report
from foldnet.verbs.train import read_report


def test_a_study_whose_results_changed_is_refused(tmp_path, monkeypatch, shelf):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(shelf / "runs" / "plain", tmp_path / "runs" / "t0", copy_function=os.link)
    train = read_report(tmp_path / "runs" / "t0").to_json() | {"stored": 1}
    result = {
        "trial": "t0",
        "settings": {"arch": "wrn-16-1", "dataset": "digits", "seed": 0},
        "train": train,
        "steps": [],
    }
    content = sealed({"results": [result]})
    file = tmp_path / "results.json"
    file.write_text(json.dumps(content))
    assert report("results.json", "page.html").kind == "study"
    html = (tmp_path / "page.html").read_text()
    assert "1 network, 1 training" in html
    assert "state no digest" not in html
    assert "wrn-16-1 on digits, seed 0: <span" in html
    assert re.search(r"<text [^>]*>[0-9.]+ %</text>", html)  # validation accuracy, as everywhere
    assert "<code>foldnet train --dataset digits --arch wrn-16-1 --epochs 200 " in html
    result["train"] |= {"score": 1.0}
    file.write_text(json.dumps(content))
    with pytest.raises(
        RunError,
        match=r"^'results\.json' was changed after the study was written \(its SHA-256 differs\); restore it or run the study again$",
    ):
        report("results.json", "page.html", force=True)
    file.write_text(json.dumps({"results": [result]}))
    with pytest.raises(
        RunError,
        match=r"^'results\.json' says another score of trial t0 than its run 'runs/t0', so that one of them was changed; run the study again$",
    ):
        report("results.json", "page.html", force=True)


def test_a_study_has_a_page_that_compares_its_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = [
        {
            "trial": f"t{seed}{arch}",
            "settings": {"arch": arch, "dataset": "digits", "seed": seed},
            "train": {
                "score": 0.9 + seed / 100,
                "best_score": None,
                "test_accuracy": 0.9,
                "parameters": 1000,
                "stored": 1100,
            }
            | {"measure": "accuracy", "better": "higher", "seconds": 3.5, "epochs": 2},
            "steps": [],
        }
        for arch in ("swrn-16-1-2", "wrn-16-1<b>")
        for seed in (0, 1)
    ]
    (tmp_path / "results.json").write_text(json.dumps({"results": results}))
    made = report("results.json", "page.html")
    other = results[0] | {"trial": "other", "settings": results[0]["settings"] | {"recurrence": 0.5}}
    (tmp_path / "other.json").write_text(json.dumps({"results": [*results, other]}))
    report("other.json", "other.html")
    names = re.findall(r">(swrn-16-1-2 on digits, seed 0[^<]*)</th>", (tmp_path / "other.html").read_text())
    assert names == [f"swrn-16-1-2 on digits, seed 0 ({trial})" for trial in ("t0swrn-16-1-2", "other")]
    assert (made.kind, made.stops) == ("study", 0)
    html = (tmp_path / "page.html").read_text()
    assert "2 networks, 4 trainings" in html
    assert "The results state no digest, so that a change to them would not be noticed." in html
    assert "wrn-16-1&lt;b&gt;" in html
    assert "<b>" not in html
    assert "90.50 % ± 0.71" in html
    assert html.count("swrn-16-1-2 on digits, seed") == 4  # in the table, and at their commands
    assert "foldnet study table results.json" in html
