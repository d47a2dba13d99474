"""Residual networks of aggregated transformations (Xie, Girshick, Dollár, Tu & He, https://arxiv.org/abs/1611.05431)
for small images.

Layers are named as a reader counts them: stem, stage1.0.conv1, ..., stage3.2.conv3, classifier.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from foldnet.zoo.wrn import initialise, private_first_blocks

STAGE_WIDTHS = (64, 128, 256)  # of the three stages; a block makes EXPANSION times as many channels
EXPANSION = 4


class AggregatedBlock(nn.Module):
    """1x1, grouped 3x3 and 1x1 convolutions, each before batch norm, around a shortcut: the paper's figure 3 (c).

    Shapes: x (n, c_in, h, w) -> (n, c_out, h / stride, w / stride).
    """

    only_calls_layers = True  # of the forward below: see folding/owners.py

    def __init__(self, channels_in: int, between: int, channels_out: int, stride: int, cardinality: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, between, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(between)
        self.conv2 = nn.Conv2d(between, between, 3, stride, padding=1, groups=cardinality, bias=False)
        self.norm2 = nn.BatchNorm2d(between)
        self.conv3 = nn.Conv2d(between, channels_out, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(channels_out)
        self.shortcut: nn.Conv2d | None = None
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)
            self.shortcut_norm = nn.BatchNorm2d(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        y = F.relu(self.norm2(self.conv2(y)), inplace=True)
        y = self.norm3(self.conv3(y))
        return F.relu(y + (x if self.shortcut is None else self.shortcut_norm(self.shortcut(x))), inplace=True)


class ResNeXt(nn.Module):
    """ResNeXt-depth, cardinality x width: a 3x3 stem, three stages of (depth - 2) / 9 blocks, mean over the map, one
    linear layer. `width` is that of each of the `cardinality` paths in the first stage; both later stages double it.

    Shapes: x (n, channels, h, w) -> logits (n, classes). h and w are at least 4; the second and third stage halve them.
    """

    only_calls_layers = True
    sequences = ("stage1", "stage2", "stage3")

    def __init__(self, depth: int, cardinality: int, width: int, classes: int, channels: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, STAGE_WIDTHS[0], 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(STAGE_WIDTHS[0])

        def stage(number: int, channels_in: int) -> nn.Sequential:
            made, between = EXPANSION * STAGE_WIDTHS[number], cardinality * width * 2**number
            first = AggregatedBlock(channels_in, between, made, 2 if number else 1, cardinality)
            rest = (AggregatedBlock(made, between, made, 1, cardinality) for _ in range((depth - 2) // 9 - 1))
            return nn.Sequential(first, *rest)

        self.stage1 = stage(0, STAGE_WIDTHS[0])
        self.stage2 = stage(1, EXPANSION * STAGE_WIDTHS[0])
        self.stage3 = stage(2, EXPANSION * STAGE_WIDTHS[1])
        self.classifier = nn.Linear(EXPANSION * STAGE_WIDTHS[2], classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.stem(x)), inplace=True)
        pooled = self.stage3(self.stage2(self.stage1(x))).mean(dim=(2, 3))
        logits: Tensor = self.classifier(pooled)
        return logits

    def private_layers(self) -> dict[str, str]:
        """Layers that keep a weight of their own although they stand in a stage, each with the reason: those of a
        stage's first block, as in a wide residual network."""
        return private_first_blocks(self.sequences, "conv1", "conv2", "conv3", "shortcut")
