"""Checks of training: a resumed run that differs, a stop that is not heard and a slow soft network do not pass."""

from types import SimpleNamespace

import pytest
import torch

from foldnet.benching.measuring import Timings
from foldnet.errors import BrokenPromise
from foldnet.training.machine import Machine
from foldnet.verbs.check import CHECKS, check
from foldnet.verbs.checks import training as module
from foldnet.verbs.checks.training import check_resume, check_throughput

CPU = Machine(torch.device("cpu"), "fp32")


def test_a_run_that_is_resumed_without_its_momenta_fails(monkeypatch):
    monkeypatch.setattr("foldnet.training.session.load_optimiser", lambda *_: None)
    (found,) = check("cpu", skip=tuple(name for name in CHECKS if name != "resume")).checks
    assert (found.outcome, found.why) == ("failed", "beyond the limit: tensors that differ, losses that differ")
    assert found.parts[0].value > 20


def test_a_training_that_does_not_stop_is_said(monkeypatch):
    monkeypatch.setattr(module, "STOP_AFTER", 1000)
    with pytest.raises(BrokenPromise) as caught:
        check_resume(CPU)
    assert str(caught.value) == "a training that was asked to stop went on to its end; report this as a fault"


@pytest.mark.parametrize(("ratio", "held"), [(0.49, False), (0.5, True), (1.1, True)])
def test_a_soft_network_trains_at_half_the_speed_of_a_plain_one_at_least(monkeypatch, ratio, held):
    def bench(arch, **settings):
        return SimpleNamespace(arch=arch, speed_ratio=lambda form, base: Timings((ratio,)))

    monkeypatch.setattr(module, "bench_train", bench)
    (part,) = check_throughput(CPU)
    assert (part.what, part.value, part.held) == ("speed of swrn-16-1-2 to plain", ratio, held)
