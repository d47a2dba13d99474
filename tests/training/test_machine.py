"""What is chosen on which machine, with the machine played."""

import re
from contextlib import nullcontext

import pytest
import torch

from foldnet.errors import SettingError
from foldnet.training.machine import Machine, channels_last, choose_machine


def exactly(sentence: str) -> str:
    """The pattern that only this sentence matches."""
    return f"^{re.escape(sentence)}$"


@pytest.fixture
def machine(monkeypatch):
    """Plays a machine: machine(gpus, gpu_bf16, amx, avx512)."""

    def play(gpus=0, gpu_bf16=False, amx=False, avx512=False):
        def bf16(including_emulation=True):
            return True if including_emulation else gpu_bf16

        monkeypatch.setattr(torch.cuda, "device", nullcontext)  # selecting a GPU would look for a driver
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", bf16)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512, raising=False)

    return play


@pytest.mark.parametrize(
    ("played", "device", "precision"),
    [
        ({}, "cpu", "fp32"),
        ({"amx": True}, "cpu", "bf16"),
        ({"avx512": True}, "cpu", "bf16"),
        ({"gpus": 1, "gpu_bf16": True}, "cuda", "bf16"),
        ({"gpus": 1, "gpu_bf16": False, "amx": True}, "cuda", "fp32"),
    ],
)
def test_auto_takes_the_gpu_and_bf16_where_the_hardware_has_it(machine, played, device, precision):
    machine(**played)
    assert choose_machine() == Machine(torch.device(device), precision)


def test_what_is_asked_for_is_taken(machine):
    machine(gpus=2, gpu_bf16=True)
    assert choose_machine("cpu", "auto") == Machine(torch.device("cpu"), "fp32")
    assert choose_machine("cuda:1", "fp32") == Machine(torch.device("cuda:1"), "fp32")
    assert choose_machine("cpu", "bf16").precision == "bf16"


def test_a_torch_that_no_longer_answers_means_no(machine, monkeypatch):
    machine(amx=True, avx512=True)
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported")
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported")
    assert choose_machine("cpu").precision == "fp32"


@pytest.mark.parametrize(
    ("gpus", "device", "said"),
    [
        (0, "cuda", "`device='cuda'` is not there: this machine has 0 CUDA devices; write `device='cpu'`"),
        (2, "cuda:2", "`device='cuda:2'` is not there: this machine has 2 CUDA devices; write `device='cpu'`"),
        (0, "gpu", "`device='gpu'` is not a device; write cpu, cuda or cuda:0"),
        (0, "", "`device=''` is not a device; write cpu, cuda or cuda:0"),
        (0, "cuda:x", "`device='cuda:x'` is not a device; write cpu, cuda or cuda:0"),
        (1, "meta", "`device='meta'` is not a device; write cpu, cuda or cuda:0"),
    ],
)
def test_devices_that_are_not_there_are_refused(machine, gpus, device, said):
    machine(gpus=gpus)
    with pytest.raises(SettingError, match=exactly(said)):
        choose_machine(device)


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_a_forward_pass_runs_in_the_precision(precision, dtype):
    layer, x = torch.nn.Linear(2, 2), torch.randn(1, 2)
    with Machine(torch.device("cpu"), precision).autocast():
        assert layer(x).dtype == dtype
    assert layer(x).dtype == torch.float32


def test_only_weights_of_four_axes_are_laid_out_channels_last():
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Linear(4, 2))
    model.bank = torch.nn.Parameter(torch.randn(2, 4, 3, 3, 5))
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    assert channels_last(model) is model
    assert model[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert model.bank.is_contiguous()
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())
