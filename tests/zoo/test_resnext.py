"""Networks of aggregated transformations: sizes of the paper, what a block computes, what shares, and that they loop."""

import pytest
import torch
import torch.nn.functional as F
from looping import fold_forms
from test_densenet import numbers, randomise_norms
from torch import nn
from torchvision.models.resnet import Bottleneck

from foldnet.program.data import count_reuses
from foldnet.program.text import program_text
from foldnet.sharing.share import SharedNetwork, materialise
from foldnet.zoo.blueprint import build
from foldnet.zoo.resnext import AggregatedBlock


@pytest.mark.parametrize(
    ("name", "parameters", "published"),
    [("resnext-29-8x64", 34_426_698, 34.4e6), ("resnext-29-16x64", 68_155_210, 68.1e6)],
)
def test_parameter_counts_are_the_papers(name, parameters, published):
    """The paper's table 7, where 68.155 million stand as 68.1: cut, not rounded."""
    assert numbers(name) == parameters
    assert abs(parameters - published) <= 0.001 * published


def test_soft_networks_store_their_templates():
    assert numbers("sresnext-29-8x64") == numbers("resnext-29-8x64") + 3 * 3 * 2 * 2
    one = 512 * (256 + 9 * 64 + 256)  # weights of a block of the first stage; later ones have 4 and 16 times as many
    assert numbers("sresnext-29-8x64-1") == 22_728_540 == numbers("sresnext-29-8x64-2") - 21 * one - 3 * 3 * 2


@torch.no_grad()
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("channels", "stride"), [(64, 1), (128, 2), (256, 1), (256, 2)])
def test_a_block_is_torchvisions(channels, stride, training):
    torch.manual_seed(0)
    ours = AggregatedBlock(channels, 8, 256, stride, 2)
    randomise_norms(ours)
    theirs = Bottleneck(channels, 64, stride, downsample_of(ours), groups=2, base_width=4)
    shortcuts = {"shortcut.": "downsample.0.", "shortcut_norm.": "downsample.1.", "norm": "bn"}
    named = {}
    for name, value in ours.state_dict().items():
        before, after = next((pair for pair in shortcuts.items() if name.startswith(pair[0])), ("", ""))
        named[after + name.removeprefix(before)] = value
    theirs.load_state_dict(named)
    x = torch.randn(3, channels, 6, 6)
    torch.testing.assert_close(ours.train(training)(x), theirs.train(training)(x), rtol=1e-6, atol=1e-6)


def downsample_of(block: AggregatedBlock) -> nn.Sequential | None:
    """Modules like those of the shortcut."""
    if block.shortcut is None:
        return None
    made = nn.Conv2d(block.shortcut.in_channels, 256, 1, block.shortcut.stride, bias=False)
    return nn.Sequential(made, nn.BatchNorm2d(256))


@torch.no_grad()
def test_a_network_is_its_stem_blocks_mean_and_classifier():
    torch.manual_seed(0)
    network, x = build("resnext-20-2x4").eval(), torch.randn(2, 3, 8, 8)
    randomise_norms(network)
    y = F.relu(network.norm(network.stem(x)))
    sizes = []
    for stage in (network.stage1, network.stage2, network.stage3):
        for block in stage:
            y = block(y)
            sizes.append(tuple(y.shape[1:]))
    assert sizes == [(256, 8, 8)] * 2 + [(512, 4, 4)] * 2 + [(1024, 2, 2)] * 2
    torch.testing.assert_close(network(x), network.classifier(y.mean((2, 3))), rtol=1e-5, atol=1e-5)
    layers = [stage[1].conv2 for stage in (network.stage1, network.stage2, network.stage3)]
    assert [(layer.groups, *layer.weight.shape[:2]) for layer in layers] == [(2, 8, 4), (2, 16, 8), (2, 32, 16)]


@pytest.mark.parametrize("name", ["resnext-11-1x2", "sresnext-29-2x1-1"])
@pytest.mark.parametrize(("channels", "classes", "size"), [(3, 10, 8), (1, 4, 5), (2, 100, 4)])
def test_images_of_any_size_channels_and_classes_become_logits_that_learn(name, channels, classes, size):
    torch.manual_seed(0)
    network = build(name, channels=channels, classes=classes)
    assert isinstance(network, SharedNetwork) == name.startswith("s")
    logits = network(torch.randn(3, channels, size, size + 1))
    assert logits.shape == (3, classes)
    F.cross_entropy(logits, torch.arange(3)).backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def test_each_convolution_shares_with_those_at_its_place_but_for_the_first_block():
    with torch.device("meta"):
        soft = build("sresnext-38-8x64-2")
    stage = [group for group in soft.plan.groups if group.name.startswith("stage2")]
    assert [(group.name, group.templates) for group in stage] == [
        ("stage2-1024x512x1x1", 2),
        ("stage2-1024x128x3x3", 2),
        ("stage2-512x1024x1x1", 2),
    ]
    assert [group.layers for group in stage] == [
        tuple(f"stage2.{block}.{name}" for block in (1, 2, 3)) for name in ("conv1", "conv2", "conv3")
    ]
    reason = "first block of its stage, where width or resolution changes"
    private = [layer for layer, why in soft.plan.private if why == reason]
    assert private[:4] == ["stage1.0.conv1", "stage1.0.conv2", "stage1.0.conv3", "stage1.0.shortcut"]
    assert len(private) == 12


def test_where_the_paths_are_as_wide_as_the_block_both_1x1_convolutions_share():
    with torch.device("meta"):
        soft = build("sresnext-29-4x64-2")
    first = soft.plan.groups[0]
    assert (first.name, first.templates) == ("stage1-256x256x1x1", 2)
    assert first.layers == ("stage1.1.conv1", "stage1.1.conv3", "stage1.2.conv1", "stage1.2.conv3")


@torch.no_grad()
def test_soft_is_dense():
    torch.manual_seed(0)
    soft, x = build("sresnext-29-2x4-1").eval(), torch.randn(2, 3, 8, 8)
    randomise_norms(soft)
    assert torch.equal(soft(x), materialise(soft)(x))


@torch.no_grad()
def test_planted_ties_fold_into_loops():
    """Blocks A B A B, whose second A is minus twice the first and second B half of the first."""
    torch.manual_seed(0)
    soft, x = build("sresnext-47-2x4-2").eval(), torch.randn(2, 3, 8, 8)
    randomise_norms(soft)
    for bank in soft.sources.values():
        bank.coefficients.copy_(torch.tensor([[1.0, 0.3], [0.2, 1.0], [-2.0, -0.6], [0.1, 0.5]]))
    looped, tied, plan = fold_forms(soft, 1.0)
    assert (plan.program.loops, count_reuses(plan.program)) == (3, 3 * 3 * 2)
    assert program_text(plan.program).splitlines()[0] == "stage1: private; 2x { A; B }"
    found, expected = looped.eval()(x), tied.eval()(x)
    assert (found - expected).norm() <= 1e-5 * expected.norm()
    assert (found - soft(x)).norm() <= 1e-4 * expected.norm()
