"""Densely connected networks (Huang, Liu, van der Maaten & Weinberger, https://arxiv.org/abs/1608.06993) for small
images.

Every layer of a dense block sees what all before it made, so that its first convolution has a shape that no other layer
has: in a plain network nothing can share. With bottlenecks (the paper's DenseNet-BC) the 3x3 convolutions of a block
are of one shape and do, each of them with another 1x1 convolution before it, so that weights are used again and nothing
loops. Layers are named as a reader counts them: stem, stage1.0.conv1, ..., stage1.transition.conv, ..., classifier.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foldnet.zoo.wrn import initialise

STEM_WIDTH = 16  # channels; with bottlenecks twice the growth rate
BOTTLENECK = 4  # channels of a bottleneck, in growth rates
COMPRESSION = 2  # of a transition's channels, with bottlenecks


class DenseLayer(nn.Module):
    """`growth` channels more, from batch norm, ReLU and a 3x3 convolution; with a bottleneck a 1x1 convolution, batch
    norm and ReLU come between. Dropout follows each convolution.

    Shapes: x (n, c_in, h, w) -> (n, c_in + growth, h, w), the input first.
    """

    only_calls_layers = True  # of the forward below: see folding/owners.py

    def __init__(self, channels_in: int, growth: int, dropout: float, *, bottleneck: bool) -> None:
        super().__init__()
        self.bottleneck = bottleneck
        between, side = (BOTTLENECK * growth, 1) if bottleneck else (growth, 3)
        self.norm1 = nn.BatchNorm2d(channels_in)
        self.conv1 = nn.Conv2d(channels_in, between, side, padding=side // 2, bias=False)
        if bottleneck:
            self.norm2 = nn.BatchNorm2d(between)
            self.conv2 = nn.Conv2d(between, growth, 3, padding=1, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        y = self.dropout(self.conv1(F.relu(self.norm1(x), inplace=True)))
        if self.bottleneck:
            y = self.dropout(self.conv2(F.relu(self.norm2(y), inplace=True)))
        return torch.cat([x, y], 1)


class Transition(nn.Module):
    """Between dense blocks: batch norm, ReLU, a 1x1 convolution, dropout, and the mean of each 2x2 square.

    Shapes: x (n, c_in, h, w) -> (n, c_out, h / 2, w / 2).
    """

    only_calls_layers = True

    def __init__(self, channels_in: int, channels_out: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels_in)
        self.conv = nn.Conv2d(channels_in, channels_out, 1, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(self.dropout(self.conv(F.relu(self.norm(x), inplace=True))), 2)


class DenseNet(nn.Module):
    """DenseNet-depth-growth: a 3x3 stem, three dense blocks (the stages) of which the first two end in a transition,
    batch norm, mean over the map, one linear layer. A block has (depth - 4) / 3 layers, half as many where each has a
    bottleneck; transitions then halve the channels too.

    Shapes: x (n, channels, h, w) -> logits (n, classes). h and w are at least 4; the transitions halve them.
    """

    only_calls_layers = True
    sequences = ("stage1", "stage2", "stage3")
    stage1: nn.Sequential
    stage2: nn.Sequential
    stage3: nn.Sequential

    def __init__(
        self, depth: int, growth: int, classes: int, channels: int, dropout: float, *, bottleneck: bool = False
    ) -> None:
        super().__init__()
        layers = (depth - 4) // (6 if bottleneck else 3)
        width = 2 * growth if bottleneck else STEM_WIDTH
        self.stem = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        for name in self.sequences:
            widths = range(width, width + layers * growth, growth)
            stage = nn.Sequential(*(DenseLayer(seen, growth, dropout, bottleneck=bottleneck) for seen in widths))
            width += layers * growth
            if name != self.sequences[-1]:
                made = width // COMPRESSION if bottleneck else width
                stage.add_module("transition", Transition(width, made, dropout))
                width = made
            self.add_module(name, stage)
        self.norm = nn.BatchNorm2d(width)
        self.classifier = nn.Linear(width, classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stage3(self.stage2(self.stage1(self.stem(x))))
        pooled = F.relu(self.norm(x), inplace=True).mean(dim=(2, 3))
        logits: Tensor = self.classifier(pooled)
        return logits
