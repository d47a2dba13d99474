"""One block that runs many steps: its tensors are lent to the body for a call, and come back."""

import copy
import warnings
from types import MethodType

import pytest
import torch
from torch import Tensor, nn

from foldnet.errors import NothingToFold
from foldnet.folding.stepped import SteppedBlock


class Half(nn.Module):
    """A layer behind a norm, which fails when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.layer = nn.Linear(3, 3)
        self.fails = False

    def forward(self, x: Tensor) -> Tensor:
        if self.fails:
            raise ArithmeticError("told to")
        return self.layer(self.norm(x))


@pytest.fixture
def halves() -> list[Half]:
    found = [Half() for _ in range(2)]
    for half in found:
        half.layer.register_parameter("weight", None)
        nn.init.normal_(half.layer.bias)
        half.norm.running_mean.normal_()
    return found


def stepped(halves: list[Half]) -> SteppedBlock:
    block = SteppedBlock(halves, ("layer",)).eval()
    block.body.layer.gain.data = torch.tensor([2.0, -1.0])
    return block


def run(block: SteppedBlock, weight: Tensor, x: Tensor, step: int) -> Tensor:
    return torch.func.functional_call(block, {"body.layer.weight": weight}, (x, step))


def test_each_step_runs_with_its_own_tensors_and_the_shared_weight(halves):
    block, weight, x = stepped(halves), torch.randn(3, 3), torch.randn(5, 3)
    for step, gain in enumerate((2.0, -1.0)):
        half = halves[step].eval()
        expected = nn.functional.linear(half.norm(x), gain * weight, half.layer.bias)
        torch.testing.assert_close(run(block, weight, x, step), expected)


def test_a_call_leaves_the_block_as_it_was_even_where_it_fails(halves):
    block, weight, x = stepped(halves), torch.randn(3, 3), torch.randn(5, 3)
    before = {name: id(tensor) for name, tensor in block.state_dict(keep_vars=True).items()}
    run(block, weight, x, 1)
    block.body.fails = True
    with pytest.raises(ArithmeticError, match=r"^told to$"):
        run(block, weight, x, 1)
    assert {name: id(tensor) for name, tensor in block.state_dict(keep_vars=True).items()} == before
    assert block.body.layer.weight is None


def test_a_copy_and_a_loaded_block_run_with_their_own_tensors(halves):
    block, weight, x = stepped(halves), torch.randn(3, 3), torch.randn(5, 3)
    expected = run(block, weight, x, 0)
    other = copy.deepcopy(block)
    with torch.no_grad():
        other.body.layer.bias.add_(1.0)
    torch.testing.assert_close(run(block, weight, x, 0), expected)
    torch.testing.assert_close(run(other, weight, x, 0), expected + 1.0)
    block.load_state_dict(other.state_dict(), assign=True)
    torch.testing.assert_close(run(block, weight, x, 0), expected + 1.0)
    doubled = block.double()
    assert run(doubled, weight.double(), x.double(), 0).dtype == torch.float64


def test_steps_that_are_added_run_like_those_that_they_copy(halves):
    block, weight, x = stepped(halves), torch.randn(3, 3), torch.randn(5, 3)
    block.lay_out((1, 0))
    assert block.steps == 4
    for copied, original in ((2, 1), (3, 0)):
        torch.testing.assert_close(run(block, weight, x, copied), run(block, weight, x, original))


def test_training_changes_the_statistics_of_its_step_alone(halves):
    block, weight, x = stepped(halves).train(), torch.randn(3, 3), torch.randn(5, 3)
    before = block.body.norm.running_mean.clone()
    run(block, weight, x, 1)
    assert torch.equal(block.body.norm.running_mean[0], before[0])
    assert not torch.equal(block.body.norm.running_mean[1], before[1])
    assert block.body.norm.num_batches_tracked.tolist() == [0, 1]


@pytest.mark.parametrize("either_side", [False, True])
def test_a_ready_view_runs_every_step_and_leaves_the_block_alone(halves, either_side):
    block, weight, x = stepped(halves), torch.randn(3, 3), torch.randn(5, 3)
    expected = [run(block, weight, x, step) for step in range(2)]
    with torch.no_grad():
        ready = block.ready({"layer": weight}, either_side=either_side)
        for step in (1, 0, 1):
            torch.testing.assert_close(ready(x, step), expected[step])
    assert block.lent is None
    assert block.body.layer.weight is None


def test_a_layer_with_a_forward_of_its_own_gets_its_weight_scaled(halves):
    block, weight, x = stepped(halves), torch.randn(3, 3), torch.randn(5, 3)
    assert block.keeps
    block.body.layer.forward = MethodType(lambda self, x: x @ self.weight.exp(), block.body.layer)
    assert not block.keeps
    with torch.no_grad():
        found = block.ready({"layer": weight}, either_side=True)(x, 1)
        torch.testing.assert_close(found, halves[1].eval().norm(x) @ (-weight).exp())


class Scripted(nn.Module):
    """A layer behind a part that TorchScript holds."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part, self.layer = part, nn.Linear(3, 3)
        self.layer.register_parameter("weight", None)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.part(x))


@pytest.fixture
def script() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates it
        return torch.jit.script(nn.Linear(3, 3))


def test_a_torchscript_part_keeps_its_tensors(script):
    block, weight, x = SteppedBlock([Scripted(script)], ("layer",)), torch.randn(3, 3), torch.randn(5, 3)
    assert block.state_dict()["body.part.weight"].shape == (3, 3)
    with torch.no_grad():
        found = block.ready({"layer": weight}, either_side=True)(x, 0)
        torch.testing.assert_close(found, script(x) @ weight.T + block.body.layer.bias[0])


def test_torchscript_parts_that_differ_cannot_be_one_body(script):
    other = copy.deepcopy(script)
    with torch.no_grad():
        other.bias.add_(1)
    said = (
        "blocks cannot come to loop since the tensor 'part.bias' of a TorchScript module differs between them; "
        "share the network before any part of it is scripted"
    )
    with pytest.raises(NothingToFold, match=f"^{said}$"):
        SteppedBlock([Scripted(script), Scripted(other)], ("layer",))
