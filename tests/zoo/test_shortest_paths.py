"""Networks that answer for cells: shapes, numbers of parameters, recall, and who shares."""

import pytest
import torch
from torch import nn

from foldnet.sharing.share import SharedNetwork, materialise
from foldnet.zoo.blueprint import build
from foldnet.zoo.shortest_paths import PathNetwork


def numbers(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_body_is_as_large_as_the_papers():
    network = build("cnn-20-32")
    assert isinstance(network, PathNetwork)
    assert sum(layer.weight.numel() for layer in network.body.modules() if isinstance(layer, nn.Conv2d)) == 184_320
    assert numbers(build("scnn-20-32-20")) == numbers(network) + 400
    assert numbers(network) == 184_320 + 20 * 64 + (2 * 32 + 32) + (32 + 1)


@pytest.mark.parametrize("name", ["cnn-3-4", "scnn-3-4-2", "cnn-3-4-recall", "scnn-3-4-1-recall"])
@pytest.mark.parametrize("shape", [(8, 8), (3, 11)])
def test_a_logit_for_every_cell_of_any_grid(name, shape):
    x = torch.rand(5, 2, *shape)
    assert build(name)(x).shape == (5, *shape)


@pytest.mark.parametrize(("name", "templates", "shape"), [
    ("scnn-20-32-20", 20, (32, 32, 3, 3)),
    ("scnn-20-32", 20, (32, 32, 3, 3)),
    ("scnn-20-32-1", 1, (32, 32, 3, 3)),
    ("scnn-6-8-3-recall", 3, (8, 10, 3, 3)),
])  # fmt: skip
def test_the_steps_are_one_group(name, templates, shape):
    with torch.device("meta"):
        soft = build(name)
    assert isinstance(soft, SharedNetwork)
    (group,) = soft.plan.groups
    depth = int(name.split("-")[1])
    assert (group.name, group.templates, group.shape) == ("body", templates, shape)
    assert group.layers == tuple(f"body.{number}.conv" for number in range(depth))
    assert soft.plan.private == (("stem", "outside the stages"), ("head", "outside the stages"))


def slow_forward(network, x):
    """The network written out, in evaluation mode."""
    state = network.stem(x)
    for block in network.body:
        seen = torch.cat([state, x], 1) if network.recall else state
        state = state + torch.relu(block.norm(block.conv(seen)))
    return network.head(state)[:, 0]


@pytest.mark.parametrize("name", ["cnn-4-6", "cnn-4-6-recall", "scnn-4-6-2-recall"])
def test_each_step_adds_to_the_state_and_with_recall_sees_the_input(name):
    torch.manual_seed(0)
    model, x = build(name).eval(), torch.rand(3, 2, 7, 7)
    dense = materialise(model)
    assert isinstance(dense, PathNetwork)
    torch.testing.assert_close(model(x), slow_forward(dense, x), rtol=1e-5, atol=1e-5)


def test_part_of_the_steps_run_and_only_the_last_of_them_learn():
    torch.manual_seed(0)
    network, x = build("cnn-5-4").eval(), torch.rand(2, 2, 6, 6)
    short = PathNetwork(3, 4, 2, recall=False).eval()
    short.load_state_dict({k: v for k, v in network.state_dict().items() if not k.startswith(("body.3", "body.4"))})
    found = network(x, start=1, steps=2)
    torch.testing.assert_close(found, short(x))
    found.sum().backward()
    learnt = [block.conv.weight.grad is not None for block in network.body]
    assert learnt == [False, True, True, False, False]
    torch.testing.assert_close(network(x, start=0, steps=5), network(x))


@pytest.mark.parametrize("name", ["cnn1d-3-4", "scnn1d-3-4-2", "cnn1d-3-4-recall", "scnn1d-3-4-1-recall"])
def test_in_one_dimension_a_logit_for_every_place_is_that_of_a_grid_of_one_row(name):
    """A row between rows of zeros is the string alone, where the middle row of the kernels is the kernel."""
    torch.manual_seed(0)
    x, string = torch.rand(5, 1, 9), build(name).eval()
    assert string(x).shape == (5, 9)
    grid = build(name.replace("1d", ""), channels=1).eval()
    dense, flat = materialise(grid), materialise(string)
    weights = flat.state_dict()
    for key, weight in dense.state_dict().items():
        middle = torch.zeros_like(weight)
        middle[(..., weight.shape[2] // 2, slice(None)) if weight.dim() == 4 else ...] = weights[key]
        weight.copy_(middle)
    torch.testing.assert_close(flat(x), string(x), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(dense(x[:, :, None])[:, 0], flat(x), rtol=1e-5, atol=1e-6)


def test_classes_and_dropout_are_nothing_to_them():
    assert numbers(build("cnn-4-6", classes=1, dropout=0.5)) == numbers(build("cnn-4-6"))
    assert build("cnn-4-6", channels=3).stem.in_channels == 3
    assert build("wrn-10-1").stem.in_channels == 3
