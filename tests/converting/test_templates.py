"""Trained networks to templates: what is kept, against whole decompositions, beside the controls of the same size."""

import pytest
import torch
from torch import nn

import foldnet
from foldnet.converting.templates import energies_kept
from foldnet.errors import NothingToFold, SettingError
from foldnet.sharing.convert import spectrum_of
from foldnet.sharing.low_rank import a_rank_takes, kept_by_ranks, truncated
from foldnet.sharing.share import materialise
from foldnet.zoo.blueprint import build


def trained(arch="wrn-22-1", seed=0):
    torch.manual_seed(seed)
    return build(arch).eval()


def relative(one, other):
    return ((one - other).norm() / other.norm()).item()


# Measured elsewhere, of six uncorrelated layers 384 x 384, at 1/3 and 1/2 of their numbers.
@pytest.mark.parametrize(("templates", "expected"), [(2, (0.335, 0.469, 0.391)), (3, (0.502, 0.623, 0.558))])
def test_uncorrelated_layers_keep_what_was_measured_of_them(templates, expected):
    generator = torch.Generator().manual_seed(0)
    weights = list(torch.randn(6, 384, 384, generator=generator))
    kept = energies_kept(weights, templates, templates * 384**2, spectrum_of(weights))
    shares = [value / kept.energy for value in (kept.templates, kept.low_rank, kept.residual)]
    assert shares == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("shape", [(6, 4, 3, 3), (40, 4, 3), (5, 5)])
def test_weights_of_low_rank_are_truncated_decompositions_in_the_numbers_there_are(shape):
    generator = torch.Generator().manual_seed(0)
    weights = list(torch.randn(3, *shape, generator=generator) * torch.tensor([1.0, 2, 4]).view(3, *(1 for _ in shape)))
    numbers = 5 * a_rank_takes(shape) + 7
    low = truncated(weights, numbers)
    assert sum(parameter.numel() for parameter in low.parameters()) == 5 * a_rank_takes(shape) <= numbers
    whole = [torch.linalg.svd(weight.flatten(1).double(), full_matrices=False) for weight in weights]
    largest = torch.cat([s.square() for _, s, _ in whole]).sort(descending=True).values[:5].sum()
    assert kept_by_ranks(weights, numbers) == pytest.approx(largest.item(), rel=1e-6)
    moved = [weight + 3 for weight in weights]
    assert kept_by_ranks(moved, numbers, torch.full(shape, 3.0)) == pytest.approx(largest.item(), rel=1e-5)
    assert sum(w.square().sum().item() for w in low.layer_weights()) == pytest.approx(largest.item(), rel=1e-5)
    for index, (weight, (u, s, v)) in enumerate(zip(low.layer_weights(), whole, strict=True)):
        rank = low.left[index].shape[1]
        closest = (u[:, :rank] * s[:rank]) @ v[:rank]
        torch.testing.assert_close(weight.flatten(1).double(), closest, atol=1e-5, rtol=0)
        assert low.left[index].norm().item() == pytest.approx(low.right[index].norm().item(), rel=1e-5)


def test_weights_that_need_no_more_numbers_stay_what_they_are():
    weights = list(torch.randn(2, 3, 3))
    low = truncated(weights, 22)
    assert all(map(torch.equal, low.layer_weights(), weights))
    assert sum(parameter.numel() for parameter in low.parameters()) == 20
    assert kept_by_ranks(weights, 18) == pytest.approx(sum(w.square().sum().item() for w in weights), rel=1e-6)


def test_as_many_templates_as_layers_compute_the_same_and_so_does_the_control():
    network, x = trained(), torch.randn(2, 3, 16, 16)
    made = foldnet.convert(network, templates=9)  # 4 layers a group
    assert relative(made.soft(x), network(x)) <= 1e-5
    assert relative(made.control(x), network(x)) <= 1e-5
    assert (made.report.kept, made.report.low_rank_kept) == pytest.approx((1.0, 1.0))
    assert [group.templates for group in made.report.groups] == [4, 4, 4]


def test_a_conversion_says_what_it_keeps_and_the_control_has_no_more_numbers():
    network = trained()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    made = foldnet.convert(network, templates=2)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    dense, control = materialise(made.soft), materialise(made.control)
    sizes = made.report.parameters
    assert sizes.original == sum(p.numel() for p in network.parameters())
    assert sizes.converted == sum(p.numel() for p in made.soft.parameters()) >= sizes.control
    for group in made.report.groups:
        weights = [[net.get_submodule(layer).weight.double() for layer in group.layers] for net in (network, dense)]
        lost = sum((a - b).square().sum().item() for a, b in zip(*weights, strict=True))
        energy = sum(weight.square().sum().item() for weight in weights[0])
        assert group.kept == pytest.approx(1 - lost / energy, abs=1e-6)
        low = [control.get_submodule(layer).weight.double() for layer in group.layers]
        lost = sum((a - b).square().sum().item() for a, b in zip(weights[0], low, strict=True))
        assert group.low_rank_kept == pytest.approx(1 - lost / energy, abs=1e-5)
        assert 0 < group.residual_kept < 1
        assert group.numbers == 2 * weights[0][0].numel() + 8
    table, text, _ = made.report.parts()
    assert (len(table.rows), table.rows[-1][:4]) == (4, ("in all", 12, 6, sum(g.numbers for g in made.report.groups)))
    assert text.text == (
        "the layers are hardly alike: templates keep little more of their energy than their share of the layers, 50.0 %"
    )


@pytest.mark.parametrize("kind", ["linear", "convolution"])
def test_templates_by_outputs_keep_most_of_what_the_layers_compute(kind):
    torch.manual_seed(0)
    if kind == "linear":
        network, x = (
            nn.Sequential(*(nn.Linear(12, 12) for _ in range(4))),
            torch.randn(64, 12) * torch.logspace(-2, 0, 12),
        )
    else:
        network = nn.Sequential(*(nn.Conv2d(4, 4, 3, padding=1, groups=2) for _ in range(4)))
        x = torch.randn(8, 4, 9, 9) * torch.logspace(-2, 0, 4).view(4, 1, 1)
    by_weights = foldnet.convert(network, templates=2)
    by_outputs = foldnet.convert(network, templates=2, metric="outputs", batches=[x[:4], (x[4:], "labels")])
    inputs = [x]
    for layer in network:
        inputs.append(layer(inputs[-1]))

    def lost(made):
        dense = materialise(made.soft)
        pairs = zip(network, dense, strict=True)
        return sum((a(z) - b(z)).square().sum().item() for a, b in pairs for z in inputs[:-1])

    def spoken(layer, z):
        return torch.func.functional_call(layer, {"bias": torch.zeros_like(layer.bias)}, (z,))

    energy = sum(spoken(layer, z).square().sum().item() for layer in network for z in inputs[:-1])
    (group,) = by_outputs.report.groups
    assert group.kept <= by_weights.report.groups[0].kept
    assert by_weights.report.groups[0].energy.outputs is None
    assert lost(by_outputs) / energy == pytest.approx(1 - group.energy.outputs, abs=1e-4)
    assert lost(by_outputs) <= lost(by_weights)


def test_a_network_that_shares_is_converted_by_the_weights_that_it_has():
    torch.manual_seed(0)
    soft = build("swrn-22-1-4").eval()
    made = foldnet.convert(soft, templates={"stage1": 4, "stage2": 3, "stage3": 4})
    dense, x = materialise(soft), torch.randn(2, 3, 16, 16)
    assert relative(foldnet.convert(soft, templates=4).soft(x), dense(x)) <= 1e-5
    assert [group.templates for group in made.report.groups] == [4, 3, 4]
    assert "kept" in made.to_json()["groups"][0]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"templates": 0}, "`templates=0` is not legal; give a whole number from 1 to 1000"),
        ({"templates": 2, "metric": "cosine"}, "`metric='cosine'` is not legal; choose weights or outputs"),
        ({"templates": 2, "metric": "outputs"}, "`metric='outputs'` needs `batches` of inputs; give some"),
        ({"templates": 2, "batches": []}, "`metric='weights'` has no use for `batches`; leave them out"),
        (
            {"templates": 2, "metric": "outputs", "batches": []},
            "there is no batch to compare outputs on; give an iterable of x or \\(x, y\\) not used up",
        ),
    ],
)
def test_what_cannot_be_converted_is_refused(given, said):
    with pytest.raises(SettingError, match=f"^{said}$"):
        foldnet.convert(trained(), **given)


def test_a_network_whose_layers_have_no_partner_is_refused():
    with pytest.raises(NothingToFold, match=r"^no two layers of the network have one weight shape in one stage; "):
        foldnet.convert(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4)), templates=1)
