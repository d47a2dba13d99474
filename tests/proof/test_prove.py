"""The looped network is run against the tied one, and a difference is named with its place and its mend."""

import re

import pytest
import torch
import torch.nn.functional as F
from looping import fold_forms
from torch import nn

from foldnet.errors import BrokenPromise, UnknownName
from foldnet.proof.prove import apart, prove
from foldnet.sharing.share import share
from foldnet.verbs.fold import fold
from foldnet.zoo.blueprint import build


def exactly(sentence: str) -> str:
    """The pattern that only this sentence matches."""
    return f"^{re.escape(sentence)}$"


class Body(nn.Module):
    def __init__(self, index):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)
        self.norm = nn.BatchNorm2d(4)
        self.index, self.calls = index, 0

    def forward(self, x):
        return x + torch.tanh(self.norm(self.conv(x)))


class Scaled(Body):
    """The index matters."""

    def forward(self, x):
        return x + self.index * torch.tanh(self.norm(self.conv(x)))


class Counting(Body):
    """What a call computes depends on how many there were: no two blocks see the other's."""

    def forward(self, x):
        self.calls += 1
        return super().forward(x) * self.calls


class Dropping(Body):
    """Dropout that knows of no evaluation."""

    def forward(self, x):
        return F.dropout(super().forward(x), 0.5, training=True)


class Net(nn.Module):
    def __init__(self, *blocks):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.body = nn.Sequential(*blocks)
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 3))

    def forward(self, x):
        return self.head(self.body(self.stem(x)).mean((2, 3)))


def soft(cls, *indices):
    torch.manual_seed(0)
    return share(Net(*map(cls, indices)), 1)


X = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))


def test_an_attribute_that_changes_nothing_may_be_ignored():
    model = soft(Body, 0, 1, 2)
    kept = fold_forms(model, inputs=X)[2]
    assert [block.label for block in kept.program.stages[0].blocks] == ["A", "B", "C"]
    said = [(found.attribute, found.blocks, found.reason) for found in kept.kept_apart]
    assert said == [("index", ("body.0", "body.1"), "0 and 1"), ("index", ("body.1", "body.2"), "1 and 2")]
    plan = fold_forms(model, ignore=("index",), inputs=X)[2]
    assert ([block.label for block in plan.program.stages[0].blocks], plan.kept_apart) == (["A", "A", "A"], ())


def test_an_attribute_that_was_ignored_and_matters_stays_each_steps_own():
    looped, tied, plan = fold_forms(soft(Scaled, 1, 1, 3), ignore=("index",), inputs=X)
    assert [block.label for block in plan.program.stages[0].blocks] == ["A", "A", "A"]
    torch.testing.assert_close(looped.eval()(X), tied.eval()(X))
    with torch.no_grad():
        looped.network.body.blocks["A"].body.norm.bias[1] += 1
    said = (
        r"the looped network differs from the tied one by \d\S+ of its output, and block 'body.1' is the first to differ; "
        r"what was ignored \('index'\) matters to what blocks compute, so ignore less"
    )
    with pytest.raises(BrokenPromise, match=f"^{said}$"):
        prove(looped, tied, (X,), ignored=("index",))


def test_an_attribute_to_ignore_that_no_block_has_is_refused_with_the_nearest():
    said = "`ignore` names 'indx', which is no attribute of any block; did you mean 'index'?"
    with pytest.raises(UnknownName, match=exactly(said)):
        fold_forms(soft(Body, 0, 0), ignore=("indx",))
    assert fold_forms(soft(Body, 0, 1), ignore=("norm.eps", "index"))


def test_what_blocks_count_each_step_counts():
    looped, tied, plan = fold_forms(soft(Counting, 0, 0, 0), inputs=X)
    assert [block.label for block in plan.program.stages[0].blocks] == ["A", "A", "A"]
    for _ in range(3):
        torch.testing.assert_close(looped.eval()(X), tied.eval()(X))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("cls", [Body, Dropping])
def test_neither_dropout_nor_training_mode_fools_the_proof_and_both_stay(cls, training):
    model = soft(cls, 0, 0, 0).train(training)
    model.network.body[0].norm.train(not training)
    state = torch.get_rng_state()
    looped, tied, _ = fold_forms(model)
    before = {name: tensor.clone() for name, tensor in tied.state_dict().items()}
    modes = [module.training for network in (looped, tied) for module in network.modules()]
    proof = prove(looped, tied, (X,))
    assert (proof.inputs, proof.count) == ("given", 4)
    assert proof.relative <= 1e-6
    assert modes == [module.training for network in (looped, tied) for module in network.modules()]
    assert all(torch.equal(tensor, before[name]) for name, tensor in tied.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())


def test_a_tampered_loop_is_refused_and_its_first_block_named():
    looped, tied, _ = fold_forms(soft(Body, 0, 0, 0))
    with torch.no_grad():
        looped.network.body.blocks["A"].body.norm.bias[1] += 1
    said = (
        r"the looped network differs from the tied one by \S+ of its output, and block 'body.1' is the first to differ; "
        r"keep the layers of that block out of the fold \('body.1.conv'\)"
    )
    with pytest.raises(BrokenPromise, match=f"^{said}$"):
        prove(looped, tied, (X,))


@pytest.mark.parametrize("factor", [float("nan"), float("inf"), 1e30])
def test_what_is_no_finite_number_must_be_so_in_both(factor):
    model = soft(Body, 0, 0, 0)
    with torch.no_grad():
        model.network.stem.weight.mul_(factor)
    looped, tied, _ = fold_forms(model)
    assert prove(looped, tied, (X,)).relative <= 1e-5


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((torch.ones(2), {"a": torch.zeros(1)}), (torch.ones(2), {"a": torch.zeros(1)}), 0.0),
        (torch.ones(2), torch.ones(3), float("inf")),
        (torch.ones(2), torch.ones(2).double(), float("inf")),
        ([torch.ones(2)], [torch.ones(2)] * 2, float("inf")),
        (torch.tensor([float("nan"), 1.0]), torch.tensor([1.0, 1.0]), float("inf")),
        (torch.tensor([float("inf"), 1.0]), torch.tensor([-float("inf"), 1.0]), float("inf")),
        (torch.tensor([float("nan"), 3.0]), torch.tensor([float("nan"), 2.0]), 0.5),
        (torch.zeros(2), torch.zeros(2), 0.0),
        (torch.ones(2), torch.zeros(2), float("inf")),
        (torch.tensor([1 + 1j]), torch.tensor([1 - 1j]), 2**0.5),
    ],
)
def test_how_far_two_outputs_are_apart(one, other, expected):
    assert apart(one, other) == pytest.approx(expected)


class OnlyTraining(Body):
    """What differs in training mode alone: the weight itself is dropped from."""

    def forward(self, x):
        weight = F.dropout(self.conv.weight, 0.3) if self.training else self.conv.weight
        return x + torch.tanh(self.norm(F.conv2d(x, weight, self.conv.bias)))


class WarmingUp(Body):
    """Counts its calls in training mode alone."""

    def forward(self, x):
        self.calls += self.training
        share = min(1.0, self.calls / 4) if self.training else 1.0
        return x + share * torch.tanh(self.norm(self.conv(x)))


class Growing(Body):
    """A buffer of whole numbers becomes one of others in training."""

    def __init__(self, index):
        super().__init__(index)
        self.register_buffer("seen", torch.tensor(0))

    def forward(self, x):
        if self.training:
            self.seen = self.seen + 0.5
        return (1 + self.seen) * super().forward(x)


@pytest.mark.parametrize("cls", [OnlyTraining, WarmingUp])
def test_what_blocks_do_in_training_alone_loops_do(cls):
    model = soft(cls, 0, 0, 0)
    with torch.no_grad():
        model.sources["body"].coefficients.copy_(torch.tensor([[1.0], [-0.5], [2.0]]))
    looped, tied, _ = fold_forms(model, inputs=X)
    for training in (True, True, False):
        outputs = []
        for network in (looped, tied):
            torch.manual_seed(0)
            outputs.append(network.train(training)(X))
        torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-5)


def test_what_a_loop_cannot_do_in_training_is_found_out_and_named():
    said = (
        r"a forward pass assigned 'seen' of a block that loops, a Growing, and it is of another shape or precision than before, "
        r"so it would be lost; keep the layers of such blocks out of the fold, or let them write into the tensor that is there"
    )
    with pytest.raises(BrokenPromise, match=f"^{said}$"):
        fold_forms(soft(Growing, 0, 0, 0), inputs=X)


def test_a_difference_in_training_alone_is_found_out():
    looped, tied, _ = fold_forms(soft(WarmingUp, 0, 0, 0))
    for part in looped.network.body.blocks["A"].parts:
        part.calls = 4
    with pytest.raises(BrokenPromise, match=r"block 'body.0' is the first to differ in training mode; "):
        prove(looped, tied, (X,))


class Rough(Body):
    """Gives what single precision keeps of it beside a large number."""

    def forward(self, x):
        return (super().forward(x) + 8000.0) - 8000.0


class Marked(Body):
    """A tensor's attribute matters, which a copy in another precision does not have."""

    def __init__(self, index):
        super().__init__(index)
        self.register_buffer("factor", torch.ones(()))

    def forward(self, x):
        return super().forward(x) * getattr(self.factor, "factor", 1.0)


def test_rounding_excuses_a_small_difference_alone():
    looped, tied, _ = fold_forms(soft(Rough, 0, 0, 0))
    with torch.no_grad():
        looped.network.stem.weight.mul_(1 + 1e-6)
    assert 1e-5 < prove(looped, tied, (X,)).relative < 1e-3
    looped, tied, _ = fold_forms(soft(Marked, 0, 0, 0))
    assert prove(looped, tied, (X,)).relative == 0.0
    for factor in (1.5, 1.002):  # both networks are the same in double precision
        tied.network.body[1].factor.factor = factor
        with pytest.raises(BrokenPromise, match=r"^the looped network differs from the tied one by "):
            prove(looped, tied, (X,))


@pytest.mark.parametrize(("dtype", "factor"), [(torch.bfloat16, 1.5), (torch.float16, 1.1)])
def test_half_precision_excuses_no_gross_difference_either(dtype, factor):
    looped, tied, _ = fold_forms(soft(Marked, 0, 0, 0).to(dtype))
    assert prove(looped, tied, (X.to(dtype),)).relative == 0.0
    tied.network.body[2].factor.factor = factor
    with pytest.raises(BrokenPromise, match=r"^the looped network differs from the tied one by "):
        prove(looped, tied, (X.to(dtype),))


def test_what_inference_alone_computes_is_proven_too(monkeypatch):
    """Where nothing is watched and no gradient is needed outputs are scaled, not weights."""
    blocks = [nn.Sequential(nn.Linear(8, 8), nn.Tanh()) for _ in range(3)]
    looped, tied, _ = fold_forms(share(nn.Sequential(nn.Linear(3, 8), nn.Sequential(*blocks)), 1))
    x = torch.randn(2, 3)
    assert prove(looped, tied, (x,)).relative <= 1e-5
    monkeypatch.setattr("foldnet.folding.looped.use_owner", lambda layer, gain: None)
    with torch.no_grad():
        for source in tied.sources.values():
            source.gains.mul_(2)
        looped.network.get_submodule("1").blocks["A"].body.get_submodule("0").gain.mul_(2)
    with pytest.raises(BrokenPromise, match=r"^the looped network differs from the tied one by "):
        prove(looped, tied, (x,))


def test_the_proof_leaves_both_as_they_were():
    looped, tied, _ = fold_forms(soft(Body, 0, 0, 0))
    before = [{name: tensor.clone() for name, tensor in network.state_dict().items()} for network in (looped, tied)]
    prove(looped, tied, (X,))
    for network, tensors in zip((looped, tied), before, strict=True):
        assert all(torch.equal(tensor, tensors[name]) for name, tensor in network.state_dict().items())


def test_a_report_says_that_looped_was_not_run_against_tied():
    model = soft(Body, 0, 0, 0)
    silent = fold(model, threshold=0.9).report
    assert silent.proof is None
    assert silent.unproven is not None
    assert silent.unproven in silent.texts()
    assert silent.to_dict()["unproven"] == silent.unproven
    proven = fold(model, threshold=0.9, inputs=X).report
    assert (proven.unproven, proven.texts()[0]) == (None, proven.program)
    assert (
        fold(build("swrn-16-1-2"), threshold=0.9).report.unproven is None
    )  # its classes declare that they only call their layers
