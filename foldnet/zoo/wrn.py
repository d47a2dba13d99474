"""Wide residual networks (Zagoruyko & Komodakis, https://arxiv.org/abs/1605.07146), pre-activation, for small images.

Layers are named as a reader counts them: stem, stage1.0.conv1, ..., stage3.3.conv2, classifier.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STAGE_WIDTHS = (16, 32, 64)  # channels of the three stages at width 1


class WideBlock(nn.Module):
    """Two 3x3 convolutions, each behind batch norm and ReLU, around a shortcut.

    Shapes: x (n, c_in, h, w) -> (n, c_out, h / stride, w / stride).
    """

    only_calls_layers = True  # of the forward below: see folding/owners.py

    def __init__(self, channels_in: int, channels_out: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.shortcut: nn.Conv2d | None = None
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        # In place: a norm's output is a tensor of its own, and its gradient needs what went in, not what came out.
        active = F.relu(self.norm1(x), inplace=True)
        # A projected shortcut starts from the activated input, as in the reference networks.
        carried = x if self.shortcut is None else self.shortcut(active)
        y = F.relu(self.norm2(self.conv1(active)), inplace=True)
        return torch.add(self.conv2(self.dropout(y)), carried)


class WideResNet(nn.Module):
    """WRN-depth-width: a 3x3 stem, three stages of (depth - 4) / 6 blocks, batch norm, mean over the map, one linear
    layer.

    Shapes: x (n, channels, h, w) -> logits (n, classes). h and w are at least 4; the second and third stage halve them.
    """

    only_calls_layers = True
    sequences = ("stage1", "stage2", "stage3")  # where blocks follow each other and may come to loop

    def __init__(self, depth: int, width: int, classes: int, channels: int, dropout: float) -> None:
        super().__init__()
        blocks = (depth - 4) // 6
        widths = [base * width for base in STAGE_WIDTHS]
        self.stem = nn.Conv2d(channels, STAGE_WIDTHS[0], 3, padding=1, bias=False)
        self.stage1 = _stage(STAGE_WIDTHS[0], widths[0], blocks, 1, dropout)
        self.stage2 = _stage(widths[0], widths[1], blocks, 2, dropout)
        self.stage3 = _stage(widths[1], widths[2], blocks, 2, dropout)
        self.norm = nn.BatchNorm2d(widths[2])
        self.classifier = nn.Linear(widths[2], classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stage3(self.stage2(self.stage1(self.stem(x))))
        pooled = F.relu(self.norm(x), inplace=True).mean(dim=(2, 3))
        logits: Tensor = self.classifier(pooled)
        return logits

    def private_layers(self) -> dict[str, str]:
        """Layers that keep a weight of their own although they stand in a stage, each with the reason.

        The paper leaves the two convolutions of every stage's first block unshared, also where a stage happens to keep
        its width.
        """
        return private_first_blocks(self.sequences, "conv1", "conv2", "shortcut")


def _stage(channels_in: int, channels_out: int, blocks: int, stride: int, dropout: float) -> nn.Sequential:
    """`blocks` residual blocks of which the first changes width and resolution."""
    first = WideBlock(channels_in, channels_out, stride, dropout)
    rest = (WideBlock(channels_out, channels_out, 1, dropout) for _ in range(blocks - 1))
    return nn.Sequential(first, *rest)


def private_first_blocks(stages: tuple[str, ...], *layers: str) -> dict[str, str]:
    """The `layers` of each stage's first block, with the reason why they do not share."""
    reason = "first block of its stage, where width or resolution changes"
    return {f"{stage}.0.{name}": reason for stage in stages for name in layers}


def initialise(network: nn.Module) -> None:
    """Kaiming normal weights (fan in, as the templates start), norms at one, biases at zero, in place."""
    for module in network.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear) and not module.weight.is_meta:
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
