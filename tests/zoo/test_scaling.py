"""What a network takes, in words, as its loader makes it, and kept where networks lie."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from foldnet.data.batches import Loader
from foldnet.data.images import load_digits
from foldnet.store.codec import to_plain
from foldnet.zoo.scaling import Scaling, scaling_in

FINITE = st.floats(-100, 100)


@pytest.mark.parametrize(
    ("scaling", "formula"),
    [
        (Scaling(16.0, (0.305,), (0.376,)), "(pixel / 16 - 0.305) / 0.376"),
        (Scaling(255.0, (0.5, 0.25, 1 / 3), (1.0, 2.0, 0.1)), "(pixel / 255 - [0.5, 0.25, 0.3333]) / [1, 2, 0.1]"),
        (Scaling(1.0, (0.0, 0.0), (1.0, 1.0)), "as they are"),
        (Scaling(1.0, (0.0,), (2.0,)), "(pixel / 1 - 0) / 2"),
        (Scaling(255.0, (0.0,), (1.0,)), "(pixel / 255 - 0) / 1"),
    ],
)
def test_the_formula_has_the_numbers(scaling, formula):
    assert scaling.formula == formula


@given(st.builds(Scaling, FINITE, *[st.lists(FINITE, max_size=3).map(tuple)] * 2, st.lists(st.text()).map(tuple)))
def test_it_comes_back_as_it_was_written(scaling):
    assert scaling_in({"scaling": to_plain(scaling)}) == scaling


def test_older_runs_have_none():
    assert scaling_in({}) is None


def test_a_loader_makes_inputs_by_it():
    digits = load_digits()
    scaling = digits.scaling
    assert scaling.classes == tuple("0123456789")
    few = digits.test.take(torch.arange(8))
    x, _ = next(Loader(digits, few, batch_size=8, device=torch.device("cpu")).in_order())
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (scaling.mean, scaling.std))
    torch.testing.assert_close(x, (few.pixels / scaling.scale - mean) / std)
