"""What networks of others share and where they loop: torchvision's, timm's, torch's own encoder, a plain sequence, a decoder as GPT-2's.

    python examples/known_networks.py            # some minutes; writes examples/benchmarks/known-networks.json
    python examples/known_networks.py resnet50   # prints one of them

Untrained, and made alike by design: every group's layers get coefficients in proportion to each other, one template a layer, so that what may
come to loop does. Each is folded, looped is run against tied, and with the weights that it has it must compute what it did. `make docs` writes
the table in docs/any.md.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import timm
import torch
import torchvision.models as models
from measure import FILES, machine
from torch import nn

import foldnet

PLACE = Path(__file__).parent
FILE = FILES / "known-networks.json"
IMAGE, BIG = (2, 3, 64, 64), (1, 3, 224, 224)


def sequence() -> nn.Module:
    """Four equal blocks between a stem and a head, in the network itself."""
    blocks = (nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()) for _ in range(4))
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 9))


def encoder() -> nn.Module:
    """torch's own, of four layers."""
    layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True)
    return nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)


def vision_transformer() -> nn.Module:
    """torchvision's vit_b_16 with four of its twelve layers."""
    return models.VisionTransformer(64, 16, num_layers=4, num_heads=12, hidden_dim=768, mlp_dim=3072)


def networks() -> dict[str, tuple[Callable[[], nn.Module], torch.Tensor]]:
    """Each by its name: how it is made, and what it is called with."""
    plain = "resnet18 resnet50 wide_resnet50_2 densenet121 convnext_tiny mobilenet_v2 mobilenet_v3_small efficientnet_b0 swin_t"
    found = {name: (partial(getattr(models, name), weights=None), IMAGE) for name in plain.split()}
    found["vit_b_16, 4 layers"] = vision_transformer, IMAGE
    found |= {name: (partial(getattr(models, name), weights=None), IMAGE) for name in ("vgg11_bn", "regnet_y_400mf")}
    found["googlenet"] = partial(models.googlenet, aux_logits=False, init_weights=False), IMAGE
    found |= {"nn.TransformerEncoder": (encoder, (2, 7, 64)), "nn.Sequential": (sequence, IMAGE)}
    for name, shape in (
        ("resnet26", IMAGE),
        ("vit_tiny_patch16_224", BIG),
        ("convnextv2_atto", IMAGE),
        ("mixer_s32_224", BIG),
    ):
        found[f"timm/{name}"] = partial(timm.create_model, name), shape
    inputs = {name: (make, torch.randn(*shape)) for name, (make, shape) in found.items()}
    gpt2 = partial(foldnet.build, f"{PLACE / 'gpt2.py'}:make", classes=256)
    return inputs | {"examples/gpt2.py": (gpt2, torch.randint(256, (2, 32)))}


@torch.no_grad()
def planted(network: nn.Module) -> nn.Module:
    """Shared with one template a layer, every group's layers alike, and nothing that hides what comes before it."""
    soft = foldnet.share(network).eval()
    for group in soft.plan.groups:
        rows = soft.sources[group.name].coefficients
        rows.copy_(torch.linspace(0.5, 1.5, len(rows))[:, None] * rows[:1])
    return soft


@torch.no_grad()
def lively(network: nn.Module) -> nn.Module:
    """Without heads and scales of zeros or next to it, and with norms that have seen something."""
    for name, one in network.named_parameters():
        if not one.any() or "layer_scale" in name:
            one.normal_(0.5 * ("layer_scale" in name), 0.1)
    for name, buffer in network.named_buffers():
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
    return network.eval()


@torch.no_grad()
def relative(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """||found - wanted|| / ||wanted||."""
    return ((found - wanted).norm() / wanted.norm()).item()


def measured(make: Callable[[], nn.Module], x: torch.Tensor) -> dict[str, Any]:
    """What there is to say of one network."""
    torch.manual_seed(0)
    network = lively(make())
    exact = foldnet.share(network, init="weights").eval()
    with torch.no_grad():
        apart = relative(exact(x), network(x))
    soft = planted(network)
    folded = foldnet.fold(soft, threshold=0.99, inputs=x)
    program, plan = folded.plan.program, soft.plan
    groups = plan.groups
    inside = [block for stage in program.stages for block in stage.blocks if any(use.group for use in block.uses)]
    return {
        "parameters": sum(one.numel() for one in network.parameters()),
        "groups": len(groups),
        "shared": sum(len(group.layers) for group in groups),
        "layers": sum(len(group.layers) for group in groups) + len(plan.private),
        "private": dict(Counter(reason for _, reason in plan.private)),
        "blocks": len(inside),
        "blocks_with_a_layer_of_their_own": sum(block.private for block in inside),
        "loops": [
            {"name": loop.name, "times": loop.times, "blocks": len(loop.body), "fixed": stage.fixed}
            for stage in program.stages
            for loop in stage.loops
        ],
        "kept_apart": {
            f"{entry.attribute}": entry.reason for entry in folded.plan.kept_apart if same_layers(entry, program)
        },
        "looped_to_tied": folded.report.proof.relative,
        "verified": foldnet.verify(folded.looped, against=folded.tied, inputs=[x]).passed,
        "with_its_own_weights": apart,
    }


def same_layers(entry: Any, program: Any) -> bool:
    """Whether two blocks that are kept apart use the same owners, so that they might loop otherwise."""
    uses = {block.name: [(use.position, use.group, use.owner) for use in block.uses] for block in program.blocks}
    one, other = (uses.get(name) for name in entry.blocks)
    return bool(one) and one == other


def main() -> None:
    """Measure all, or print some."""
    names, known = sys.argv[1:], networks()
    found = {}
    for name in names or known:
        print(name, file=sys.stderr, flush=True)
        found[name] = measured(*known[name])
    if names:
        print(json.dumps(found, indent=1))
        return
    about = machine() | {"torchvision": version("torchvision"), "timm": version("timm")}
    content = {"command": "python examples/known_networks.py", "machine": about, "result": found}
    FILE.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
