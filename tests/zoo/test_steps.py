"""Networks that answer for cells: shapes, numbers of parameters, recall, and who shares."""

import pytest
import torch
from torch import nn

from foldnet.sharing.share import SharedNetwork, materialise
from foldnet.zoo.blueprint import blueprint, build
from foldnet.zoo.steps import StepNetwork


def numbers(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_body_is_as_large_as_the_papers():
    network = build("cnn-20-32")
    assert isinstance(network, StepNetwork)
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
    assert isinstance(dense, StepNetwork)
    torch.testing.assert_close(model(x), slow_forward(dense, x), rtol=1e-5, atol=1e-5)


def test_part_of_the_steps_run_and_only_the_last_of_them_learn():
    torch.manual_seed(0)
    network, x = build("cnn-5-4").eval(), torch.rand(2, 2, 6, 6)
    short = StepNetwork(3, 4, 2).eval()
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


def slow_free(network, x, scale, rms):
    """A network without norms between its layers written out."""
    state = network.stem(x)
    for block in network.body:
        seen = torch.cat([state, x], 1) if network.recall else state
        state = state + scale * block.conv2(torch.relu(block.conv1(seen)))
        if rms:
            state = state / (state.pow(2).mean(1, keepdim=True) + 1e-5).sqrt()
    return network.head(state)[:, 0]


@pytest.mark.parametrize("name", ["cnn-4-6", "cnn1d-4-6-recall", "scnn-4-6-2-recall", "scnn1d-4-6-1"])
@pytest.mark.parametrize("step_scale", [0.0, 2.0])
@pytest.mark.parametrize("norm", ["none", "rms"])
def test_without_norms_between_layers_a_step_adds_what_two_convolutions_give(name, step_scale, norm):
    torch.manual_seed(0)
    model, flat = blueprint(name, norm=norm, step_scale=step_scale).build(), "1d" in name
    x = torch.rand(3, 1, 9) if flat else torch.rand(3, 2, 7, 7)
    dense = materialise(model)
    assert not [module for module in dense.modules() if "Norm" in type(module).__name__]
    torch.testing.assert_close(
        model(x), slow_free(dense, x, step_scale / 4 or 1.0, norm == "rms"), rtol=1e-5, atol=1e-6
    )


def test_rms_norm_keeps_the_size_of_a_state_through_any_number_of_steps():
    torch.manual_seed(0)
    network = blueprint("cnn1d-3-12-recall", norm="rms").build().eval()
    states = network(torch.rand(2, 1, 9), start=200, steps=1, at=(1,))[-2:]
    for state in states:
        assert state.square().mean(1).sqrt().sub(1).abs().max() < 1e-3


def test_group_norm_normalises_each_example_by_itself():
    torch.manual_seed(0)
    model = blueprint("scnn1d-3-12-1-recall", norm="group").build()
    assert {block.norm.num_groups for block in model.network.body} == {4}
    x = torch.rand(4, 1, 9)
    torch.testing.assert_close(model(x)[:2], model(x[:2]), rtol=1e-5, atol=1e-6)


def test_where_no_norm_holds_the_state_it_begins_small_in_templates_too():
    torch.manual_seed(0)
    plain, soft = blueprint("cnn1d-20-32-recall", norm="none").build(), blueprint("scnn1d-20-32-1-recall", norm="none")
    sizes = [dict(model.named_parameters()) for model in (plain, materialise(soft.build()))]
    for place, wanted in (("conv1", (2 / 99) ** 0.5), ("conv2", 0.05 * (2 / 96) ** 0.5)):
        for its in sizes:
            weights = torch.stack([its[f"body.{step}.{place}.weight"] for step in range(20)])
            assert weights.square().mean().sqrt().item() == pytest.approx(wanted, rel=0.05)


@pytest.mark.parametrize("templates", [1, 3])
def test_fixed_coefficients_stay_and_of_one_template_make_one_layer_of_all(templates):
    torch.manual_seed(0)
    built = blueprint(f"scnn1d-4-6-{templates}-recall", norm="none", coefficients="fixed")
    model = built.build()
    assert not [name for name, one in model.named_parameters() if one.requires_grad and "coefficients" in name]
    weights = dict(materialise(model).named_parameters())
    alike = [torch.equal(weights["body.0.conv1.weight"], weights[f"body.{step}.conv1.weight"]) for step in range(1, 4)]
    assert all(alike) is (templates == 1)
    model(torch.rand(2, 1, 5)).sum().backward()
    assert {bank.coefficients.grad for bank in model.sources.values()} == {None}


def test_a_traced_pass_gives_answers_on_the_way_and_the_last_two_states():
    torch.manual_seed(0)
    network, x = build("cnn1d-5-4-recall").eval(), torch.rand(2, 1, 6)
    first, third, before, after = network(x, at=(1, 3))
    torch.testing.assert_close(first, network(x, start=0, steps=1))
    torch.testing.assert_close(third, network(x, start=0, steps=3))
    torch.testing.assert_close(network.head(before)[:, 0], network(x, start=0, steps=4))
    torch.testing.assert_close(network.head(after)[:, 0], network(x))
    last, *states = network(x, start=3, at=(2,))
    torch.testing.assert_close(last, network(x))
    torch.testing.assert_close(states, [before, after])


def test_classes_and_dropout_are_nothing_to_them():
    assert numbers(build("cnn-4-6", classes=1, dropout=0.5)) == numbers(build("cnn-4-6"))
    assert build("cnn-4-6", channels=3).stem.in_channels == 3
    assert build("wrn-10-1").stem.in_channels == 3
