"""Blocks other than WRN's: planted loops of bottlenecks, plain stacks and transformer blocks are found and really run."""

import copy

import pytest
import torch
from looping import fold_forms
from torch import nn

from foldnet.folding.looped import unroll
from foldnet.program.data import Item, Loop
from foldnet.program.text import stage_text
from foldnet.sharing.share import SharedNetwork, materialise, share

TIMES = 4


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1, and norms with statistics of their own."""

    def __init__(self, width: int, inside: int) -> None:
        super().__init__()
        self.reduce, self.norm1 = nn.Conv2d(width, inside, 1, bias=False), nn.BatchNorm2d(inside)
        self.conv, self.norm2 = nn.Conv2d(inside, inside, 3, padding=1), nn.BatchNorm2d(inside)
        self.widen, self.norm3 = nn.Conv2d(inside, width, 1, bias=False), nn.BatchNorm2d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.norm1(self.reduce(x)))
        y = torch.relu(self.norm2(self.conv(y)))
        return torch.relu(x + self.norm3(self.widen(y)))


class Transformer(nn.Module):
    """Attention of one head and a perceptron, with a scale that no layer holds."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, 3 * width), nn.Linear(3 * width, width)
        self.scale = nn.Parameter(torch.full((width,), 0.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm1(x)
        y = nn.functional.scaled_dot_product_attention(self.query(y), self.key(y), self.value(y))
        x = x + self.scale * self.out(y)
        return x + self.down(nn.functional.gelu(self.up(self.norm2(x))))


def plain_stack() -> list[nn.Module]:
    return [layer for _ in range(TIMES) for layer in (nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())]


BODIES = {
    "bottleneck": (lambda: [Bottleneck(6, 3) for _ in range(TIMES)], "4x { A }"),
    "transformer": (lambda: [Transformer(6) for _ in range(TIMES)], "4x { A }"),
    "plain stack": (plain_stack, "4x { A; B; C }"),
}


@pytest.fixture(params=BODIES)
def planted(request) -> tuple[SharedNetwork, torch.Tensor, str]:
    """A soft network whose blocks are alike but for sign and length, inputs for it, and the program that it must give."""
    torch.manual_seed(0)
    blocks, program = BODIES[request.param]
    images = request.param != "transformer"
    stem = nn.Conv2d(3, 6, 1) if images else nn.Linear(3, 6)
    soft = share(nn.Sequential(stem, nn.Sequential(*blocks())), 2).eval()
    with torch.no_grad():
        for bank in soft.sources.values():
            positions = len(bank.coefficients) // TIMES
            rows = torch.randn(positions, 2).repeat(TIMES, 1)
            bank.coefficients.copy_(rows * (torch.randn(len(rows), 1).sign() * (0.3 + torch.rand(len(rows), 1))))
        for name, tensor in soft.network.state_dict().items():
            if "norm" in name or name.startswith("1."):
                tensor.add_(torch.rand_like(tensor.float()).to(tensor))
    return soft, torch.randn(4, 3, 5, 5) if images else torch.randn(4, 7, 3), program


def loops(items: tuple[Item, ...]) -> list[int]:
    return [item.times for item in items if isinstance(item, Loop)]


def test_a_planted_loop_is_found_and_folds_exactly(planted):
    soft, x, program = planted
    looped, tied, plan = fold_forms(soft, 1.0)
    (stage,) = plan.program.stages
    assert (stage_text(stage), loops(stage.items)) == (program, [TIMES])
    with torch.no_grad():
        expected, found = soft(x), looped.eval()(x)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(found, tied.eval()(x), rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(unroll(looped, materialise(tied)).eval()(x), found, rtol=1e-6, atol=1e-6)


def test_training_changes_looped_and_tied_alike(planted):
    soft, x, _ = planted
    looped, tied, _ = fold_forms(soft.double(), 1.0)
    x, before = x.double(), copy.deepcopy(looped)
    for network in (looped.train(), tied.train()):
        optimiser = torch.optim.SGD(network.parameters(), lr=1e-3)
        for _ in range(2):
            optimiser.zero_grad()
            network(x).square().mean().backward()
            optimiser.step()
    with torch.no_grad():
        found = looped.eval()(x)
        torch.testing.assert_close(found, tied.eval()(x), rtol=1e-8, atol=1e-8)
        assert not torch.allclose(found, before.eval()(x))
