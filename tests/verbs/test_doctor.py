"""The doctor: what it finds on this machine and on others that are played, and what it makes of it."""

import importlib
import json
import shutil
from pathlib import Path

import pytest
import torch

from foldnet.hardware import Gpu, Processor
from foldnet.training import learner as compiling
from foldnet.training.machine import Machine
from foldnet.verbs import doctor as module
from foldnet.verbs.doctor import Choice, Health, doctor


@pytest.fixture
def played(monkeypatch, tmp_path):
    """Plays a machine and sees the doctor: played(features, load, gpus)."""

    def play(*features, load=0.0, found=(), cores=4):
        precision = "bf16" if found or Processor("", 1, 1, features, None).bf16 else "fp32"
        machine = Machine(torch.device("cuda" if found else "cpu"), precision)
        monkeypatch.setattr(module, "processor", lambda: Processor("Some CPU", cores, 8, features, load))
        monkeypatch.setattr(module, "gpus", lambda: found)
        monkeypatch.setattr(module, "choose_machine", lambda: machine)
        return doctor()

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    return play


def choice(report: Health, what: str) -> tuple[str, str]:
    """(choice, why)."""
    found = next(entry for entry in report.choices if entry.what == what)
    assert isinstance(found, Choice)
    return found.choice, found.why


def test_nothing_special_is_fp32_on_the_cpu(played, monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    report = played()
    assert choice(report, "device") == ("cpu", "this torch was built without CUDA")
    assert choice(report, "precision") == ("fp32", "without AMX or AVX512-BF16 bf16 is emulated, which is slower")
    assert choice(report, "compile")[0] == "off"
    assert choice(report, "threads") == (str(torch.get_num_threads()), "torch's choice for 4 cores")
    assert (report.graphviz, report.compiler, report.gpus, report.cuda) == (None, None, (), None)
    assert report.notes == (
        "Graphviz's dot is missing and graph pictures need it; install Graphviz (apt install graphviz)",
    )


def test_a_processor_with_bf16(played, monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    report = played("AMX", "AVX2")
    assert choice(report, "device") == ("cpu", "torch (CUDA 13.0) sees no GPU")
    assert choice(report, "precision") == ("bf16", "the processor multiplies bf16 in hardware (AMX)")


def test_a_gpu(played, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(compiling, "find_spec", lambda name: object())
    report = played(found=(Gpu("H", 80 << 30, "9.0", True),), load=99.0)
    assert choice(report, "device") == ("cuda", "there is a GPU: H")
    assert choice(report, "precision") == ("bf16", "H has bf16 in hardware")
    assert choice(report, "compile")[0] == "on (reduce-overhead)"
    assert report.to_json()["offers"]["gpus"] == [
        {"name": "H", "memory_bytes": 80 << 30, "capability": "9.0", "bf16": True}
    ]
    assert not any("busy" in note for note in report.notes)


def test_a_busy_processor_and_a_number_of_threads_that_was_asked_for(played, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    report = played(load=4.25)
    assert choice(report, "threads") == ("3", "OMP_NUM_THREADS is 3")
    assert report.notes[-1] == (
        "other programs keep the processor busy (load 4.2 on 4 cores), and threads then wait for each other; "
        "OMP_NUM_THREADS=1 may be faster"
    )
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert not any("OMP_NUM_THREADS" in note for note in played(load=4.25).notes)


def test_a_torchvision_of_another_build_is_said(played, monkeypatch):
    def refuse(name):
        raise RuntimeError("operator torchvision::nms does not exist\nmore")

    monkeypatch.setattr(module, "import_module", refuse)
    report = played()
    assert "torchvision" not in report.versions
    assert report.notes[0] == (
        "torchvision cannot be imported (operator torchvision::nms does not exist), and CIFAR and folder need it; "
        "install the one built for this torch"
    )


def test_a_place_that_cannot_be_written_is_said(played):
    Path("runs").write_text("no folder")
    report = played()
    assert report.disk_writable is False
    assert "'runs' cannot be written here; give `out` another place" in report.notes


def test_extras_are_those_that_the_package_declares(played, monkeypatch):
    declared = [
        "torch>=2.8",
        'onnx>=1; extra == "onnx"',
        "no-such-package; extra == 'onnx'",
        'pytest>=8; extra == "test"',
    ]
    monkeypatch.setattr(module, "requires", lambda name: declared)
    found = played().to_json()["offers"]["extras"]
    assert list(found) == ["onnx", "test"]
    assert found["onnx"]["present"] is False
    assert found["onnx"]["packages"]["no-such-package"] is None
    assert found["test"] == {"present": True, "packages": {"pytest": pytest.__version__}}


def test_this_machine_as_json(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    report = doctor()
    found = report.to_json()
    assert json.loads(json.dumps(found)) == found
    assert set(found) == {"offers", "chooses", "notes"}
    assert list(found["chooses"]) == ["device", "precision", "memory_format", "compile", "threads"]
    assert found["offers"]["versions"]["torch"] == torch.__version__
    assert found["offers"]["versions"]["torchvision"] == importlib.import_module("torchvision").__version__
    assert found["offers"]["disk_free_bytes"] > 0
    assert list(tmp_path.iterdir()) == []


def test_dot_says_its_version_or_where_it_is(monkeypatch, tmp_path):
    dot = tmp_path / "dot"
    monkeypatch.setattr(shutil, "which", lambda name: str(dot))
    dot.write_text("#!/bin/sh\necho 'dot - graphviz version 9.8.7 (2024)' >&2\n")
    dot.chmod(0o755)
    assert module._graphviz() == "9.8.7"
    dot.write_text("#!/bin/sh\necho hello\n")
    assert module._graphviz() == str(dot)
    dot.chmod(0o644)
    assert module._graphviz() == str(dot)
