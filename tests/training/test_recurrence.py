"""The regulariser against the paper's sum, written out in numpy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from looping import fold_forms

from foldnet.errors import SettingError
from foldnet.sharing.share import Bank, banks_of, share
from foldnet.training.learner import loop_shares, recurrence
from foldnet.zoo.blueprint import build


def slow(banks, form):
    """Loops over groups and pairs, in float64."""
    totals = []
    for bank in banks:
        rows = bank.coefficients.detach().double().numpy()
        pairs = [
            abs(rows[i] @ rows[j]) / np.linalg.norm(rows[i]) / np.linalg.norm(rows[j])
            for i in range(len(rows))
            for j in range(len(rows))
            if form == "sum" or i != j
        ]
        totals.append(sum(pairs) if form == "sum" else np.mean(pairs))
    return sum(totals) if form == "sum" else np.mean(totals)


def bare(*sizes):
    """A module with banks of these (layers, templates) and nothing else."""
    model = torch.nn.Module()
    model.sources = torch.nn.ModuleDict({f"g{n}": Bank(*size, (2, 2)) for n, size in enumerate(sizes)})
    return model


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**31),
    st.lists(st.tuples(st.integers(2, 7), st.integers(1, 6)), min_size=1, max_size=3),
    st.sampled_from(["mean", "sum"]),
    st.sampled_from([1e-3, 1.0, 1e3]),
)
def test_both_forms_are_the_slow_references(seed, sizes, form, scale):
    torch.manual_seed(seed)
    model = bare(*sizes)
    with torch.no_grad():
        for bank in model.sources.values():
            bank.coefficients.normal_().mul_(scale)
    found = recurrence(model, form)
    assert found.shape == ()
    assert found.item() == pytest.approx(slow(model.sources.values(), form), rel=1e-5, abs=1e-7)  # fp32, lengths of 1


def test_the_forms_differ_by_the_diagonal_and_the_number_of_pairs():
    model = bare((5, 3), (5, 2))
    mean, total = recurrence(model, "mean").item(), recurrence(model, "sum").item()
    assert total == pytest.approx(2 * (5 + mean * 20), rel=1e-5)


@pytest.mark.parametrize("form", ["mean", "sum"])
def test_parallel_rows_are_the_most_and_orthogonal_ones_the_least(form):
    model = bare((4, 4))
    bank = model.sources["g0"]
    assert recurrence(model, form).item() == pytest.approx({"mean": 0.0, "sum": 4.0}[form], abs=1e-5)
    with torch.no_grad():
        bank.coefficients.copy_(torch.tensor([[1.0], [-2.0], [0.1], [5.0]]) * torch.randn(4))
    assert recurrence(model, form).item() == pytest.approx({"mean": 1.0, "sum": 16.0}[form], rel=1e-5)


def test_climbing_its_gradient_makes_rows_more_alike_and_touches_no_template():
    torch.manual_seed(0)
    model = bare((4, 3))
    bank = model.sources["g0"]
    before = recurrence(model, "mean")
    before.backward()
    assert bank.templates.grad is None
    with torch.no_grad():
        bank.coefficients += 0.1 * bank.coefficients.grad
    assert recurrence(model, "mean") > before


def test_a_row_of_zeros_gives_finite_values_and_gradients():
    model = bare((3, 2))
    with torch.no_grad():
        model.sources["g0"].coefficients[1] = 0
    value = recurrence(model, "mean")
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(model.sources["g0"].coefficients.grad).all()


def test_only_soft_networks_have_banks():
    soft = build("swrn-28-1-4")
    assert list(banks_of(soft)) == ["stage1", "stage2", "stage3"]
    assert banks_of(soft)["stage2"] is soft.sources["stage2"]
    looped, tied, _ = fold_forms(soft, 0.9)
    assert banks_of(tied) == banks_of(looped) == banks_of(build("wrn-16-1")) == {}


def slow_loops(model):
    """D15 written out in numpy: by group and place in a block, the share of the largest eigenvalue."""
    shares = []
    for group in model.plan.groups:
        rows = model.sources[group.name].coefficients.detach().double().numpy()
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        for place in {layer.split(".", 2)[2] for layer in group.layers}:
            chosen = rows[[index for index, layer in enumerate(group.layers) if layer.split(".", 2)[2] == place]]
            shares.append(np.linalg.eigvalsh(chosen @ chosen.T).max() / len(chosen))
    return float(np.mean(shares))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([16, 22, 28, 40]), st.integers(1, 5))
def test_the_form_loops_is_the_share_of_the_largest_eigenvalue_at_each_place(seed, depth, templates):
    torch.manual_seed(seed)
    model = build(f"swrn-{depth}-1-{min(templates, (depth - 4) // 3 - 2)}")
    with torch.no_grad():
        for bank in banks_of(model).values():
            bank.coefficients.normal_().mul_(7.0)
    assert recurrence(model, "loops").item() == pytest.approx(slow_loops(model), rel=1e-5)


def test_the_form_loops_is_one_where_alternate_layers_are_parallel_whatever_their_signs_and_lengths():
    model = build("swrn-28-1-4")
    with torch.no_grad():
        for bank in banks_of(model).values():
            bank.coefficients[0::2] = torch.tensor([[1.0], [-2.0], [0.1]]) * torch.randn(4)
            bank.coefficients[1::2] = torch.tensor([[-1.0], [3.0], [5.0]]) * torch.randn(4)
    assert recurrence(model, "loops").item() == pytest.approx(1.0, rel=1e-5)
    assert recurrence(model, "mean").item() < 0.99


def test_the_form_loops_pulls_orthogonal_rows_together_unless_they_are_exactly_the_identity():
    torch.manual_seed(0)
    model = build("swrn-28-1-4")
    before = recurrence(model, "loops")
    before.backward()
    with torch.no_grad():
        for bank in banks_of(model).values():
            bank.coefficients += 0.1 * bank.coefficients.grad
    assert recurrence(model, "loops") > before
    exact = torch.eye(3, requires_grad=True)
    loop_shares([exact]).sum().backward()
    assert exact.grad @ exact.grad.T == pytest.approx(torch.diag(torch.tensor([0.0, 0.0, 4 / 9])), abs=1e-6)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 4))
def test_the_form_signed_is_the_mean_signed_cosine_of_all_pairs_at_each_place(seed, templates):
    torch.manual_seed(seed)
    model = build(f"swrn-28-1-{templates}")
    found = []
    for group in model.plan.groups:
        with torch.no_grad():
            rows = model.sources[group.name].coefficients.normal_().mul_(7.0).double()
        for place in (0, 1):  # convolutions of a block
            chosen = rows[place::2]
            cosines = [torch.cosine_similarity(one, other, dim=0) for one in chosen for other in chosen]
            found.append(torch.stack(cosines).mean().item())
    assert recurrence(model, "signed").item() == pytest.approx(np.mean(found), rel=1e-4, abs=1e-6)


def test_the_form_signed_is_one_where_layers_have_one_direction_and_one_sign():
    model = build("swrn-28-1-4")
    with torch.no_grad():
        for bank in banks_of(model).values():
            bank.coefficients[0::2] = torch.tensor([[1.0], [2.0], [0.1]]) * torch.randn(4)
            bank.coefficients[1::2] = torch.tensor([[1.0], [3.0], [5.0]]) * torch.randn(4)
    assert recurrence(model, "signed").item() == pytest.approx(1.0, rel=1e-5)
    with torch.no_grad():
        for bank in banks_of(model).values():
            bank.coefficients[0] *= -1
    assert recurrence(model, "loops").item() == pytest.approx(1.0, rel=1e-5)
    assert recurrence(model, "signed").item() < 0.6


def test_a_place_with_one_layer_asks_for_nothing():
    assert loop_shares([torch.ones(1, 1), torch.eye(2)]).tolist() == pytest.approx([1.0, 0.5])


def test_what_has_no_coefficients_no_blocks_or_no_such_form_is_refused():
    with pytest.raises(
        SettingError,
        match=r"^the network has no coefficients to become alike; share it first with `foldnet.share`$",
    ):
        recurrence(build("wrn-16-1"), "mean")
    with pytest.raises(
        SettingError, match=r"^the form 'max' of the regulariser is not legal; choose mean, sum, loops or signed$"
    ):
        recurrence(build("swrn-16-1"), "max")
    loose = torch.nn.Module()
    loose.a, loose.b = (torch.nn.Sequential(torch.nn.Linear(3, 3)) for _ in range(2))
    loose.inner = torch.nn.ModuleDict({"first": torch.nn.Linear(3, 3), "second": torch.nn.Linear(3, 3)})
    assert recurrence(share(loose), "loops").item() == pytest.approx(1.0)  # of places that hold one layer each


@pytest.mark.parametrize("form", ["mean", "sum", "loops", "signed"])
def test_of_coefficients_that_are_no_numbers_the_similarity_is_none(form):
    model = build("swrn-28-1-4")
    with torch.no_grad():
        banks_of(model)["stage2"].coefficients[1, 2] = float("nan")
    assert recurrence(model, form).isnan()
