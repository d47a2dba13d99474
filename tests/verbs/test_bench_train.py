"""The bench of training: three networks measured side by side."""

import json
import re

import pytest
import torch

from foldnet.benching.measuring import Timings
from foldnet.benching.settings import TrainBench
from foldnet.errors import OutputError, SettingError, UnknownName
from foldnet.hardware import cpu_features, processor_name
from foldnet.training.learner import Compilation
from foldnet.verbs import bench_train as module
from foldnet.verbs.bench_train import TrainBenchReport, TrainFigures, bench_train

ARCH = "swrn-16-1-1"


def exactly(sentence: str) -> str:
    return f"^{re.escape(sentence)}$"


@pytest.fixture(scope="module")
def report() -> TrainBenchReport:
    return bench_train(ARCH, batch_size=4, steps=2, threads=1, precision="bf16", device="cpu")


def test_all_three_have_figures_and_the_soft_one_is_compared(report):
    found = report.to_json()
    assert tuple(found["results"]) == ("reference", "plain", "soft")
    for figures in found["results"].values():
        assert figures["images_per_second"] == pytest.approx(4 / figures["seconds"])
        assert (figures["compile_seconds"], figures["profile"]) == (0, None)
    assert [figures["precision"] for figures in found["results"].values()] == ["fp32", "bf16", "bf16"]
    parameters = {name: figures["parameters"] for name, figures in found["results"].items()}
    assert parameters["reference"] == parameters["soft"]
    assert (
        parameters["plain"] - parameters["soft"] == 9 * (16**2 + 32**2 + 64**2) - 3 * 2
    )  # one template instead of two
    assert set(found["ratios"]) == {"soft_to_reference", "soft_to_plain"}
    assert json.loads(json.dumps(found)) == found
    assert (found["batch_size"], found["steps"], found["image"], found["threads"]) == (4, 2, [3, 32, 32], 1)
    assert (found["arch"], found["plain_arch"], found["precision"], found["device"]) == (
        ARCH,
        "wrn-16-1",
        "bf16",
        "cpu",
    )
    assert found["compile"]["on"] is False
    assert found["machine"]["torch"] == torch.__version__
    assert found["machine"]["processor"] == processor_name()
    assert found["machine"]["features"] == list(cpu_features())


def test_the_command_says_how_to_do_it_again(report):
    assert report.to_json()["command"] == (
        f"foldnet bench train --arch {ARCH} --batch-size 4 --steps 2 --threads 1 --device cpu --precision bf16 --compile off"
    )


def test_ratios_are_of_images_per_second_within_a_round():
    def figures(*seconds: float) -> TrainFigures:
        return TrainFigures(8, 1, "fp32", Timings(seconds), 0.0)

    results = {"reference": figures(4.0, 8.0, 3.0), "plain": figures(1.0, 1.0, 1.0), "soft": figures(1.0, 2.0, 1.0)}
    off = Compilation(False, None, "asked for")
    report = TrainBenchReport(
        arch="s",
        plain_arch="p",
        image=(3, 32, 32),
        settings=TrainBench("s", batch_size=8, steps=3),
        compilation=off,
        machine={"device": "cpu", "threads": 1},
        results=results,
        notes=(),
    )
    found = report.to_json()
    assert found["ratios"] == {"soft_to_reference": 4.0, "soft_to_plain": 1.0}
    assert found["ratios_quartiles"] == {"soft_to_reference": [3.5, 4.0], "soft_to_plain": [0.75, 1.0]}
    assert found["results"]["reference"]["images_per_second"] == 2.0


def test_every_network_really_trains(monkeypatch):
    """Each step moves the weights of its own network, and no other's."""
    forms = {}
    make = module._Form

    def remembered(network, *rest):
        forms[len(forms)] = (form := make(network, *rest))
        form.before = [parameter.detach().clone() for parameter in form.learner.model.parameters()]
        return form

    monkeypatch.setattr(module, "_Form", remembered)
    bench_train(ARCH, batch_size=2, steps=1, device="cpu")
    assert len(forms) == 3
    for form in forms.values():
        pairs = zip(form.before, form.learner.model.named_parameters(), strict=True)
        still = [name for before, (name, after) in pairs if after.dim() > 1 and torch.equal(before, after)]
        assert not still
        assert all(parameter.isfinite().all() for parameter in form.learner.model.parameters())


def test_where_the_time_goes_is_measured_if_asked():
    found = bench_train(ARCH, batch_size=2, steps=1, device="cpu", profile=True)
    assert found.to_json()["command"].endswith(" --profile")
    for figures in found.to_json()["results"].values():
        assert "aten::convolution_backward" in figures["profile"]
        assert sum(figures["profile"].values()) > 0


def test_threads_and_random_numbers_are_as_before_afterwards(report):
    before, random = torch.get_num_threads(), torch.get_rng_state()
    found = bench_train(ARCH, batch_size=2, steps=1, threads=before + 1, device="cpu")
    assert (torch.get_num_threads(), found.machine["threads"]) == (before, before + 1)
    assert torch.equal(torch.get_rng_state(), random)


def test_a_file_is_written_and_not_replaced(tmp_path):
    out = tmp_path / "bench.json"
    written = bench_train(ARCH, batch_size=2, steps=1, device="cpu", out=out)
    assert json.loads(out.read_text()) == json.loads(json.dumps(written.to_json()))
    with pytest.raises(
        OutputError, match=exactly(f"'{out}' exists already; give `out` another name or add `force=True`")
    ):
        bench_train(ARCH, out=out)
    bench_train(ARCH, batch_size=2, steps=1, device="cpu", out=out, force=True)


@pytest.mark.parametrize(
    ("given", "kind", "sentence"),
    [
        ({"batch_size": 1}, SettingError, "`batch_size=1` is not legal; give a whole number from 2 to 65536"),
        ({"steps": 0}, SettingError, "`steps=0` is not legal; give a whole number from 1 to 1000000"),
        ({"threads": 0}, SettingError, "`threads=0` is not legal; give a whole number from 1 to 1024"),
        (
            {"arch": "wrn-28-4"},
            SettingError,
            "`arch='wrn-28-4'` is plain and the bench compares a soft network with its twin; write 'swrn-28-4-4'",
        ),
        ({"compile": "yes"}, SettingError, "`compile='yes'` is not legal; choose auto, on or off"),
        (
            {"arch": "swrn-28-4-9"},
            UnknownName,
            "architecture 'swrn-28-4-9' asks for 9 templates; depth 28 has 6 layers a group, so 1 to 6 are legal; "
            "did you mean 'swrn-28-4-6'?",
        ),
    ],
)
def test_illegal_values_are_refused(given, kind, sentence):
    with pytest.raises(kind, match=exactly(sentence)):
        bench_train(**given)
