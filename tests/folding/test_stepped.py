"""One block that runs many steps: its tensors are lent to the body for a call, and come back."""

import copy
import warnings

import pytest
import torch
from torch import Tensor, nn

from foldnet.errors import BrokenPromise, NothingToFold
from foldnet.folding.stepped import SteppedBlock
from foldnet.sharing.lend import lend


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
    block = SteppedBlock(copy.deepcopy(halves), ("layer",)).eval()
    block.body.layer.gain.data = torch.tensor([2.0, -1.0])
    return block


def run(block: SteppedBlock, weight: Tensor, x: Tensor, step: int) -> Tensor:
    block.follow()
    given = {}
    for _, part, own, gains in block.given({"layer": weight}):
        given[part] = own | {key: gain * own[key] for key, (gain,) in gains.items()}
    return next(lend(block.entry(step), given, {}, block.parts).passes(block.put, (x,), {}))


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
    assert len(block.parts) == 4
    for copied, original in ((2, 1), (3, 0)):
        torch.testing.assert_close(run(block, weight, x, copied), run(block, weight, x, original))


def test_training_changes_the_statistics_of_its_step_alone(halves):
    block, weight, x = stepped(halves).train(), torch.randn(3, 3), torch.randn(5, 3)
    before = block.body.norm.running_mean.clone()
    run(block, weight, x, 1)
    assert torch.equal(block.body.norm.running_mean[0], before[0])
    assert not torch.equal(block.body.norm.running_mean[1], before[1])
    assert block.body.norm.num_batches_tracked.tolist() == [0, 1]


class Stating(nn.Module):
    """Writes to itself in every way."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3, bias=False)
        self.layer.register_parameter("weight", None)
        self.register_buffer("number", torch.zeros(()))
        self.calls, self.log = 0, []

    def forward(self, x: Tensor, put: object = None) -> Tensor:
        self.calls += 1
        self.log.append(self.calls)
        self.number = self.number + 1 if put is None else put
        return self.layer(x) * self.number


def test_what_a_pass_writes_is_kept_by_its_step():
    block, x = SteppedBlock([Stating(), Stating()], ("layer",)), torch.randn(2, 3)
    for step in (0, 1, 1):
        run(block, torch.eye(3), x, step)
    copied = copy.deepcopy(block)
    for found in (block, copied):
        assert [(part.calls, part.log) for part in found.parts] == [(1, [1]), (2, [1, 2])]
        assert found.body.number.tolist() == [1.0, 2.0]
    torch.testing.assert_close(run(copied, torch.eye(3), x, 1), 3 * x)
    assert block.parts[1].calls == 2


@pytest.mark.parametrize("value", [torch.zeros(2), torch.zeros((), dtype=torch.float64), None])
def test_what_a_step_cannot_keep_is_refused_by_its_name(value):
    block = SteppedBlock([Stating(), Stating()], ("layer",))
    block.parts[0].forward = lambda x: setattr(block.parts[0], "calls", 0)
    lent = lend(block.parts[1], {part: own for _, part, own, _ in block.given({"layer": torch.eye(3)})}, {})
    lent.module.number = value
    with pytest.raises(
        BrokenPromise, match=r"^a forward pass assigned 'number' of a block that loops, a Stating, and it is "
    ):
        next(lent.passes(block.put, (torch.randn(2, 3), value), {}))


def test_what_is_changed_of_the_body_every_step_follows():
    block, weight, x = SteppedBlock([Half(), Half()], ()).eval(), torch.randn(3, 3), torch.randn(5, 3)
    block.body.norm.eps = 0.5
    block.body.layer = nn.Identity()
    block.body.norm.register_forward_hook(lambda module, args, output: -output)
    out = run(block, weight, x, 1)
    torch.testing.assert_close(out, -x / (1.5**0.5))
    assert [part.norm.eps for part in block.parts] == [0.5, 0.5]
    block.train()
    assert all(module.training for module in block.parts.modules())


def test_a_step_is_of_the_class_that_the_block_had(halves):
    block = stepped(halves)
    assert [type(block.entry(step)) for step in range(2)] == [Half, Half]
    block.compile_body(backend="eager")
    assert type(block.entry(1)) is Half
    assert block.entry(1).fails is False


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
        found = run(block, weight, x, 0)
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
