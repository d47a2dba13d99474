"""What is asked of the hardware, on machines that are played."""

import os
import platform
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from foldnet import hardware
from foldnet.hardware import FEATURES, Processor, cpu_features, gpus, memory_bytes, processor, processor_name
from foldnet.store.codec import to_plain


def play(monkeypatch, *features: str) -> None:
    """A processor with these features alone."""
    for name, question in FEATURES.items():
        monkeypatch.setattr(torch.cpu, question, lambda name=name: name in features, raising=False)


def test_features_are_those_that_torch_confirms(monkeypatch):
    play(monkeypatch, "AVX2", "AMX")
    assert cpu_features() == ("AMX", "AVX2")
    monkeypatch.delattr(torch.cpu, FEATURES["AMX"])
    assert cpu_features() == ("AVX2",)


@pytest.mark.parametrize(
    ("features", "bf16"),
    [(("AMX", "AVX512-BF16"), "AMX"), (("AVX512-BF16", "AVX2"), "AVX512-BF16"), (("AVX512",), None), ((), None)],
)
def test_bf16_is_the_feature_that_multiplies_it(features, bf16):
    assert Processor("p", 2, 2, features, None).bf16 == bf16


def test_this_processor_has_a_name_and_cores():
    found = processor()
    assert found.name
    assert 1 <= found.cores <= found.logical == os.cpu_count()
    assert to_plain(found)["bf16"] == found.bf16
    assert to_plain(found)["features"] == list(found.features)


@pytest.mark.parametrize(
    ("system", "info", "name"),
    [
        (
            "Linux",
            "processor : 0\nmodel name\t: Some CPU @ 2 GHz\nmodel name\t: Some CPU @ 2 GHz\n",
            "Some CPU @ 2 GHz",
        ),
        ("Linux", "processor : 0\n", "arm"),
        ("Linux", None, "arm"),
        ("Plan9", None, "arm"),
    ],
)
def test_the_processors_name(monkeypatch, system, info, name):
    def read_text(path, **options):
        if info is None:
            raise FileNotFoundError(str(path))
        return info

    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "processor", lambda: "arm")
    monkeypatch.setattr(Path, "read_text", read_text)
    assert processor_name() == name


def test_a_system_that_knows_no_load(monkeypatch):
    def refuse():
        raise OSError

    monkeypatch.setattr(os, "getloadavg", refuse)
    assert processor().load is None


def test_memory_is_that_of_the_machine_or_of_the_container(monkeypatch, tmp_path):
    monkeypatch.setattr(hardware, "CGROUP_LIMIT", tmp_path / "memory.max")
    total, free = memory_bytes()
    assert 0 < free <= total
    hardware.CGROUP_LIMIT.write_text("max\n")
    assert memory_bytes()[0] == total
    hardware.CGROUP_LIMIT.write_text("1000000\n")
    assert memory_bytes() == (1_000_000, 1_000_000)

    def refuse(name):
        raise ValueError(name)

    monkeypatch.setattr(os, "sysconf", refuse)
    assert memory_bytes() == (None, None)


class Context:
    """Stands for torch.cuda.device."""

    def __init__(self, index):
        self.index = index

    def __enter__(self):
        return self

    def __exit__(self, *rest):
        return None


def test_gpus_are_those_that_torch_sees(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpus() == ()
    about = SimpleNamespace(name="G", total_memory=5, major=9, minor=0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "device", Context)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: about)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: not including_emulation)
    assert gpus() == (hardware.Gpu("G", 5, "9.0", True),) * 2
