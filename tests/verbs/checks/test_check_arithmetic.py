"""Checks of arithmetic: wrong products, forms and layouts do not pass."""

from contextlib import nullcontext

import pytest
import torch
from torch.nn import functional

from foldnet.errors import BrokenPromise
from foldnet.training.machine import Machine
from foldnet.verbs.check import CHECKS, check
from foldnet.verbs.checks import arithmetic as module
from foldnet.verbs.checks.arithmetic import check_bf16, check_forms, check_fp32, check_memory_format

CPU = Machine(torch.device("cpu"), "fp32")


@pytest.fixture
def wrong_convolution(monkeypatch):
    """Plays a convolution that goes wrong: wrong(when) gives the channels in reverse where when(x) holds."""

    def wrong(when):
        right = functional.conv2d

        def convolve(x, *others, **options):
            out = right(x, *others, **options)
            return out.flip(1) if when(x) else out

        monkeypatch.setattr(functional, "conv2d", convolve)

    return wrong


def beyond(parts):
    return [part.what for part in parts if not part.held]


def test_products_that_are_rounded_as_in_tf32_are_no_exact_fp32(monkeypatch):
    def rounded(x):
        return (x.view(torch.int32) & ~0x1FFF).view(torch.float32)  # the ten bits that TF32 keeps

    monkeypatch.setattr(torch, "mm", lambda a, b: rounded(a) @ rounded(b))
    parts = check_fp32(CPU)
    assert beyond(parts) == ["matrix product to float64"]
    assert 1e-4 < parts[0].value < 1e-3


def test_exact_fp32_takes_back_that_tf32_was_allowed():
    gpu, cudnn, matmul = Machine(torch.device("cuda"), "fp32"), torch.backends.cudnn, torch.backends.cuda.matmul
    before = (cudnn.allow_tf32, matmul.allow_tf32)
    with gpu.tf32(allowed=True):
        assert (cudnn.allow_tf32, matmul.allow_tf32) == (True, True)
        with gpu.exact_fp32():
            assert (cudnn.allow_tf32, matmul.allow_tf32) == (False, False)
        assert (cudnn.allow_tf32, matmul.allow_tf32) == (True, True)
    assert (cudnn.allow_tf32, matmul.allow_tf32) == before


def test_a_dense_network_that_differs_from_the_soft_one_fails(monkeypatch):
    right = module.materialise

    def wrong(soft):
        dense = right(soft)
        with torch.no_grad():
            dense.get_parameter("stage2.1.conv1.weight").mul_(1.001)
        return dense

    monkeypatch.setattr(module, "materialise", wrong)
    assert beyond(check_forms(CPU)) == ["dense to soft"]


def test_a_looped_network_that_differs_from_the_tied_one_fails(monkeypatch):
    right = module.fold

    def wrong(soft):
        folded = right(soft)
        with torch.no_grad():
            next(folded.looped.parameters()).mul_(1.001)
        return folded

    monkeypatch.setattr(module, "fold", wrong)
    assert beyond(check_forms(CPU)) == ["looped to tied"]


def test_a_wrong_product_in_bf16_fails(wrong_convolution):
    wrong_convolution(lambda x: torch.is_autocast_enabled("cpu"))
    (found,) = check("cpu", skip=tuple(name for name in CHECKS if name != "bf16")).checks
    assert (found.outcome, found.why) == ("failed", "beyond the limit: outputs, loss, gradients")


def test_bf16_that_is_not_used_fails(monkeypatch):
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    with pytest.raises(BrokenPromise) as caught:
        check_bf16(CPU)
    assert str(caught.value) == "a pass in bf16 on 'cpu' gave torch.float32; report this as a fault"


def test_a_convolution_that_is_wrong_in_one_layout_fails(wrong_convolution):
    wrong_convolution(lambda x: not x.is_contiguous())
    assert "outputs" in beyond(check_memory_format(CPU))
