"""Networks of steps, which answer for every cell of a grid, such as whether it lies on a shortest path (Savarese &
Maire, https://arxiv.org/abs/1902.09701, section 4.4), or for every place of a string.

Layers are named as a reader counts them: stem, body.0.conv, ..., body.19.conv, head.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foldnet.zoo.wrn import initialise

CONVOLUTIONS: dict[int, type[nn.Conv1d | nn.Conv2d]] = {1: nn.Conv1d, 2: nn.Conv2d}  # by dimensions
BATCH_NORMS: dict[int, type[nn.BatchNorm1d | nn.BatchNorm2d]] = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}
GROUPS = 8  # of group norm at most
EPS = 1e-5  # of a mean square, as in the norms of torch
START = 0.05  # of a Kaiming weight: where no norm holds the state, many steps must not make it grow before they learn


class NormedStep(nn.Module):
    """One step: x + scale * ReLU(norm(conv(x))) on the first `width` channels; what lies behind them, the recalled
    input, goes on as it is.

    Shapes: x (n, width + recalled, h, w) -> the same; in one dimension (n, width + recalled, length).
    """

    only_calls_layers = True  # of the forward below: see folding/owners.py

    def __init__(self, width: int, recalled: int, dims: int, norm: str, scale: float) -> None:
        super().__init__()
        self.width, self.scale = width, scale
        self.conv = CONVOLUTIONS[dims](width + recalled, width, 3, padding=1, bias=False)
        self.norm = BATCH_NORMS[dims](width) if norm == "batch" else nn.GroupNorm(math.gcd(width, GROUPS), width)

    def forward(self, x: Tensor) -> Tensor:
        return _changed(x, F.relu(self.norm(self.conv(x))), self.width, self.scale)


class FreeStep(nn.Module):
    """One step without a norm between its layers: x + scale * conv2(ReLU(conv1(x))), as a residual block of Bansal et
    al., https://arxiv.org/abs/2202.05826, has it.

    What is added has both signs, so that a state can come to rest, and what is at rest stays so through any number of
    further steps; the layers of NormedStep only ever add. With `rms` the sum is divided by its root mean square over
    the channels of each place (Zhang & Sennrich, https://arxiv.org/abs/1910.07467, without gains), so that a state
    neither grows nor fades however many steps come. Shapes: as those of NormedStep.
    """

    only_calls_layers = True

    def __init__(self, width: int, recalled: int, dims: int, scale: float, *, rms: bool = False) -> None:
        super().__init__()
        self.width, self.scale, self.rms = width, scale, rms
        self.conv1 = CONVOLUTIONS[dims](width + recalled, width, 3, padding=1, bias=False)
        self.conv2 = CONVOLUTIONS[dims](width, width, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return _changed(x, self.conv2(F.relu(self.conv1(x))), self.width, self.scale, rms=self.rms)


def _changed(x: Tensor, change: Tensor, width: int, scale: float, *, rms: bool = False) -> Tensor:
    """x with `scale` times a change of its first `width` channels, which `rms` then brings to a mean square of 1."""
    if scale != 1.0:
        change = change * scale
    state = x[:, :width] + change
    if rms:
        state = state * torch.rsqrt(state.square().mean(1, keepdim=True) + EPS)
    return state if x.shape[1] == width else torch.cat([state, x[:, width:]], 1)


class StepNetwork(nn.Module):
    """A 1x1 convolution in, `depth` steps of 3x3 convolutions of `width` channels, a 1x1 convolution out; with `dims` 1
    convolutions of 1 and 3 places.

    With `recall` every step sees the input again, behind its channels (Bansal et al.,
    https://arxiv.org/abs/2202.05826). `norm` is "batch", "group" (Wu & He, https://arxiv.org/abs/1803.08494), "rms" or
    "none" (both of FreeStep). With a `step_scale` above 0 a step adds `step_scale` / `depth` of its change.

    Shapes: x (n, channels, h, w) -> logits (n, h, w), above 0 for a cell on a path, or x (n, channels, length) ->
    logits (n, length). Any size will do.
    """

    only_calls_layers = True
    sequences = ("body",)

    def __init__(
        self,
        depth: int,
        width: int,
        channels: int,
        *,
        recall: bool = False,
        dims: int = 2,
        norm: str = "batch",
        step_scale: float = 0.0,
    ) -> None:
        super().__init__()
        self.recall, recalled = recall, channels if recall else 0
        scale = step_scale / depth if step_scale else 1.0
        free = norm in ("none", "rms")
        self.starts_at_scale = free  # of the weights below, also where templates take their place
        self.stem = CONVOLUTIONS[dims](channels, width, 1)
        self.body = nn.Sequential(
            *(
                FreeStep(width, recalled, dims, scale, rms=norm == "rms")
                if free
                else NormedStep(width, recalled, dims, norm, scale)
                for _ in range(depth)
            )
        )
        self.head = CONVOLUTIONS[dims](width, 1, 1)
        initialise(self)
        for block in self.body:
            if isinstance(block, FreeStep) and not block.conv2.weight.is_meta:
                block.conv2.weight.data.mul_(START)

    def forward(
        self, x: Tensor, start: int = 0, steps: int | None = None, at: tuple[int, ...] = (), *, mixed: bool = False
    ) -> Tensor | tuple[Tensor, ...]:
        """Only the first `start` + `steps` steps run where `steps` is given, and gradients stop before the last
        `steps`; past the last step of all it runs again. Where numbers of steps behind `start` are given as `at`, the
        answers after each of these, and the states (n, width, ...) before and after the last of all steps; gradients
        stop at `start` then too. If `mixed`, each example begins anew, from the first step on, in the state in which
        the one before it in the batch is after `start` steps."""
        state = self.stem(x)
        if self.recall:
            state = torch.cat([state, x], 1)
        if start:
            with torch.no_grad():
                state = self._run(state, 0, start)
        if mixed:
            width = self.head.in_channels
            state, start = torch.cat([state[:, :width].roll(1, 0), state[:, width:]], 1), 0
        if at:
            return self._traced(state, start, at)
        if steps is None and not start:
            return self._answer(self.body(state))  # which is a loop in a folded network
        return self._answer(self._run(state, start, len(self.body) if steps is None else start + steps))

    def _run(self, state: Tensor, first: int, end: int) -> Tensor:
        """The state after some of the steps; past the last of all it runs again."""
        for number in range(first, end):
            state = self.body[min(number, len(self.body) - 1)](state)
        return state

    def _answer(self, state: Tensor) -> Tensor:
        """The logits after any step."""
        logits: Tensor = self.head(state[:, : self.head.in_channels])
        return logits[:, 0]

    def _traced(self, state: Tensor, start: int, at: tuple[int, ...]) -> tuple[Tensor, ...]:
        """The answers after some of the steps from `start` on, and the last two states."""
        found: list[Tensor] = []
        before = state
        for number, block in enumerate(self.body[start:], 1):
            before, state = state, block(state)
            if number in at:
                found.append(self._answer(state))
        return (*found, before[:, : self.head.in_channels], state[:, : self.head.in_channels])
