"""Layers that keep a residual of low rank beside the owner that they use, in every form."""

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_looped import BLOCKS, LOOPING, PLAIN, clusters_of, planted_owners, relative, soft_network
from torch import nn

import foldnet
from foldnet.analysis.choices import TIES
from foldnet.choosing.choose import soft_of
from foldnet.folding.looped import gain_slots, loop_tied, unroll, usage_slots
from foldnet.folding.plan import apply_fold, errors_of
from foldnet.folding.settings import FoldSettings
from foldnet.sharing.share import SharedNetwork, materialise, share
from foldnet.sharing.tied import TiedLayers
from foldnet.training.learner import build_optimiser
from foldnet.zoo.blueprint import build

RANKS = [16, 32, 64]  # that the matrices of a stage's weights can have


def planned(soft: SharedNetwork, owners, rank: int, how: str = "gain"):
    clusters = {group.name: clusters_of(owner) for group, owner in zip(soft.plan.groups, owners, strict=True)}
    return soft_of(soft, FoldSettings(tie=how, residual=rank)).plan(clusters)


def folded(soft: SharedNetwork, owners, rank: int, how: str = "gain"):
    plan = planned(soft, owners, rank, how)
    return apply_fold(soft, plan), plan


def slow_residual(missing: torch.Tensor, rank: int) -> torch.Tensor:
    """The closest matrix of that rank, by numpy's way: a whole singular value decomposition."""
    u, s, v = torch.linalg.svd(missing.double().flatten(1), full_matrices=False)
    return (u[:, :rank] * s[:rank] @ v[:rank]).view(missing.shape)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 8), planted_owners(), st.sampled_from(TIES), st.integers(1, 70))
def test_tied_looped_and_unrolled_compute_the_same(seed, templates, owners, how, rank):
    torch.manual_seed(seed)
    soft = soft_network(templates)
    tied, plan = folded(soft, owners, rank, how)
    looped, x = loop_tied(tied, plan.program), torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        expected = tied.eval()(x)
        assert relative(looped.eval()(x), expected) <= 1e-5
        assert relative(looped(x), expected) <= 1e-5  # by what was kept of the call before
        assert relative(unroll(looped, build(PLAIN)).eval()(x), expected) <= 1e-5
    assert relative(looped(x), expected) <= 1e-5  # with gradients
    count = sum(parameter.numel() for parameter in looped.parameters())
    assert count == sum(parameter.numel() for parameter in tied.parameters())
    plain = sum(parameter.numel() for parameter in apply_fold(soft, planned(soft, owners, 0, how)).parameters())
    assert count - plain == sum(group.residual_numbers for group in plan.groups)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 8), planted_owners(), st.sampled_from(TIES), st.integers(1, 64))
def test_each_weight_is_the_owner_and_the_closest_matrix_of_that_rank(seed, templates, owners, how, rank):
    torch.manual_seed(seed)
    soft = soft_network(templates)
    without, (tied, plan) = apply_fold(soft, planned(soft, owners, 0, how)), folded(soft, owners, rank, how)
    errors = errors_of(soft, plan, tied)
    for group, most in zip(plan.groups, RANKS, strict=True):
        sources = (network.sources[group.name].layer_weights() for network in (soft, without, tied))
        for row, (weight, base, found) in enumerate(zip(*map(list, sources), strict=True)):
            keeps = bool(group.ranks) and group.ranks[group.tie.assignment[row]] > 0
            expected = base + slow_residual(weight - base, min(rank, most)) if keeps else base.double()
            # A short weight beside a long owner is a difference of two long ones, and rounds as they do.
            longer = max(1.0, (base.double().norm() / weight.double().norm()).item())
            assert relative(found, expected) < 2e-6 * longer
            assert keeps == any(group.tie.errors[list(its)].max() >= 1e-6 for its in group.clusters if row in its)
            assert errors[group.layers[row]] == pytest.approx(
                relative(found.double(), weight.double()), abs=2e-6 * longer
            )


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 8), planted_owners(), st.sampled_from(TIES))
def test_errors_never_grow_with_the_rank_and_at_full_rank_nothing_is_lost(seed, templates, owners, how):
    torch.manual_seed(seed)
    # In double: a sum of a long owner and a residual rounds by more than 1e-6 of a short weight.
    soft, x = soft_network(templates).double().eval(), torch.randn(2, 3, 8, 8).double()
    before = None
    for rank in (0, 1, 2, 16, 40, 1000):
        tied, plan = folded(soft, owners, rank, how)
        found = errors_of(soft, plan, tied)
        if before is not None:
            assert all(error <= before[layer] + 1e-6 for layer, error in found.items())
        before = found
    assert max(found.values()) < 1e-6
    with torch.no_grad():
        assert relative(tied.eval()(x), soft(x)) <= 1e-5
        assert relative(loop_tied(tied, plan.program).eval()(x), materialise(soft)(x)) <= 1e-5


def test_without_a_residual_a_fold_is_what_it_was():
    torch.manual_seed(0)
    soft = soft_network(8)
    tied, plan = folded(soft, LOOPING, 0)
    assert [group.ranks for group in plan.groups] == [(), (), ()]
    assert all(source.stored.form[3] == source.rows == () for source in tied.sources.values())
    names = {name.rpartition(".")[2] for name in loop_tied(tied, plan.program).state_dict()}
    assert not {"residual_left", "residual_right"} & names


def test_a_loop_stacks_the_residuals_of_its_steps():
    torch.manual_seed(0)
    tied, plan = folded(soft_network(8), LOOPING, 3)
    looped = loop_tied(tied, plan.program)
    body, source = looped.network.stage1.blocks["A"].body, tied.sources["stage1"]
    assert body.conv1.residual_left.shape == (BLOCKS, 16, 3)
    assert body.conv1.residual_right.shape == (BLOCKS, 3, 16 * 9)
    for step in range(BLOCKS):
        assert torch.equal(body.conv2.residual_left[step], source.left[2 * step + 1])
        assert torch.equal(body.conv2.residual_right[step], source.right[2 * step + 1])
    layers = [layer for _, _, layer in usage_slots(looped)]
    assert layers == [layer for _, _, layer in gain_slots(looped)]
    assert all(len(stacks) == 3 for stacks, _, _ in usage_slots(looped))


def test_the_factors_of_a_residual_are_of_one_length():
    torch.manual_seed(0)
    tied, _ = folded(soft_network(8), LOOPING, 3)
    for source in tied.sources.values():
        for left, right in zip(source.left, source.right, strict=True):
            torch.testing.assert_close(left.norm(dim=0), right.norm(dim=1), rtol=1e-4, atol=1e-6)


def test_only_layers_that_are_tied_to_others_and_not_exactly_keep_one():
    torch.manual_seed(0)
    soft = soft_network(4)
    with torch.no_grad():
        rows = soft.sources["stage1"].coefficients
        rows[1], rows[3] = -2 * rows[0], 0.5 * rows[0]  # one cluster is exact, one is not, the others are alone
    tied, plan = folded(soft, [[0, 0, 1, 0, 1, 2, 3, 4], [0] * 8, list(range(8))], 2)
    assert plan.groups[0].ranks == (0, 2, 0, 0, 0)
    assert plan.groups[1].ranks == (2,)
    assert plan.groups[2].ranks == ()
    assert [source.rows for source in tied.sources.values()] == [(2, 4), tuple(range(8)), ()]
    assert [group.residual_numbers for group in plan.groups] == [2 * 2 * (16 + 144), 8 * 2 * (32 + 288), 0]
    looped, x = loop_tied(tied, plan.program).eval(), torch.randn(2, 3, 8, 8)
    assert relative(looped(x), tied.eval()(x)) <= 1e-5


@pytest.mark.parametrize("templates", [2, 8])
def test_one_training_step_changes_looped_and_tied_alike(templates):
    torch.manual_seed(0)
    tied, plan = folded(soft_network(templates).double(), LOOPING, 2)
    looped = loop_tied(tied, plan.program)
    x, y = torch.randn(4, 3, 8, 8).double(), torch.tensor([0, 3, 5, 9])
    before = materialise(tied).state_dict()
    losses = []
    for network in (tied, looped):
        network.train()
        optimiser = build_optimiser(network, lr=0.1, momentum=0.9, weight_decay=5e-2)
        loss = nn.functional.cross_entropy(network(x), y)
        loss.backward()
        assert all(parameter.grad is not None for parameter in network.parameters())
        optimiser.step()
        losses.append(loss.detach())
    torch.testing.assert_close(*losses, rtol=1e-9, atol=1e-9)
    expected, found = materialise(tied).state_dict(), unroll(looped, build(PLAIN).double()).state_dict()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-8, atol=1e-8)
        assert not torch.equal(before[name], tensor), name
    rows = {layer: (name, row) for name, its in _layers(tied).items() for row, layer in enumerate(its)}
    for stacks, step, layer in usage_slots(looped):
        name, row = rows[layer]
        for stack, own in zip(stacks, tied.sources[name].usages()[row], strict=True):
            torch.testing.assert_close(stack[step], own)
    torch.testing.assert_close(looped.eval()(x), tied.eval()(x), rtol=1e-8, atol=1e-8)


def _layers(tied: SharedNetwork) -> dict[str, tuple[str, ...]]:
    return {group.name: group.layers for group in tied.plan.groups}


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_residuals_decay_as_weights_do_and_gains_do_not(kind):
    tied, plan = folded(soft_network(8), LOOPING, 2)
    looped = loop_tied(tied, plan.program)
    for network, residual in ((tied, "right."), (looped, "residual_right")):
        optimiser = build_optimiser(network, lr=0.1, momentum=0.9, weight_decay=0.1, kind=kind)
        names = {parameter: name for name, parameter in network.named_parameters()}
        decays = {names[one]: group["weight_decay"] for group in optimiser.param_groups for one in group["params"]}
        found = {name: rate for name, rate in decays.items() if residual in name}
        assert found
        assert set(found.values()) == {0.1}
        assert {rate for name, rate in decays.items() if name.endswith(("gain", "gains"))} == {0.0}


def test_a_state_dict_goes_round():
    torch.manual_seed(0)
    looped = _looped(2)
    torch.manual_seed(1)
    other, x = _looped(2), torch.randn(2, 3, 8, 8)
    assert not torch.allclose(other(x), looped(x))
    other.load_state_dict(looped.state_dict())
    assert torch.equal(other(x), looped(x))
    assert torch.equal(copy.deepcopy(looped)(x), looped(x))


def _looped(rank: int, templates: int = 8):
    tied, plan = folded(soft_network(templates), LOOPING, rank)
    return loop_tied(tied, plan.program).eval()


def test_a_changed_residual_is_seen_by_what_is_kept_between_calls():
    torch.manual_seed(0)
    looped, x = _looped(2), torch.randn(1, 3, 8, 8)
    with torch.no_grad():
        before = looped(x)
        assert looped._ready is not None
        for name in ("residual_left", "residual_right"):
            looped.network.stage1.blocks["A"].body.conv1.get_parameter(name)[1] *= 2
            found = looped(x)
            assert torch.equal(found, copy.deepcopy(looped)(x))
            assert not torch.equal(found, before)
            before = found


def test_trips_past_those_found_use_the_last_residual_or_copies_of_it():
    torch.manual_seed(0)
    tied, plan = folded(soft_network(8), LOOPING, 2)
    looped, x = loop_tied(tied, plan.program).eval(), torch.randn(2, 3, 8, 8)
    longer = copy.deepcopy(tied.eval())
    stage, layers = longer.network.stage1, _layers(tied)["stage1"]
    dense = materialise(tied).eval()
    last = copy.deepcopy(dense.stage1[BLOCKS])
    dense.stage1.append(last).append(copy.deepcopy(last))
    assert len(stage) == BLOCKS + 1
    assert len(layers) == 2 * BLOCKS
    looped.set_trips({"stage1.loop1": BLOCKS + 2})
    with torch.no_grad():
        expected = dense(x)
        assert relative(looped(x), expected) <= 1e-5
        looped.set_trips({"stage1.loop1": BLOCKS + 2}, own_steps=True)
        body = looped.network.stage1.blocks["A"].body
        assert body.conv1.residual_left.shape == (BLOCKS + 2, 16, 2)
        assert relative(looped(x), expected) <= 1e-5
        body.conv1.residual_left[-1] *= 3
        assert relative(looped(x), expected) > 1e-4
        looped.set_trips({})
        assert relative(looped(x), tied.eval()(x)) <= 1e-5


def test_a_damped_loop_scales_the_change_that_residuals_make_too():
    torch.manual_seed(0)
    looped, x = _looped(2), torch.randn(2, 3, 8, 8)
    written = unroll(looped, build(PLAIN)).eval()
    looped.set_trips({"stage1.loop1": 2}, damped=True)
    with torch.no_grad():
        state = written.stage1[0](written.stem(x))
        for block in (written.stage1[1], written.stage1[2]):
            state = state + BLOCKS / 2 * (block(state) - state)
        for module in (*written.stage2, *written.stage3):
            state = module(state)
        norm = written.norm(state).relu()
        expected = written.classifier(norm.mean((2, 3)))
        assert relative(looped(x), expected) <= 1e-5


def test_under_autocast_and_in_channels_last_looped_is_tied():
    torch.manual_seed(0)
    tied, plan = folded(soft_network(8), LOOPING, 4)
    looped, x = loop_tied(tied, plan.program).eval(), torch.randn(2, 3, 8, 8)
    last = looped.to(memory_format=torch.channels_last)
    assert relative(last(x), tied.eval()(x)) <= 1e-5
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert relative(looped(x).float(), tied(x).float()) <= 1e-5


def test_what_is_compiled_is_what_was():
    torch._dynamo.reset()
    torch.manual_seed(0)
    soft = share(nn.Sequential(nn.Linear(3, 4), nn.Sequential(*(nn.Linear(4, 4) for _ in range(3)))), 3)
    tied, plan = folded(soft, [[0, 0, 0]], 1)
    looped, x = loop_tied(tied, plan.program), torch.randn(2, 3)
    expected = tied(x)
    expected.square().sum().backward()
    out = torch.compile(looped, backend="eager", fullgraph=True)(x)
    out.square().sum().backward()
    torch.testing.assert_close(out, expected)
    found = looped.network[1].blocks["A"].body.residual_left.grad
    torch.testing.assert_close(found, torch.stack([left.grad for left in tied.sources[plan.groups[0].name].left]))
    with torch.no_grad():
        looped.compile_bodies(backend="eager")
        torch.testing.assert_close(looped(x), expected)
    torch._dynamo.reset()


class Attending(nn.Module):
    """A block with weights of several kinds: of an attention, of a linear and of a depthwise layer."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.out = nn.Linear(8, 8)
        self.along = nn.Conv1d(8, 8, 3, padding=1, groups=8)

    def forward(self, x):
        x = x + self.attention(x, x, x, need_weights=False)[0]
        return x + self.out(self.along(x.mT).mT)


@pytest.mark.parametrize("rank", [1, 2, 3, 8])
def test_weights_of_every_kind_keep_residuals(rank):
    torch.manual_seed(0)
    soft = share(nn.Sequential(*(Attending() for _ in range(3))), 3).eval()
    with torch.no_grad():
        for bank in soft.sources.values():
            bank.coefficients.normal_()
    x = torch.randn(4, 5, 8)
    folded = foldnet.fold(soft, threshold=0.0, residual=rank, inputs=x)
    assert folded.report.proof.relative <= 1e-5
    assert folded.report.residual == rank
    for group, shape in zip(folded.plan.groups, (g.shape for g in soft.plan.groups), strict=True):
        most = min(shape[0], math.prod(shape[1:]))
        assert set(group.ranks) == {min(rank, most)}
    names = {name.rpartition(".")[2] for name in folded.looped.state_dict()}
    assert {"in_proj_weight_gain", "in_proj_weight_residual_left", "in_proj_weight_residual_right"} <= names
    if rank == 8:
        with torch.no_grad():
            assert relative(folded.looped(x), soft(x)) <= 1e-5


class Numbered(nn.Module):
    """Blocks that are numbered attributes, and blocks in a list."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.block1, self.block2, self.block3 = (nn.Sequential(nn.Conv2d(4, 4, 3, padding=1)) for _ in range(3))
        self.blocks = nn.ModuleList(nn.Sequential(nn.Conv2d(4, 4, 1)) for _ in range(3))

    def forward(self, x):
        x = self.block3(self.block2(self.block1(self.stem(x))))
        for block in self.blocks:
            x = torch.tanh(block(x))
        return x


def test_numbered_blocks_and_blocks_in_a_list_keep_residuals():
    torch.manual_seed(0)
    soft = share(Numbered(), 3).eval()
    x = torch.randn(2, 3, 5, 5)
    folded = foldnet.fold(soft, threshold=0.0, residual=4, inputs=x)
    assert folded.report.loops == 2
    assert [group.residual_numbers for group in folded.report.groups] == [3 * 4 * 40, 3 * 4 * 8]
    with torch.no_grad():
        assert relative(folded.tied(x), soft(x)) <= 1e-5
        assert relative(folded.looped(x), folded.tied(x)) <= 1e-5
        assert relative(unroll(folded.looped, Numbered()).eval()(x), folded.tied(x)) <= 1e-5


def test_a_block_may_be_a_layer_itself():
    torch.manual_seed(0)
    soft = share(nn.Sequential(nn.Linear(3, 4), nn.Sequential(*(nn.Linear(4, 4) for _ in range(4)))), 4)
    x = torch.randn(2, 3)
    folded = foldnet.fold(soft, threshold=0.0, residual=1, inputs=x)
    assert folded.report.groups[0].residual_numbers == 4 * (4 + 4)
    assert relative(folded.looped(x), folded.tied(x)) <= 1e-5


def test_a_fold_that_merges_nothing_keeps_none():
    torch.manual_seed(0)
    folded = foldnet.fold(build("swrn-28-1-4"), threshold=1.0, residual=4)
    assert [group.residual_numbers for group in folded.report.groups] == [0, 0, 0]
    assert all(isinstance(source, TiedLayers) and not source.rows for source in folded.tied.sources.values())
