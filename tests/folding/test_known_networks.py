"""Networks that others wrote: what of them shares, comes to loop, and computes as before.

They have the blocks, stages and depths of those that their libraries know by these names; where width alone makes them
large they are narrower.
"""

import copy
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
import timm
import torch
import torchvision.models as models
from looping import fold_forms
from torch import nn
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.models.vgg import VGG, cfgs, make_layers

import foldnet
from foldnet.folding.stepped import SteppedBlock
from foldnet.sharing.plan import plan_sharing
from foldnet.sharing.sequences import joined
from foldnet.sharing.share import materialise, share

GPT2 = Path(__file__).parents[2] / "examples" / "gpt2.py"


def vision_transformer():
    return models.VisionTransformer(32, 8, num_layers=4, num_heads=4, hidden_dim=32, mlp_dim=64, num_classes=10)


def encoder():
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    return nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)


def convnext():
    widths = (8, 16, 24, 32)
    stages = [CNBlockConfig(*its) for its in zip(widths, (*widths[1:], None), (3, 3, 9, 3), strict=True)]
    return ConvNeXt(stages, stochastic_depth_prob=0.1, num_classes=10)


def wide_resnet50():
    return models.ResNet(models.resnet.Bottleneck, [3, 4, 6, 3], num_classes=10, width_per_group=16)


def vgg11_bn():
    narrow = [size if size == "M" else size // 8 for size in cfgs["A"]]
    network = VGG(make_layers(narrow, batch_norm=True), num_classes=10)
    network.classifier = nn.Sequential(nn.Linear(64 * 49, 32), nn.ReLU(), nn.Dropout(), nn.Linear(32, 10))
    return network


def root():
    blocks = (nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()) for _ in range(4))
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)
    )


def of_timm(name, **options):
    return partial(timm.create_model, name, num_classes=10, **options)


def images(*sizes):
    return tuple(torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(size)) for size in sizes)


SWIN = {"patch_size": [4, 4], "embed_dim": 16, "num_heads": [1, 2, 2, 4], "window_size": [7, 7]}
NETWORKS = {  # how it is made, what it is called with, in how many loops it comes to run
    "resnet18": (partial(models.resnet18, num_classes=10), images(32, 48), 1),
    "resnet50": (partial(models.resnet50, num_classes=10, width_per_group=8), images(32, 48), 4),
    "wide_resnet50_2": (wide_resnet50, images(32, 48), 4),
    "densenet121": (lambda: models.DenseNet(4, (6, 12, 24, 16), 8, num_classes=10), images(32, 48), 0),
    "convnext_tiny": (convnext, images(32, 64), 4),
    "mobilenet_v2": (partial(models.mobilenet_v2, num_classes=10), images(32, 48), 4),
    "mobilenet_v3_small": (partial(models.mobilenet_v3_small, num_classes=10), images(32, 48), 2),
    "efficientnet_b0": (partial(models.efficientnet_b0, num_classes=10), images(32, 48), 3),
    "swin_t": (lambda: models.SwinTransformer(depths=[2, 2, 6, 2], num_classes=10, **SWIN), images(32, 48), 1),
    "vit_b_16": (vision_transformer, images(32), 1),
    "vgg11_bn": (vgg11_bn, images(32, 48), 1),
    "googlenet": (
        partial(models.googlenet, num_classes=10, aux_logits=False, init_weights=False),
        images(32, 48),
        0,
    ),
    "regnet_y_400mf": (partial(models.regnet_y_400mf, num_classes=10), images(32, 48), 3),
    "encoder": (encoder, (torch.randn(2, 5, 16), torch.randn(3, 7, 16)), 1),
    "a sequence": (root, images(16, 24), 1),
    "timm resnet26": (of_timm("resnet26", base_width=8), images(32, 48), 0),
    "timm vit_tiny_patch16_224": (
        of_timm("vit_tiny_patch16_224", embed_dim=24, img_size=32, patch_size=8),
        images(32),
        1,
    ),
    "timm convnextv2_atto": (of_timm("convnextv2_atto", dims=(8, 16, 24, 32)), images(32, 64), 4),
    "timm mixer_s32_224": (of_timm("mixer_s32_224", img_size=64), images(64), 1),
    "gpt2": (
        partial(foldnet.build, f"{GPT2}:make", classes=20, arch_option={"layers": 4, "width": 16, "context": 8}),
        (torch.arange(16).view(2, 8), torch.arange(5).view(1, 5)),
        1,
    ),
}


def lively(network):
    """The network with no number at a start that hides what comes before: heads and scales of zeros, layer scales of
    1e-6, norms without a history."""
    with torch.no_grad():
        for name, one in network.named_parameters():
            if not one.any() or "layer_scale" in name:
                one.normal_(0.5 * ("layer_scale" in name), 0.1)
        for name, buffer in network.named_buffers():
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
    return network


def planted(network):
    """Soft, with one template a layer, every group's rows in proportion to each other."""
    soft = share(network, plan_sharing(network))
    with torch.no_grad():
        for group in soft.plan.groups:
            rows = soft.sources[group.name].coefficients
            rows.copy_(torch.linspace(0.5, 1.5, len(rows))[:, None] * rows[:1])
    return soft.eval()


def relative(found, expected):
    return ((found - expected).norm() / expected.norm()).item()


def gradients(model, x):
    """Of every parameter of a tied or a looped network, by the name that it has unrolled."""
    model.zero_grad()
    model(x).square().mean().backward()
    if not hasattr(model, "program"):
        gains = {layer: (source, row) for source, layers in sources_of(model) for row, layer in enumerate(layers)}
        found = {layer.replace(":", "."): source.gains.grad[row] for layer, (source, row) in gains.items()}
        return found | {name: one.grad for name, one in model.network.named_parameters()} | owned(model.sources)
    found = owned(model.owners)
    for name, one in model.network.named_parameters():
        if not any(name.startswith(f"{joined(stage.path, 'blocks')}.") for stage in model.program.stages):
            found[name] = one.grad
    for stage in model.program.stages:
        steps: Counter[str] = Counter()
        for block in stage.blocks:
            held = model.network.get_submodule(joined(stage.path, "blocks", block.label))
            stepped = isinstance(held, SteppedBlock)
            for name, one in (held.body if stepped else held).named_parameters():
                grad = one.grad[steps[block.label]] if stepped and one.grad is not None else one.grad
                found[joined(block.name, name.removesuffix("_gain").removesuffix(".gain").removesuffix("gain"))] = grad
            steps[block.label] += 1
    return found


def sources_of(tied):
    return [(tied.sources[group.name], group.layers) for group in tied.plan.groups]


def owned(sources):
    return {
        name.replace("stored.", ""): one.grad for name, one in sources.named_parameters() if not name.endswith("gains")
    }


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_known_comes_to_loop_and_computes_as_before(name):
    torch.manual_seed(0)
    make, inputs, loops = NETWORKS[name]
    network = lively(make()).eval()
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    soft = planted(network)
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())
    looped, tied, plan = fold_forms(soft, 0.99, inputs=inputs[0])
    assert plan.program.loops == loops
    other = copy.deepcopy(looped)
    for tensor in other.state_dict().values():
        tensor.zero_()
    other.load_state_dict(looped.state_dict())
    with torch.no_grad():
        dense = materialise(soft)
        for x in inputs:
            expected = soft(x)
            assert relative(dense(x), expected) <= 1e-5
            assert relative(tied(x), expected) <= 1e-4  # owners are mixed in double precision, weights are not
            assert relative(looped(x), tied(x)) <= 1e-5
            assert torch.equal(other(x), looped(x))
    assert foldnet.verify(looped, against=tied, inputs=[*inputs]).passed
    found, wanted = (gradients(form, inputs[0]) for form in (looped, tied))
    assert found.keys() == wanted.keys()
    assert [key for key, one in found.items() if one is None] == [key for key, one in wanted.items() if one is None]
    largest = max(one.norm() for one in wanted.values() if one is not None)
    for key, one in found.items():
        if one is not None:
            assert (one - wanted[key]).norm() <= 1e-4 * wanted[key].norm() + 1e-6 * largest, key


@pytest.mark.parametrize("name", NETWORKS)
def test_with_a_template_a_layer_a_network_begins_as_it_was_and_converts_to_what_it_is(name):
    torch.manual_seed(0)
    make, inputs, _ = NETWORKS[name]
    network = lively(make()).eval()
    with torch.no_grad():
        wanted = [network(x) for x in inputs]
        for soft in (share(network, init="weights"), foldnet.convert(network, templates=999).soft):
            assert all(len(bank.templates) == len(bank.coefficients) for bank in soft.eval().sources.values())
            assert max(relative(soft(x), one) for x, one in zip(inputs, wanted, strict=True)) <= 1e-5


def test_attention_shares_what_it_projects_with():
    plan = plan_sharing(vision_transformer())
    layers = tuple(f"encoder.layers.encoder_layer_{block}.self_attention:in_proj_weight" for block in range(4))
    group = next(group for group in plan.groups if group.layers == layers)
    assert (group.name, group.shape) == ("encoder-96x32", (96, 32))
    assert dict(plan.private)["encoder:pos_embedding"] == "the only layer of its shape in its stage"
    assert not any("bias" in layer or "class_token" in layer for layer, _ in plan.private)
