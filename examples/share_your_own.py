"""Share the weights of a network of your own: any convolutions and linear layers of one shape in one stage can have a bank.

    python examples/share_your_own.py

prints who shares and who does not, and why; trains ten steps; and shows that the dense network computes the same.
"""

import torch
from torch import nn

import foldnet


class Residual(nn.Module):
    """x + relu(norm(conv(x)))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Shapes: (n, channels, h, w) to the same."""
        return x + torch.relu(self.norm(self.conv(x)))


def main() -> None:
    """Share, train, materialise, fold."""
    torch.manual_seed(0)
    network = nn.Sequential()
    network.add_module("stem", nn.Conv2d(3, 16, 3, padding=1))
    network.add_module("body", nn.Sequential(*(Residual(16) for _ in range(6))))
    network.add_module("head", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)))

    soft = foldnet.share(network, 2)
    for group in soft.plan.groups:
        print(f"{group.name}: {len(group.layers)} layers mix {group.templates} templates of shape {group.shape}")
    for layer, reason in soft.plan.private:
        print(f"{layer} keeps its own weight: {reason}")

    optimiser = torch.optim.SGD(soft.parameters(), lr=0.05)
    x, y = torch.randn(32, 3, 8, 8), torch.randint(10, (32,))
    for _ in range(10):
        loss = nn.functional.cross_entropy(soft(x), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    soft.eval()
    dense = foldnet.materialise(soft)
    with torch.no_grad():
        print(f"dense to soft: {(dense(x) - soft(x)).norm() / soft(x).norm():.1e}")
    (group,) = foldnet.fold(soft, threshold=0.9, metric="weights").plan.groups
    print(f"{group.owners} owners of {len(group.layers)} layers at 0.9")


if __name__ == "__main__":
    main()
