"""Networks that answer for every cell of a grid, such as whether it lies on a shortest path (Savarese & Maire,
https://arxiv.org/abs/1902.09701, section 4.4), or for every place of a string.

Layers are named as a reader counts them: stem, body.0.conv, ..., body.19.conv, head.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foldnet.zoo.wrn import initialise

CONVOLUTIONS: dict[int, type[nn.Conv1d | nn.Conv2d]] = {1: nn.Conv1d, 2: nn.Conv2d}  # by dimensions
NORMS: dict[int, type[nn.BatchNorm1d | nn.BatchNorm2d]] = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}


class PathBlock(nn.Module):
    """One step: x + ReLU(norm(conv(x))) on the first `width` channels; what lies behind them, the recalled input, goes
    on as it is.

    Shapes: x (n, width + recalled, h, w) -> the same; in one dimension (n, width + recalled, length).
    """

    only_calls_layers = True  # of the forward below: see folding/owners.py

    def __init__(self, width: int, recalled: int, dims: int) -> None:
        super().__init__()
        self.width = width
        self.conv = CONVOLUTIONS[dims](width + recalled, width, 3, padding=1, bias=False)
        self.norm = NORMS[dims](width)

    def forward(self, x: Tensor) -> Tensor:
        change = F.relu(self.norm(self.conv(x)))
        if x.shape[1] == self.width:
            return x + change
        return torch.cat([x[:, : self.width] + change, x[:, self.width :]], 1)


class PathNetwork(nn.Module):
    """A 1x1 convolution in, `depth` steps of 3x3 convolutions of `width` channels, a 1x1 convolution out; with `dims` 1
    convolutions of 1 and 3 places.

    With `recall` every step sees the input again, behind its channels (Bansal et al.,
    https://arxiv.org/abs/2202.05826). Shapes: x (n, channels, h, w) -> logits (n, h, w), above 0 for a cell on a path,
    or x (n, channels, length) -> logits (n, length). Any size will do.
    """

    only_calls_layers = True
    sequences = ("body",)

    def __init__(self, depth: int, width: int, channels: int, *, recall: bool, dims: int = 2) -> None:
        super().__init__()
        self.recall = recall
        self.stem = CONVOLUTIONS[dims](channels, width, 1)
        self.body = nn.Sequential(*(PathBlock(width, channels if recall else 0, dims) for _ in range(depth)))
        self.head = CONVOLUTIONS[dims](width, 1, 1)
        initialise(self)

    def forward(self, x: Tensor, start: int = 0, steps: int | None = None) -> Tensor:
        """Only the first `start` + `steps` steps run where `steps` is given, and gradients stop before the last
        `steps`."""
        state = self.stem(x)
        if self.recall:
            state = torch.cat([state, x], 1)
        if steps is None:
            state = self.body(state)
        else:
            with torch.no_grad():
                state = self.body[:start](state)
            state = self.body[start : start + steps](state)
        logits: Tensor = self.head(state[:, : self.head.in_channels])
        return logits[:, 0]
