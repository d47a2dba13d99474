"""Trained networks to loops: where runs are cut, what bodies begin as, and that fitting fits."""

import pytest
import torch
from torch import nn

import foldnet
from foldnet.converting.blocks import calls_of, equal_runs, similarity_of
from foldnet.converting.loops import as_soft, to_loops
from foldnet.errors import NothingToFold, SettingError
from foldnet.folding.structures import structures_of
from foldnet.sharing.plan import plan_sharing
from foldnet.sharing.share import materialise


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)

    def forward(self, x):
        return x.add_(torch.tanh(self.norm(self.conv(x.clone()))))  # writes into its input


def network(kinds, seed=0):
    """Blocks whose weights are a common one times a number, each with a norm and a bias of its own; `kinds` has a letter
    for each block, and blocks of one letter are alike."""
    torch.manual_seed(seed)
    known = {kind: 0.1 * torch.randn(4, 4, 3, 3) for kind in sorted(set(kinds))}
    blocks = [Residual() for _ in kinds]
    with torch.no_grad():
        for block, kind in zip(blocks, kinds, strict=True):
            block.conv.weight.copy_(known[kind])
            block.norm.running_var.uniform_(0.1, 0.2)
            block.norm.running_mean.uniform_(-0.1, 0.1)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Sequential(*blocks), nn.AdaptiveAvgPool2d(1)).eval()


BATCHES = [torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(n)) for n in range(2)]


def relative(one, other):
    return ((one - other).norm() / other.norm()).item()


def test_blocks_are_compared_by_what_they_change_on_the_same_inputs():
    trained = network("AAB")
    plan = plan_sharing(trained)
    (run,) = equal_runs(trained, plan, structures_of(trained, plan))
    assert (run.sequence, run.blocks, run.places) == ("1", ("1.0", "1.1", "1.2"), ("conv",))
    calls = calls_of(trained, run.blocks, ((BATCHES[0],), {}))
    expected = torch.zeros(3, 3)
    for name in run.blocks:
        (x,), _ = calls[name].inputs
        changes = [trained.get_submodule(other)(x.clone()) - x for other in run.blocks]
        for i, one in enumerate(changes):
            for j, other in enumerate(changes):
                expected[i, j] += nn.functional.cosine_similarity(one.flatten(1), other.flatten(1)).mean() / 3
    torch.testing.assert_close(torch.tensor(similarity_of(trained, run, calls)).float(), expected, atol=1e-5, rtol=0)


def test_a_run_is_cut_where_blocks_begin_to_do_something_else():
    trained, x = network("AAABB"), BATCHES[0]
    before = {name: tensor.clone() for name, tensor in trained.state_dict().items()}
    made = foldnet.convert(trained, loops=2, batches=BATCHES, fit=0)
    assert all(torch.equal(before[name], tensor) for name, tensor in trained.state_dict().items())
    (run,) = made.report.runs
    assert (run.sequence, run.segments) == ("1", (("1.0", "1.1", "1.2"), ("1.3", "1.4")))
    assert made.report.program.splitlines()[0] == "1: 3x { A }; 2x { B }"
    assert (made.report.loops, made.report.error) == (2, None)
    assert made.report.original_parameters - made.report.parameters == 3 * 144 - 5  # weights less gains
    assert relative(made.folded.looped(x), made.folded.tied(x)) <= 1e-5
    table, began, *_ = made.report.parts()
    assert table.rows == (("1", "1.0 to 1.2", 3), ("1", "1.3 to 1.4", 2))
    assert began.text == "bodies began as the average"


@pytest.mark.parametrize(("start", "kind"), [("average", None), ("stepwise", 1)])
def test_what_bodies_begin_as(start, kind):
    trained = network("ABC")
    found = to_loops(trained, 1, BATCHES, start=start, fit=0)
    weights = [block.conv.weight for block in trained[1]]
    expected = torch.stack(list(weights)).mean(0) if kind is None else weights[kind]
    for block in materialise(found.tied)[1]:
        torch.testing.assert_close(block.conv.weight, expected)


@pytest.mark.parametrize("start", ["average", "stepwise"])
def test_fitting_brings_bodies_nearer_to_what_their_blocks_give(start):
    trained = network("ABC")
    errors = [to_loops(trained, 1, BATCHES, start=start, fit=fit).error for fit in (1, 100)]
    assert errors[1] < 0.8 * errors[0]


def test_a_tied_network_is_the_fold_of_a_soft_one():
    found = to_loops(network("ABCD"), 2, BATCHES, fit=3)
    soft = as_soft(found.tied)
    assert relative(soft(BATCHES[0]), found.tied(BATCHES[0])) <= 1e-6
    folded = foldnet.fold(soft, threshold=1.0, inputs=BATCHES[0])
    assert relative(folded.looped(BATCHES[0]), found.tied(BATCHES[0])) <= 1e-5
    assert [group.owners for group in folded.report.groups] == [2]


def test_a_transformer_comes_to_loop():
    torch.manual_seed(0)
    layers = [nn.TransformerEncoderLayer(8, 2, 16, batch_first=True) for _ in range(4)]
    encoder = nn.TransformerEncoder(layers[0], 4, enable_nested_tensor=False).eval()
    encoder.layers = nn.ModuleList(layers)
    made = foldnet.convert(encoder, loops=2, batches=[torch.randn(4, 5, 8)], fit=5)
    assert len(made.report.runs[0].segments) == 2
    assert made.folded.report.proof.relative <= 1e-5
    assert made.report.parameters < made.report.original_parameters


def test_what_cannot_come_to_loop_is_refused():
    said = "`loops=3` is not below the 3 equal blocks of '1', the most that follow each other; give at most 2"
    with pytest.raises(SettingError, match=f"^{said}$"):
        foldnet.convert(network("ABC"), loops=3, batches=BATCHES)
    with pytest.raises(NothingToFold, match=r"^no two blocks that follow each other are equal, so that none can come"):
        foldnet.convert(foldnet.build("wrn-16-1"), loops=1, batches=BATCHES)
    with pytest.raises(SettingError, match=r"^`loops=2` needs `batches` of inputs, on which blocks are compared; give"):
        foldnet.convert(network("ABC"), loops=2)
    with pytest.raises(SettingError, match=r"^there is no batch to compare blocks on; give a list of x or \(x, y\)"):
        foldnet.convert(network("ABC"), loops=2, batches=[])
    with pytest.raises(SettingError, match=r"^there is no batch left to fit bodies on; give a list of x or \(x, y\)"):
        foldnet.convert(network("ABC"), loops=2, batches=iter(BATCHES[:1]), fit=5)
    with pytest.raises(SettingError, match=r"^`start='old'` is not legal; choose average or stepwise$"):
        foldnet.convert(network("ABC"), loops=2, batches=BATCHES, start="old")


class Apart(nn.Module):
    """Equal blocks side by side, and equal ones one after the other."""

    def __init__(self, behind):
        super().__init__()
        self.beside = nn.ModuleList(nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU()) for _ in range(3))
        self.behind = nn.ModuleList(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()) for _ in range(behind))

    def forward(self, x):
        x = sum(block(x) for block in self.beside)
        for block in self.behind:
            x = block(x)
        return x.mean((2, 3))


def test_blocks_side_by_side_do_not_come_to_loop():
    torch.manual_seed(0)
    batches = [torch.randn(4, 4, 5, 5)]
    made = foldnet.convert(Apart(3).eval(), loops=1, batches=batches, fit=3)
    assert [run.sequence for run in made.report.runs] == ["behind"]
    assert made.report.loops == 1
    said = (
        "the blocks 'beside.0' and 'beside.1' are equal and cannot come to loop: the second is not given what the first "
        "gives"
    )
    with pytest.raises(NothingToFold, match=f"^{said}$"):
        foldnet.convert(Apart(1).eval(), loops=1, batches=batches, fit=3)
