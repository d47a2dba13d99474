"""The spectral norm of weights, held after each step: the slow reference is torch's singular values."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import foldnet
from foldnet.errors import SettingError
from foldnet.sharing.plan import plan_sharing
from foldnet.sharing.tied import tie_from_start
from foldnet.training.spectral import SpectralNorm
from foldnet.zoo.blueprint import blueprint


def norms(model):
    """Largest singular value of each weight of the steps, by name."""
    shared = dict(model.shared_weights()) if hasattr(model, "shared_weights") else {}
    network = getattr(model, "network", model)
    own = {name: weight for name, weight in network.named_parameters() if name.startswith("body.")}
    return {name: float(torch.linalg.svdvals(weight.detach().flatten(1))[0]) for name, weight in (own | shared).items()}


@given(
    st.floats(0.05, 20),
    st.sampled_from(["scnn-3-4-1", "scnn-4-4-3-recall", "scnn1d-3-4-2-recall", "cnn-2-4", "cnn1d-3-4-recall"]),
)
def test_what_is_too_large_is_scaled_and_what_is_not_stays(most, name):
    torch.manual_seed(0)
    model = blueprint(name, norm="none").build()
    before = norms(model)
    SpectralNorm(model, most)()
    after = norms(model)
    assert after.keys() == before.keys()
    for name, norm in after.items():
        assert norm == pytest.approx(min(before[name], most), rel=1e-5)
        assert norm == before[name] or before[name] > most * (1 - 1e-6)


def test_layers_stay_as_alike_as_they_are():
    torch.manual_seed(0)
    model = blueprint("scnn-4-4-3", norm="none").build()
    (bank, *_) = model.sources.values()
    rows = torch.nn.functional.normalize(bank.coefficients.detach(), dim=1)
    templates = bank.templates.detach().clone()
    SpectralNorm(model, 0.1)()
    torch.testing.assert_close(torch.nn.functional.normalize(bank.coefficients.detach(), dim=1), rows)
    assert torch.equal(bank.templates, templates)


def test_fixed_coefficients_stay_and_templates_are_scaled():
    torch.manual_seed(0)
    model = blueprint("scnn-4-4-1", norm="none", coefficients="fixed").build()
    before = {name: bank.coefficients.detach().clone() for name, bank in model.sources.items()}
    SpectralNorm(model, 0.1)()
    assert all(torch.equal(bank.coefficients, before[name]) for name, bank in model.sources.items())
    first, *others = norms(model).values()
    assert first == pytest.approx(0.1, rel=1e-5)
    assert max(others) <= 0.1 * (1 + 1e-5)


def test_layers_that_share_hard_are_scaled_by_their_gains():
    torch.manual_seed(0)
    network = blueprint("cnn-4-4", norm="none").build()
    plan = plan_sharing(network, 4)
    model = tie_from_start(network, plan, {group.name: (0, 1) * (len(group.layers) // 2) for group in plan.groups})
    owners = {
        name: [weight.clone() for weight in source.stored.owner_weights()] for name, source in model.sources.items()
    }
    SpectralNorm(model, 0.01)()
    assert list(norms(model).values()) == pytest.approx([0.01] * 8, rel=1e-5)
    for name, source in model.sources.items():
        assert all(map(torch.equal, source.stored.owner_weights(), owners[name]))


def test_a_network_without_steps_has_none():
    with pytest.raises(
        SettingError, match=r"^`spectral_norm=1` needs a network of steps, such as scnn-20-32-1; leave it out$"
    ):
        SpectralNorm(blueprint("wrn-10-1").build(), 1.0)


def test_a_training_holds_it_and_its_fold_too(tmp_path):
    foldnet.train(
        dataset="prefix-sums", arch="scnn1d-4-8-4-recall", norm="none", spectral_norm=0.5, examples=64, test_examples=8,
        validation=8, epochs=2, recurrence=1.0, recurrence_form="signed", out=tmp_path / "run",
    )  # fmt: skip
    found = norms(foldnet.load(tmp_path / "run"))
    assert len(found) == 8
    assert 0.4 < max(found.values()) <= 0.5 * (1 + 1e-5)
    fold = foldnet.fold(tmp_path / "run", threshold=0.0, shares=False, out=tmp_path / "fold")
    assert "4x { A }" in fold.report.program
    assert foldnet.verify(tmp_path / "fold").passed is not False  # of eight strings accuracies say nothing
