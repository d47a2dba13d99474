"""The bench of inference: all forms measured side by side, with what is known of them in the figures."""

import json
import re
import shutil
from pathlib import Path

import planted
import pytest
import torch

from foldnet.benching.measuring import Timings
from foldnet.benching.settings import InferenceBench
from foldnet.errors import OutputError, SettingError
from foldnet.folding.folds import open_fold
from foldnet.proof.compare import LIMIT, PAIRS
from foldnet.verbs.bench_inference import FORMS, FormFigures, InferenceReport, bench_inference, forms_of
from foldnet.verbs.fold import fold


def exactly(sentence: str) -> str:
    return f"^{re.escape(sentence)}$"


@pytest.fixture(autouse=True)
def few(monkeypatch):
    planted.use_few_digits(monkeypatch)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run with a fold."""
    made = tmp_path_factory.mktemp("bench") / "made"
    with pytest.MonkeyPatch.context() as patch:
        planted.use_few_digits(patch)
        planted.plant_run(made)
        fold(made, out=made / "fold", evaluated=False)
    return made.rename(made.with_name("run"))  # so that copies know no other run than the one around them


@pytest.fixture(scope="module")
def report(run) -> InferenceReport:
    return bench_inference(run, batch_sizes=(1, 4), repeats=2, threads=1)


def test_the_forms_compute_what_they_stand_for(run):
    forms, notes = forms_of(open_fold(run / "fold"))
    assert (tuple(forms), notes) == (FORMS, ())
    x = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = {name: model(x) for name, model in forms.items()}
    for form, reference in PAIRS.items():  # in norm: the logits of this untrained network are hundreds
        assert (logits[form] - logits[reference]).norm() <= LIMIT * logits[reference].norm()
    assert logits["plain"].shape == logits["dense"].shape
    assert not any(model.training for model in forms.values())


def test_every_form_has_every_figure(report):
    found = report.to_json()
    assert tuple(found["results"]) == tuple(found["ratios"]) == FORMS
    for figures in found["results"].values():
        for name in ("peak_memory", "seconds", "images_per_second", "seconds_quartiles"):
            assert set(figures[name]) == {"1", "4"}
        assert figures["images_per_second"]["4"] == pytest.approx(4 / figures["seconds"]["4"])
    assert all(value == {"1": 1.0, "4": 1.0} for value in (found["ratios"]["dense"]["seconds"],))
    assert json.loads(json.dumps(found)) == found
    assert (found["batch_sizes"], found["repeats"], found["image"]) == ([1, 4], 2, [1, 8, 8])
    assert (found["precision"], found["device"], found["threads"]) == ("fp32", "cpu", 1)
    assert found["machine"]["torch"] == torch.__version__
    assert found["saying"] == "folding saves bytes, not FLOPs: the looped network computes what the dense one computes"


def test_folding_saves_bytes_but_no_flops(report):
    ratios = report.to_json()["ratios"]
    # Two templates are mixed to three owners; that is all that looped and tied compute besides what dense does.
    mixing = sum(2 * 2 * planted.OWNERS * 9 * channels**2 for channels in (16, 32, 64))
    assert report.results["looped"].flops == report.results["tied"].flops == report.results["dense"].flops + mixing
    assert ratios["plain"]["flops"] == ratios["plain"]["parameters"] == 1.0
    assert ratios["looped"]["bytes"] < 0.6
    assert ratios["looped"]["parameters"] == ratios["tied"]["parameters"] < 0.5
    assert ratios["soft"]["flops"] > 1.0


def test_the_command_says_how_to_do_it_again(run, report):
    assert report.to_json()["command"] == (
        f"foldnet bench inference {run / 'fold'} --batch-sizes 1,4 --repeats 2 --threads 1 --device cpu --precision fp32"
    )


def test_time_ratios_are_those_within_a_round():
    def figures(*seconds: float) -> FormFigures:
        return FormFigures(1, 1, 1, {1: 1}, {1: Timings(seconds)})

    forms = {"dense": figures(1.0, 2.0, 4.0), "looped": figures(1.1, 2.2, 8.0)}
    machine = {"device": "cpu", "threads": 1}
    settings = InferenceBench("f", batch_sizes=(1,), repeats=3)
    report = InferenceReport(arch="a", image=(1, 8, 8), settings=settings, machine=machine, results=forms, notes=())
    ratio = report.time_ratio("looped", 1)
    assert (ratio.median, ratio.quartiles) == (pytest.approx(1.1), pytest.approx((1.1, 1.55)))


def test_threads_are_as_before_afterwards(run):
    before = torch.get_num_threads()
    found = bench_inference(run, batch_sizes=(1,), repeats=1, threads=before + 1)
    assert (torch.get_num_threads(), found.machine["threads"]) == (before, before + 1)


def test_a_file_is_written(run, tmp_path):
    out = tmp_path / "bench.json"
    written = bench_inference(run / "fold", batch_sizes=(1,), repeats=1, precision="bf16", out=out)
    assert json.loads(out.read_text()) == json.loads(json.dumps(written.to_json()))
    assert written.settings.precision == "bf16"
    with pytest.raises(
        OutputError, match=exactly(f"'{out}' exists already; give `out` another name or add `force=True`")
    ):
        bench_inference(run, out=out)


def test_without_the_run_other_weights_take_the_same_time(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    shutil.rmtree(copy / "last")
    report = bench_inference(copy, batch_sizes=(1,), repeats=1)
    assert report.notes == (
        f"soft and dense have random weights, which costs the same time (run '{copy}' has no 'last' checkpoint; "
        f"train it on with `foldnet.train(resume=True, out='{copy}')`)",
    )


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            {"batch_sizes": ()},
            "`batch_sizes=()` is not legal; give different numbers, each a whole number from 1 to 65536",
        ),
        (
            {"batch_sizes": (0, 1)},
            "`batch_sizes=(0, 1)` is not legal; give different numbers, each a whole number from 1 to 65536",
        ),
        (
            {"batch_sizes": (2, 2)},
            "`batch_sizes=(2, 2)` is not legal; give different numbers, each a whole number from 1 to 65536",
        ),
        ({"repeats": 0}, "`repeats=0` is not legal; give a whole number from 1 to 1000000"),
        ({"threads": 0}, "`threads=0` is not legal; give a whole number from 1 to 1024"),
    ],
)
def test_illegal_values_are_refused(run, given, sentence):
    with pytest.raises(SettingError, match=exactly(sentence)):
        bench_inference(run, **given)
