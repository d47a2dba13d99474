"""ResNet-20 for CIFAR-10 with weights that others trained, converted to a network that shares.

    foldnet convert --arch examples/resnet20_cifar.py:make --weights resnet20-cifar10.safetensors \\
        --dataset cifar10 --data-dir DIR --templates 3 --out runs/resnet20
    foldnet fold runs/resnet20 --code examples/resnet20_cifar.py --data-dir DIR

The weights are those of github.com/akamaster/pytorch_resnet_cifar10 (resnet20), as safetensors or as its .th file without the
"module." in front of each name. Original: 91.73 % of the test set.

The network is that of He et al., https://arxiv.org/abs/1512.03385, section 4.2: three stages of three blocks with 16, 32 and 64
channels, the sum before the activation. A shortcut has no weights: where a stage begins it takes every second pixel, and its new
channels are zero, half of them before the old ones and half behind.

Its weights expect images normalised by other numbers than foldnet's cifar10 has. The network's first step goes from the one
to the other, (x std + mean - MEAN) / STD = x scale + shift; scale and shift are constants, so no file of weights holds them.
"""

import torch
from torch import Tensor, nn

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of a channel in 0..1, as the weights expect it
OURS = (125.3 / 255, 123.0 / 255, 113.9 / 255), (63.0 / 255, 62.1 / 255, 66.7 / 255)  # as foldnet's cifar10 comes


class Block(nn.Module):
    """Two convolutions and the shortcut around both: (b, i, h, w) -> (b, o, h / stride, w / stride)."""

    def __init__(self, channels: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.new = stride, (outputs - channels) // 2

    def forward(self, x: Tensor) -> Tensor:
        """The activation behind the sum."""
        out = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        short = nn.functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.new, self.new))
        return torch.relu(out + short)


class ResNet20(nn.Module):
    """(b, 3, 32, 32) as foldnet's cifar10 comes -> logits (b, classes)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        mean, std, wanted, by = (torch.tensor(values).view(3, 1, 1) for values in (*OURS, MEAN, STD))
        self.register_buffer("scale", std / by, persistent=False)
        self.register_buffer("shift", (mean - wanted) / by, persistent=False)
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(Block(16, 16, 1), Block(16, 16, 1), Block(16, 16, 1))
        self.layer2 = nn.Sequential(Block(16, 32, 2), Block(32, 32, 1), Block(32, 32, 1))
        self.layer3 = nn.Sequential(Block(32, 64, 2), Block(64, 64, 1), Block(64, 64, 1))
        self.linear = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """The mean over the last stage's pixels, classified."""
        x = torch.relu(self.bn1(self.conv1(x * self.scale + self.shift)))
        return self.linear(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))


def make(num_classes: int) -> nn.Module:
    """The network, untrained."""
    return ResNet20(num_classes)
