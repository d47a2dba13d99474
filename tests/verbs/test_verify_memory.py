"""Two networks in memory, compared: equal ones pass, others are named, and both stay as they were."""

import re

import pytest
import torch
from looping import fold_forms

import foldnet


@pytest.fixture
def folded():
    """A soft network whose layers at one place are alike, and what it folds into."""
    torch.manual_seed(0)
    model = foldnet.build("swrn-22-1-2")
    with torch.no_grad():
        for bank in model.sources.values():
            bank.coefficients[2:] = 2 * bank.coefficients[:2]
    return model, *fold_forms(model, 0.95)


def batches():
    """Two batches (x, y) of images."""
    torch.manual_seed(1)
    return [(torch.randn(3, 3, 8, 8), torch.zeros(3)), (torch.randn(2, 3, 8, 8), torch.zeros(2))]


def test_looped_equals_tied_and_dense_equals_soft(folded):
    soft, looped, tied, _ = folded
    modes = [module.training for module in looped.modules()]
    kept = {name: tensor.clone() for name, tensor in looped.state_dict().items()}
    found = foldnet.verify(looped, against=tied, inputs=batches())
    assert (found.passed, found.exit_status, found.verdict) == (True, 0, "passed: 2 of 2 promises hold")
    assert found.worst("looped", "relative") < 1e-5
    assert found.inputs[0].count == 5
    assert [module.training for module in looped.modules()] == modes
    assert all(torch.equal(tensor, kept[name]) for name, tensor in looped.state_dict().items())
    dense = foldnet.verify(foldnet.materialise(soft), against=soft, inputs=batches())
    assert dense.passed
    assert dense.to_json()["relative_difference"]["looped"] is None
    assert dense.to_json()["relative_difference"]["dense"] < 1e-5


def test_what_differs_is_named(folded):
    _, looped, tied, _ = folded
    with torch.no_grad():
        next(parameter for name, parameter in tied.named_parameters() if "classifier" in name).neg_()
    found = foldnet.verify(looped, against=tied, inputs=(x for x, _ in batches()))
    assert found.passed is False
    with pytest.raises(
        foldnet.FoldnetError, match=r"^fold 'network in memory' breaks 2 promises \(relative difference of looped"
    ):
        found.check()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "a network in memory is compared with another one, and `against` is not given; "),
        (
            {"against": torch.nn.Identity()},
            "a network in memory is compared with another one, and `inputs` is not given; ",
        ),
        ({"against": torch.nn.Identity(), "inputs": []}, "there is no batch to compare on; give `inputs` an iterable "),
        (
            {"against": torch.nn.Identity(), "inputs": [torch.zeros(1, 3, 8, 8)]},
            "the two networks give outputs of the shapes [(1, 10)] and [(1, 3, 8, 8)]; compare networks of one kind",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(folded, options, said):
    with pytest.raises(foldnet.FoldnetError, match="^" + re.escape(said)):
        foldnet.verify(folded[1], **options)
