"""Checks of compiling: where it cannot be had it is not here, and a compiled pass that differs does not pass."""

import pytest
import torch

from foldnet.training import learner as compiling
from foldnet.training.machine import Machine
from foldnet.verbs.checks.arithmetic import check_compile, check_cuda_graphs
from foldnet.verbs.checks.parts import NotHere

CPU = Machine(torch.device("cpu"), "fp32")


def test_without_a_compiler_compiling_is_not_here(monkeypatch):
    monkeypatch.setattr(compiling.shutil, "which", lambda name: None)
    with pytest.raises(NotHere) as caught:
        check_compile(CPU)
    assert str(caught.value) == (
        "`compile='on'` needs a C++ compiler (g++ or clang++); install it or use `compile='off'`"
    )


def test_a_cpu_has_no_cuda_graphs():
    with pytest.raises(NotHere) as caught:
        check_cuda_graphs(CPU)
    assert str(caught.value) == "a CPU has no CUDA graphs"


@pytest.mark.parametrize(("factor", "beyond"), [(1.0, []), (1.1, ["outputs", "loss", "gradients"])])
def test_a_compiled_pass_that_differs_fails(monkeypatch, factor, beyond):
    monkeypatch.setattr(compiling, "_lacking", lambda machine: None)
    monkeypatch.setattr(torch, "compile", lambda network, **_: lambda x: factor * network(x))
    assert [part.what for part in check_compile(CPU) if not part.held] == beyond
