"""Wide residual networks: sizes of the paper, and what a block computes."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from foldnet.sharing.share import SharedNetwork, materialise
from foldnet.zoo.blueprint import build
from foldnet.zoo.wrn import WideBlock, WideResNet


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("wrn-28-10", 36_479_194),
        ("swrn-28-10-1", 12_287_212),
        ("swrn-28-10-2", 17_125_630),
        ("swrn-28-10-4", 26_802_466),
        ("swrn-28-10-6", 36_479_302),
        ("swrn-28-10", 36_479_302),
        ("swrn-28-14-2", 33_537_790),
        ("swrn-28-18-2", 55_414_014),
        ("swrn-40-8-8", 29_555_402),
        ("wrn-16-1", 175_066),
        ("swrn-28-2-4", 1_080_610),
    ],
)
def test_parameter_counts_are_the_papers(name, parameters):
    with torch.device("meta"):
        network = build(name)
    assert all(tensor.is_meta for tensor in network.state_dict().values())
    assert sum(tensor.numel() for tensor in network.parameters()) == parameters


def test_soft_and_plain_differ_by_the_coefficients_where_every_layer_has_a_template():
    with torch.device("meta"):
        soft, plain = build("swrn-40-2"), build("wrn-40-2")
    coefficients = sum(bank.coefficients.numel() for bank in soft.sources.values())
    assert coefficients == 3 * 10 * 10
    count = {network: sum(tensor.numel() for tensor in network.parameters()) for network in (soft, plain)}
    assert count[soft] - count[plain] == coefficients
    assert sum(tensor.numel() for tensor in materialise(soft).parameters()) == count[plain]


@pytest.mark.parametrize("name", ["wrn-16-1", "swrn-16-1-2", "swrn-16-2-1"])
@pytest.mark.parametrize(("channels", "classes", "size"), [(3, 10, 8), (1, 4, 5), (2, 100, 4)])
def test_images_of_any_size_channels_and_classes_become_logits(name, channels, classes, size):
    network = build(name, channels=channels, classes=classes).eval()
    assert isinstance(network, SharedNetwork) == name.startswith("s")
    assert network(torch.randn(2, channels, size, size + 1)).shape == (2, classes)


def test_a_network_computes_what_the_papers_figure_says():
    """Pre-activation blocks written out, with the shortcut from the activated input where the width changes."""
    torch.manual_seed(0)
    network, x = build("wrn-16-2").eval(), torch.randn(2, 3, 8, 8)

    def norm(name, x):
        n = network.get_submodule(name)
        return F.relu(F.batch_norm(x, n.running_mean, n.running_var, n.weight, n.bias))

    with torch.no_grad():
        for buffer in network.buffers():
            if buffer.is_floating_point():
                buffer.uniform_(0.5, 1.5)
        state = network.state_dict()
        y = F.conv2d(x, state["stem.weight"], padding=1)
        for stage, stride in ((1, 1), (2, 2), (3, 2)):
            for block in (0, 1):
                at = f"stage{stage}.{block}"
                active = norm(f"{at}.norm1", y)
                carried = F.conv2d(active, state[f"{at}.shortcut.weight"], stride=stride) if block == 0 else y
                z = F.conv2d(active, state[f"{at}.conv1.weight"], stride=stride if block == 0 else 1, padding=1)
                y = F.conv2d(norm(f"{at}.norm2", z), state[f"{at}.conv2.weight"], padding=1) + carried
        pooled = norm("norm", y).mean((2, 3))
        expected = pooled @ state["classifier.weight"].T + state["classifier.bias"]
        torch.testing.assert_close(network(x), expected, atol=1e-5, rtol=1e-5)


def test_only_blocks_that_change_something_have_a_shortcut_layer():
    assert WideBlock(4, 4, 1, 0.0).shortcut is None
    assert isinstance(WideBlock(4, 8, 1, 0.0).shortcut, nn.Conv2d)
    assert WideBlock(4, 4, 2, 0.0)(torch.randn(1, 4, 8, 8)).shape == (1, 4, 4, 4)
    assert "stage1.0.shortcut" in WideResNet(10, 1, 10, 3, 0.0).private_layers()


def test_layers_are_named_as_a_reader_counts_them_and_start_as_templates_do():
    torch.manual_seed(0)
    network = build("wrn-16-4")
    names = [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert names[:4] == ["stem", "stage1.0.conv1", "stage1.0.conv2", "stage1.0.shortcut"]
    assert names[-2:] == ["stage3.1.conv2", "classifier"]
    weight = network.get_parameter("stage2.1.conv1.weight")
    assert weight.std().item() == pytest.approx((2 / (128 * 9)) ** 0.5, rel=0.02)
    assert network.classifier.bias.abs().max() == 0
    assert all(module.bias is None for module in network.modules() if isinstance(module, nn.Conv2d))


def test_dropout_stands_between_the_convolutions_of_every_block():
    rates = [module.p for module in build("swrn-16-1-2", dropout=0.3).modules() if isinstance(module, nn.Dropout)]
    assert rates == [0.3] * 6
