"""The looped network is the tied one, whatever is tied: in evaluation, in training, written out and read back."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from looping import fold_forms, planned
from torch import nn

from foldnet.analysis.choices import TIES
from foldnet.folding.looped import (
    LoopedNetwork,
    gain_slots,
    loop_tied,
    unroll,
)
from foldnet.folding.plan import FoldPlan, apply_fold
from foldnet.folding.stages import LoopedStage
from foldnet.folding.stepped import SteppedBlock
from foldnet.program.data import Loop, Step, schedule
from foldnet.sharing.lend import lend
from foldnet.sharing.sequences import joined
from foldnet.sharing.share import SharedNetwork, materialise, share
from foldnet.sharing.tied import Owners
from foldnet.training.learner import build_optimiser
from foldnet.zoo.blueprint import build

BLOCKS = 4  # shared blocks of a stage: depth 34
PLAIN = "wrn-34-1"


def soft_network(templates: int, *, dropout: float = 0.0) -> SharedNetwork:
    """A soft network with random coefficients, norms and running statistics."""
    soft = share(build(PLAIN, dropout=dropout), templates)
    with torch.no_grad():
        for bank in soft.sources.values():
            bank.coefficients.normal_()
        randomise_norms(soft)
    return soft


def randomise_norms(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.uniform_(0.5, 1.5)
            module.bias.uniform_(-0.5, 0.5)
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 1.5)
            module.num_batches_tracked.random_(0, 100)


def clusters_of(owner: list[int]) -> tuple[tuple[int, ...], ...]:
    """[0, 1, 0] -> ((0, 2), (1,))."""
    return tuple(tuple(i for i, o in enumerate(owner) if o == wanted) for wanted in dict.fromkeys(owner))


def folded(soft: SharedNetwork, owners: list[list[int]], how: str = "gain") -> tuple[SharedNetwork, FoldPlan]:
    """The tied network in which layer l of the group g uses owner owners[g][l]."""
    clusters = {group.name: clusters_of(owner) for group, owner in zip(soft.plan.groups, owners, strict=True)}
    plan = planned(soft, clusters, how)
    return apply_fold(soft, plan), plan


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return (torch.linalg.vector_norm(a - b) / torch.linalg.vector_norm(b)).item()


def planted_owners():
    """For each of three groups, an owner for each layer: a few of them, so that blocks repeat."""
    pairs = st.sampled_from([(0, 1), (2, 3), (0, 0), (1, 2), (4, 5), (6, 7)])
    return st.lists(
        st.lists(pairs, min_size=BLOCKS, max_size=BLOCKS).map(lambda blocks: [o for pair in blocks for o in pair]),
        min_size=3,
        max_size=3,
    )


LOOPING = [[0, 1] * BLOCKS, [0, 1, 2, 3] * (BLOCKS // 2), [0] * 2 * BLOCKS]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 8), planted_owners(), st.sampled_from(TIES))
def test_tied_looped_and_unrolled_compute_the_same(seed, templates, owners, how):
    torch.manual_seed(seed)
    soft = soft_network(templates)
    tied, plan = folded(soft, owners, how)
    looped = loop_tied(tied, plan.program)
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        expected = tied.eval()(x)
        assert relative(looped.eval()(x), expected) <= 1e-5
        assert relative(unroll(looped, build(PLAIN)).eval()(x), expected) <= 1e-5

    for group in plan.groups:
        used = len(set(owners[plan.groups.index(group)]))
        names = [
            n for n in looped.state_dict() if n.startswith((f"owners.{group.name}.owners", f"owners.{group.name}.te"))
        ]
        assert len(names) == group.stored == min(used, templates)
        assert all(looped.state_dict()[name].numel() == group.weight_numbers for name in names)


def test_the_state_dict_holds_every_number_once_and_nothing_that_can_be_made():
    torch.manual_seed(0)
    soft = soft_network(8)
    tied, plan = folded(soft, LOOPING)
    looped = loop_tied(tied, plan.program)
    state = looped.state_dict()
    assert len({tensor.untyped_storage().data_ptr() for tensor in state.values()}) == len(state)
    count = sum(tensor.numel() for tensor in state.values())
    assert count == sum(tensor.numel() for tensor in tied.state_dict().values())
    unshared = sum(tensor.numel() for tensor in soft.network.state_dict().values())
    stored = sum(group.stored * group.weight_numbers for group in plan.groups)
    assert count == unshared + stored + 3 * 2 * BLOCKS  # and a gain a layer
    assert [group.stored for group in plan.groups] == [2, 4, 1]


def test_a_loop_is_one_module_with_its_steps_norms_and_gains_stacked():
    torch.manual_seed(0)
    tied, plan = folded(soft_network(8), LOOPING)
    looped = loop_tied(tied, plan.program)
    stage = looped.network.stage1
    assert isinstance(stage, LoopedStage)
    assert plan.program.stages[0].items[1] == Loop(BLOCKS, (Step("A"),), "stage1.loop1")
    assert list(stage.blocks) == ["private1", "A"]
    body = stage.blocks["A"].body
    assert body.norm1.running_mean.shape == (BLOCKS, 16)
    assert body.conv1.gain.shape == (BLOCKS,)
    assert body.conv1.weight is None
    for step in range(BLOCKS):
        assert torch.equal(body.norm1.weight[step], tied.network.stage1[step + 1].norm1.weight)
    assert stage.schedule == (("private1", 0), *(("A", step) for step in range(BLOCKS)))


def test_owners_are_made_once_a_pass_however_often_they_are_used(monkeypatch):
    torch.manual_seed(0)
    tied, plan = folded(soft_network(2), [[0, 1, 2, 3, 4, 5, 6, 7]] * 3)
    looped, calls = loop_tied(tied, plan.program).eval(), []
    real = Owners.owner_weights

    def counted(self):
        calls.append(self)
        return real(self)

    monkeypatch.setattr(Owners, "owner_weights", counted)
    looped(torch.randn(1, 3, 8, 8))
    assert len(calls) == 3


@pytest.mark.parametrize("templates", [2, 8])
def test_a_state_dict_goes_round(templates):
    torch.manual_seed(0)
    tied, plan = folded(soft_network(templates), LOOPING)
    looped = loop_tied(tied, plan.program)
    torch.manual_seed(1)
    other_tied, other_plan = folded(soft_network(templates), LOOPING)
    other = loop_tied(other_tied, other_plan.program)
    x = torch.randn(2, 3, 8, 8)
    assert not torch.allclose(other.eval()(x), looped.eval()(x))
    other.load_state_dict(looped.state_dict())
    assert torch.equal(other(x), looped(x))


def test_a_structure_without_storage_takes_the_tensors_over():
    torch.manual_seed(0)
    tied, plan = folded(soft_network(2), LOOPING)
    looped = loop_tied(tied, plan.program)
    with torch.device("meta"):
        owners = {
            group.name: Owners(group.owners, 2 if group.stored < group.owners else None, tuple(looped_shape))
            for group, looped_shape in zip(plan.groups, [g.shape for g in tied.plan.groups], strict=True)
        }
        plain = share(build(PLAIN), 1).network
        empty = LoopedNetwork(plain, plan.program, owners)
    empty.load_state_dict(looped.state_dict(), assign=True)
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(empty.eval()(x), looped.eval()(x))


@pytest.mark.parametrize("templates", [2, 8])
def test_one_training_step_changes_looped_and_tied_alike(templates):
    torch.manual_seed(0)
    tied, plan = folded(soft_network(templates).double(), LOOPING)
    looped = loop_tied(tied, plan.program)
    x, y = torch.randn(4, 3, 8, 8).double(), torch.tensor([0, 3, 5, 9])
    before = unroll(copy.deepcopy(looped), build(PLAIN).double()).state_dict()
    losses = []
    for network in (tied, looped):
        network.train()
        optimiser = build_optimiser(network, lr=0.1, momentum=0.9, weight_decay=5e-4)
        loss = nn.functional.cross_entropy(network(x), y)
        loss.backward()
        assert all(parameter.grad is not None for parameter in network.parameters())
        optimiser.step()
        losses.append(loss.detach())
    torch.testing.assert_close(*losses, rtol=1e-9, atol=1e-9)
    expected, found = materialise(tied).state_dict(), unroll(looped, build(PLAIN).double()).state_dict()
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-8, atol=1e-8)
        assert not torch.equal(before[name], tensor), name
    for gain, step, layer in gain_slots(looped):
        group = next(group for group in tied.plan.groups if layer in group.layers)
        torch.testing.assert_close(gain[step], tied.sources[group.name].gains[group.layers.index(layer)])
    torch.testing.assert_close(looped.eval()(x), tied.eval()(x), rtol=1e-8, atol=1e-8)


def test_running_statistics_of_each_step_are_kept_apart():
    torch.manual_seed(0)
    tied, plan = folded(soft_network(8), LOOPING)
    looped = loop_tied(tied, plan.program)
    for network in (tied, looped):
        network.train()
        torch.manual_seed(1)
        for _ in range(3):
            network(torch.randn(4, 3, 8, 8))
    norm = looped.network.stage1.blocks["A"].body.norm1
    for step in range(BLOCKS):
        own = tied.network.stage1[step + 1].norm1
        torch.testing.assert_close(norm.running_mean[step], own.running_mean, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(norm.running_var[step], own.running_var, rtol=1e-4, atol=1e-4)
        assert norm.num_batches_tracked[step] == own.num_batches_tracked
    assert len({tuple(row.tolist()) for row in norm.running_mean}) == BLOCKS


def test_dropout_draws_anew_in_each_step_and_the_same_as_in_the_tied_network():
    torch.manual_seed(0)
    tied, plan = folded(soft_network(8, dropout=0.5), LOOPING)
    looped = loop_tied(tied, plan.program)
    x, outputs = torch.randn(4, 3, 8, 8), []
    for network in (tied, looped):
        torch.manual_seed(1)
        outputs.append(network.train()(x))
    assert relative(*outputs) <= 1e-4


def test_looping_leaves_the_tied_network_as_it_was():
    torch.manual_seed(0)
    tied, plan = folded(soft_network(2), LOOPING)
    before = copy.deepcopy(tied.state_dict())
    looped = loop_tied(tied, plan.program)
    with torch.no_grad():
        for tensor in looped.state_dict().values():
            tensor.zero_()
    assert tied.state_dict().keys() == before.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in tied.state_dict().items())


def test_unrolling_shares_no_memory_and_notices_a_wrong_program():
    """unroll is what the looped pass is checked against, so it must not read the loops."""
    torch.manual_seed(0)
    tied, plan = folded(soft_network(8), LOOPING)
    looped = loop_tied(tied, plan.program)
    written = unroll(looped, build(PLAIN))
    x = torch.randn(2, 3, 8, 8)
    expected = written.eval()(x)
    looped.network.stage1.schedule = looped.network.stage1.schedule[:-1]
    assert torch.equal(unroll(looped, build(PLAIN)).eval()(x), expected)
    assert relative(looped.eval()(x), expected) > 1e-3
    with torch.no_grad():
        for tensor in looped.state_dict().values():
            tensor.zero_()
    assert torch.equal(written(x), expected)


def test_a_program_runs_on_in_a_copy_and_under_autocast():
    torch.manual_seed(0)
    tied, plan = folded(soft_network(8), LOOPING)
    looped = loop_tied(tied, plan.program).eval()
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(copy.deepcopy(looped)(x), looped(x))
    last = looped.to(memory_format=torch.channels_last)
    assert relative(last(x), tied.eval()(x)) <= 1e-5
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert relative(looped(x).float(), tied(x).float()) <= 1e-5


def test_a_schedule_numbers_the_steps_of_each_label():
    items = (Step("P"), Loop(2, (Step("Q"),)), Step("P"), Step("Q"))
    assert schedule(items) == (("P", 0), ("Q", 0), ("Q", 1), ("P", 1), ("Q", 2))


def test_names_are_joined_without_empty_parts():
    assert joined("a", "", "weight") == "a.weight"
    assert joined("", "weight") == "weight"


def test_a_block_may_be_a_layer_itself():
    layers = [nn.Linear(3, 3, bias=bias) for bias in (True, True)]
    for layer in layers:
        layer.register_parameter("weight", None)
    biases = [layer.bias for layer in layers]
    block = SteppedBlock(layers, ("",))
    weight = torch.randn(3, 3)
    block.body.gain.data = torch.tensor([2.0, -1.0])
    x = torch.randn(2, 3)
    lent = [(part, own, usage) for _, part, own, usage in block.given({"": weight})]
    given, gains = {part: own for part, own, _ in lent}, {part: usage["weight"][0] for part, _, usage in lent}
    for step, bias in enumerate(biases):
        part = block.entry(step)
        out = lend(part, given, {}).module(x)
        torch.testing.assert_close(gains[part], block.body.gain[step])
        torch.testing.assert_close(out, x @ weight.T + bias)


def test_blocks_that_share_nothing_but_repeat_are_unrolled_with_tensors_of_their_own():
    """In a plain stack the norms between the layers are blocks of one label, and none is like another."""
    torch.manual_seed(0)
    stack = [m for _ in range(4) for m in (nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())]
    soft = share(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(*stack)), 2)
    with torch.no_grad():
        for bank in soft.sources.values():
            bank.coefficients.copy_(torch.randn(2))
        randomise_norms(soft)
    looped, tied, plan = fold_forms(soft, 1.0)
    assert [str(stage.items) for stage in plan.program.stages] == [
        str((Loop(4, (Step("A"), Step("B"), Step("C")), "1.loop1"),))
    ]
    written, x = unroll(looped, materialise(tied)).eval(), torch.randn(2, 3, 8, 8)
    assert relative(written(x), tied.eval()(x)) <= 1e-6
    for name, tensor in materialise(tied).state_dict().items():
        assert torch.equal(written.state_dict()[name], tensor), name
