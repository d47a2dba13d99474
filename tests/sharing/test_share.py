"""A soft network is the network whose weights are written out, and learns as that one would."""

import copy
import re

import pytest
import torch
import torch.nn.functional as F
from looping import fold_forms
from torch import nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode

from foldnet.errors import NothingToFold, SettingError, ShapeMismatch, UnknownName
from foldnet.sharing.plan import Group, SharingPlan, plan_sharing
from foldnet.sharing.share import Bank, SharedNetwork, materialise, share
from foldnet.zoo.blueprint import build


def exactly(sentence: str) -> str:
    """The pattern that only this sentence matches."""
    return f"^{re.escape(sentence)}$"


class Mlp(nn.Module):
    def __init__(self, depth=4, width=6):
        super().__init__()
        self.body = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.head = nn.Linear(width, 3)

    def forward(self, x):
        for layer in self.body:
            x = x + torch.tanh(layer(x))
        return self.head(x)


class Conv1dNet(nn.Module):
    """A user's own network: grouped, dilated, strided and padded in its own way, with biases."""

    def __init__(self):
        super().__init__()
        kind = {"groups": 2, "dilation": 2, "padding": "same", "padding_mode": "circular"}
        self.features = nn.Sequential(nn.Conv1d(4, 4, 3, **kind), nn.ReLU(), nn.Conv1d(4, 4, 3, stride=2, groups=2))
        self.norm = nn.BatchNorm1d(4)
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.drop(self.norm(self.features(x))).mean(-1))


CASES = {
    "swrn-16-1-2": (lambda: build("swrn-16-1-2"), (5, 3, 8, 8)),
    "swrn-28-1-4": (lambda: build("swrn-28-1-4", channels=1, dropout=0.2), (4, 1, 8, 8)),
    "swrn-28-2-1": (lambda: build("swrn-28-2-1"), (3, 3, 8, 8)),
    "swrn-28-1": (lambda: build("swrn-28-1", classes=7), (3, 3, 8, 8)),
    "mlp": (lambda: share(Mlp(), 2), (5, 6)),
    "conv1d": (lambda: share(Conv1dNet(), 1), (5, 4, 9)),
}


@pytest.fixture(params=CASES)
def soft_and_x(request):
    torch.manual_seed(0)
    make, shape = CASES[request.param]
    return make(), torch.randn(shape)


class CountMatrixProducts(TorchDispatchMode):
    """Counts the matrix products whose result has one of these shapes."""

    def __init__(self, shapes):
        super().__init__()
        self.shapes, self.count = shapes, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.mm.default and tuple(out.shape) in self.shapes:
            self.count += 1
        return out


def test_figure_1s_two_views_are_equal():
    """Mixing the weights, or mixing what the templates' own layers put out (paper, figure 1)."""
    torch.manual_seed(0)
    bank, x = Bank(3, 4, (6, 5, 3, 3)), torch.randn(2, 5, 8, 8)
    outputs = torch.stack([F.conv2d(x, template.movedim(-1, 1), padding=1) for template in bank.templates])
    for weight, row in zip(bank.layer_weights(), bank.coefficients, strict=True):
        mixed = torch.einsum("k,knchw->nchw", row, outputs)
        torch.testing.assert_close(F.conv2d(x, weight, padding=1), mixed, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_soft_equals_dense(soft_and_x, mode):
    soft, x = soft_and_x
    dense = materialise(soft)
    soft.train(mode == "train")
    dense.train(mode == "train")
    outputs = []
    for network in (soft, dense):
        torch.manual_seed(1)  # the same dropout
        outputs.append(network(x))
    torch.testing.assert_close(*outputs, atol=1e-5, rtol=1e-5)
    for name, buffer in dense.named_buffers():
        torch.testing.assert_close(soft.network.get_buffer(name), buffer, atol=1e-5, rtol=1e-5)


def test_the_dense_form_is_the_plain_architecture_with_a_tensor_a_layer(soft_and_x):
    soft, _ = soft_and_x
    dense = materialise(soft)
    parameters = dict(dense.named_parameters(remove_duplicate=False))
    assert len({tensor.untyped_storage().data_ptr() for tensor in parameters.values()}) == len(parameters)
    for name, weight in soft.shared_weights():
        assert torch.equal(parameters[name], weight)
        assert isinstance(parameters[name], nn.Parameter)
    unshared = sum(tensor.numel() for tensor in soft.network.parameters())
    shared = sum(weight.numel() for _, weight in soft.shared_weights())
    assert sum(tensor.numel() for tensor in parameters.values()) == unshared + shared


def test_writing_out_leaves_the_soft_network_as_it_was(soft_and_x):
    soft, x = soft_and_x
    before, expected = copy.deepcopy(soft.state_dict()), soft.eval()(x)
    dense = materialise(soft)
    with torch.no_grad():
        for tensor in dense.state_dict().values():
            tensor.zero_()
    assert all(torch.equal(before[name], tensor) for name, tensor in soft.state_dict().items())
    assert torch.equal(soft(x), expected)


def test_a_network_that_shares_nothing_is_copied():
    network = build("wrn-16-1")
    dense = materialise(network)
    assert dense is not network
    assert all(torch.equal(tensor, dense.state_dict()[name]) for name, tensor in network.state_dict().items())


def test_gradients_are_those_of_a_slow_layer_by_layer_reference(soft_and_x):
    soft, x = soft_and_x
    soft.double().train()
    x = x.double()
    for module in soft.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # its mask follows the layout in memory, which the reference does not share
    reference = copy.deepcopy(soft)
    weights = {}
    for group in reference.plan.groups:
        bank = reference.sources[group.name]
        for row, layer in enumerate(group.layers):
            terms = [bank.coefficients[row, j] * bank.templates[j].movedim(-1, 1) for j in range(group.templates)]
            weights[f"{layer}.weight"] = torch.stack(terms).sum(0)
    slow = functional_call(reference.network, weights, (x,)).square().sum()
    fast = soft(x).square().sum()
    torch.testing.assert_close(fast, slow)
    torch.autograd.backward([slow, fast])
    expected = dict(reference.named_parameters())
    for name, parameter in soft.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name].grad, rtol=1e-8, atol=1e-8)
    for bank in soft.sources.values():
        assert bank.templates.grad.flatten(1).abs().sum(1).min() > 0
        assert bank.coefficients.grad.abs().min() > 0


def test_one_matrix_product_a_group_makes_every_weight():
    soft = build("swrn-28-1-4").eval()
    shapes = {(len(group.layers), torch.Size(group.shape).numel()) for group in soft.plan.groups}
    with torch.no_grad(), CountMatrixProducts(shapes) as products:
        soft(torch.randn(2, 3, 8, 8))
    assert products.count == len(soft.plan.groups) == 3


def test_shared_weights_are_channels_last_and_made_anew_each_time():
    soft = build("swrn-16-1-2")
    assert all(w.is_contiguous(memory_format=torch.channels_last) for _, w in soft.shared_weights())
    before = dict(soft.shared_weights())
    with torch.no_grad():
        for bank in soft.sources.values():
            bank.coefficients.mul_(2)
    for name, weight in soft.shared_weights():
        torch.testing.assert_close(weight, 2 * before[name])


def test_the_model_is_left_as_it_was():
    model = Conv1dNet()
    before, x = copy.deepcopy(model.state_dict()), torch.randn(2, 4, 9)
    expected = copy.deepcopy(model).eval()(x)
    soft = share(model, 1)
    soft(x).sum().backward()
    with torch.no_grad():
        for tensor in soft.state_dict().values():
            tensor.zero_()
    assert list(model.state_dict()) == list(before)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(model.eval()(x), expected)


def test_private_weights_biases_and_norms_are_carried_over():
    model = Conv1dNet()
    soft = share(model, 1)
    assert {f"network.{name}" for name in model.state_dict() if name not in dict(soft.shared_weights())} == {
        name for name in soft.state_dict() if name.startswith("network.")
    }
    assert torch.equal(soft.network.head.weight, model.head.weight)
    assert torch.equal(soft.network.features[0].bias, model.features[0].bias)
    assert soft.network.features[0].weight is None


def test_the_state_dict_holds_templates_and_coefficients_and_no_shared_weight():
    soft = build("swrn-16-1-2")
    names = [name for name in soft.state_dict() if "sources" in name]
    assert names == [f"sources.stage{n}.{kind}" for n in (1, 2, 3) for kind in ("templates", "coefficients")]
    again = build("swrn-16-1-2")
    again.load_state_dict(soft.state_dict())
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(again.eval()(x), soft.eval()(x))


def test_a_bank_stands_where_its_layers_stood_and_counts_as_precisely():
    soft = share(Mlp().double(), 2)
    assert {parameter.dtype for parameter in soft.parameters()} == {torch.float64}
    assert soft(torch.randn(2, 6).double()).dtype == torch.float64
    meta = share(Mlp().to("meta"), 2)
    assert all(parameter.is_meta for parameter in meta.parameters())


def test_plans_may_be_a_number_a_plan_or_nothing():
    model = Mlp(4)
    assert share(model).plan.groups[0].templates == 4
    assert share(model, 3).plan.groups[0].templates == 3
    plan = plan_sharing(model, {"body": 2}, keep={"body.0": "first"})
    soft = share(model, plan)
    assert soft.plan is plan
    assert soft.sources["body"].coefficients.shape == (3, 2)
    assert torch.equal(soft.network.body[0].weight, model.body[0].weight)


def test_frozen_and_foreign_sources_serve_too():
    """Anything with layer_weights is a source: here one fixed weight for two layers."""

    class One(nn.Module):
        def __init__(self):
            super().__init__()
            self.kept = nn.Parameter(torch.eye(6))

        def layer_weights(self):
            return (self.kept, -self.kept)

    plan = SharingPlan((Group("body", ("body.0", "body.1"), (6, 6), 1),), ())
    tied = SharedNetwork(Mlp(2), plan, {"body": One()})
    dense = materialise(tied)
    assert torch.equal(dense.body[1].weight, -torch.eye(6))
    x = torch.randn(2, 6)
    torch.testing.assert_close(tied(x), dense(x))


def test_a_source_with_too_few_weights_is_an_error():
    class Silent(nn.Module):
        def layer_weights(self):
            return ()

    plan = SharingPlan((Group("body", ("body.0",), (6, 6), 1),), ())
    with pytest.raises(ValueError, match=re.escape("zip() argument 2 is shorter than argument 1")):
        SharedNetwork(Mlp(2), plan, {"body": Silent()})(torch.randn(2, 6))


def test_weights_are_taken_off_in_place():
    network, plan = Mlp(2), SharingPlan((Group("body", ("body.0",), (6, 6), 1),), ())
    assert SharedNetwork(network, plan, {"body": Bank(1, 1, (6, 6))}).network is network
    assert network.body[0].weight is None
    assert network.body[1].weight is not None


@pytest.mark.parametrize(
    ("model", "plan", "error", "said"),
    [
        (
            lambda: nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 3)),
            None,
            NothingToFold,
            "no two layers of the network have one weight shape in one stage; there is nothing to share",
        ),
        (
            lambda: nn.Sequential(nn.ReLU()),
            2,
            NothingToFold,
            "no two layers of the network have one weight shape in one stage; there is nothing to share",
        ),
        (Mlp, 0, SettingError, "group 'body' of 4 layers cannot have 0 templates; give it 1 to 4"),
        (
            Mlp,
            SharingPlan((Group("body", ("body.0", "head"), (6, 6), 1),), ()),
            ShapeMismatch,
            "layer 'head' has a weight of shape (3, 6), group 'body' is of shape (6, 6); give it a group of its own",
        ),
        (
            Mlp,
            SharingPlan((Group("body", ("body.0", "hed"), (6, 6), 1),), ()),
            UnknownName,
            "layer 'hed' of group 'body' does not exist; did you mean 'head'?",
        ),
    ],
)
def test_what_cannot_share_is_refused(model, plan, error, said):
    with pytest.raises(error, match=exactly(said)):
        share(model(), plan)


def test_sharing_a_soft_network_again_is_refused():
    said = "the network shares its weights already; share the plain network that it came from"
    with pytest.raises(SettingError, match=exactly(said)):
        share(build("swrn-16-1-2"))


class TwoInputs(nn.Module):
    """Inputs by place and by name, and outputs by name."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4))

    def forward(self, a, b, *, scale, bias=None):
        y = self.body(a * scale + b)
        return {"y": y, "sum": y if bias is None else y + bias}


def test_several_inputs_pass_through_every_form_alike():

    torch.manual_seed(0)
    soft = share(TwoInputs(), 1)
    looped, tied, _ = fold_forms(soft, 0.5)
    a, b = torch.randn(2, 4), torch.randn(2, 4)
    with torch.no_grad():
        for call in (
            lambda f: f(a, b, scale=2.0),
            lambda f: f(a, b=b, scale=2.0, bias=b),
            lambda f: f(b=b, a=a, scale=1),
        ):
            wanted = call(materialise(soft))
            for form in (soft, tied, looped):
                found = call(form)
                assert found.keys() == {"y", "sum"}
                torch.testing.assert_close(found, wanted)


class Dictionary(nn.Linear, dict):
    __hash__ = object.__hash__

    def __eq__(self, other):
        return self is other


def test_modules_and_tensors_of_which_nothing_can_be_made_are_refused():
    soft = share(nn.Sequential(nn.Sequential(*[Dictionary(2, 2) for _ in range(3)])))
    said = "a Dictionary is a module and a dict, for which nothing can stand; let it hold a dict"
    with pytest.raises(SettingError, match=f"^{re.escape(said)}$"):
        soft(torch.ones(1, 2))
    network = nn.Sequential(nn.Sequential(*[nn.Linear(2, 2) for _ in range(3)]))
    network.made = torch.ones(2, requires_grad=True) * 2
    said = r"^the network cannot be copied \(Only Tensors created explicitly by the user .*\.\.\.\); leave out what "
    with pytest.raises(SettingError, match=said):
        share(network)


def test_where_nothing_can_share_a_layer_says_why():
    network = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)))
    network[0][1].gain = 2.0
    said = (
        "no two layers of the network have one weight shape in one stage; there is nothing to share; "
        "layer '0.1' may not share: it has a 'gain' already, which layers of a loop are given"
    )
    with pytest.raises(NothingToFold, match=f"^{re.escape(said)}$"):
        share(network)
