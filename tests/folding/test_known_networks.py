"""Networks that others wrote: what of them shares, comes to loop, and computes as before."""

import copy

import pytest
import torch
import torchvision.models as models
from looping import fold_forms
from torch import nn

from foldnet.sharing.plan import plan_sharing
from foldnet.sharing.share import materialise, share


def vision_transformer():
    return models.VisionTransformer(32, 8, num_layers=4, num_heads=4, hidden_dim=32, mlp_dim=64, num_classes=10)


def encoder():
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    return nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)


def convnext():
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt

    return ConvNeXt([CNBlockConfig(8, 16, 3), CNBlockConfig(16, 32, 4), CNBlockConfig(32, None, 2)], num_classes=10)


def swin():
    return models.SwinTransformer([2, 2], 16, [2, 6], [2, 2], [4, 4], stochastic_depth_prob=0.0, num_classes=10)


def root():
    blocks = (nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()) for _ in range(4))
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)
    )


def googlenet():
    return models.googlenet(num_classes=10, aux_logits=False, init_weights=False)


IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
NETWORKS = {  # how it is made, what it is called with, in how many loops it comes to run
    "resnet18": (lambda: models.resnet18(num_classes=10), IMAGES, 1),
    "resnet50": (lambda: models.resnet50(num_classes=10), IMAGES, 4),
    "wide resnet50": (
        lambda: models.ResNet(models.resnet.Bottleneck, [3, 4, 6, 3], 10, width_per_group=128),
        IMAGES,
        4,
    ),
    "densenet": (lambda: models.DenseNet(8, (3, 4), 16, num_classes=10), IMAGES, 0),
    "convnext": (convnext, IMAGES, 3),
    "mobilenet_v2": (lambda: models.mobilenet_v2(num_classes=10), IMAGES, 4),
    "mobilenet_v3_small": (lambda: models.mobilenet_v3_small(num_classes=10), IMAGES, 2),
    "efficientnet_b0": (lambda: models.efficientnet_b0(num_classes=10), IMAGES, 3),
    "swin": (swin, IMAGES, 1),
    "regnet_y_400mf": (lambda: models.regnet_y_400mf(num_classes=10), IMAGES, 3),
    "googlenet": (googlenet, torch.randn(2, 3, 64, 64), 0),
    "vision transformer": (vision_transformer, IMAGES, 1),
    "encoder": (encoder, torch.randn(2, 5, 16), 1),
    "a sequence": (root, IMAGES, 1),
}


def planted(network):
    """Soft, with one template a layer, every group's rows in proportion to each other, norms at work."""
    soft = share(network, plan_sharing(network))
    with torch.no_grad():
        for group in soft.plan.groups:
            rows = soft.sources[group.name].coefficients
            rows.copy_(torch.linspace(0.5, 1.5, len(rows))[:, None] * rows[:1])
        for parameter in soft.parameters():  # a head of zeros would hide all that is before it
            if not parameter.any():
                parameter.normal_(std=0.1)
        for name, buffer in soft.named_buffers():
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
    return soft.eval()


def relative(found, expected):
    return ((found - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_known_comes_to_loop_and_computes_as_before(name):
    torch.manual_seed(0)
    make, x, loops = NETWORKS[name]
    network = make().eval()
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    soft = planted(network)
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())
    looped, tied, plan = fold_forms(soft, 0.99, inputs=x)
    assert plan.program.loops == loops
    with torch.no_grad():
        expected = soft(x)
        assert relative(materialise(soft)(x), expected) <= 1e-5
        assert relative(tied(x), expected) <= 1e-5
        assert relative(looped(x), tied(x)) <= 1e-5
    other = copy.deepcopy(looped)
    other.load_state_dict(looped.state_dict())
    torch.testing.assert_close(other(x), looped(x))
    found, wanted = {}, {}
    for form, owners, kept in ((looped, looped.owners, found), (tied, tied.sources, wanted)):
        form(x).square().mean().backward()
        kept |= {key.replace("stored.", ""): one.grad for key, one in owners.named_parameters() if "gains" not in key}
    assert found.keys() == wanted.keys()
    assert all(relative(found[key], wanted[key]) <= 1e-4 for key in found)


def test_attention_shares_what_it_projects_with():
    plan = plan_sharing(vision_transformer())
    layers = tuple(f"encoder.layers.encoder_layer_{block}.self_attention:in_proj_weight" for block in range(4))
    group = next(group for group in plan.groups if group.layers == layers)
    assert (group.name, group.shape) == ("encoder-96x32", (96, 32))
    assert dict(plan.private)["encoder:pos_embedding"] == "the only layer of its shape in its stage"
    assert not any("bias" in layer or "class_token" in layer for layer, _ in plan.private)
