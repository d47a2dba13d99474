"""A network that loops on numbered attributes is one in every way: compiled, exported, copied, replicated, transformed."""

import copy
import sys
from collections.abc import Iterator

import pytest
import torch
from looping import fold_forms
from torch import nn
from torch.func import functional_call

from foldnet.folding.stages import LoopedSiblings, Sibling
from foldnet.sharing.share import share


class Block(nn.Module):
    def __init__(self, rate):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(rate)

    def forward(self, x):
        return x + self.drop(torch.relu(self.norm(self.conv(x))))


class Numbered(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.inner = nn.Module()
        self.inner.block1, self.inner.block2, self.inner.block3 = Block(0.1), Block(0.2), Block(0.3)

    def forward(self, x):
        x = self.stem(x)
        return self.inner.block3(self.inner.block2(self.inner.block1(x))).mean((2, 3))


class Alone(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.inner = nn.Module()
        self.inner.one, self.inner.other = Block(0.0), Block(0.0)

    def forward(self, x):
        return self.inner.other(self.inner.one(self.stem(x)))


X = torch.linspace(-1, 1, 4 * 3 * 5 * 5).reshape(4, 3, 5, 5)


@pytest.fixture
def forms() -> Iterator[tuple[nn.Module, nn.Module]]:
    """Looped and tied."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        soft = share(Numbered(), 1).eval()
        for module in soft.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.uniform_(module.running_mean, -0.5, 0.5)
        looped, tied, plan = fold_forms(soft, inputs=X)
        assert plan.program.loops == 1
        yield looped.eval(), tied.eval()


def test_the_blocks_stand_where_they_stood(forms):
    looped, _ = forms
    inner = looped.network.inner
    assert [type(inner.get_submodule(f"block{number}")) for number in (1, 2, 3)] == [LoopedSiblings, Sibling, Sibling]
    assert {name.split(".")[2] for name in looped.state_dict() if name.startswith("network.inner")} == {"block1"}
    assert all(isinstance(one.entry(), Block) for one in (inner.block2, inner.block3))


def test_it_compiles_exports_and_copies(forms):
    looped, tied = forms
    with torch.no_grad():
        wanted = tied(X)
        exported = torch.export.export(looped, (X,), strict=False)
        for other in (
            torch.compile(looped, backend="eager"),
            exported.module(),
            copy.deepcopy(looped),
            looped.double().float(),
        ):
            torch.testing.assert_close(other(X), wanted, rtol=1e-5, atol=1e-5)
        looped.compile_bodies(backend="eager")
        torch.testing.assert_close(looped(X), wanted, rtol=1e-5, atol=1e-5)


def test_each_block_has_the_rate_that_it_had(forms):
    looped, tied = (form.train() for form in forms)
    torch.manual_seed(1)
    wanted = tied(X)
    torch.manual_seed(1)
    torch.testing.assert_close(looped(X), wanted, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        looped.network.inner.block1.blocks["A"].body.norm.running_mean[2], tied.network.inner.block3.norm.running_mean
    )


def test_other_tensors_are_seen_by_transforms_and_replicas(forms, monkeypatch):
    looped, _ = forms
    others = {name: tensor.detach() * 1.1 for name, tensor in looped.named_parameters()}
    changed = copy.deepcopy(looped)
    changed.load_state_dict(looped.state_dict() | others)
    with torch.no_grad():
        expected = looped(X)
        torch.testing.assert_close(functional_call(looped, others, (X,)), changed(X), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(looped(X), expected)
    replicate = sys.modules["torch.nn.parallel.replicate"]
    monkeypatch.setattr(replicate, "_get_device_index", lambda device, optional=False: device)
    monkeypatch.setattr(
        replicate,
        "_broadcast_coalesced_reshape",
        lambda tensors, devices, detach=False: (
            [[t * 1 if t.is_floating_point() else t for t in tensors]] * len(devices)
        ),
    )
    replica, _ = replicate.replicate(looped, [0, 1])
    with torch.no_grad():
        for parameter in looped.parameters():
            parameter.zero_()
        torch.testing.assert_close(replica(X), expected, rtol=1e-5, atol=1e-5)


def test_a_block_that_stands_alone_compiles_too():
    torch.manual_seed(0)
    looped, tied, plan = fold_forms(share(Alone(), 1).eval(), inputs=X)
    assert [stage.alone for stage in plan.program.stages] == [True]
    looped.compile_bodies(backend="eager")
    with torch.no_grad():
        torch.testing.assert_close(looped(X), tied(X), rtol=1e-5, atol=1e-5)
