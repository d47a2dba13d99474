"""What a user gives to networks in memory: taken where it is natural, else one sentence of foldnet's own."""

import pytest
import torch
from looping import fold_forms
from torch import nn

import foldnet
from foldnet.errors import NothingToFold, SettingError, UnknownName

X = torch.randn(4, 1, 6, 6, generator=torch.Generator().manual_seed(3))
NAN = torch.full_like(X, float("nan"))
SHAPE = "of shape (4, 1, 6, 6) on cpu"


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(1)

    def forward(self, x):
        return x + self.norm(self.conv(x)).relu()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(*(Block() for _ in range(3)))

    def forward(self, x):
        return self.body(x).flatten(1)


@pytest.fixture
def soft():
    torch.manual_seed(0)
    return foldnet.share(Net(), 1).eval()


@pytest.fixture
def folded(soft):
    looped, tied, _ = fold_forms(soft, 0.5)
    return looped, tied


def refused(call, error=SettingError):
    """The sentence with which a call is refused."""
    with pytest.raises(error) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("batches", [X, {"x": X}], ids=["tensor", "keywords"])
def test_a_tensor_or_keyword_inputs_are_one_batch(folded, batches):
    looped, tied = folded
    found = foldnet.verify(looped, against=tied, inputs=batches)
    assert (found.passed, found.inputs[0].count) == (True, 4)
    assert foldnet.recalibrate(looped, batches) == 4
    foldnet.recalibrate(tied, [X])
    torch.testing.assert_close(looped(X), tied(X))


WRONG = {
    "a text": ("abc", "a str"),
    "a list": ([X], "a list"),
    "a dictionary": ({"x": X}, "a dict"),
    "an array": (X.numpy(), "a ndarray"),
    "too many channels": (X.expand(4, 5, 6, 6), "a float32 tensor of shape (4, 5, 6, 6) on cpu"),
    "a number": (torch.tensor(1.0), "a float32 tensor of shape () on cpu"),
    "of another type": (X.double(), f"a float64 tensor {SHAPE}"),
    "on no device": (X.to("meta"), "a float32 tensor of shape (4, 1, 6, 6) on meta"),
    "nothing": ((), "nothing"),
    "one too many": ((X, 3), f"a float32 tensor {SHAPE} and a int"),
}


@pytest.mark.parametrize(("inputs", "described"), WRONG.values(), ids=WRONG)
def test_inputs_that_a_network_does_not_take_are_named(soft, inputs, described):
    said = refused(lambda: foldnet.fold(soft, inputs=inputs))
    start, end = f"the network cannot be run on {described} (", "); give what its forward takes"
    assert said.startswith(start)
    assert said.endswith(end)
    assert 10 < len(said) - len(start) - len(end) <= 100


@pytest.mark.parametrize(
    ("batches", "said"),
    [
        ([X.double()], f"the network cannot be run on a float64 tensor {SHAPE} ("),
        ([{"y": X}], f"the network cannot be run on y=a float32 tensor {SHAPE} ("),
        ("abc", "a batch is a str without a tensor; give x or (x, y), "),
        (X.numpy(), "a batch is a ndarray without a tensor; give x or (x, y), "),
        ([X[:0]], "there is no batch to "),
    ],
)
def test_batches_that_a_network_does_not_take_are_named(folded, batches, said):
    looped, tied = folded
    assert refused(lambda: foldnet.verify(looped, against=tied, inputs=batches)).startswith(said)
    assert refused(lambda: foldnet.recalibrate(tied, batches)).startswith(said)


@pytest.mark.parametrize(
    "bad", [[NAN], [X, NAN], [X, X.double()], []], ids=["NaN", "NaN later", "another type", "none"]
)
def test_what_cannot_be_recalibrated_on_leaves_the_norms_as_they_were(folded, bad):
    for model in folded:
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        refused(lambda model=model: foldnet.recalibrate(model, bad))
        assert all(
            torch.equal(tensor, before[name])
            for name, tensor in model.state_dict().items()
            if not name.endswith("num_batches_tracked")
        )
        assert not any(module.training for module in model.modules())


def test_what_is_not_a_number_proves_nothing(soft):
    said = f"a float32 tensor {SHAPE} holds NaN, from which nothing can be told; leave such inputs out"
    assert refused(lambda: foldnet.fold(soft, inputs=NAN)) == said
    assert refused(lambda: foldnet.recalibrate(soft, NAN)) == said
    said = "`inputs` hold no image, so that nothing is proven; give some, or leave `inputs` out"
    assert refused(lambda: foldnet.fold(soft, inputs=X[:0])) == said


@pytest.mark.parametrize(
    ("trips", "error", "said"),
    [
        (3, SettingError, "LoopedNetwork.set_trips() wants trips as Mapping[str, int], and 3 is of type int"),
        ({"x": 3}, UnknownName, "`trips` names 'x', which is not a loop; the loops are body.loop1"),
        ({3: 3}, UnknownName, "`trips` names '3', which is not a loop; the loops are body.loop1"),
        (
            {"body.loop1": 2.5},
            SettingError,
            "`trips={'body.loop1': 2.5}` is not legal; give a whole number from 0 to 10000",
        ),
    ],
)
def test_wrong_trips_are_named_as_trips(folded, trips, error, said):
    assert refused(lambda: folded[0].set_trips(trips), error) == said


@pytest.mark.parametrize(
    ("group", "threshold", "error", "said"),
    [
        ("body", "high", SettingError, "`threshold='high'` is not legal; choose auto or chance"),
        ("body", 2, SettingError, "`threshold=2` is not a similarity; give a number from 0 to 1, chance or auto"),
        (3, 0.5, UnknownName, "`thresholds` names '3', which is no group; there are body"),
    ],
)
def test_wrong_thresholds_of_groups_are_named(soft, group, threshold, error, said):
    assert refused(lambda: foldnet.fold(soft, thresholds=((group, threshold),)), error) == said


def test_a_looped_network_is_not_written_out(folded):
    assert refused(lambda: foldnet.materialise(folded[0]), NothingToFold) == (
        "the network loops, so its layers hold no weights of their own; write out the tied network that "
        "`foldnet.fold` gives beside it, or the soft network that was folded"
    )


def test_networks_and_tensors_of_a_wrong_type_are_named_in_a_line(soft):
    for call in (
        lambda: foldnet.info(soft),
        lambda: foldnet.verify(soft, against=[soft], inputs=[X]),
        lambda: foldnet.fold(soft, keep=soft),
        lambda: foldnet.load(X),
    ):
        assert len(refused(call)) < 200
